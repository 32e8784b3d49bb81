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
models, not of the losses. In differences of models, and in effects of which there are several,
MS_field and MS_repeat are moderated by what all of them show: see `variance_shrinkage`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from lfranker.arrays import Floats
from lfranker.statistics.variance_shrinkage import Prior, prior_of_fields, prior_of_repeats

DRAWS = 4000
FEW = 200  # draws, by which most comparisons of models that are alike are settled
CONFIDENCE = 0.95
DUST = 1e-13  # relative: less is the rounding of sums


@dataclass(frozen=True)
class Squares:
    """Mean squares of one score, or of a contrast of several, with their degrees of freedom."""

    field: float
    repeat: float
    rest: float
    field_freedom: float
    repeat_freedom: float


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of models (m), as matrices of products between them, each (m, m)."""

    mean: Floats  # (m,)
    field: Floats
    repeat: Floats
    rest: Floats
    fields: int
    repeats: int
    field_prior: Prior  # of differences
    repeat_prior: Prior

    @property
    def freedoms(self) -> tuple[int, int]:
        """Degrees of freedom of a model's own mean squares over fields and over repeats."""
        return self.fields - 1, max(self.repeats - 1, 1)

    @cached_property
    def _matrices(self) -> Floats:
        return np.stack([self.field, self.repeat, self.rest])

    def of_score(self, model: int) -> Squares:
        field, repeat, rest = (float(m[model, model]) for m in (self.field, self.repeat, self.rest))
        return Squares(field, repeat, rest, *self.freedoms)

    def value(self, coefficients: Floats) -> float:
        """Sum of the mean scores with ``coefficients`` (m,); what is only rounding is 0."""
        value = float(coefficients @ self.mean)
        return value if abs(value) > DUST * float(np.abs(coefficients) @ np.abs(self.mean)) else 0.0

    def of_contrasts(self, coefficients: Floats) -> list[Squares]:
        """Squares of sums of scores with ``coefficients`` (k, m), whose rows add up to 0.

        Those of 4 or more are moderated among each other, for what models have in common is
        different in each: subsets that share a loss share its luck, too.
        """
        own = np.array([self._own(row) for row in coefficients])
        lengths = np.sum(coefficients**2, axis=1)
        most = max(np.linalg.matrix_rank(coefficients) - 2, 0)
        field_freedom, repeat_freedom = self.freedoms
        fields = prior_of_fields(own[:, 0] / lengths, field_freedom, most * field_freedom)
        repeats = prior_of_repeats(own[:, 1] / lengths, repeat_freedom, most * repeat_freedom)
        return [
            _moderated(squares, length, self.freedoms, (fields, repeats), (lent, more))
            for squares, length, lent, more in zip(
                own, lengths, fields.freedoms, repeats.freedoms, strict=True
            )
        ]

    def of_contrast(self, coefficients: Floats) -> Squares:
        """Squares of a sum of a few models' scores with ``coefficients`` (m,) that add up to 0.

        Moderated by what all models show; of a mean over many models see `of_contrasts`.
        """
        own, priors = self._own(coefficients), (self.field_prior, self.repeat_prior)
        models = coefficients != 0
        # models that are one and the same do not differ at all
        lent = [float(p.freedoms[models].min()) if own.any() else 0.0 for p in priors]
        return _moderated(own, float(coefficients @ coefficients), self.freedoms, priors, lent)

    def of_difference(self, first: int, second: int) -> Squares:
        """Squares of the score of one model less that of another, which may be the same."""
        return Squares(*(float(value) for value in self._differences[:, first, second]))

    @cached_property
    def _differences(self) -> Floats:
        """(5, m, m): the numbers of `Squares`, as `of_contrast` has them, of every difference."""
        of_one = self._matrices.diagonal(axis1=1, axis2=2)
        first, second = of_one[:, :, None], of_one[:, None, :]
        squares = (first - self._matrices) - (self._matrices - second)
        own = np.where(squares > DUST * (first + second), squares, 0.0)
        freedoms, priors = self.freedoms, (self.field_prior, self.repeat_prior)
        lent = [
            np.where(own.any(axis=0), np.minimum.outer(p.freedoms, p.freedoms), 0.0) for p in priors
        ]
        drawn = [
            _drawn(own[kind], 2.0, freedoms[kind], priors[kind], lent[kind]) for kind in range(2)
        ]
        return np.stack([*drawn, own[2], freedoms[0] + lent[0], freedoms[1] + lent[1]])

    def clearly_erratic(self) -> list[int]:
        """Models whose trainings scatter more than those of the others do, beyond chance.

        5 % for all together (Bonferroni). Without a third repeat that is not seen of any.
        """
        lent, square, count = self.repeat_prior.freedoms, self.repeat_prior.square, len(self.mean)
        if square == 0 or self.repeats < 3:
            return []
        centring = np.eye(count) - 1 / count
        own = np.diag(centring @ self.repeat @ centring) / (1 - 1 / count)
        chance = f_distribution.sf(own / square, self.freedoms[1], max(float(lent.max()), 1.0))
        return [int(model) for model in np.flatnonzero(chance < 0.05 / count)]

    def _own(self, coefficients: Floats) -> Floats:
        """(3,): what the contrast's own scores tell, of fields, repeats and rest."""
        squares = (coefficients @ self._matrices) @ coefficients
        sizes = self._matrices.diagonal(axis1=1, axis2=2) @ coefficients**2
        return np.where(squares > DUST * sizes, squares, 0.0)


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


