"""How sure a comparison of models is: fields crossed with repeats, never fields times repeats.

A score is a model's at one field (a group of overlapping ones) after one repeat of the training.
Fields differ in how hard they are, repeats in how well training went, and both differ from model
to model: every row of the table shares its field's and its repeat's luck. So the mean over n
fields and r repeats varies as in a two-way random-effects model,

    V = (MS_field + MS_repeat - MS_rest) / (n r),

and its interval comes from a generalised pivotal quantity (Weerahandi 1993,
10.1080/01621459.1993.10476355): draws of V in which every mean square is divided by a chi-square
over its degrees of freedom. It covers 94 to 97 % where 95 are asked for, in simulations with 24
fields, 3 and 5 repeats and any balance of the two; Student's t with Satterthwaite's degrees of
freedom falls to 92. With one repeat there is no MS_repeat: what is said then holds of these trained
models, not of the losses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeanSquares:
    """Of models (m), as matrices of products between them, each (m, m)."""

    mean: Floats  # (m,)
    field: Floats
    repeat: Floats
    rest: Floats
    fields: int
    repeats: int

    def of_difference(self, first: int, second: int) -> tuple[float, float, float]:
        """The three mean squares of the score of one model less that of another."""
        squares = (
            matrix[first, first] + matrix[second, second] - 2 * matrix[first, second]
            for matrix in (self.field, self.repeat, self.rest)
        )
        field, repeat, rest = (max(float(square), 0.0) for square in squares)
        return field, repeat, rest


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def mean_squares(scores: Floats) -> MeanSquares:
    """Of ``scores`` (models, fields, repeats), all finite, at least 2 fields; higher is better."""
    if scores.ndim != 3 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise ValueError(
            f"scores of shape {scores.shape}: finite (models, fields >= 2, repeats) are needed"
        )
    _, fields, repeats = scores.shape
    mean = scores.mean(axis=(1, 2))
    by_field, by_repeat = scores.mean(axis=2), scores.mean(axis=1)
    rest = scores - by_field[:, :, None] - by_repeat[:, None, :] + mean[:, None, None]
    off = by_field - mean[:, None], by_repeat - mean[:, None], rest.reshape(len(mean), -1)
    weights = (
        repeats / (fields - 1),
        fields / max(repeats - 1, 1),
        1 / max((fields - 1) * (repeats - 1), 1),
    )
    field, repeat, left = (
        np.asarray(weight * (part @ part.T)) for weight, part in zip(weights, off, strict=True)
    )
    return MeanSquares(mean, field, repeat, left, fields, repeats)


class Chance:
    """Draws that turn mean squares into what the true mean may be; the same for every question."""

    def __init__(self, fields: int, repeats: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.cells = fields * repeats
        self.repeated = repeats > 1
        self.normal = rng.standard_normal(DRAWS)
        self.field = _inverse_chi_square(fields - 1, rng)
        self.repeat = _inverse_chi_square(max(repeats - 1, 1), rng)
        self.rest = _inverse_chi_square(max((fields - 1) * (repeats - 1), 1), rng)

    def deviations(self, squares: tuple[float, float, float]) -> Floats:
        """(draws,) of an estimated mean from the true one."""
        field, repeat, rest = squares
        variance = field * self.field
        if self.repeated:
            variance = variance + repeat * self.repeat - rest * self.rest
            # the true one holds each cell's own variance at the least
            variance = np.maximum(variance, rest * self.rest)
        return np.asarray(self.normal * np.sqrt(variance / self.cells))

    def half_width(
        self, squares: tuple[float, float, float], confidence: float = CONFIDENCE
    ) -> float:
        return float(np.quantile(np.abs(self.deviations(squares)), confidence))


def score_interval(model: int, squares: MeanSquares, chance: Chance) -> Interval:
    """Of a model's mean score, over fields and repeats like these."""
    own = (squares.field[model, model], squares.repeat[model, model], squares.rest[model, model])
    mean, half = float(squares.mean[model]), chance.half_width(own)
    return Interval(mean - half, mean + half)


