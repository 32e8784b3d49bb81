"""Noise for training pairs, and how much of it an image holds already.

Noise strengths are in units of full scale (1.0); x is the fast scan axis.
"""

import math

import numpy as np

from lfranker.images import Image

Range = tuple[float, float]
"""(low, high); equal ends are a fixed value."""

MAX_LAG1 = 0.5  # of the three-tap kernel, with room below its limit of sqrt(1/2)


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
    doubles the brightness and saturates half of the pixels; adding their deviations keeps the mean
    up to the clamp. ``correlation`` (ours) is the lag-1 autocorrelation along x.
    """
    noise = np.float32(alpha) * (shot_noise(clean, peak, rng) - clean)
    noise += np.float32(beta) * (speckle_noise(clean, speckle_variance, rng) - clean)
    noise = correlate_fast_axis(noise, correlation)
    noise += clean
    return np.clip(noise, 0, 1, out=noise)


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
    side = math.sqrt((1 - math.sqrt(1 - 2 * lag1**2)) / 4)
    centre = math.sqrt(1 - 2 * side**2)
    neighbours = np.roll(noise, 1, axis=1) + np.roll(noise, -1, axis=1)
    return np.float32(centre) * noise + np.float32(side) * neighbours


def estimate_noise(image: Image) -> float:
    """Standard deviation of white noise, of full scale (Immerkaer 1996, 10.1006/cviu.1996.0060).

    Mean absolute response to a mask blind to planes. Fine texture counts as noise; noise that is
    correlated between neighbours is underestimated.
    """
    if min(image.shape) < 3:
        raise ValueError(
            f"noise of an image of {image.shape} px cannot be estimated; 3 x 3 is least"
        )
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    response = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(math.sqrt(math.pi / 2) * np.abs(response).mean(dtype=np.float64) / 6)
