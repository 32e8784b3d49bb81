"""What a ranking is asked for beside the scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite

from lfranker.ranking.leaderboard import CHAMPION_METRICS, DIRECTIONS

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


def as_text(values: Mapping[str, float]) -> str:
    """`psnr=0.1,ssim=0.005`, as `parse_values` reads it."""
    return ",".join(f"{name}={value:g}" for name, value in values.items())


def parse_values(text: str, allowed: Iterable[str] | None = tuple(DIRECTIONS)) -> dict[str, float]:
    """`psnr=0.1,ssim=0.005` as numbers, none below 0. Raises ValueError naming what is wrong.

    `allowed`: the names that are; None: any.
    """
    values: dict[str, float] = {}
    known = None if allowed is None else list(allowed)
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"{part.strip()!r} is not NAME=NUMBER") from None
        if known is not None and name not in known:
            raise ValueError(f"{name!r} is no criterion; allowed are {', '.join(known)}")
        if name in values or not isfinite(value) or value < 0:
            raise ValueError(f"{part.strip()!r}: one number of 0 or more for each is allowed")
        values[name] = value
    return values


def parse_weights(text: str) -> dict[str, float]:
    """As `parse_values`; at least one weight must be above 0."""
    values = parse_values(text)
    if not any(values.values()):
        raise ValueError("at least one weight must be above 0")
    return values
