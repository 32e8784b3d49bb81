"""Random fields and places that scenes are made of. Shapes are (h, w) in px."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Shape = tuple[int, int]


def _blur(field: Field, sigma: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)


def roughness(shape: Shape, rng: np.random.Generator, scale: float) -> Field:
    """Gaussian noise of unit variance, smooth over ``scale`` px.

    Coarse noise is made on a coarse grid and enlarged.
    """
    step = max(1, int(scale / 3))
    pad = 4  # of the coarse grid: its border is mirrored, and its mean is not 0
    coarse = (-(-shape[0] // step) + 2 * pad, -(-shape[1] // step) + 2 * pad)
    white = rng.standard_normal(coarse, dtype=np.float32)
    smooth = _blur(white, scale / step)
    smooth /= max(float(smooth.std()), 1e-6)
    size = (coarse[1] * step, coarse[0] * step)
    large: Field = smooth
    if step > 1:
        large = np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_CUBIC), np.float32)
    return large[pad * step :, pad * step :][: shape[0], : shape[1]]


def band_noise(shape: Shape, rng: np.random.Generator, scale: float) -> Field:
    """Noise of unit variance with one length scale: its level sets are labyrinths."""
    white = rng.standard_normal(shape, dtype=np.float32)
    band = _blur(white, scale) - _blur(white, 1.6 * scale)
    return band / max(float(band.std()), 1e-6)


def scattered(
    shape: Shape, rng: np.random.Generator, spacing: float
) -> Iterator[tuple[float, float]]:
    """Points about ``spacing`` px apart: a jittered grid that reaches over the border."""
    for row in np.arange(-spacing / 2, shape[0] + spacing, spacing):
        for column in np.arange(-spacing / 2, shape[1] + spacing, spacing):
            jitter = rng.uniform(-0.4, 0.4, 2) * spacing
            yield row + jitter[0], column + jitter[1]
