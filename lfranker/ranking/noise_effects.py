"""Effects of the noise trained on, and whether the best losses depend on it.

Compared are the loss subsets that have scores on every noise, so that no noise is flattered by its
company. Noises share clean patches, initial weights and batches: all differences are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.ranking.entrants import losses_of, noise_of, noises_in
from lfranker.statistics.intervals import (
    Chance,
    MeanSquares,
    contrast_interval,
    mean_squares,
    score_interval,
)
from lfranker.statistics.multiple_comparisons import standings
from lfranker.statistics.score_array import Cube


def on_every_noise(names: Sequence[str]) -> list[str]:
    """The entrants whose losses were trained on each noise that there is; all without noises."""
    noises = noises_in(names)
    if not noises:
        return list(names)
    found = pd.Series([losses_of(name) for name in names]).value_counts()
    return [name for name in names if found[losses_of(name)] == len(noises)]


def balanced(cube: Cube) -> Cube | None:
    """The cube without losses that lack a noise; None where nothing is left."""
    kept = on_every_noise(cube.names)
    rows = [cube.names.index(name) for name in kept]
    return Cube(tuple(kept), cube.places, cube.scores[rows]) if kept else None


def over_noises(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores by field as means over the noises, named by the losses; as they are without noises.

    Only of losses that have all noises; a gap on one of them is a gap.
    """
    names = [str(name) for name in rows["name"].unique()]
    if not noises_in(names):
        return rows
    kept = rows[rows["name"].isin(on_every_noise(names))]
    kept = kept.assign(name=kept["name"].map(losses_of))
    metrics = [metric for metric in ALL_METRICS if metric in kept]
    keys = [column for column in kept if column not in metrics]
    grouped = kept.groupby(keys, sort=False, dropna=False)[metrics]
    gaps = kept[metrics].isna().groupby([kept[key] for key in keys], sort=False, dropna=False)
    return grouped.mean().mask(gaps.any()).reset_index()


def noise_means(cube: Cube, equivalence: float, seed: int) -> pd.DataFrame:
    """A row per noise, best mean over the losses first; the cube is ``balanced``.

    `low`, `high` of the `mean`; `effect` and its ends: less the mean over all noises; `below` and
    its ends: what it is below the best; `standing` as in `multiple_comparisons.standings` with
    ``equivalence`` as its margin. 95 % each, which are worse all together.
    """
    noises, weights = _by_noise(cube)
    # of the means: losses on one noise may share its luck
    squares = mean_squares(np.einsum("ne,epr->npr", weights, cube.scores))
    chance, unit = Chance(squares, seed), np.eye(len(noises))
    best = int(np.argmax(squares.mean))
    standing = standings(squares.mean, squares.of_difference, chance, equivalence)
    rows = []
    for at in range(len(noises)):
        score = score_interval(at, squares, chance)
        rows.append(
            {
                "mean": squares.mean[at],
                "low": score.low,
                "high": score.high,
                **_contrast("effect", unit[at] - unit.mean(axis=0), squares, chance),
                **_contrast("below", unit[best] - unit[at], squares, chance),
                "standing": standing[at],
            }
        )
    table = pd.DataFrame(rows, index=pd.Index(noises, name="noise"))
    return table.sort_values("mean", ascending=False, kind="stable")


def best_by_noise(cube: Cube, seed: int) -> pd.DataFrame:
    """Compare the best losses between noises: a row for every two noises; ``balanced``.

    `best` on `noise` and `other_best` on `other`; `value`: by how much the first one's lead over
    the second is larger on `noise` than on `other`, 0 where both are the same. `low`, `high` hold
    for every two losses on every two noises at once (Bonferroni): the best are picked from many.
    """
    squares = mean_squares(cube.scores)
    chance = Chance(squares, seed)
    at = {name: place for place, name in enumerate(cube.names)}
    noises = noises_in(cube.names)
    best = {noise: _best(cube, squares, noise) for noise in noises}
    losses = len(cube.names) // len(noises)
    count = max(len(noises) * (len(noises) - 1) * losses * (losses - 1) // 4, 1)
    rows = []
    for noise, other in combinations(noises, 2):
        first, second = best[noise], best[other]
        lead = np.zeros(len(cube.names))
        for where, sign in ((noise, 1.0), (other, -1.0)):
            lead[at[_on(cube, first, where)]] += sign
            lead[at[_on(cube, second, where)]] -= sign
        ends = _contrast("value", lead, squares, chance, 1 - 0.05 / count)
        rows.append((noise, other, first, second, *ends.values()))
    columns = ["noise", "other", "best", "other_best", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Lead:
    """Lead of some losses over others in the mean over all noises."""

    other: str
    value: float
    low: float
    high: float


def lead(cube: Cube, best: str, seed: int) -> Lead:
    """Lead of losses that are the best on every noise over the next; ``balanced``."""
    losses = list(dict.fromkeys(map(losses_of, cube.names)))
    own = np.array([[losses_of(name) == a for name in cube.names] for a in losses], float)
    weights = own / own.sum(axis=1, keepdims=True)
    squares = mean_squares(np.einsum("le,epr->lpr", weights, cube.scores))
    first = losses.index(best)
    second = max(range(len(losses)), key=lambda at: (at != first, squares.mean[at]))
    unit = np.eye(len(losses))
    found = _contrast("", unit[first] - unit[second], squares, Chance(squares, seed))
    return Lead(losses[second], *found.values())


def _by_noise(cube: Cube) -> tuple[list[str], Floats]:
    """(noises, entrants): the mean over each noise's entrants as weights of all."""
    noises = noises_in(cube.names)
    own = np.array([[noise_of(name) == noise for name in cube.names] for noise in noises], float)
    return noises, own / own.sum(axis=1, keepdims=True)


def _best(cube: Cube, squares: MeanSquares, noise: str) -> str:
    own = [at for at, name in enumerate(cube.names) if noise_of(name) == noise]
    return losses_of(cube.names[max(own, key=lambda at: float(squares.mean[at]))])


def _on(cube: Cube, losses: str, noise: str) -> str:
    return next(n for n in cube.names if (losses_of(n), noise_of(n)) == (losses, noise))


def _contrast(
    name: str,
    coefficients: Floats,
    squares: MeanSquares,
    chance: Chance,
    confidence: float = 0.95,
) -> dict[str, float]:
    ends = contrast_interval(coefficients, squares, chance, confidence)
    value = squares.value(coefficients)
    return {name: value, f"{name}_low": ends.low, f"{name}_high": ends.high}