def difference_interval(
    first: int, second: int, squares: MeanSquares, chance: Chance, confidence: float = CONFIDENCE
) -> Interval:
    """Of the mean score of one model less that of another."""
    difference = float(squares.mean[first] - squares.mean[second])
    half = chance.half_width(squares.of_difference(first, second), confidence)
    return Interval(difference - half, difference + half)


def chance_of_beating(first: int, second: int, squares: MeanSquares, chance: Chance) -> float:
    """P(the first model's true mean is the higher one), given the scores; 1/2 of two equal ones."""
    difference = float(squares.mean[first] - squares.mean[second])
    draws = difference + chance.deviations(squares.of_difference(first, second))
    return float(np.mean(draws > 0) + np.mean(draws == 0) / 2)


def chances_of_beating(squares: MeanSquares, chance: Chance) -> Floats:
    """(m, m): of each model (row) against each other one; 1/2 against itself."""
    models = range(len(squares.mean))
    return np.array([[chance_of_beating(a, b, squares, chance) for b in models] for a in models])


def rank_intervals(squares: MeanSquares, chance: Chance) -> list[tuple[int, int]]:
    """The best and the worst rank that each model may have, all at once with 95 % confidence.

    A model ranks behind all that are better than it, and before all that are worse, beyond the
    intervals of the differences (Mohamad, Goeman & van Zwet 2022, 10.1002/bimj.202100173); these
    are widened for the number of pairs (Bonferroni).
    """
    count = len(squares.mean)
    pairs = max(count * (count - 1) // 2, 1)
    better, worse = np.zeros(count, int), np.zeros(count, int)
    for first in range(count):
        for second in range(first + 1, count):
            found = difference_interval(first, second, squares, chance, 1 - 0.05 / pairs)
            if found.low > 0:
                worse[first] += 1
                better[second] += 1
            elif found.high < 0:
                better[first] += 1
                worse[second] += 1
    return [(1 + int(b), count - int(w)) for b, w in zip(better, worse, strict=True)]


def top_set(squares: MeanSquares, chance: Chance, equivalence: float) -> list[int]:
    """Models of which it cannot be said that they are worse than the best by ``equivalence``.

    The best is the one with the highest mean; 95 % confidence for all together (Bonferroni).
    """
    best = int(np.argmax(squares.mean))
    confidence = 1 - 2 * 0.05 / max(len(squares.mean) - 1, 1)  # one side of an interval
    return [
        model
        for model in range(len(squares.mean))
        if difference_interval(best, model, squares, chance, confidence).low <= equivalence
    ]


def chances_of_being_best(squares: MeanSquares, chance: Chance, seed: int) -> Floats:
    """(models,): P(its true mean is the highest), given the scores. Sums to 1.

    By joint draws: the covariance of the means, with the spread of its trace's own draws.
    """
    covariance = squares.field.copy()
    if chance.repeated:
        covariance = covariance + squares.repeat - squares.rest
    values, vectors = np.linalg.eigh(covariance / chance.cells)
    root = vectors * np.sqrt(np.maximum(values, 0))
    traces = tuple(float(np.trace(m)) for m in (squares.field, squares.repeat, squares.rest))
    spread = np.abs(chance.deviations((traces[0], traces[1], traces[2])))
    total = float(np.sum(np.maximum(values, 0)))
    scale = np.divide(spread, np.abs(chance.normal) * np.sqrt(total)) if total > 0 else spread
    normal = np.random.default_rng(seed).standard_normal((DRAWS, len(values)))
    draws = squares.mean + scale[:, None] * (normal @ root.T)
    best = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def fields_needed(difference: float, squares: tuple[float, float, float], fields: int) -> int:
    """About how many fields would tell two models apart that differ by ``difference``.

    By the spread over fields of what was measured, for one repeat; 2 (1.96 sd / difference)^2 is
    rounded up, and never below those that there are already told apart by.
    """
    if difference == 0:
        raise ValueError("a difference of 0 is not told apart by any number of fields")
    return max(2, int(np.ceil(squares[0] * (1.96 / difference) ** 2)))


def _inverse_chi_square(freedom: int, rng: np.random.Generator) -> Floats:
    return np.asarray(freedom / rng.chisquare(freedom, DRAWS))
