"""How well a ranking is founded: intervals, the top set, agreement of criteria, what a loss adds.

All from scores of single fields after single repeats; fields of one place count as one, and a
score is the mean over the scan speeds, so that what belongs together stays together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.agreement import kendall_tau, kendall_w, pareto_front
from lfranker.attribution import interactions, mean_effects, shapley
from lfranker.metrics import METRICS
from lfranker.ranking_notes import listed
from lfranker.significance import Significance, significance
from lfranker.uncertainty import (
    Chance,
    MeanSquares,
    chances_of_being_best,
    difference_interval,
    fields_needed,
    mean_squares,
    rank_intervals,
    score_interval,
    top_set,
)

# Differences that do not matter in practice: by convention, not by measurement.
EQUIVALENCE: Mapping[str, float] = {"psnr": 0.1, "ssim": 0.005, "repeatability": 0.01}
ONE_REPEAT = "of these trained models, not of the losses"
LEAST_PLACES = 3


@dataclass(frozen=True)
class Cube:
    """Scores (entrants, places, repeats) of one metric, whole."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    scores: NDArray[np.float64]

    def best(self, count: int) -> "Cube":
        """The entrants with the highest means, best first."""
        order = np.argsort(-self.scores.mean(axis=(1, 2)), kind="stable")[:count]
        names = tuple(self.names[int(at)] for at in order)
        return Cube(names, self.places, self.scores[order])

    @property
    def title(self) -> str:
        """What intervals of these scores are about."""
        return ONE_REPEAT if self.scores.shape[2] == 1 else "of the losses, over repeats"


def cube_of(rows: pd.DataFrame, metric: str) -> Cube | None:
    """From a row per `name`, `place`, `speed`, `repeat`; entrants with a gap are left out.

    None for fewer than 2 entrants or 3 places.
    """
    keys = ["place", "repeat", "speed"]
    wide = rows.pivot_table(index="name", columns=keys, values=metric, dropna=False, sort=False)
    wide = wide.loc[:, wide.notna().any()]
    gaps = wide.index[~np.isfinite(wide.to_numpy(np.float64)).all(axis=1)]
    cells = wide.drop(index=gaps).T.groupby(level=["place", "repeat"], sort=False).mean().T
    whole = pd.Series(cells.columns.get_level_values("place")).value_counts(sort=False)
    repeats = int(whole.max()) if len(whole) else 0
    places = list(whole.index[whole == repeats])
    if len(cells) < 2 or len(places) < LEAST_PLACES:
        return None
    values = np.stack([cells[place].to_numpy(np.float64) for place in places], axis=1)
    return Cube(tuple(map(str, cells.index)), tuple(map(str, places)), values)


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


def attributions(cube: Cube, noisy: NDArray[np.float64], seed: int) -> pd.DataFrame:
    """Mean effect, Shapley value and interactions with intervals; a row for each.

    ``noisy`` (places, repeats) are the scores of the noisy input, the value of no loss at all.
    Raises ValueError where a subset is missing.
    """
    values = {
        frozenset(name.split("+")): scores
        for name, scores in zip(cube.names, cube.scores, strict=True)
    }
    values[frozenset()] = np.broadcast_to(noisy, cube.scores.shape[1:])
    return pd.DataFrame(_attributed(values, seed))


def _attributed(
    values: dict[frozenset[str], NDArray[np.float64]], seed: int
) -> Iterator[dict[str, str | float]]:
    kinds: dict[str, Mapping[tuple[str, ...], NDArray[np.float64]]] = {
        "mean effect": {(loss,): v for loss, v in mean_effects(values).items()},
        "Shapley value": {(loss,): v for loss, v in shapley(values).items()},
        "interaction": dict(interactions(values).items()),
    }
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
            }


def _asked(cube: Cube, seed: int) -> tuple[MeanSquares, Chance]:
    squares = mean_squares(cube.scores)
    return squares, Chance(squares.fields, squares.repeats, seed)
