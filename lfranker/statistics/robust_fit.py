"""Least squares in which values that are far off count little."""

import numpy as np

from lfranker.arrays import Floats

CAUCHY = 2.385  # robust standard deviations; 95 % efficient where all is normal
ROUNDS = 20


def robust_lines(terms: Floats, values: Floats, least: float) -> Floats:
    """Least squares reweighted by Cauchy's function (Holland & Welsch 1977).

    ``terms`` (values, terms), the first of which is the constant; one that does not vary beside it
    cannot be told from it and is 0. ``least``: see `robust_deviation`.
    """
    varying = np.ptp(terms, axis=0) > 0
    varying[0] = True
    terms = terms * varying
    weights = np.ones(len(values))
    for _ in range(ROUNDS):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
        answer = np.asarray(solution, np.float64)
        weights = cauchy_weights(values - terms @ answer, least)
    return answer


def cauchy_weights(residuals: Floats, least: float) -> Floats:
    """1 at the fit, 1/2 at 2.4 robust standard deviations from it."""
    return np.asarray(1 / (1 + (residuals / (CAUCHY * robust_deviation(residuals, least))) ** 2))


def robust_deviation(residuals: Floats, least: float) -> float:
    """Deviation from the median, as for a normal distribution; at least ``least``, above 0.

    That is how exactly the values are known: half of a measurement's step, for example.
    """
    return max(1.4826 * float(np.median(np.abs(residuals))), least)