def _moderated(
    own: Floats,
    length: float,
    freedoms: Sequence[float],
    priors: Sequence[Prior],
    lent: Sequence[float],
) -> Squares:
    """Draw a contrast's own squares over fields and repeats towards the priors of unit length."""
    field, repeat = (
        float(_drawn(square, length, freedom, prior, more))
        for square, freedom, prior, more in zip(own, freedoms, priors, lent, strict=False)
    )
    return Squares(
        field, repeat, float(own[2]), freedoms[0] + float(lent[0]), freedoms[1] + float(lent[1])
    )


def _drawn(
    square: Floats, length: float, freedom: float, prior: Prior, lent: Floats | float
) -> Floats:
    return np.asarray((freedom * square + lent * length * prior.square) / (freedom + lent))


def mean_squares(scores: Floats) -> MeanSquares:
    """Mean squares of finite ``scores`` (models, fields >= 2, repeats); higher is better."""
    if scores.ndim != 3 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise ValueError(
            f"scores of shape {scores.shape}: finite (models, fields >= 2, repeats) are needed"
        )
    _, fields, repeats = scores.shape
    scores = _without_dust(scores)
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
    own = [weight * _of_its_own(part) for weight, part in zip(weights[:2], off[:2], strict=True)]
    return MeanSquares(
        mean, field, repeat, left, fields, repeats,
        prior_of_fields(own[0], fields - 1), prior_of_repeats(own[1], max(repeats - 1, 1)),
    )  # fmt: skip


def _without_dust(scores: Floats) -> Floats:
    """Round to what is there: scores that only rounding tells apart are the same."""
    largest = float(np.abs(scores).max())
    return np.round(scores, 12 - int(np.ceil(np.log10(largest)))) if largest > 0 else scores


def _of_its_own(off: Floats) -> Floats:
    """(models,): sums of squares of deviations (models, n), less what the models share."""
    models = len(off)
    if models < 2:
        return np.zeros(models)
    # the centring takes a share of 1 / models of what is each model's own
    return np.asarray(((off - off.mean(axis=0)) ** 2).sum(axis=1) / (1 - 1 / models))


