"""What a ranking is asked for beside the scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lfranker.evaluation.criteria import CHAMPION_METRICS, DIRECTIONS
from lfranker.text import parse_values

PROMOTIONS = ("auto", "always", "never")


@dataclass(frozen=True)
class RankConfig:
    """Settings of `rank`.

    equivalence: differences that do not matter in practice, by metric in its unit; by convention,
        not by measurement. What is named here is what the evidence is about.
    weights: of the criteria in the weighted score that stands beside the mean rank.
    promote: when a winner takes its alias from the version that holds it: `auto` if it beats that
        one on the same scans beyond the interval, `always`, or `never`.
    """

    equivalence: Mapping[str, float] = field(
        default_factory=lambda: {"psnr": 0.1, "ssim": 0.005, "repeatability": 0.01}
    )
    weights: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(CHAMPION_METRICS, 1.0)
    )
    promote: str = "auto"


def parse_weights(text: str) -> dict[str, float]:
    """As `parse_values`; at least one weight must be above 0."""
    values = parse_values(text, DIRECTIONS)
    if not any(values.values()):
        raise ValueError("at least one weight must be above 0")
    return values
