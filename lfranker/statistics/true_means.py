"""True means of models given their scores, and the chances that follow: which is the best.

The highest of many means is the highest by luck, too. So the means are drawn towards each other
(empirical Bayes over the models): true means are normal about a common one with a deviation tau,
which is uncertain itself. Its prior, (LEAST + tau) / (1 + tau)^2 on a logarithmic scale, tau in
standard errors, was chosen by simulation: from 4, 7 and 15 models whose true deviation is 0.3, 1 or
3 standard errors, the chance of the best model is right within 0.05 on average. Where the
scores scatter no more than their errors do, all models have much the same chance.
"""

import numpy as np

from lfranker.arrays import Floats
from lfranker.statistics.intervals import DRAWS, Chance, MeanSquares, Squares
from lfranker.statistics.variance_shrinkage import Prior

LEAST = 0.1  # of the prior, in standard errors: models may be all but equal
DUST = 1e-20  # of the squared differences: a variance that is rounding, and no error
TAUS, SCALES = 40, 200  # points of the grid that tau and the errors' scale are drawn from


def true_means(squares: MeanSquares, chance: Chance, seed: int) -> Floats:
    """(draws, models): what the true means may be together, up to what they share."""
    count = len(squares.mean)
    if count < 2:
        return np.zeros((DRAWS, count))
    basis = np.linalg.svd(_centring(count))[0][:, : count - 1]  # of all contrasts
    errors, vectors = np.linalg.eigh(basis.T @ _covariance(squares, chance) @ basis)
    errors = np.maximum(errors, max(_rest(squares), 0.0) / chance.cells)
    observed = vectors.T @ basis.T @ squares.mean
    size = float(errors.mean())
    if size <= DUST * float(np.mean(observed**2)):
        return np.broadcast_to(squares.mean, (DRAWS, count))
    rng = np.random.default_rng(seed)
    taus, scales = _drawn(observed, errors, size, _scales(squares, chance), rng)
    error = scales[:, None] * errors
    kept = taus[:, None] / (taus[:, None] + error)
    normal = rng.standard_normal((DRAWS, count - 1))
    means = kept * observed + np.sqrt(kept * error) * normal
    return np.asarray(means @ (basis @ vectors).T)


def chances_of_beating(squares: MeanSquares, means: Floats) -> Floats:
    """(m, m): P(the row's true mean is above the column's), given draws of ``means``.

    1/2 against itself, and between models that are the same.
    """
    above = np.mean(means[:, :, None] > means[:, None, :], axis=0)
    return np.where(_same(squares), 0.5, (above + 1 - above.T) / 2)


def chances_of_being_best(squares: MeanSquares, means: Floats) -> Floats:
    """(m,): P(its true mean is the highest); models that are the same share it. Sums to 1."""
    best = means == means.max(axis=1, keepdims=True)
    chances = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    same = _same(squares)
    return np.asarray(same @ chances / same.sum(axis=1))


def _same(squares: MeanSquares) -> Floats:
    """(m, m): 1.0 where two models have the same scores, as each has with itself."""
    apart = np.abs(squares.mean[:, None] - squares.mean)
    for matrix in (squares.field, squares.repeat, squares.rest):
        own = np.diag(matrix)
        sums = own[:, None] + own
        apart = apart + np.where(sums - 2 * matrix > 1e-13 * sums, 1.0, 0.0)
    return (apart == 0).astype(float)


def _covariance(squares: MeanSquares, chance: Chance) -> Floats:
    """(m, m): of the means, up to what they share."""
    field_freedom, repeat_freedom = squares.freedoms
    total = _steadied(squares.field, squares.field_prior, field_freedom)
    if chance.repeated:
        total = total + _steadied(squares.repeat, squares.repeat_prior, repeat_freedom)
        total = total - _rest(squares) * _centring(len(total))
    return np.asarray(total / chance.cells)


def _steadied(matrix: Floats, prior: Prior, freedom: int) -> Floats:
    """Products of models with variances that are moderated, and what correlation is beyond chance.

    The products of d numbers of two independent models have the variance s1^2 s2^2 / d; left in,
    they would make some contrasts of the models look far better known than they are.
    """
    count = len(matrix)
    centred = _centring(count) @ matrix @ _centring(count)
    own = np.diag(centred) / (1 - 1 / count)
    variances = (freedom * own + prior.freedoms * prior.square) / (freedom + prior.freedoms)
    independent = _centring(count) @ np.diag(own) @ _centring(count)
    apart = (centred - independent)[~np.eye(count, dtype=bool)]
    expected = (own.sum() ** 2 - np.sum(own**2)) / freedom
    seen = float(np.sum(apart**2))
    beyond = max(0.0, 1 - expected / seen) if seen > 0 else 0.0
    alone = _centring(count) @ np.diag(variances) @ _centring(count)
    return np.asarray(alone + beyond * (centred - independent))


def _centring(count: int) -> Floats:
    return np.asarray(np.eye(count) - 1 / count)


def _rest(squares: MeanSquares) -> float:
    return _centred_trace(squares.rest) / (len(squares.mean) - 1)


def _centred_trace(matrix: Floats) -> float:
    """Sum of the squares of all contrasts; not below 0, as rounding would have it."""
    return max(0.0, float(np.trace(_centring(len(matrix)) @ matrix)))


def _scales(squares: MeanSquares, chance: Chance) -> Floats:
    """(SCALES,): factors of the covariance that its own uncertainty leaves open."""
    traces = map(_centred_trace, (squares.field, squares.repeat, squares.rest))
    # all models together tell how large errors are
    freedoms = (freedom * (len(squares.mean) - 1) for freedom in squares.freedoms)
    drawn = np.sort(chance.scales(Squares(*traces, *freedoms)) ** 2)
    middle = drawn.reshape(SCALES, -1).mean(axis=1)
    return np.asarray(middle / np.median(middle)) if middle[0] > 0 else np.ones(SCALES)


def _drawn(
    observed: Floats, errors: Floats, size: float, scales: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(DRAWS,) each: tau^2 and scales of the errors' variance, as likely as the scores are."""
    widest = float(np.sqrt(size + np.mean(observed**2)))
    taus = np.geomspace(0.02 * np.sqrt(size), 20 * widest, TAUS)
    ratio = taus / np.sqrt(size)
    prior = np.log((LEAST + ratio) / (1 + ratio) ** 2)
    variance = taus[:, None, None] ** 2 + scales[:, None] * errors  # (taus, scales, contrasts)
    fit = -0.5 * np.sum(np.log(variance) + observed**2 / variance, axis=2) + prior[:, None]
    weights = np.exp(fit - fit.max()).ravel()
    at = rng.choice(len(weights), DRAWS, p=weights / weights.sum())
    return taus[at // SCALES] ** 2, scales[at % SCALES]
