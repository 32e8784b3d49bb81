"""One training pair at a time: where it is cut out and the noise it gets."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.datasets.clean_images import CleanImage
from lfranker.noise.noise_config import NoiseConfig, add_noise

Patch = NDArray[np.uint8]
BLOCK = 4  # px: structure is judged on means of 4 x 4, where little noise is left


@dataclass(frozen=True, eq=False)
class Source:
    name: str
    group: str
    pixels: Patch  # (h, w), the whole image
    places: NDArray[np.int32]  # flat indices into ``grid`` of blocks where patches may start
    grid: int  # blocks a row of that index


def structure(pixels: Patch, patch: int) -> NDArray[np.float32]:
    """Contrast of the patch at each block of ``pixels`` (h, w): (rows, columns) of full scale.

    Standard deviation of the BLOCK x BLOCK means inside; white noise counts a quarter.
    """
    rows, columns, side = (length // BLOCK for length in (*pixels.shape, patch))
    cropped = pixels[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    resized = cv2.resize(cropped, (columns, rows), interpolation=cv2.INTER_AREA)
    means = np.asarray(resized, np.float64) / 255
    mean, square = (
        np.asarray(cv2.boxFilter(values, cv2.CV_64F, (side, side), anchor=(0, 0)))
        for values in (means, means**2)
    )
    variance = np.clip(square - mean**2, 0, None)[: rows - side + 1, : columns - side + 1]
    return np.sqrt(variance).astype(np.float32)


def make_source(image: CleanImage, patch: int, minimum_contrast: float) -> Source | str:
    """The image ready for drawing, or why it cannot be used."""
    if min(image.image.shape) < patch:
        height, width = image.image.shape
        return f"{image.name}: left out, {width} x {height} px is smaller than the patch of {patch}"
    pixels = np.rint(np.clip(image.image, 0, 1) * 255).astype(np.uint8)
    contrast = structure(pixels, patch)
    places = np.flatnonzero(contrast >= minimum_contrast).astype(np.int32)
    if places.size == 0:
        return (
            f"{image.name}: left out, no patch has the contrast {minimum_contrast:g} asked for; "
            f"the highest is {contrast.max():.4f}"
        )
    return Source(image.name, image.group, pixels, places, contrast.shape[1])


def by_group(sources: Sequence[Source]) -> list[list[Source]]:
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[source.group].append(source)
    return list(groups.values())


def draw_pair(
    groups: Sequence[Sequence[Source]],
    patch: int,
    noise: NoiseConfig,
    rng: np.random.Generator,
) -> tuple[Patch, Patch]:
    """A noisy and a clean patch; groups are equally likely, and images within their group."""
    group = groups[int(rng.integers(len(groups)))]
    stored = _cut_out(group[int(rng.integers(len(group)))], patch, rng)
    clean = stored * np.float32(1 / 255)
    return _stored(add_noise(clean, noise, rng)), stored


def _stored(image: Image) -> Patch:
    return np.rint(image * np.float32(255)).astype(np.uint8)


def _cut_out(source: Source, patch: int, rng: np.random.Generator) -> Patch:
    block = divmod(int(source.places[rng.integers(source.places.size)]), source.grid)
    inside = rng.integers(BLOCK, size=2)
    top, left = (
        min(b * BLOCK + int(i), length - patch)
        for b, i, length in zip(block, inside, source.pixels.shape, strict=True)
    )
    return source.pixels[top : top + patch, left : left + patch]
