"""Leads of a network over doing without it: over the noisy input, and over the best filter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CLEAN, NOISY
from lfranker.statistics.intervals import Chance, mean_squares, score_interval
from lfranker.statistics.score_array import Cube, cube_of


@dataclass(frozen=True)
class BaselineLead:
    """By how much an entrant's mean score is above a baseline's, at the same sites."""

    baseline: str
    mean: float  # the baseline's
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Leads:
    """Leads of one entrant in one metric; None over what was not scored at all sites."""

    over_noisy: BaselineLead | None
    over_filter: BaselineLead | None  # over the filter with the highest mean score


def baseline_leads(
    rows: pd.DataFrame, name: str, metrics: Iterable[str], seed: int
) -> dict[str, Leads]:
    """Return the leads of the entrant ``name`` by metric, from rows as in `PairScores.table`.

    Intervals (95 %) are over sites and, where there are several, over the entrant's repeats;
    baselines have no seed variance. A metric in which too little is known is left out.
    """
    entrants, baselines = rows[~rows["baseline"]], rows[rows["baseline"]]
    filters = [str(b) for b in baselines["name"].unique() if b not in (NOISY, CLEAN)]
    leads = {}
    for metric in metrics:
        cube = cube_of(entrants, metric)
        if cube is None or name not in cube.names:
            continue
        scores = {b: baseline_scores(baselines, cube, metric, b) for b in (NOISY, *filters)}
        noisy = _lead(cube, name, [NOISY], scores, seed)
        best_filter = _lead(cube, name, filters, scores, seed)
        if noisy or best_filter:
            leads[metric] = Leads(noisy, best_filter)
    return leads


def baseline_scores(rows: pd.DataFrame, cube: Cube, metric: str, name: str) -> Floats | None:
    """Scores of a baseline at the sites of the cube, (sites,); None where one is missing.

    They are means over the scan speeds of the means over a site's fields, as in `cube_of`.
    """
    own = rows[rows["name"] == name]
    by_speed = own.pivot_table(index="place", columns="speed", values=metric, dropna=False)
    values = by_speed.mean(axis=1, skipna=False).reindex(list(cube.places)).to_numpy(np.float64)
    return values if values.size and np.isfinite(values).all() else None


def _lead(
    cube: Cube, name: str, baselines: Sequence[str], scores: dict[str, Floats | None], seed: int
) -> BaselineLead | None:
    """Compare with the highest of the baselines that have all scores."""
    means = {b: float(own.mean()) for b in baselines if (own := scores[b]) is not None}
    if not means:
        return None
    baseline = max(means, key=lambda b: means[b])
    ahead = cube.scores[[cube.names.index(name)]] - np.asarray(scores[baseline])[None, :, None]
    squares = mean_squares(ahead)
    interval = score_interval(0, squares, Chance(squares, seed))
    return BaselineLead(
        baseline, means[baseline], float(squares.mean[0]), interval.low, interval.high
    )
