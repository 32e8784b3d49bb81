"""Simultaneous statements on all models: the ranks each may have, and which may be the best."""

import numpy as np

from lfranker.statistics.intervals import Chance, MeanSquares, Squares


def separated(gap: float, squares: Squares, chance: Chance, level: float) -> bool:
    """Return whether the interval about ``gap`` that misses with this chance excludes 0."""
    return gap != 0 and chance.beyond(squares, abs(gap)) < level


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
            if not separated(gap, squares.of_difference(first, second), chance, 0.05 / pairs):
                continue
            ahead, behind = (first, second) if gap > 0 else (second, first)
            worse[ahead] += 1
            better[behind] += 1
    return [(1 + int(b), count - int(w)) for b, w in zip(better, worse, strict=True)]


def top_set(squares: MeanSquares, chance: Chance, equivalence: float) -> list[int]:
    """Models of which it cannot be said that they are worse than the best by ``equivalence``.

    The best is the one with the highest mean; 95 % confidence for all together (Bonferroni).
    """
    best = int(np.argmax(squares.mean))
    level = 2 * 0.05 / max(len(squares.mean) - 1, 1)  # one side of an interval
    behind = squares.mean[best] - squares.mean - equivalence
    return [
        model
        for model in range(len(squares.mean))
        if behind[model] <= 0
        or not separated(behind[model], squares.of_difference(best, model), chance, level)
    ]
