"""Noise measured at one dwell time, carried to another.

The assumption: the noise of the signal is white in time, and the detector's amplifier, a single
pole of time constant t, is all that correlates it; a pixel is the mean of the amplifier's output
over its dwell time T. With a = T / t the integrals of exp(-|u - v| / t) over two pixels give

    variance      V / T (a - 1 + exp(-a)) / a           V: white noise power, of a whole second
    lag d >= 1    (1 - exp(-a))^2 exp(-a (d - 1)) / (2 (a - 1 + exp(-a)))     of that variance

and 1 + 2 (lag 1 + lag 2 + ...) = a / (a - 1 + exp(-a)): variance times this sum is V / T, so that
both parts of the variance, gamma and sigma^2, go as 1 / (T (1 + 2 sum of lags)). For T >> t the
lags vanish as t / (2 T). Line-to-line offsets are kept as they are, they are slower
than a line, and so is black.
"""

import math

from scipy.optimize import minimize_scalar

from lfranker.noise.profile import LAGS, Estimate, SpeedNoise

SHORTEST, LONGEST = 0.1, 1e4  # dwell times per time constant that are considered


def carry(noise: SpeedNoise, dwell_time: float, name: str) -> SpeedNoise:
    """``noise``, which is that of the speed ``name``, at another dwell time (s); marked as derived.

    Intervals keep their relative width: they do not hold what the assumption may be wrong by.
    Gain and offset between noisy and clean scan are not carried.
    """
    if noise.dwell_time is None:
        raise ValueError(f"the dwell time of {name} is not known: it cannot be carried to another")
    if not dwell_time > 0:
        raise ValueError(f"dwell time is {dwell_time} s; it must be above 0")
    if math.isclose(dwell_time, noise.dwell_time):
        return noise
    ratio = dwell_time / noise.dwell_time
    lags = pole_lags(time_constants(noise.lags) * ratio)
    factor = (1 + 2 * sum(noise.lags)) / (1 + 2 * sum(lags)) / ratio
    scales = {"gamma": factor, "sigma": math.sqrt(factor), "black": 1.0, "line_offset": 1.0}
    estimates = {key: _scaled(noise.estimates[key], scale) for key, scale in scales.items()}
    for key, lag in zip(LAGS, lags, strict=True):
        relative = _relative_width(noise.estimates[key])
        estimates[key] = Estimate(lag, lag * (1 - relative), lag * (1 + relative))
    return SpeedNoise(estimates, dwell_time, noise.derived_from or name)


def pole_lags(constants: float) -> tuple[float, float, float]:
    """Autocorrelation at lags 1 to 3, the dwell time being so many time constants."""
    decay = math.exp(-constants)
    first = (1 - decay) ** 2 / (2 * (constants - 1 + decay))
    return first, first * decay, first * decay**2


def time_constants(lags: tuple[float, ...]) -> float:
    """Dwell time in time constants whose lags 1 to 3 come closest, in least squares."""

    def misfit(logarithm: float) -> float:
        model = pole_lags(math.exp(logarithm))
        return sum((a - b) ** 2 for a, b in zip(model, lags, strict=True))

    bounds = (math.log(SHORTEST), math.log(LONGEST))
    found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def _scaled(estimate: Estimate, scale: float) -> Estimate:
    return Estimate(estimate.value * scale, estimate.low * scale, estimate.high * scale)


def _relative_width(estimate: Estimate) -> float:
    """Half of the interval over the value, at most 1."""
    if estimate.value <= 0:
        return 1.0
    return min((estimate.high - estimate.low) / 2 / estimate.value, 1.0)
