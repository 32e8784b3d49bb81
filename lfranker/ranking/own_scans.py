"""How many slow scans of one's own: the gain by a few, and what more of them would bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lfranker.arrays import Floats
from lfranker.statistics.learning_curve import (
    LEAST_COUNTS,
    LEAST_DRAWS,
    LEAST_SITES,
    Forecast,
    LearningCurve,
    fit,
)

METRICS = ("psnr", "ssim")
TOLERANCE = 3.0  # differences that do not matter: a forecast that is less sure is not given
MOST_SCANS = 1000
KEYS = ["field", "speed"]


def parse_counts(text: str) -> tuple[int, ...]:
    """Read `1,2,4`. Raises ValueError."""
    try:
        return checked_counts(tuple(int(part) for part in text.split(",")))
    except ValueError as error:
        raise ValueError(
            f"{text!r}: allowed are {LEAST_COUNTS} whole numbers or more, the lowest first, from 1 "
            f"to {MOST_SCANS}: 1,2,4"
        ) from error


def checked_counts(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of scans. Raises ValueError where no curve can be drawn through them."""
    rising = sorted(set(counts)) == list(counts)
    if len(counts) < LEAST_COUNTS or not rising or not 1 <= counts[0] <= counts[-1] <= MOST_SCANS:
        raise ValueError(
            f"curve is {','.join(map(str, counts))}; allowed are {LEAST_COUNTS} numbers or more, "
            f"the lowest first, from 1 to {MOST_SCANS}: 1,2,4"
        )
    return counts


@dataclass(frozen=True)
class ScanCurve:
    """Gains by slow scans among the training images, over none, in each metric.

    target: the number of scans that is forecast; draws: how many times other scans were drawn.
    tables: a row per number of scans, with its `measured` gain, NaN where it was not trained, and
    the law's `value`, `low` and `high` at the fields scored, and `like_low` and `like_high` at
    all like them. further: what the target would bring over the most that was trained with, at
    fields like these.
    """

    losses: str
    counts: tuple[int, ...]
    target: int
    draws: int
    fields: int
    sites: int
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    further: Mapping[str, Forecast] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)

    def forecast(self, metric: str) -> Forecast:
        """Return the gain with the target number of scans, at the fields scored."""
        ends = self.tables[metric].loc[self.target, ["value", "low", "high"]]
        return Forecast(self.target, *ends.to_numpy(np.float64).tolist())

    def is_told(self, metric: str) -> bool:
        """Return whether the forecast is sure enough to be given."""
        return self.forecast(metric).half_width <= self.tolerances[metric]


def scan_curve(
    rows: pd.DataFrame,
    losses: str,
    counts: Sequence[int],
    target: int,
    margins: Mapping[str, float],
    seed: int,
) -> ScanCurve:
    """Return the curve of scores by `draw`, `count`, `place`, `field` and `speed`; count 0: none.

    Draws that lack a count are left out, and fields that lack a score anywhere. ``margins``:
    differences that do not matter, by metric. Without enough draws or sites there are no tables.
    """
    wanted = {0, *counts}
    whole = [draw for draw, own in rows.groupby("draw") if wanted <= set(own["count"])]
    rows = rows[rows["draw"].isin(whole) & rows["count"].isin(wanted)]
    cells = rows.groupby(KEYS)["draw"].transform("size")
    rows = rows[cells == len(whole) * len(wanted)]
    sites, fields = rows["place"].nunique(), rows["field"].nunique()
    known = [metric for metric in METRICS if metric in rows and metric in margins]
    found = ScanCurve(losses, tuple(counts), target, len(whole), fields, sites)
    if len(whole) < LEAST_DRAWS or sites < LEAST_SITES:
        return found
    tables, further = dict[str, pd.DataFrame](), dict[str, Forecast]()
    for metric in known:
        gains = _gains(rows, metric, counts)
        if not np.isfinite(gains).all():
            continue
        here, like = (
            fit(gains, counts, margins[metric], seed, these_sites=these) for these in (True, False)
        )
        tables[metric] = _table(gains, counts, target, here, like)
        further[metric] = like.from_to(counts[-1], target)
    tolerances = {metric: TOLERANCE * margins[metric] for metric in tables}
    return ScanCurve(
        losses, tuple(counts), target, len(whole), fields, sites, tables, further, tolerances
    )


def shown_counts(counts: Sequence[int], target: int) -> list[int]:
    """Return the numbers of scans of a table: those trained with, doublings, and the target."""
    doubled = [counts[-1]]
    while doubled[-1] * 2 < target:
        doubled.append(doubled[-1] * 2)
    return sorted({*counts, *doubled, target})


def _gains(rows: pd.DataFrame, metric: str, counts: Sequence[int]) -> Floats:
    """(draws, counts, sites): means over the fields and speeds of a site, less those at none."""
    means = rows.groupby(["draw", "count", "place"])[metric].mean()
    cube = np.stack(
        [own.unstack("place").to_numpy() for _, own in means.groupby("draw")]  # none comes first
    )
    return np.asarray(cube[:, 1:] - cube[:, :1], np.float64)


def _table(
    gains: Floats, counts: Sequence[int], target: int, here: LearningCurve, like: LearningCurve
) -> pd.DataFrame:
    measured = dict(zip(counts, gains.mean(axis=(0, 2)).tolist(), strict=True))
    rows = {}
    for count in shown_counts(counts, target):
        at, elsewhere = here.at(count), like.at(count)
        rows[count] = {
            "measured": measured.get(count, float("nan")),
            "value": at.value, "low": at.low, "high": at.high,
            "like_low": elsewhere.low, "like_high": elsewhere.high,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("scans")
