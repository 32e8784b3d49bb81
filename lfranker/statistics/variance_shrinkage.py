"""Mean squares of each model, or of each effect, estimated from those of many.

With 3 repeats the spread of a model over its repeats has two degrees of freedom, and an interval
that rests on it alone is so wide that hardly any difference is ever found; so it is with 3 fields.
But there are many models, and how much a training's luck matters is much alike in all of them. So
a mean square s^2 with d degrees of freedom is drawn towards what all have in common (empirical
Bayes: Smyth 2004, 10.2202/1544-6115.1027),

    (d0 s0^2 + d s^2) / (d0 + d),  with d0 + d degrees of freedom,

where s0^2 and d0 come from the mean and the spread of the log s^2 of all but the largest. Models
whose luck differs give a small d0, and each keeps its own spread. We bound d0, which the paper does
not. One that is clearly larger than the others keeps its own spread too (after Phipson et al. 2016,
10.1214/16-AOAS920, who take the chance that it is an outlier; we lower its d0 by a power of how
much larger it is, since no repeats but its own tell how erratic a model is).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import chi2

from lfranker.arrays import Floats

LEAST_MODELS = 4  # fewer tell nothing of how much their luck differs
MOST_OF_REPEATS, MOST_OF_FIELDS = 8.0, 16.0  # bounds of d0
LARGER = 1.6  # times the common square over repeats: beyond it a model keeps more of its own
CHANCE_OF_LARGER = 0.01  # the same over fields, as a chance


@dataclass(frozen=True)
class Prior:
    """Common part of mean squares; without `freedoms` above 0 there is none.

    square: that of a contrast whose coefficients have the length 1.
    freedoms: those that it lends to each model, or to each of several effects.
    """

    square: float
    freedoms: Floats


def prior_of_repeats(squares: Floats, freedom: int, most: float = np.inf) -> Prior:
    """Fit a prior to mean squares over repeats (models,), for contrasts of length 1.

    A square above LARGER of the common one keeps the more of its own the larger it is, and the
    better it is known. ``most``: a bound of what is lent, besides MOST_OF_REPEATS.
    """
    return _prior(squares, freedom, min(MOST_OF_REPEATS, most), LARGER)


def prior_of_fields(squares: Floats, freedom: int, most: float = np.inf) -> Prior:
    """Fit a prior to mean squares over fields (models,), as `prior_of_repeats`.

    Only what is beyond chance keeps its own: no model is erratic over fields.
    """
    larger = float(chi2.ppf(1 - CHANCE_OF_LARGER, freedom) / freedom)
    return _prior(squares, freedom, min(MOST_OF_FIELDS, most), larger)


def _prior(squares: Floats, freedom: int, most: float, larger: float) -> Prior:
    known = np.sort(squares[squares > 0])  # models that are one and the same have no luck
    if len(known) < LEAST_MODELS:
        return Prior(0.0, np.zeros(len(squares)))
    most = min(most, float((len(known) - 2) * freedom))
    lent, square = _fitted(known[:-1], freedom, most)
    square /= _without_largest(len(known), freedom)
    with np.errstate(divide="ignore"):
        kept = np.minimum(1.0, larger * square / squares) ** (4 * freedom)
    return Prior(square, lent * kept)


@lru_cache
def _without_largest(count: int, freedom: int) -> float:
    """Return the expected mean of all but the largest of so many chi-squares over their freedom."""
    parts = (np.arange(400) + 0.5) / 400
    largest = float(chi2.ppf(parts ** (1 / count), freedom).mean()) / freedom
    return (count - largest) / (count - 1)


def _fitted(squares: Floats, freedom: int, most: float) -> tuple[float, float]:
    """Fit d0 and s0^2 by the moments of log s^2, a scaled log F with ``freedom`` and d0."""
    logs = np.log(squares) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2))
    if excess <= polygamma(1, most / 2):
        return most, float(squares.mean())
    half = float(brentq(lambda x: polygamma(1, x) - excess, 1 / (2 * excess + 2), most / 2))
    return 2 * half, float(np.exp(logs.mean() + digamma(half) - np.log(half)))
