"""Multi-scale structural similarity (Wang, Simoncelli & Bovik 2003, 10.1109/ACSSC.2003.1292216)."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from lfranker.arrays import Floats, Image

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first; their sum is 1
SIGMA = 1.5  # px
RADIUS = 5  # px, of the window: 3.5 sigma
C1, C2 = 0.01**2, 0.03**2  # for a data range of 1


def ms_ssim(output: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """MS-SSIM of two (h, w) images in [0, 1] over a mask; at most 1.

    Contrast and structure at five scales, each half as large as the one before (mean of 2 x 2
    px), and luminance at the last. Each scale is the mean over pixels whose whole window lies in
    the mask; negative means count as 0, since they have no fractional power. NaN where the last
    scale holds no window: images below 176 px.
    """
    x, y = output.astype(np.float64), clean.astype(np.float64)
    value = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale > 0:
            x, y, mask = _halved(x), _halved(y), _halved(mask.astype(np.float64)) == 1
        luminance, contrast = _terms(x, y)
        inside = binary_erosion(mask, np.ones((2 * RADIUS + 1,) * 2), border_value=0)
        if not inside.any():
            return float("nan")
        last = scale == len(WEIGHTS) - 1
        term = luminance * contrast if last else contrast
        value *= max(float(term[inside].mean()), 0.0) ** weight
    return value


def _halved(image: Floats) -> Floats:
    height, width = (length // 2 * 2 for length in image.shape)
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _terms(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Luminance, and contrast times structure, at every pixel."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance, (2 * covariance + C2) / (variance + C2)


def _blurred(image: Floats) -> Floats:
    return np.asarray(gaussian_filter(image, SIGMA, radius=RADIUS))
