"""The noise of scans of one speed, measured on noisy scans alone, and noise drawn from it.

Variance gamma (x - black) + sigma^2 at brightness x, correlated along x, the fast scan axis, and
an offset of every line: the model of `profile`. Training without clean images draws such noise, and
scoring without clean scans needs its covariance.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lfranker.arrays import Floats, Image
from lfranker.noise.fit import fit_noise, measure_scans
from lfranker.noise.profile import LAGS, SpeedNoise
from lfranker.noise.scan_correlation import autocorrelation, filter_fast_axis, taps_for

NEGLIGIBLE = 0.03  # correlation of a neighbour that tells 0.1 % of a pixel's noise
DIGITS = 4  # of each number, so that it is the same on every machine
FURTHER = "lag4"


@dataclass(frozen=True)
class MeasuredNoise:
    """Covariance of the noise at one scan speed; brightness is of full scale."""

    gamma: float
    sigma: float
    black: float
    line_offset: float  # standard deviation from line to line
    lags: tuple[float, ...]  # autocorrelation at 1, 2, ... px along x, as measured
    taps: tuple[float, ...]  # centre and sides of the symmetric filter that makes it of white noise

    @property
    def radius(self) -> int:
        """Return how many pixels on either side know of a pixel's noise."""
        return max((lag for lag, value in enumerate(self.lags, 1) if value > NEGLIGIBLE), default=0)

    def deviation(self, signal: Image | Floats) -> Floats:
        """Return the standard deviation at each brightness, without the offsets of lines.

        In the signal's precision, that of trainings: weights depend on the last bit.
        """
        above = np.maximum(signal - self.black, 0)
        return np.asarray(np.sqrt(self.gamma * above + self.sigma**2))

    def variance(self, signal: Image) -> Floats:
        """Return the variance of each pixel where the signal is that (h, w), lines included."""
        return np.asarray(self.deviation(signal.astype(np.float64)) ** 2 + self.line_offset**2)

    def draw(self, signal: Image, rng: np.random.Generator) -> Image:
        """Draw normal noise (h, w) with this covariance in a scan that would be ``signal``."""
        white = rng.standard_normal(signal.shape).astype(np.float32)
        lines = self.line_offset * rng.standard_normal((len(signal), 1))
        deviation = self.deviation(signal.astype(np.float64))
        return np.asarray(deviation * filter_fast_axis(white, self.taps) + lines, np.float32)

    def autocorrelation(self, lags: int) -> tuple[float, ...]:
        """Return the autocorrelation along x of what is drawn, at lags 1, 2, ..., without lines."""
        return autocorrelation(self.taps, lags)

    def left_by(self, window: Floats) -> float:
        """Return the share of the variance that the mean over a window leaves.

        `window`: weights along one axis, which sum to 1; along the other they are the same.
        """
        overlaps = np.correlate(window, window, "full")[len(window) - 1 :]
        along = self.autocorrelation(len(window) - 1)
        return float(overlaps[0] * (overlaps[0] + 2 * overlaps[1:] @ along))

    def stored(self) -> dict[str, float | list[float]]:
        """Return the numbers as a manifest has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def measured_noise(scans: Iterable[Image]) -> MeasuredNoise:
    """Measure the noise of noisy scans of one speed, as `measure_scans` does.

    Noise that does not grow with the brightness has the variance that it has on the mean. Raises
    ValueError where too few pixels are flat and not saturated.
    """
    fit = fit_noise(measure_scans(scans))
    noise = SpeedNoise(fit.estimates, None)
    gamma, sigma, black = (noise[name] for name in ("gamma", "sigma", "black"))
    if not gamma > 0:
        constant = float(np.mean(fit.variance)) - noise["line_offset"] ** 2
        gamma, sigma, black = 0.0, max(constant, 0.0) ** 0.5, 0.0
    return MeasuredNoise(
        _rounded(gamma),
        _rounded(sigma),
        _rounded(black),
        _rounded(noise["line_offset"]),
        tuple(_rounded(noise[name]) for name in (*LAGS, FURTHER)),
        tuple(map(_rounded, taps_for(*noise.correlation))),
    )


def read_noise(stored: Mapping[str, Any]) -> MeasuredNoise:
    """Return what `MeasuredNoise.stored` made."""
    numbers: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return MeasuredNoise(**numbers)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
