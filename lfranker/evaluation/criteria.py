"""Criteria that entrants are ranked by: the metrics, over all speeds and at each of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.reference_free import REFERENCE_FREE
from lfranker.microscopes.scan_speed import speed_key

ALL_METRICS: dict[str, Metric] = {**METRICS, **REFERENCE_FREE}
VISUAL = "visual"  # what people see: the mean rating of blinded pictures, 1 to 5


DIRECTIONS: Mapping[str, bool] = {  # True: higher is better
    **{
        name: bool(metric.higher_is_better) for name, metric in ALL_METRICS.items() if metric.ranked
    },
    VISUAL: True,
}


def limits_of(metric: str) -> tuple[float, float]:
    """Return between which values all scores by a metric are, people's ratings included."""
    return (1, 5) if metric == VISUAL else ALL_METRICS[metric].limits


# Raw keypoint counts are left out: leftover noise raises them as well as detail does. The last two
# are those of scans among which none is clean; no scans have scores by both kinds.
CHAMPION_METRICS = ("psnr", "ssim", "repeatability", "noise_removed", "ssim_estimated")


# those of them that tell how good an image is, also beside the noisy scan and the filters
QUALITY = ("psnr", "ssim", "noise_removed", "ssim_estimated")


def in_short(scores: Mapping[str, float]) -> str:
    """Write the scores that matter most: "PSNR 30.12 dB, SSIM 0.8912"; "" where none is there."""
    shown = [(ALL_METRICS[name], scores[name]) for name in QUALITY if name in scores]
    return ", ".join(f"{m.title} {value:.{m.digits}f} {m.unit}".rstrip() for m, value in shown)


def deciding_metrics(scores: Iterable[object]) -> tuple[str, ...]:
    """Return the CHAMPION_METRICS of scans that have such scores: with clean scans, or without."""
    alone = any(name in REFERENCE_FREE for name in scores)
    return tuple(name for name in CHAMPION_METRICS if (name in REFERENCE_FREE) == alone)


NOISY = "noisy"  # the baseline that does nothing
CLEAN = "clean"  # the clean scan itself: as many keypoints as there are to be found
BUNDLED = "bundled"  # the network that comes with the package
INITIAL = "init "  # in front of the name of weights that trainings start from
DRUNET = "drunet "  # in front of the name of weights of a published DRUNet


def is_filter(baseline: str) -> bool:
    """Return whether it is a filter: neither a scan itself, nor a network made elsewhere."""
    return baseline not in (NOISY, CLEAN, BUNDLED) and not baseline.startswith((INITIAL, DRUNET))


BEST = "best-"  # in front of a criterion in an alias


@dataclass(frozen=True)
class Criterion:
    """A metric over all scan speeds or at one of them.

    Its text, `psnr` or `psnr/spd2`, names columns of scores and MLflow's metrics; its alias,
    `best-psnr-spd2`, the model that won it.
    """

    metric: str
    speed: str = ""  # "": over all speeds

    @classmethod
    def parse(cls, text: str) -> "Criterion":
        metric, _, speed = text.partition("/")
        return cls(metric, speed)

    def __str__(self) -> str:
        return f"{self.metric}/{self.speed}" if self.speed else self.metric

    @classmethod
    def from_alias(cls, alias: str) -> "Criterion | None":
        """Read an alias; None for that of the champion, and for others.

        Aliases have no point, so `1-5us` stands for `1.5us`.
        """
        if not alias.startswith(BEST):
            return None
        metric, _, speed = alias.removeprefix(BEST).partition("-")
        return cls(metric, re.sub(r"(\d)-(\d)", r"\1.\2", speed))

    @property
    def alias(self) -> str:
        allowed = "".join(c if c.isalnum() or c in "-_" else "-" for c in str(self))
        return allowed if self == CHAMPION else f"{BEST}{allowed}"

    @property
    def rank_column(self) -> str:
        """The column of a leaderboard that holds the ranks by it."""
        return f"rank/{self}"


CHAMPION = Criterion("champion")  # lowest mean rank over CHAMPION_METRICS at every speed


def scored(columns: Iterable[object]) -> list[str]:
    """Return the names that are scores: by any metric or by people, with a speed or without."""
    metrics = {*ALL_METRICS, VISUAL}
    return [name for name in map(str, columns) if Criterion.parse(name).metric in metrics]


def criteria_of(
    board: pd.DataFrame, directions: Mapping[str, bool] = DIRECTIONS
) -> list[Criterion]:
    """The columns that are criteria, by metric: over all speeds, then the fastest speed first."""
    metrics = list(directions)
    criteria = [Criterion.parse(str(column)) for column in board]

    def place(criterion: Criterion) -> tuple[int, str, float, str]:
        return metrics.index(criterion.metric), *speed_key(criterion.speed)

    return sorted((c for c in criteria if c.metric in directions), key=place)
