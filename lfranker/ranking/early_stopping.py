"""Trainings that need not go on: they cannot come up to the best, as far as their curves tell.

Rankings at short lengths mislead, so that none is stopped for its rank. It is stopped where, in
every criterion, even an optimistic view of its learning curve is worse than a pessimistic view of
the leader's by more than what matters. Optimistic: each doubling of the steps to come brings as
much as the last one did, although gains shrink as a rule. Pessimistic: the leader gains nothing
more, and where it has lost by the last doubling it loses as much again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lfranker.arrays import Floats
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.along_training import line_up
from lfranker.ranking.entrants import PairScores
from lfranker.statistics.intervals import Chance, difference_interval, mean_squares

LEVEL = 0.05  # chance of stopping what would have come up to the best, for each entrant


@dataclass(frozen=True)
class Stop:
    """An entrant that need not go on, and why.

    after: steps that the trainings which were compared are planned for.
    leaders: the entrant with the best mean so far, by metric.
    behind: how far it would stay behind at the least, by metric.
    """

    after: int
    leaders: Mapping[str, str]
    behind: Mapping[str, float]


def to_stop(
    by_length: Mapping[int, PairScores],
    steps: int,
    equivalence: Mapping[str, float],
    seed: int,
    order: Sequence[str] = LOSS_ORDER,
) -> dict[str, Stop]:
    """Return the entrants whose trainings of ``steps`` steps need not go on.

    ``by_length``: scores of trainings of so many steps each, two lengths or more;
    ``equivalence``: differences that do not matter, by metric. Each metric is judged at LEVEL over
    the entrants that might lead, and all of them must agree (an intersection-union test). Empty
    where too little is known: see `along_training.line_up`.
    """
    array = line_up(by_length, order)
    if array is None:
        return {}
    before, now = array.lengths[-2:]
    doublings = np.log2(steps / now) / np.log2(now / before)
    level = LEVEL / (len(array.names) - 1)
    behind: list[dict[str, float]] = [{} for _ in array.names]
    leaders: dict[str, str] = {}
    for metric, scores in array.over_speeds().items():
        leader = int(np.argmax(array.over_sites(scores[-1])))
        leaders[metric] = array.names[leader]
        gains = doublings * (scores[-1] - scores[-2])
        rises = (array.over_sites(gains) > 0)[:, None, None]
        optimistic = scores[-1] + np.where(rises, gains, 0.0)
        pessimistic = scores[-1] + np.where(rises, 0.0, gains)
        for own, low in zip(
            behind, _least(pessimistic[leader], optimistic, level, seed), strict=True
        ):
            own[metric] = low
        behind[leader][metric] = 0.0
    return {
        name: Stop(now, leaders, own)
        for name, own in zip(array.names, behind, strict=True)
        if all(low > equivalence.get(metric, 0.0) for metric, low in own.items())
    }


def _least(leader: Floats, others: Floats, level: float, seed: int) -> list[float]:
    """Return how much better the leader, (sites, repeats), is than each of the others at least."""
    squares = mean_squares(np.concatenate([leader[None], others]))
    chance = Chance(squares, seed)
    return [
        difference_interval(0, 1 + at, squares, chance, 1 - 2 * level).low
        for at in range(len(others))
    ]
