"""Intervals for comparisons of models: fields crossed with repeats, never fields times repeats.

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
models, not of the losses. In contrasts of models, differences above all, MS_repeat is moderated by
what the repeats of all models show: see `variance_shrinkage`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from lfranker.arrays import Floats
from lfranker.statistics.variance_shrinkage import Prior, prior_of

DRAWS = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Squares:
    """Mean squares of one score, or of a contrast of several; `freedom` is that of `repeat`."""

    field: float
    repeat: float
    rest: float
    freedom: float


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of models (m), as matrices of products between them, each (m, m)."""

    mean: Floats  # (m,)
    field: Floats
    repeat: Floats
    rest: Floats
    fields: int
    repeats: int
    prior: Prior  # of contrasts

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a model's own mean square over repeats."""
        return max(self.repeats - 1, 1)

    def of_score(self, model: int) -> Squares:
        field, repeat, rest = (float(m[model, model]) for m in (self.field, self.repeat, self.rest))
        return Squares(field, repeat, rest, self.freedom)

    def moderated_repeat(self) -> Floats:
        """(m, m): `repeat` drawn towards the prior; right for contrasts, not for single scores."""
        shared = self.prior.square * np.eye(len(self.mean))
        total = self.prior.freedom + self.freedom
        return np.asarray((self.freedom * self.repeat + self.prior.freedom * shared) / total)

    def of_contrast(self, coefficients: Floats) -> Squares:
        """Squares of a sum of models' scores with ``coefficients`` (m,) that add up to 0."""
        field, repeat, rest = (
            max(float(coefficients @ matrix @ coefficients), 0.0)
            for matrix in (self.field, self.moderated_repeat(), self.rest)
        )
        return Squares(field, repeat, rest, self.freedom + self.prior.freedom)

    def of_difference(self, first: int, second: int) -> Squares:
        """Squares of the score of one model less that of another, which may be the same."""
        models = np.arange(len(self.mean))
        return self.of_contrast((models == first).astype(float) - (models == second))


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def mean_squares(scores: Floats) -> MeanSquares:
    """Mean squares of finite ``scores`` (models, fields >= 2, repeats); higher is better."""
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
    return MeanSquares(mean, field, repeat, left, fields, repeats, prior_of(by_repeat, fields))


class Chance:
    """Draws that turn mean squares into what the true mean may be; the same for every question."""

    def __init__(self, squares: MeanSquares, seed: int) -> None:
        rng = np.random.default_rng(seed)
        fields, own = squares.fields, squares.freedom
        self.cells = fields * squares.repeats
        self.repeated = squares.repeats > 1
        self.field = _inverse_chi_square(fields - 1, rng)
        self.rest = _inverse_chi_square(max((fields - 1) * (squares.repeats - 1), 1), rng)
        freedoms = (own, own + squares.prior.freedom)
        self.repeat = {freedom: _inverse_chi_square(freedom, rng) for freedom in freedoms}

    def scales(self, squares: Squares) -> Floats:
        """(draws,) of the standard deviation of an estimated mean about the true one."""
        variance = squares.field * self.field
        if self.repeated:
            rest = squares.rest * self.rest
            variance = variance + squares.repeat * self.repeat[squares.freedom] - rest
            # the true one holds each cell's own variance at the least
            variance = np.maximum(variance, rest)
        return np.asarray(np.sqrt(variance / self.cells))

    def beyond(self, squares: Squares, size: float) -> float:
        """The chance that an estimated mean is off by more than ``size``, which is above 0.

        Of the normal mixture of all scales, which needs no draw of its tails.
        """
        scales = self.scales(squares)
        scales = scales[scales > 0]
        return float(2 * ndtr(-size / scales).sum() / DRAWS)

    def half_width(self, squares: Squares, confidence: float = CONFIDENCE) -> float:
        largest = float(self.scales(squares).max())
        if largest == 0:
            return 0.0
        # beyond 40 of a scale lies less than 1e-300
        missed = 1 - confidence
        root = brentq(lambda h: self.beyond(squares, h) - missed, 1e-9 * largest, 40 * largest)
        return float(root)


def score_interval(model: int, squares: MeanSquares, chance: Chance) -> Interval:
    """Interval of a model's mean score, over fields and repeats like these."""
    mean, half = float(squares.mean[model]), chance.half_width(squares.of_score(model))
    return Interval(mean - half, mean + half)


def contrast_interval(
    coefficients: Floats, squares: MeanSquares, chance: Chance, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of a sum of mean scores with ``coefficients`` (models,) that add up to 0."""
    value = float(coefficients @ squares.mean)
    half = chance.half_width(squares.of_contrast(coefficients), confidence)
    return Interval(value - half, value + half)


def difference_interval(
    first: int, second: int, squares: MeanSquares, chance: Chance, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of the mean score of one model less that of another."""
    difference = float(squares.mean[first] - squares.mean[second])
    half = chance.half_width(squares.of_difference(first, second), confidence)
    return Interval(difference - half, difference + half)


def chance_of_beating(first: int, second: int, squares: MeanSquares, chance: Chance) -> float:
    """P(the first model's true mean is the higher one), given the scores; 1/2 of two equal ones."""
    difference = float(squares.mean[first] - squares.mean[second])
    scales = chance.scales(squares.of_difference(first, second))
    with np.errstate(divide="ignore", invalid="ignore"):
        above = ndtr(difference / scales)
    return float(np.mean(np.where(scales > 0, above, np.heaviside(difference, 0.5))))


def chances_of_beating(squares: MeanSquares, chance: Chance) -> Floats:
    """(m, m): of each model (row) against each other one; 1/2 against itself."""
    models = range(len(squares.mean))
    return np.array([[chance_of_beating(a, b, squares, chance) for b in models] for a in models])


def chances_of_being_best(squares: MeanSquares, chance: Chance, seed: int) -> Floats:
    """(models,): P(its true mean is the highest), given the scores. Sums to 1.

    By joint draws: the covariance of the means, with the spread of its trace's own draws.
    """
    repeat = squares.moderated_repeat()
    covariance = squares.field + repeat - squares.rest if chance.repeated else squares.field
    values, vectors = np.linalg.eigh(covariance / chance.cells)
    root = vectors * np.sqrt(np.maximum(values, 0))
    field, repeated, rest = (float(np.trace(m)) for m in (squares.field, repeat, squares.rest))
    traces = Squares(field, repeated, rest, squares.freedom + squares.prior.freedom)
    scales, total = chance.scales(traces), float(np.sum(np.maximum(values, 0)))
    scale = scales / np.sqrt(total) if total > 0 else scales
    normal = np.random.default_rng(seed).standard_normal((DRAWS, len(values)))
    draws = squares.mean + scale[:, None] * (normal @ root.T)
    best = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def _inverse_chi_square(freedom: float, rng: np.random.Generator) -> Floats:
    return np.asarray(freedom / rng.chisquare(freedom, DRAWS))
