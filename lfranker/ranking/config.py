"""Options of a ranking beside the scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lfranker.evaluation.criteria import CHAMPION_METRICS, DIRECTIONS
from lfranker.options import check, option
from lfranker.text import parse_values

EQUIVALENCE: Mapping[str, float] = MappingProxyType(
    {
        "psnr": 0.1,
        "ssim": 0.005,
        "repeatability": 0.01,
        "noise_removed": 0.003,
        "ssim_estimated": 0.005,
    }
)


def parse_equivalence(text: str) -> dict[str, float]:
    """Read `psnr=0.2` as `parse_values` does; metrics that it does not name keep their default."""
    return {**EQUIVALENCE, **parse_values(text, DIRECTIONS)}


def parse_weights(text: str) -> dict[str, float]:
    """Read `psnr=1,ssim=2` as `parse_values` does; at least one weight must be above 0."""
    values = parse_values(text, DIRECTIONS)
    if not any(values.values()):
        raise ValueError("at least one weight must be above 0")
    return values


@dataclass(frozen=True)
class RankConfig:
    """Options of a ranking."""

    equivalence: Mapping[str, float] = option(
        lambda: dict(EQUIVALENCE),  # each in its unit; by convention, not by measurement
        "Differences that do not matter, by criterion; how sure a ranking is, is said of these. "
        "Criteria that are not named keep their default.",
        parse=parse_equivalence,
    )
    weights: Mapping[str, float] = option(
        lambda: dict.fromkeys(CHAMPION_METRICS, 1.0),
        "Of the criteria in the weighted score, which stands beside the mean rank; those that are "
        "not named do not count.",
        parse=parse_weights,
    )
    promote: str = option(
        "auto",
        "When a winner takes an alias from another power set's version: auto: if it beats that one "
        "on the same scans beyond the interval; always; or never, and none is given at all.",
        choices=("auto", "always", "never"),
    )

    def __post_init__(self) -> None:
        check(self)
