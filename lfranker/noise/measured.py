"""The noise of noisy scans as training without clean images needs it: numbers of one scan speed."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lfranker.arrays import Floats, Image
from lfranker.noise.fit import fit_noise, measure_scans
from lfranker.noise.profile import LAGS, SpeedNoise
from lfranker.noise.scan_correlation import taps_for

NEGLIGIBLE = 0.03  # correlation of a neighbour that tells 0.1 % of a pixel's noise
DIGITS = 4  # of each number, so that it is the same on every machine
FURTHER = "lag4"


@dataclass(frozen=True)
class MeasuredNoise:
    """Variance gamma (x - black) + sigma^2 at brightness x, correlated along x; of full scale."""

    gamma: float
    sigma: float
    black: float
    line_offset: float  # deviation from line to line
    lags: tuple[float, ...]  # autocorrelation at 1, 2, ... px along x
    taps: tuple[float, ...]  # centre and sides of the symmetric filter that makes it of white noise

    @property
    def radius(self) -> int:
        """Return how many pixels on either side know of a pixel's noise."""
        return max((lag for lag, value in enumerate(self.lags, 1) if value > NEGLIGIBLE), default=0)

    def deviation(self, signal: Floats) -> Floats:
        """Standard deviation of the noise at each brightness."""
        return np.sqrt(self.gamma * np.maximum(signal - self.black, 0) + self.sigma**2)

    def stored(self) -> dict[str, float | list[float]]:
        """Return the numbers as a manifest has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def measured_noise(scans: Iterable[Image]) -> MeasuredNoise:
    """Measure the noise of scans of one speed on themselves. Raises ValueError where it cannot be.

    That is where too little of them is flat, or the noise does not grow with the brightness.
    """
    found = fit_noise(measure_scans(scans)).estimates
    if not found["gamma"].value > 0:
        raise ValueError("the noise does not grow with the brightness: it cannot be measured")
    noise = SpeedNoise(found, None)
    fixed = noise.fixed()
    return MeasuredNoise(
        _rounded(noise["gamma"]),
        _rounded(noise["sigma"]),
        _rounded(noise["black"]),
        _rounded(noise["line_offset"]),
        tuple(_rounded(noise[name]) for name in (*LAGS, FURTHER)),
        tuple(map(_rounded, taps_for(fixed["correlation"][0], fixed["kernel"]))),
    )


def noise_of(stored: Mapping[str, Any]) -> MeasuredNoise:
    """Return what `MeasuredNoise.stored` made."""
    numbers: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return MeasuredNoise(**numbers)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
