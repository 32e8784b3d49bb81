"""What a ranking is asked for beside the scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lfranker.evaluation.criteria import CHAMPION_METRICS, DIRECTIONS
from lfranker.text import parse_values

PROMOTIONS = ("auto", "always", "never")
EQUIVALENCE: Mapping[str, float] = MappingProxyType(
    {"psnr": 0.1, "ssim": 0.005, "repeatability": 0.01}
)


@dataclass(frozen=True)
class RankConfig:
    """Settings of `rank`.

    equivalence: differences that do not matter in practice, by metric in its unit; by convention,
        not by measurement. What is named here is what the evidence is about.
    weights: of the criteria in the weighted score that stands beside the mean rank; those not named
        do not count.
    promote: when a winner takes its alias from the version that holds it: `auto` if it beats that
        one on the same scans beyond the interval, `always`, or `never`.
    """

    equivalence: Mapping[str, float] = field(default_factory=lambda: dict(EQUIVALENCE))
    weights: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(CHAMPION_METRICS, 1.0)
    )
    promote: str = "auto"


def parse_equivalence(text: str) -> dict[str, float]:
    """Read `psnr=0.2` as `parse_values` does; metrics that it does not name keep their default."""
    return {**EQUIVALENCE, **parse_values(text, DIRECTIONS)}


def parse_weights(text: str) -> dict[str, float]:
    """Read `psnr=1,ssim=2` as `parse_values` does; at least one weight must be above 0."""
    values = parse_values(text, DIRECTIONS)
    if not any(values.values()):
        raise ValueError("at least one weight must be above 0")
    return values
