"""Effects of each loss: means, Shapley values and pairwise interactions over all subsets.

A value function v gives each subset of losses its score (higher is better). The mean effect of a
loss is that of adding it to a subset that is not empty, over all such subsets that were scored
both without and with it. The Shapley value
(Shapley 1953) shares out v(all) - v(none) exactly; with v(none) that of the noisy input it mostly
spreads the gain of denoising at all, of which any loss brings nearly everything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from math import comb, factorial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.arrays import Floats
from lfranker.ranking.entrants import Entrant
from lfranker.ranking.top_set import squares_of
from lfranker.statistics.intervals import (
    Chance,
    Interval,
    contrast_intervals,
    mean_squares,
    score_interval,
)
from lfranker.statistics.score_array import Cube

Subset = frozenset[str]
Values = Mapping[Subset, NDArray[np.float64] | float]


def mean_effects(values: Values) -> dict[str, NDArray[np.float64]]:
    """Mean of v(S + loss) - v(S) over the non-empty S without the loss of which both are there.

    A loss without any such pair has none. Where subsets are missing, effects are means over
    different company and compare loosely: `pairs` tells how many there were.
    """
    return {
        loss: _mean([_effect(values, s, loss) for s in found])
        for loss, found in pairs(values).items()
        if found
    }


def pairs(values: Values) -> dict[str, list[Subset]]:
    """Return by loss the non-empty subsets that there are both without and with it."""
    losses = frozenset[str]().union(*values)
    return {
        loss: [s for s in values if s and loss not in s and s | {loss} in values]
        for loss in sorted(losses)
    }


def shapley(values: Values) -> dict[str, NDArray[np.float64]]:
    """Mean marginal contribution over all orders in which losses may be added to none."""
    losses = check(values)
    count = len(losses)
    return {
        loss: _sum(
            [
                factorial(len(s)) * factorial(count - len(s) - 1) / factorial(count)
                * _effect(values, s, loss)
                for s in _subsets(losses - {loss})
            ]
        )
        for loss in sorted(losses)
    }  # fmt: skip


def interactions(values: Values) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Shapley interaction index of two losses (Grabisch & Roubens 1999, 10.1007/s001820050125).

    Above 0 they help each other, below 0 one makes the other superfluous.
    """
    losses = check(values)
    count = len(losses)
    return {
        (one, other): _sum(
            [
                (_effect(values, s | {other}, one) - _effect(values, s, one))
                / ((count - 1) * comb(count - 2, len(s)))
                for s in _subsets(losses - {one, other})
            ]
        )
        for one, other in combinations(sorted(losses), 2)
    }


def check(values: Values) -> Subset:
    """All losses of ``values``, which must hold every subset, the empty one too.

    A value may be an array, for instance of draws, all of one shape. Raises ValueError naming
    what is missing or not finite.
    """
    losses = frozenset().union(*values)
    wanted = _subsets(losses)
    missing = ["+".join(sorted(s)) or "none" for s in wanted if s not in values]
    if missing or len(losses) < 2:
        raise ValueError(
            f"values of all subsets of two losses or more are needed; missing: {missing}"
        )
    lost = ["+".join(sorted(s)) for s in wanted if not np.isfinite(values[s]).all()]
    if lost:
        raise ValueError(f"values must be finite; they are not for: {lost}")
    return losses


def _subsets(losses: Subset) -> list[Subset]:
    ordered = sorted(losses)
    return [frozenset(s) for size in range(len(ordered) + 1) for s in combinations(ordered, size)]


def _effect(values: Values, without: Subset, loss: str) -> NDArray[np.float64]:
    return np.asarray(values[without | {loss}], np.float64) - np.asarray(values[without])


def _mean(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.mean(parts, axis=0))


def _sum(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.sum(parts, axis=0))


def attributions(
    cube: Cube,
    noisy: NDArray[np.float64] | None,
    seed: int,
    parts: Callable[[Entrant], Iterable[str]] = lambda entrant: entrant.losses,
    same: Callable[[Subset], Subset] | None = None,
) -> pd.DataFrame:
    """Mean effect, Shapley value and interactions with intervals; a row for each.

    ``noisy`` (places, repeats) are the scores of the noisy input, the value of no loss at all;
    None where they are not known. Without them, or where a subset is missing, there are only the
    mean effects, over the pairs of subsets that there are; `pairs` says of how many.

    ``parts``: what of an entrant is a subset. Entrants of the same subset (its losses on several
    noises, say) count as their mean: the company must be the same for every subset, as in
    `noise_effects.balanced`. ``same``: for a subset that was not trained one that is
    the same thing, so that Shapley values know it too.
    """
    subsets: dict[Subset, list[int]] = {}
    for at, name in enumerate(cube.names):
        subsets.setdefault(frozenset(parts(Entrant.parse(name))), []).append(at)
    rows = list(_mean_effects(subsets, cube, seed))
    losses = frozenset[str]().union(*subsets)
    values = {subset: cube.scores[at].mean(axis=0) for subset, at in subsets.items()}
    if noisy is not None:
        values[frozenset()] = np.broadcast_to(noisy, cube.scores.shape[1:])
    if same is not None:
        every = (frozenset(s) for n in range(len(losses) + 1) for s in combinations(losses, n))
        values |= {s: values[same(s)] for s in every if s not in values and same(s) in values}
    if len(losses) > 1 and len(values) == 2 ** len(losses):
        single = {(loss,): v for loss, v in shapley(values).items()}
        rows += [_alone("Shapley value", names, v, seed) for names, v in single.items()]
        rows += [_alone("interaction", n, v, seed) for n, v in interactions(values).items()]
    return pd.DataFrame(rows, columns=["kind", "losses", "value", "low", "high", "pairs"])


def _mean_effects(
    subsets: Mapping[Subset, Sequence[int]], cube: Cube, seed: int
) -> Iterator[dict[str, str | float]]:
    """Contrasts of the entrants, moderated among each other: subsets may share a loss's luck."""
    squares, chance = squares_of(cube, seed)
    counts = {loss: len(found) for loss, found in pairs(dict.fromkeys(subsets, 0.0)).items()}
    effects = contrasts(subsets, len(cube.names))
    if not effects:
        return
    ends = contrast_intervals(np.stack(list(effects.values())), squares, chance)
    for (loss, coefficients), interval in zip(effects.items(), ends, strict=True):
        value = squares.value(coefficients)
        yield _attributed("mean effect", (loss,), value, interval) | {"pairs": counts[loss]}


def contrasts(subsets: Mapping[Subset, Sequence[int]], entrants: int) -> dict[str, Floats]:
    """Coefficients (entrants,) of the mean effect of each loss that has one."""
    unit = np.eye(entrants)
    return mean_effects({subset: unit[list(at)].mean(axis=0) for subset, at in subsets.items()})


def _alone(
    kind: str, losses: Sequence[str], cells: NDArray[np.float64], seed: int
) -> dict[str, str | float]:
    """Return an effect of scores (places, repeats) that all entrants share: not moderated."""
    squares = mean_squares(cells[None])
    interval = score_interval(0, squares, Chance(squares, seed))
    return _attributed(kind, losses, squares.value(np.ones(1)), interval)


def _attributed(
    kind: str, losses: Sequence[str], value: float, interval: Interval
) -> dict[str, str | float]:
    names = " and ".join(losses)
    ends = {"low": interval.low, "high": interval.high}
    return {"kind": kind, "losses": names, "value": value, **ends}
