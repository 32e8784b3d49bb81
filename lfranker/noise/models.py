"""Noise for training pairs, and how much of it an image holds already.

Noise strengths are in units of full scale (1.0); x is the fast scan axis.
"""

import math
from typing import TypeVar

import numpy as np

from lfranker.arrays import Floats, Image
from lfranker.noise.scan_correlation import Kernel, correlate_fast_axis, filter_fast_axis, taps_for

Pixels = TypeVar("Pixels", Image, Floats)
Range = tuple[float, float]
"""(low, high); equal ends are a fixed value."""


def parse_range(text: str) -> Range:
    """Ends of "LOW:HIGH", or twice a number: "20:200" -> (20.0, 200.0), "0.5" -> (0.5, 0.5)."""
    parts = text.split(":")
    try:
        low, high = (float(part) for part in (parts * 2 if len(parts) == 1 else parts))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a number or a range LOW:HIGH, e.g. 0.5 or 20:200"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{text!r} is not a finite range with LOW <= HIGH, e.g. 20:200")
    return low, high


def shot_noise(clean: Image, peak: float, rng: np.random.Generator) -> Image:
    """Poisson noise at ``peak`` counts per fully bright pixel; may exceed 1. Keeps the mean."""
    if not peak > 0:
        raise ValueError(f"peak is {peak} counts; it must be above 0")
    return np.divide(rng.poisson(clean * np.float32(peak)), peak, dtype=np.float32)


def speckle_noise(clean: Image, variance: float, rng: np.random.Generator) -> Image:
    """Speckle: x + x n, n normal with ``variance``; may leave [0, 1]. Keeps the mean."""
    if not variance >= 0:
        raise ValueError(f"speckle variance is {variance}; it must be 0 or more")
    normal = rng.standard_normal(clean.shape, dtype=np.float32)
    return clean + clean * normal * np.float32(math.sqrt(variance))


