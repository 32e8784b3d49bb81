"""Names for the arrays that pass between rooms, and what several rooms compute with them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # (h, w), in [0, 1]
Floats = NDArray[np.float64]


def hann_window(shape: Sequence[int]) -> Floats:
    """Return a Hann window (h, w) without the zeros at its ends: every pixel counts a little."""
    height, width = shape
    return np.outer(np.hanning(height + 2), np.hanning(width + 2))[1:-1, 1:-1]


def covered(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the mask's frame, cut from the side that misses most pixels until none is missing."""
    top, bottom, left, right = 0, mask.shape[0], 0, mask.shape[1]
    while bottom - top > 1 and right - left > 1:
        part = mask[top:bottom, left:right]
        missing = [1 - edge.mean() for edge in (part[0], part[-1], part[:, 0], part[:, -1])]
        if part.all():
            break
        side = int(np.argmax(missing)) if max(missing) > 0 else 0
        top, bottom = top + (side == 0), bottom - (side == 1)
        left, right = left + (side == 2), right - (side == 3)
    return slice(top, bottom), slice(left, right)


def correlation(a: Image, b: Image) -> float:
    """Return Pearson's correlation over all pixels; 0 where either image is constant."""
    left, right = (image.astype(np.float64) - image.mean(dtype=np.float64) for image in (a, b))
    norm = float(np.sqrt(np.sum(left**2) * np.sum(right**2)))
    return float(np.sum(left * right)) / norm if norm > 0 else 0.0
