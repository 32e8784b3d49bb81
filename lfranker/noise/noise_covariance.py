"""The covariance of the noise in scans, measured on noisy scans alone, and noise drawn from it.

Variance gamma (x - black) + sigma^2 at brightness x, correlated along x, the fast scan axis, and
an offset of every line: the model of `profile`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lfranker.arrays import Floats, Image
from lfranker.noise.fit import fit_noise, measure_scans
from lfranker.noise.profile import LAGS
from lfranker.noise.scan_correlation import (
    MAX_LAG1,
    autocorrelation,
    filter_fast_axis,
    kernel_for,
    reachable,
    taps_for,
)


@dataclass(frozen=True)
class NoiseCovariance:
    """Covariance of the noise at one scan speed; brightness is of full scale."""

    gamma: float
    sigma: float
    black: float
    line_offset: float  # standard deviation
    taps: tuple[float, ...]  # centre and sides of a filter along x that makes it of white noise

    def variance(self, signal: Image) -> Floats:
        """Return the variance of the noise of each pixel where the signal is that (h, w)."""
        signal = np.maximum(signal.astype(np.float64) - self.black, 0)
        return np.asarray(self.gamma * signal + self.sigma**2 + self.line_offset**2)

    def draw(self, signal: Image, rng: np.random.Generator) -> Image:
        """Draw normal noise (h, w) with this covariance in a scan that would be ``signal``."""
        deviation = np.sqrt(self.variance(signal) - self.line_offset**2)
        white = rng.standard_normal(signal.shape).astype(np.float32)
        lines = self.line_offset * rng.standard_normal((len(signal), 1))
        return np.asarray(deviation * filter_fast_axis(white, self.taps) + lines, np.float32)

    def autocorrelation(self, lags: int) -> tuple[float, ...]:
        """Return the autocorrelation along x at lags 1, 2, ..., without the offsets of lines."""
        return autocorrelation(self.taps, lags)

    def left_by(self, window: Floats) -> float:
        """Return the share of the variance that the mean over a window leaves.

        `window`: weights along one axis, which sum to 1; along the other they are the same.
        """
        overlaps = np.correlate(window, window, "full")[len(window) - 1 :]
        along = self.autocorrelation(len(window) - 1)
        return float(overlaps[0] * (overlaps[0] + 2 * overlaps[1:] @ along))


def covariance_of(scans: Iterable[Image]) -> NoiseCovariance:
    """Measure the covariance on noisy scans of one speed, as `measure_scans` does.

    Noise that does not grow with the brightness has the variance that it has on the mean. Raises
    ValueError where too few pixels are flat and not saturated.
    """
    fit = fit_noise(measure_scans(scans))
    known = {name: estimate.value for name, estimate in fit.estimates.items()}
    lags = tuple(known[name] for name in LAGS)
    kernel = kernel_for(lags)
    taps = taps_for(min(max(lags[0], 0.0), MAX_LAG1, reachable(kernel)), kernel)
    if known["gamma"] > 0:
        return NoiseCovariance(
            known["gamma"], known["sigma"], known["black"], known["line_offset"], taps
        )
    line = known["line_offset"]
    constant = max(float(np.mean(fit.variance)) - line**2, 0.0) ** 0.5
    return NoiseCovariance(0.0, constant, 0.0, line, taps)
