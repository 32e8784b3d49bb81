"""How well a ranking is founded: intervals, the top set, agreement of criteria, what a loss adds.

All from scores of single fields after single repeats; fields of one place count as one, and a
score is the mean over the scan speeds, so that what belongs together stays together.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.agreement import kendall_tau, kendall_w, pareto_front
from lfranker.attribution import interactions, mean_effects, pairs, shapley
from lfranker.cubes import Cube
from lfranker.metrics import METRICS
from lfranker.ranking_notes import listed
from lfranker.significance import Significance, significance
from lfranker.uncertainty import (
    Chance,
    MeanSquares,
    chances_of_beating,
    chances_of_being_best,
    difference_interval,
    fields_needed,
    mean_squares,
    rank_intervals,
    score_interval,
    top_set,
)


def intervals(cube: Cube, equivalence: float, seed: int) -> pd.DataFrame:
    """A row per entrant, best mean first: what is known of its score, difference and rank.

    `low`, `high` of the `mean`; `below_low`, `below_high` of what it is below the best;
    `best_rank`, `worst_rank`; `chance_of_best`; `top` where it may be no worse than the best by
    more than ``equivalence``. 95 % each; ranks and the top set all together.
    """
    squares, chance = _asked(cube, seed)
    best = int(np.argmax(squares.mean))
    scores = [score_interval(model, squares, chance) for model in range(len(cube.names))]
    below = [difference_interval(best, m, squares, chance) for m in range(len(cube.names))]
    ranks = rank_intervals(squares, chance)
    top = top_set(squares, chance, equivalence)
    table = pd.DataFrame(
        {
            "mean": squares.mean,
            "low": [i.low for i in scores],
            "high": [i.high for i in scores],
            "below_low": [i.low for i in below],
            "below_high": [i.high for i in below],
            "best_rank": [rank[0] for rank in ranks],
            "worst_rank": [rank[1] for rank in ranks],
            "chance_of_best": chances_of_being_best(squares, chance, seed),
            "top": [model in top for model in range(len(cube.names))],
        },
        index=pd.Index(cube.names, name="losses"),
    )
    return table.sort_values("mean", ascending=False, kind="stable")


def beats(cube: Cube, seed: int) -> pd.DataFrame:
    """The chance that the true mean of the row's entrant is above that of the column's."""
    squares, chance = _asked(cube, seed)
    names = list(cube.names)
    return pd.DataFrame(chances_of_beating(squares, chance), index=names, columns=names)


def sentence(metric: str, cube: Cube, equivalence: float, seed: int) -> str:
    """The top set of a metric, and what it would take to tell its first two apart."""
    table = intervals(cube, equivalence, seed)
    top = list(table.index[table["top"]])
    first = str(table.index[0])
    chance = table["chance_of_best"].iloc[0]
    title, unit = METRICS[metric].title, f" {METRICS[metric].unit}".rstrip()
    said = (
        f"In {title} {len(top)} of {len(table)} are not worse than the best by more than "
        f"{equivalence:g}{unit} ({cube.title}): {listed(map(str, top))}. "
        f"{first} is the best with a chance of {chance:.0%}"
    )
    squares, _ = _asked(cube, seed)
    one, other = (cube.names.index(str(name)) for name in table.index[:2])
    gap = float(squares.mean[one] - squares.mean[other])
    if gap > 0 and table["worst_rank"].iloc[0] > 1:
        needed = fields_needed(gap, squares.of_difference(one, other), squares.fields)
        behind = f"{table.index[1]}, {gap:.2g}{unit} behind"
        said += f"; to tell it from {behind}, takes about {needed:,} fields"
    return said + "."


def compared(cube: Cube) -> Significance:
    """Tests over places, repeats averaged first."""
    return significance(list(cube.names), cube.scores.mean(axis=2))


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
    """Entrants that no other one beats in every one of the metrics."""
    return pareto_front(rows.groupby("name")[list(metrics)].mean())


def attributions(cube: Cube, noisy: NDArray[np.float64] | None, seed: int) -> pd.DataFrame:
    """Mean effect, Shapley value and interactions with intervals; a row for each.

    ``noisy`` (places, repeats) are the scores of the noisy input, the value of no loss at all;
    None where they are not known. Without them, or where a subset is missing, there are only the
    mean effects, over the pairs of subsets that there are; `pairs` says of how many.
    """
    values = {
        frozenset(name.split("+")): scores
        for name, scores in zip(cube.names, cube.scores, strict=True)
    }
    losses = frozenset[str]().union(*values)
    whole = len(values) == 2 ** len(losses) - 1
    if noisy is not None and whole:
        values[frozenset()] = np.broadcast_to(noisy, cube.scores.shape[1:])
    columns = ["kind", "losses", "value", "low", "high", "pairs"]
    return pd.DataFrame(_attributed(values, seed), columns=columns)


def _attributed(
    values: dict[frozenset[str], NDArray[np.float64]], seed: int
) -> Iterator[dict[str, str | float]]:
    kinds: dict[str, Mapping[tuple[str, ...], NDArray[np.float64]]] = {
        "mean effect": {(loss,): v for loss, v in mean_effects(values).items()}
    }
    if frozenset() in values:
        kinds["Shapley value"] = {(loss,): v for loss, v in shapley(values).items()}
        kinds["interaction"] = dict(interactions(values).items())
    counts = {loss: len(found) for loss, found in pairs(values).items()}
    chance: Chance | None = None
    for kind, found in kinds.items():
        for losses, cells in found.items():
            squares = mean_squares(cells[None])
            chance = chance or Chance(squares.fields, squares.repeats, seed)
            interval = score_interval(0, squares, chance)
            yield {
                "kind": kind,
                "losses": " and ".join(losses),
                "value": float(squares.mean[0]),
                "low": interval.low,
                "high": interval.high,
                "pairs": counts[losses[0]] if kind == "mean effect" else np.nan,
            }


def _asked(cube: Cube, seed: int) -> tuple[MeanSquares, Chance]:
    squares = mean_squares(cube.scores)
    return squares, Chance(squares.fields, squares.repeats, seed)