def read_out_noise(clean: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Noise that the electronics add to ``clean``: normal, of deviation ``sigma``, without it."""
    return np.float32(sigma) * rng.standard_normal(clean.shape, dtype=np.float32)


def line_offsets(clean: Image, deviation: float, rng: np.random.Generator) -> Image:
    """A normal offset of every line of ``clean``, (h, 1)."""
    return np.float32(deviation) * rng.standard_normal((len(clean), 1), dtype=np.float32)


def mixed_noise(
    clean: Image,
    alpha: float,
    beta: float,
    peak: float,
    speckle_variance: float,
    rng: np.random.Generator,
    correlation: float = 0.0,
) -> Image:
    """Eq. 1 of the paper in mean-keeping form: clamp(x + a (P - x) + b (S - x), 0, 1).

    P is ``shot_noise`` of x, S ``speckle_noise`` of x. The paper adds the two noisy images, which
    doubles the brightness and saturates half of the pixels (``literal_noise``); adding their
    deviations keeps the mean up to the clamp. ``correlation`` (ours) is the lag-1 autocorrelation
    along x.
    """
    noise = np.float32(alpha) * (shot_noise(clean, peak, rng) - clean)
    noise += np.float32(beta) * (speckle_noise(clean, speckle_variance, rng) - clean)
    return put_on(clean, noise, correlation)


def literal_noise(
    clean: Image,
    alpha: float,
    beta: float,
    peak: float,
    speckle_variance: float,
    rng: np.random.Generator,
) -> Image:
    """Eq. 1 as it is printed, for audit: clamp(a P + b S, 0, 1). The mean is (a + b) x."""
    noisy = np.float32(alpha) * shot_noise(clean, peak, rng)
    noisy += np.float32(beta) * speckle_noise(clean, speckle_variance, rng)
    return np.clip(noisy, 0, 1, out=noisy)


def sequential_noise(
    clean: Image,
    peak: float,
    speckle_variance: float,
    rng: np.random.Generator,
    correlation: float = 0.0,
) -> Image:
    """Speckle of the Poisson realisation P: clamp(P + P n, 0, 1). Keeps the mean up to the clamp.

    The variance is x/peak + s (x^2 + x/peak), s being ``speckle_variance``.
    """
    noisy = speckle_noise(shot_noise(clean, peak, rng), speckle_variance, rng)
    return put_on(clean, noisy - clean, correlation)


def gamma_noise(
    clean: Image, speckle_variance: float, rng: np.random.Generator, correlation: float = 0.0
) -> Image:
    """Fully developed speckle: clamp(x g, 0, 1), g gamma-distributed, mean 1, ``speckle_variance``.

    g averages 1/variance looks (Goodman 1976, 10.1364/JOSA.66.001145) and is never negative.
    """
    if not speckle_variance > 0:
        raise ValueError(f"speckle variance is {speckle_variance}; gamma noise needs more than 0")
    looks = 1 / speckle_variance
    factor = rng.standard_gamma(looks, clean.shape, dtype=np.float32) / np.float32(looks)
    return put_on(clean, clean * factor - clean, correlation)


def microscope_noise(
    clean: Image,
    peak: float,
    sigma: float,
    correlation: float,
    kernel: Kernel,
    black: float,
    line_offset: float,
    saturation: float,
    rng: np.random.Generator,
) -> Image:
    """Simulate a fast scan: clamp(x + sqrt(s/peak + sigma^2) c + l, 0, saturation).

    s is the signal, x - ``black`` or 0, ``black`` being the brightness without any. c has variance
    1: shot and read-out noise, white and scaled to 1 pixel by pixel, then filtered along x to lag-1
    autocorrelation ``correlation``. The filter comes before the scaling back, so that the variance
    follows the signal at edges too. A filter hides counts: there are fewer of them than ``peak``,
    by (sum of taps)^2, which keeps dark pixels as skewed as they are (in scans at 100 ns more than
    a Poisson variable of that variance) and above zero. l is a normal offset of every line, of
    deviation ``line_offset``; ``saturation`` is where the detector ends, of full scale. Keeps the
    mean up to the clamp.
    """
    taps = taps_for(correlation, kernel)
    counts = peak / (taps[0] + 2 * sum(taps[1:])) ** 2
    signal = np.maximum(clean - np.float32(black), 0)
    noise = shot_noise(signal, counts, rng) - signal
    noise *= np.float32(math.sqrt(counts / peak))
    noise += read_out_noise(clean, sigma, rng)
    deviation = np.sqrt(signal * np.float32(1 / peak) + np.float32(sigma**2))
    np.divide(noise, deviation, out=noise, where=deviation > 0)
    noise = filter_fast_axis(noise, taps)
    noise *= deviation
    noise += line_offsets(clean, line_offset, rng)
    noise += clean
    return np.clip(noise, 0, saturation, out=noise)


def put_on(clean: Image, noise: Image, correlation: float) -> Image:
    """clamp(x + ``noise``, 0, 1), the white noise filtered along x; it may be changed in place."""
    noise = correlate_fast_axis(noise, correlation)
    noise += clean
    return np.clip(noise, 0, 1, out=noise)


def estimate_noise(image: Image) -> float:
    """Standard deviation of white noise, of full scale (Immerkaer 1996, 10.1006/cviu.1996.0060).

    Mean absolute response to a mask blind to planes. Fine texture counts as noise; noise that is
    correlated between neighbours is underestimated.
    """
    if min(image.shape) < 3:
        raise ValueError(
            f"noise of an image of {image.shape} px cannot be estimated; 3 x 3 is least"
        )
    response = second_differences(image)
    return float(math.sqrt(math.pi / 2) * np.abs(response).mean(dtype=np.float64) / 6)


def second_differences(image: Pixels) -> Pixels:
    """Second differences of ``image`` (h, w) along y and x, (h - 2, w - 2): 0 for planes.

    White noise of variance 1 has variance 36 behind it (Immerkaer 1996, as above).
    """
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    return rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
