"""Scores of a denoised scan where there is no clean scan: how much of the noise is removed.

The error against the unknown clean scan x has an estimate without bias. It needs the noisy scan y,
the covariance C of its noise, and what the denoiser g makes of y and of y with a little more noise
(Stein 1981, 10.1214/aos/1176345632; Ramani, Blu & Unser 2008, 10.1109/TIP.2008.2001404):

    E |g(y) - x|^2 = E [ |g(y) - y|^2 - tr C + 2 tr(C J) ],  tr(C J) = E b (g(y + e b) - g(y)) / e

J being the derivatives of g, and b noise of the covariance C, which is correlated along x here. The
three terms say how close the output stays to the scan, how noisy that is, and how much of the noise
passes through. Stein's identity is for normal noise, and exact for any noise where g is linear.

tr C is the same for all denoisers: an error in the measured strength of the noise changes by how
much of it they all seem to remove, and hardly which is better.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter, uniform_filter

from lfranker.arrays import Floats, Image
from lfranker.evaluation.metrics import Metric
from lfranker.noise.scan_noise import MeasuredNoise, measured_noise
from lfranker.scans.scan_set import Pair, ScanSet, read_scans
from lfranker.text import listed

STEP = 0.1  # of the noise: the little more
SIGMA, RADIUS = 1.5, 5  # px, of SSIM's window
CONTRAST = 0.03**2  # SSIM's second constant
WIDER = 4.0  # px: over which the variances that it divides by are averaged
CLIPPED = 0.02  # share of pixels at an end of the scale from which their surroundings do not count
SURROUNDINGS = 15  # px
LAGS = ((0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0))  # y, x: at which residuals are compared


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial(Pair):
    """A scan without a clean one, its noise, and what a denoiser makes of it with a little more."""

    noise: MeasuredNoise
    pilot: Image  # a median of the scan: what is known of its structure without a denoiser
    variance: Floats  # of the noise, pixel by pixel
    probe: Image  # b
    tilted: Image  # the output for y + STEP b, clipped to [0, 1]
    used: NDArray[np.bool_]  # not saturated


def noise_by_speed(scans: ScanSet) -> Mapping[str, MeasuredNoise]:
    """Measure the noise of scans among which none is clean, by speed; {} where some are.

    Raises ValueError where they do not show it.
    """
    return {} if scans.has_clean else _measured(scans.folder, scans.digest)


@cache
def _measured(folder: Path, digest: str) -> Mapping[str, MeasuredNoise]:
    scans = read_scans(folder)
    measured = {}
    for speed in scans.speeds:
        own = [record for record in scans.records if record.speed == speed]
        try:
            measured[speed] = measured_noise(scans.read(record).noisy for record in own)
        except ValueError as error:
            fields = listed([record.field for record in own])
            raise ValueError(f"the noise at {speed} cannot be measured on {fields}: {error}") from (
                error
            )
    return measured


def tried(pair: Pair, denoiser: Callable[[Pair], Image], noise: MeasuredNoise) -> Trial:
    """Have a scan with a little more noise denoised: the same noise for all denoisers."""
    key = hashlib.sha256(f"{pair.speed}/{pair.field}".encode()).digest()[:8]
    pilot = np.asarray(median_filter(pair.noisy, 7, mode="reflect"))
    probe = noise.draw(pilot, np.random.default_rng(list(key)))
    more = np.asarray(pair.noisy + np.float32(STEP) * probe, np.float32)
    tilted = np.clip(denoiser(_with(pair, more)), 0, 1).astype(np.float32)
    ends = ((pair.noisy <= 0) | (pair.noisy >= 1)).astype(np.float64)
    used = uniform_filter(ends, SURROUNDINGS) <= CLIPPED
    return Trial(
        **vars(pair),
        noise=noise,
        pilot=pilot,
        variance=noise.variance(pilot),
        probe=probe,
        tilted=tilted,
        used=used & pair.mask,
    )


def noise_removed(output: Image, trial: Trial) -> float:
    """Share of the noise's variance that is removed, less what is taken from the structure.

    0 for the noisy scan as it is, 1 for the unknown clean scan, below 0 for what does more harm
    than the noise; above 1 where more noise was measured than there is. NaN where all is saturated.
    """
    if not trial.used.any():
        return float("nan")
    left = _error(output, trial)[trial.used].mean() / trial.variance[trial.used].mean()
    return float(1 - left)


def ssim_estimated(output: Image, trial: Trial) -> float:
    """Estimate the structure term of SSIM between the output and the unknown clean scan.

    SSIM's structure term is 1 - V / (v + w + c): V is the variance of the error in the window, v
    and w those of the two images. V has an estimate as the error has; w is taken from a median of
    the scan. Where SSIM divides by v + w in the window itself, the mean of v + w around it is taken
    here, whose noise is not that of V. An error in the strength of the noise raises or lowers it
    for all, also above 1. Gaussian window, sigma 1.5; the mean over windows inside, NaN where all
    is saturated.
    """
    inside = np.zeros(output.shape, np.bool_)
    inside[RADIUS:-RADIUS, RADIUS:-RADIUS] = trial.used[RADIUS:-RADIUS, RADIUS:-RADIUS]
    if not inside.any():
        return float("nan")
    residual, passed = _residual(output, trial), _passed(output, trial)
    mean_of_noise = trial.noise.left_by(_window()) * trial.variance
    square_of_mean = (
        _mean(residual) ** 2
        - mean_of_noise
        + 2 * _mean(trial.probe.astype(np.float64)) * _mean(passed)
    )
    spread = _mean(_error(output, trial)) - square_of_mean
    structure = gaussian_filter(_variance(output) + _variance(trial.pilot), WIDER)
    return float(1 - (spread / (structure + CONTRAST))[inside].mean())


def whiteness(output: Image, trial: Trial) -> float:
    """How far from the noise is what was taken away, 0 where they agree.

    The root of the mean square of: mean, variance less 1, and autocorrelation less that of the
    noise at three lags along x and along y, of the noisy scan less the output in units of the
    noise's deviation. A denoiser that changes nothing has the variance 0; one that takes structure
    away has that in the autocorrelation.
    """
    if not trial.used.any():
        return float("nan")
    standard = np.where(trial.used, -_residual(output, trial) / np.sqrt(trial.variance), np.nan)
    mean, variance = float(np.nanmean(standard)), float(np.nanvar(standard))
    along = trial.noise.autocorrelation(3)
    expected = [along[x - 1] if x else 0.0 for _, x in LAGS]
    found = [_covariance(standard - mean, *lag) for lag in LAGS]
    off = [mean, variance - 1, *np.subtract(found, expected)]
    return float(np.sqrt(np.mean(np.square(off))))


REFERENCE_FREE: dict[str, Metric] = {
    "noise_removed": Metric(
        lambda o, p: noise_removed(o, _trial(p)), True, "Noise removed", 4, ranked=True, version=2
    ),
    "ssim_estimated": Metric(
        lambda o, p: ssim_estimated(o, _trial(p)), True, "Estimated SSIM", 4, ranked=True, version=2
    ),
    "whiteness": Metric(
        lambda o, p: whiteness(o, _trial(p)), False, "Residual's distance from noise", 3, version=2
    ),
}


def _trial(pair: Pair) -> Trial:
    if not isinstance(pair, Trial):
        raise TypeError(f"{pair.field} at {pair.speed}: scored without a measured noise")
    return pair


def _with(pair: Pair, noisy: Image) -> Pair:
    return Pair(**{**vars(pair), "noisy": noisy})


def _residual(output: Image, trial: Trial) -> Floats:
    return output.astype(np.float64) - trial.noisy


def _passed(output: Image, trial: Trial) -> Floats:
    """Return what the denoiser makes of the probe."""
    return (trial.tilted.astype(np.float64) - output) / STEP


def _error(output: Image, trial: Trial) -> Floats:
    """Estimate the squared error of each pixel, without bias; single ones may well be below 0."""
    residual, passed = _residual(output, trial), _passed(output, trial)
    return np.asarray(residual**2 - trial.variance + 2 * trial.probe * passed)


def _window() -> Floats:
    distance = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-(distance**2) / (2 * SIGMA**2))
    return np.asarray(weights / weights.sum())


def _mean(values: Floats) -> Floats:
    return np.asarray(gaussian_filter(values, SIGMA, mode="reflect", radius=RADIUS))


def _variance(image: Image) -> Floats:
    values = image.astype(np.float64)
    return np.asarray(np.maximum(_mean(values**2) - _mean(values) ** 2, 0))


def _covariance(values: Floats, down: int, right: int) -> float:
    height, width = values.shape
    return float(np.nanmean(values[down:, right:] * values[: height - down, : width - right]))
