"""Brightness and contrast of one scan relative to another."""

import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image


def fit_brightness(output: Image, clean: Image, mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Gain and offset for which gain * ``output`` + offset is nearest to ``clean`` in the mask.

    Least squares. A constant output has gain 0 and the clean scan's mean as offset; an empty mask
    gives (1, 0).
    """
    if not mask.any():
        return 1.0, 0.0
    x, y = output[mask].astype(np.float64), clean[mask].astype(np.float64)
    spread = float(np.sum((x - x.mean()) ** 2))
    gain = float(np.sum((x - x.mean()) * (y - y.mean()))) / spread if spread > 0 else 0.0
    return gain, float(y.mean() - gain * x.mean())
