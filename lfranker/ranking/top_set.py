"""Certainty of a ranking: intervals, who may be the best, what it takes to tell them apart.

All from scores of single fields after single repeats; fields of one place count as one, and a
score is the mean over the scan speeds, so that what belongs together stays together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.statistics.concordance import kendall_tau, kendall_w, pareto_front
from lfranker.statistics.intervals import (
    Chance,
    MeanSquares,
    difference_interval,
    mean_squares,
    score_interval,
)
from lfranker.statistics.multiple_comparisons import LEVEL, rank_intervals, separated, standings
from lfranker.statistics.sample_size import Planned, fields_needed, repeats_needed
from lfranker.statistics.score_array import Cube
from lfranker.statistics.true_means import chances_of_beating, chances_of_being_best, true_means
from lfranker.statistics.variance_shrinkage import LEAST_MODELS

LEAST_REPEATS = 3  # that show how much a model's trainings scatter


def intervals(
    cube: Cube,
    equivalence: float,
    seed: int,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> pd.DataFrame:
    """A row per entrant, best mean first: what is known of its score, difference and rank.

    `low`, `high` of the `mean`, within the ``limits`` that no score can pass; `below_low`,
    `below_high` of what it is below the best; `best_rank`, `worst_rank`; `chance_of_best`;
    `standing`, one of "equivalent", "undecided" and "worse": whether its true mean is within
    ``equivalence`` of that of the truly best one (`multiple_comparisons.standings`), which even the
    first row may not be shown to be. 95 % each; ranks, and which are worse, all together.
    """
    squares, chance = squares_of(cube, seed)
    best = int(np.argmax(squares.mean))
    scores = [score_interval(model, squares, chance) for model in range(len(cube.names))]
    below = [difference_interval(best, m, squares, chance) for m in range(len(cube.names))]
    ranks = rank_intervals(squares, chance)
    table = pd.DataFrame(
        {
            "mean": squares.mean,
            "low": np.clip([i.low for i in scores], *limits),
            "high": np.clip([i.high for i in scores], *limits),
            "below_low": [i.low for i in below],
            "below_high": [i.high for i in below],
            "best_rank": [rank[0] for rank in ranks],
            "worst_rank": [rank[1] for rank in ranks],
            "chance_of_best": chances_of_being_best(squares, true_means(squares, chance, seed)),
            "standing": standings(squares.mean, squares.of_difference, chance, equivalence),
        },
        index=pd.Index(cube.names, name="losses"),
    )
    return table.sort_values("mean", ascending=False, kind="stable")


def erratic(cube: Cube) -> tuple[str, ...] | None:
    """Entrants whose trainings scatter clearly more than those of the others.

    None where that cannot be seen, with fewer than 3 repeats or 4 entrants; the intervals of such
    an entrant's differences then hold the truth less often than said.
    """
    if cube.scores.shape[2] < LEAST_REPEATS or len(cube.names) < LEAST_MODELS:
        return None
    return tuple(cube.names[model] for model in mean_squares(cube.scores).clearly_erratic())


def beats(cube: Cube, seed: int) -> pd.DataFrame:
    """The chance that the true mean of the row's entrant is above that of the column's."""
    squares, chance = squares_of(cube, seed)
    names = list(cube.names)
    means = true_means(squares, chance, seed)
    return pd.DataFrame(chances_of_beating(squares, means), index=names, columns=names)


@dataclass(frozen=True)
class Effort:
    """Effort to find with a chance of 80 % that the best and another one differ.

    fields, repeats: from how many to how many, with as many of the other as there are; None where
    that cannot be said, and for repeats where there is one.
    """

    other: str  # the nearest from which the best is not significantly different
    gap: float  # by which it is expected to be behind: less than measured, for the best is chosen
    fields: tuple[int, int] | None
    repeats: tuple[int, int] | None


def effort(cube: Cube, seed: int) -> Effort | None:
    """Estimate by the intervals of the ranks; None where the best is significantly ahead of all."""
    squares, chance = squares_of(cube, seed)
    count, one = len(cube.names), int(np.argmax(squares.mean))
    level = LEVEL / max(count * (count - 1) // 2, 1)
    gaps = squares.mean[one] - squares.mean
    ordered = [int(at) for at in np.argsort(-squares.mean, kind="stable") if at != one]
    close = (
        at
        for at in ordered
        if gaps[at] > 0
        and not separated(float(gaps[at]), squares.of_difference(one, at), chance, level)
    )
    other = next(close, None)
    if other is None:
        return None
    means = true_means(squares, chance, seed)
    differences = means[:, one] - means[:, other]
    found = squares.of_difference(one, other)
    # a small own square over repeats is luck: other repeats scatter as those of all models do
    found = replace(found, repeat=max(found.repeat, 2 * squares.repeat_prior.square))
    planned = Planned(differences, found, squares.fields, squares.repeats, level)
    return Effort(
        cube.names[other],
        float(differences.mean()),
        fields_needed(planned, chance),
        repeats_needed(planned, chance),
    )


def agreement(rows: pd.DataFrame, metrics: Sequence[str]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Kendall's tau between metrics, and W of the speeds for each metric with two or more."""
    means = rows.groupby("name")[list(metrics)].mean()
    speeds = {
        metric: rows.pivot_table(index="name", columns="speed", values=metric) for metric in metrics
    }
    return kendall_tau(means), {
        metric: kendall_w(table) for metric, table in speeds.items() if table.shape[1] > 1
    }


def front(rows: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """Entrants that no other one beats in all of the metrics that may decide a champion.

    Raw keypoint counts are left out: leftover noise raises them as well as detail does.
    """
    judged = [metric for metric in metrics if metric in CHAMPION_METRICS]
    return pareto_front(rows.groupby("name")[judged].mean())


def squares_of(cube: Cube, seed: int) -> tuple[MeanSquares, Chance]:
    """Return the mean squares of the scores, and the distribution of what they leave to chance."""
    squares = mean_squares(cube.scores)
    return squares, Chance(squares, seed)