class Chance:
    """Draws that turn mean squares into what the true mean may be; the same for every question."""

    def __init__(self, squares: MeanSquares, seed: int) -> None:
        self.cells = squares.fields * squares.repeats
        self.repeated = squares.repeats > 1
        self.rest_freedom = max((squares.fields - 1) * (squares.repeats - 1), 1)
        rng = np.random.default_rng(seed)
        # each kind in an order of its own, so that they are independent of each other
        self._orders = [rng.permutation(DRAWS) for _ in range(3)]
        self._drawn: dict[tuple[int, float], Floats] = {}

    def parts(self, squares: Squares, draws: int = DRAWS) -> tuple[Floats, Floats, Floats]:
        """(draws,) each: what the squares over fields, over repeats and of the rest may be."""
        field = squares.field * self._inverse(0, squares.field_freedom)[:draws]
        if not self.repeated:
            return field, np.zeros(draws), np.zeros(draws)
        repeat = squares.repeat * self._inverse(1, squares.repeat_freedom)[:draws]
        return field, repeat, squares.rest * self._inverse(2, self.rest_freedom)[:draws]

    def scales(self, squares: Squares, draws: int = DRAWS) -> Floats:
        """(draws,) of the standard deviation of an estimated mean about the true one."""
        field, repeat, rest = self.parts(squares, draws)
        # the true one holds each cell's own variance at the least
        variance = np.maximum(field + repeat - rest, rest)
        return np.asarray(np.sqrt(variance / self.cells))

    def _inverse(self, kind: int, freedom: float) -> Floats:
        """Draws of freedom / chi-square, to a half of a degree."""
        freedom = max(round(2 * freedom) / 2, 0.5)
        if (kind, freedom) not in self._drawn:
            self._drawn[kind, freedom] = _inverse_chi_square(freedom)[self._orders[kind]]
        return self._drawn[kind, freedom]

    def rarely_beyond(self, squares: Squares, size: float, level: float) -> bool:
        """Whether an estimated mean is off by more than ``size`` with a chance below ``level``.

        ``size`` is above 0. The chance is that of the normal mixture of all scales, which needs no
        draw of its tails; a few of them often have more than ``level`` already.
        """
        for draws in (FEW, DRAWS):
            scales = self.scales(squares, draws)
            if scales.any() and _beyond(scales, size) >= level:
                return False
        return True

    def half_width(self, squares: Squares, confidence: float = CONFIDENCE) -> float:
        scales = self.scales(squares)
        if not scales.any():  # all are 0 where one is
            return 0.0
        missed = 1 - confidence
        # between those of the smallest and of the largest scale; in logarithms nearly straight
        ends = np.log(-ndtri(missed / 2) * np.array([0.99 * scales.min(), 1.01 * scales.max()]))
        root = brentq(lambda h: np.log(_beyond(scales, np.exp(h)) / missed), *ends, xtol=1e-10)
        return float(np.exp(root))


def _beyond(scales: Floats, size: float) -> float:
    """The chance of more than ``size`` in a mixture of normal distributions of these deviations.

    Of fewer than DRAWS: the part of it that they have.
    """
    return float(2 * ndtr(-size / scales).sum() / DRAWS)


def score_interval(model: int, squares: MeanSquares, chance: Chance) -> Interval:
    """Interval of a model's mean score, over fields and repeats like these."""
    mean, half = float(squares.mean[model]), chance.half_width(squares.of_score(model))
    return Interval(mean - half, mean + half)


def contrast_intervals(
    coefficients: Floats, squares: MeanSquares, chance: Chance, confidence: float = CONFIDENCE
) -> list[Interval]:
    """Intervals of sums of mean scores with ``coefficients`` (k, models), rows that add up to 0.

    They are moderated among each other: see `MeanSquares.of_contrasts`.
    """
    intervals = []
    for row, found in zip(coefficients, squares.of_contrasts(coefficients), strict=True):
        value, half = squares.value(row), chance.half_width(found, confidence)
        intervals.append(Interval(value - half, value + half))
    return intervals


def contrast_interval(
    coefficients: Floats, squares: MeanSquares, chance: Chance, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of a sum of a few models' mean scores: see `MeanSquares.of_contrast`."""
    value = squares.value(coefficients)
    half = chance.half_width(squares.of_contrast(coefficients), confidence)
    return Interval(value - half, value + half)


def difference_interval(
    first: int, second: int, squares: MeanSquares, chance: Chance, confidence: float = CONFIDENCE
) -> Interval:
    """Interval of the mean score of one model less that of another."""
    models = np.arange(len(squares.mean))
    coefficients = (models == first).astype(float) - (models == second)
    return contrast_interval(coefficients, squares, chance, confidence)


@lru_cache(maxsize=256)
def _inverse_chi_square(freedom: float) -> Floats:
    """(DRAWS,): quantiles of freedom / chi-square, the largest first."""
    return np.asarray(freedom / chi2.ppf((np.arange(DRAWS) + 0.5) / DRAWS, freedom))
