"""One training pair at a time: where it is cut out and the noise it gets."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.datasets.clean_images import CleanImage
from lfranker.datasets.noisy_scans import NoisyScan
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
    target: Patch | None = None  # (h, w), of a noisy scan: what its patches are to become


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


def structure_across_lines(pixels: Patch, patch: int) -> NDArray[np.float32]:
    """Contrast as `structure` has it, of a noisy scan, in which noise does not count.

    The square root of the covariance of means over even and over odd lines: noise differs from line
    to line, and the specimen hardly.
    """
    even, odd = pixels[: len(pixels) // 2 * 2 : 2], pixels[1::2]
    rows, columns, side = len(even) // 2, pixels.shape[1] // BLOCK, patch // BLOCK
    means = []
    for lines in (even, odd):
        cropped = lines[: rows * 2, : columns * BLOCK].astype(np.float64)
        means.append(cv2.resize(cropped, (columns, rows), interpolation=cv2.INTER_AREA) / 255)
    one, other, product = (
        np.asarray(cv2.boxFilter(values, cv2.CV_64F, (side, side), anchor=(0, 0)))
        for values in (*means, means[0] * means[1])
    )
    covariance = (product - one * other)[: rows - side + 1, : columns - side + 1]
    return np.sqrt(np.clip(covariance, 0, None)).astype(np.float32)


def make_source(image: CleanImage, patch: int, minimum_contrast: float) -> Source | str:
    """The image ready for drawing, or why it cannot be used."""
    if min(image.image.shape) < patch:
        height, width = image.image.shape
        return f"{image.name}: left out, {width} x {height} px is smaller than the patch of {patch}"
    pixels = np.rint(np.clip(image.image, 0, 1) * 255).astype(np.uint8)
    noisy = isinstance(image, NoisyScan)
    contrast = structure_across_lines(pixels, patch) if noisy else structure(pixels, patch)
    usable = contrast >= minimum_contrast
    if isinstance(image, NoisyScan) and image.covered is not None:
        usable &= _covered(image.covered, patch, usable.shape)
        if not usable.any() and (contrast >= minimum_contrast).any():
            return f"{image.name}: left out, its other frame shows too little of it"
    places = np.flatnonzero(usable).astype(np.int32)
    if places.size == 0:
        return (
            f"{image.name}: left out, no patch has the contrast {minimum_contrast:g} asked for; "
            f"the highest is {contrast.max():.4f}"
        )
    target = None
    if isinstance(image, NoisyScan):
        target = pixels if image.target is None else _stored(np.clip(image.target, 0, 1))
    return Source(image.name, image.group, pixels, places, contrast.shape[1], target)


def _covered(mask: NDArray[np.bool_], patch: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return for each block whether all patches that start in it lie within the mask."""
    missing = np.cumsum(np.cumsum(np.pad(~mask, ((1, 0), (1, 0))), axis=0), axis=1)
    side = patch + BLOCK - 1
    tops, lefts = (np.arange(count) * BLOCK for count in shape)
    bottoms, rights = (
        np.minimum(starts + side, length)
        for starts, length in zip((tops, lefts), mask.shape, strict=True)
    )
    # patches at the far edge are moved back into the image, by less than a block
    tops, lefts = (
        np.minimum(starts, length - patch)
        for starts, length in zip((tops, lefts), mask.shape, strict=True)
    )
    inside: NDArray[np.intp] = missing[np.ix_(bottoms, rights)] - missing[np.ix_(tops, rights)]
    inside += missing[np.ix_(tops, lefts)] - missing[np.ix_(bottoms, lefts)]
    return np.asarray(inside == 0)


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
    """A noisy and a clean patch; groups are equally likely, and images within their group.

    Of noisy scans: a patch and its target, which is noisy too.
    """
    group = groups[int(rng.integers(len(groups)))]
    source = group[int(rng.integers(len(group)))]
    place = _place(source, patch, rng)
    stored = source.pixels[place]
    if source.target is not None:
        return stored, source.target[place]
    clean = stored * np.float32(1 / 255)
    return _stored(add_noise(clean, noise, rng)), stored


def _stored(image: Image) -> Patch:
    return np.rint(image * np.float32(255)).astype(np.uint8)


def _place(source: Source, patch: int, rng: np.random.Generator) -> tuple[slice, slice]:
    block = divmod(int(source.places[rng.integers(source.places.size)]), source.grid)
    inside = rng.integers(BLOCK, size=2)
    top, left = (
        min(b * BLOCK + int(i), length - patch)
        for b, i, length in zip(block, inside, source.pixels.shape, strict=True)
    )
    return slice(top, top + patch), slice(left, left + patch)
