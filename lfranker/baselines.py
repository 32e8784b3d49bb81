"""Classical denoisers that every network has to beat, each float32 (h, w) in [0, 1] to the same."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

Image = NDArray[np.float32]


def unchanged(image: Image) -> Image:
    """The noisy scan itself: a network that scores below it does harm."""
    return image


def gaussian(image: Image, sigma: float) -> Image:
    """Gaussian blur of ``sigma`` px, mirrored at the border."""
    return gaussian_filter(image, sigma, mode="reflect")


def median(image: Image, size: int) -> Image:
    """Median over ``size`` x ``size`` px, mirrored at the border."""
    return median_filter(image, size, mode="reflect")


BASELINES: dict[str, Callable[[Image], Image]] = {
    "noisy": unchanged,
    "gaussian-1": partial(gaussian, sigma=1.0),
    "gaussian-1.5": partial(gaussian, sigma=1.5),
    "gaussian-2": partial(gaussian, sigma=2.0),
    "median-5": partial(median, size=5),
}
