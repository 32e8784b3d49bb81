"""Statements on all models at once: the ranks each may have, and which are as good as the best."""

from collections.abc import Callable

import numpy as np

from lfranker.arrays import Floats
from lfranker.statistics.intervals import Chance, MeanSquares, Squares

EQUIVALENT, UNDECIDED, WORSE = "equivalent", "undecided", "worse"
LEVEL = 0.05


def separated(gap: float, squares: Squares, chance: Chance, level: float) -> bool:
    """Return whether the interval about ``gap`` that misses with this chance excludes 0."""
    return gap != 0 and chance.rarely_beyond(squares, abs(gap), level)


def rank_intervals(squares: MeanSquares, chance: Chance) -> list[tuple[int, int]]:
    """The best and the worst rank that each model may have, all at once with 95 % confidence.

    A model ranks behind all that are better than it, and before all that are worse, beyond the
    intervals of the differences (Mohamad, Goeman & van Zwet 2022, 10.1111/biom.13419); these
    are widened for the number of pairs (Bonferroni).
    """
    count = len(squares.mean)
    pairs = max(count * (count - 1) // 2, 1)
    better, worse = np.zeros(count, int), np.zeros(count, int)
    for first in range(count):
        for second in range(first + 1, count):
            gap = float(squares.mean[first] - squares.mean[second])
            if not separated(gap, squares.of_difference(first, second), chance, LEVEL / pairs):
                continue
            ahead, behind = (first, second) if gap > 0 else (second, first)
            worse[ahead] += 1
            better[behind] += 1
    return [(1 + int(b), count - int(w)) for b, w in zip(better, worse, strict=True)]


Pairwise = Callable[[int, int], Squares]  # those of the difference of two models


def standings(means: Floats, of_difference: Pairwise, chance: Chance, margin: float) -> list[str]:
    """Return what is known of how far each model's true mean is below the truly best one's.

    EQUIVALENT: less than ``margin`` below it; to be so it must be shown not to be behind any
    other model by more (two one-sided tests, 5 % each; all must agree, so that none needs a
    correction). The model with the highest mean is UNDECIDED where even that is not shown of it.
    WORSE: more than ``margin`` below it, since it is that far below the model with the highest
    mean (95 % for all models together, Bonferroni). UNDECIDED: neither is shown.
    """
    best = int(np.argmax(means))
    level = 2 * LEVEL / max(len(means) - 1, 1)  # one side of an interval
    standings = []
    for model in range(len(means)):
        beyond = float(means[best] - means[model]) - margin
        if beyond > 0 and separated(beyond, of_difference(best, model), chance, level):
            standings.append(WORSE)
        elif _equivalent(model, means, of_difference, chance, margin):
            standings.append(EQUIVALENT)
        else:
            standings.append(UNDECIDED)
    return standings


def _equivalent(
    model: int, means: Floats, of_difference: Pairwise, chance: Chance, margin: float
) -> bool:
    """Return whether it is shown to be behind no other model by more than the margin."""
    for other in np.argsort(-means, kind="stable"):
        room = margin - float(means[other] - means[model])
        if room < 0:
            return False
        if other == model or room == 0 == chance.half_width(of_difference(model, int(other))):
            continue
        if not separated(room, of_difference(model, int(other)), chance, 2 * LEVEL):
            return False
    return True
