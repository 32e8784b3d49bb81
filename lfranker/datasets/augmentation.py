"""Changes of clean patches before they get noise: both patches of a pair show them.

What a microscope's own scans look like may differ from the clean images at hand: in sharpness, in
how much of the brightness scale they use, and in noise of their own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.noise.models import Range


@dataclass(frozen=True)
class Augmentation:
    """Each patch draws its own values; a range that changes nothing draws none."""

    zoom: Range = (1.0, 1.0)  # px of the image averaged into one px of a patch, along each axis
    blur: Range = (0.0, 0.0)  # px, standard deviation of a Gaussian
    contrast: Range = (1.0, 1.0)  # factor on the deviation from the patch's mean
    brightness: Range = (0.0, 0.0)  # added, of full scale


def side_of(patch: int, shape: tuple[int, ...], zoom: Range, rng: np.random.Generator) -> int:
    """Side, px, of the square to cut out of an image (h, w) for a patch."""
    if zoom == (1.0, 1.0):
        return patch
    return max(patch, min(round(patch * rng.uniform(*zoom)), *shape))


def shrink(square: NDArray[np.uint8], patch: int) -> Image:
    """A square of uint8 (255 is full scale) averaged to (patch, patch) in [0, 1]."""
    scaled = square * np.float32(1 / 255)
    if len(square) == patch:
        return scaled
    averaged = cv2.resize(scaled, (patch, patch), interpolation=cv2.INTER_AREA)
    return np.asarray(averaged, np.float32)


def augment(clean: Image, ranges: Augmentation, rng: np.random.Generator) -> Image:
    """Blur, contrast and brightness of a patch (h, w) in [0, 1]; clipped to that again."""
    if ranges.blur != (0.0, 0.0) and (sigma := rng.uniform(*ranges.blur)) > 0:
        blurred = cv2.GaussianBlur(clean, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        clean = np.asarray(blurred, np.float32)
    if ranges.contrast != (1.0, 1.0):
        mean = clean.mean(dtype=np.float32)
        clean = mean + np.float32(rng.uniform(*ranges.contrast)) * (clean - mean)
    if ranges.brightness != (0.0, 0.0):
        clean = clean + np.float32(rng.uniform(*ranges.brightness))
    return np.clip(clean, 0, 1)
