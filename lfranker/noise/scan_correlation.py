"""Correlation of the noise along x, the fast scan axis: filters that give it to white noise.

The detector's amplifier smears what it sees over the pixels that follow; lines do not correlate.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from lfranker.arrays import Image

Kernel = tuple[float, ...]
"""Side taps of a symmetric filter along x, from the centre outwards, relative to the first one."""

MAX_LAG1 = 0.65  # of the three-tap kernel, with room below its limit of sqrt(1/2)
SHAPELESS = 0.02  # lag 1 below which the other lags are noise


def correlate_fast_axis(noise: Image, lag1: float) -> Image:
    """Filter along x so that neighbours correlate by ``lag1``; white noise keeps its variance.

    Kernel (a, b, a) with 2 a^2 + b^2 = 1 and 2 a b = lag1; then lag 2 is a^2 (0.07 at lag1 0.49;
    0.10 was measured on one instrument) and further lags are 0. The ends wrap around: every
    pixel then sums three independent samples. Fewer than three columns stay as they are.
    """
    if not 0 <= lag1 <= MAX_LAG1:
        raise ValueError(f"correlation is {lag1}; allowed is 0 to {MAX_LAG1}")
    if lag1 == 0 or noise.shape[1] < 3:
        return noise
    # ``taps_for`` gives the same up to rounding; stored datasets hang on these very bits
    side = math.sqrt((1 - math.sqrt(1 - 2 * lag1**2)) / 4)
    return filter_fast_axis(noise, (math.sqrt(1 - 2 * side**2), side))


def taps_for(lag1: float, kernel: Kernel) -> tuple[float, ...]:
    """Centre and side taps of unit energy whose lag-1 autocorrelation is ``lag1``.

    ``kernel`` is the shape of the side taps; their size s against the centre is the smaller root
    of lag1 (1 + 2 s^2 E) = 2 s + 2 s^2 C, E their energy, C the products of neighbours among them.
    """
    energy = sum(tap**2 for tap in kernel)
    products = sum(a * b for a, b in itertools.pairwise(kernel))
    curvature = 2 * (lag1 * energy - products)
    if not (0 <= lag1 <= MAX_LAG1 and lag1 * curvature <= 1):
        raise ValueError(
            f"correlation is {lag1}; allowed is 0 to {MAX_LAG1}, or less with kernel {kernel}"
        )
    side = lag1 / (1 + math.sqrt(1 - lag1 * curvature))
    centre = 1 / math.sqrt(1 + 2 * side**2 * energy)
    return (centre, *(centre * side * tap for tap in kernel))


def filter_fast_axis(noise: Image, taps: Sequence[float]) -> Image:
    """Symmetric, along x, the ends wrapped around; too few columns stay as they are."""
    if noise.shape[1] < 2 * len(taps) - 1:
        return noise
    filtered = np.float32(taps[0]) * noise
    for distance, tap in enumerate(taps[1:], 1):
        neighbours = np.roll(noise, distance, axis=1) + np.roll(noise, -distance, axis=1)
        filtered += np.float32(tap) * neighbours
    return filtered


def parse_kernel(text: str) -> Kernel:
    """Side taps relative to the first: "1,0.1,0.05" -> (1.0, 0.1, 0.05)."""
    try:
        taps = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not a list of numbers, e.g. 1,0.1,0.05") from None
    check_kernel(taps)
    return taps


def check_kernel(kernel: Kernel) -> None:
    """Raise ValueError for taps that are no shape: the first is 1, two more at most within +-1."""
    good = 1 <= len(kernel) <= 3 and kernel[0] == 1
    if not (good and all(math.isfinite(tap) and abs(tap) <= 1 for tap in kernel)):
        raise ValueError(
            f"kernel is {kernel}; allowed are one to three side taps relative to the first, which "
            "is 1, e.g. 1,0.1,0.05"
        )


def kernel_for(lags: Sequence[float]) -> Kernel:
    """Shape of the side taps that give white noise these autocorrelations, at lags 1 to 3.

    A least-squares fit, exact where a kernel of seven taps can do it; (1,) where lag 1 is too small
    for a shape.
    """
    if lags[0] < SHAPELESS:
        return (1.0,)

    def misfit(sides: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(autocorrelation((1.0, *sides), len(lags))) - lags

    found = least_squares(misfit, [lags[0] / 2, *[0.0] * (len(lags) - 1)]).x
    shape = np.clip(found / found[0], -1, 1)
    return tuple(map(float, shape))


def autocorrelation(taps: Sequence[float], lags: int) -> tuple[float, ...]:
    """Autocorrelation of white noise after symmetric ``taps`` (centre, sides), at lags 1, 2, ..."""
    whole = np.concatenate([taps[:0:-1], taps])
    full = np.correlate(whole, whole, "full")[len(whole) - 1 :]
    padded = np.concatenate([full / full[0], np.zeros(lags)])
    return tuple(map(float, padded[1 : lags + 1]))


def reachable(kernel: Kernel) -> float:
    """The largest lag 1 that side taps of this shape can give, rounded down a little.

    Where the root in ``taps_for`` becomes double: lag1 (lag1 E - C) = 1/2.
    """
    energy = sum(tap**2 for tap in kernel)
    products = sum(a * b for a, b in itertools.pairwise(kernel))
    return (1 - 1e-9) * (products + math.sqrt(products**2 + 2 * energy)) / (2 * energy)
