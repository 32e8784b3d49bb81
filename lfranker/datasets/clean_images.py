"""Clean images to make training pairs from: a folder's or simulated ones, and their split."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np

from lfranker.arrays import Image
from lfranker.images.folder_bars import folder_bars
from lfranker.images.image_file import image_files, read_image
from lfranker.images.white_level import white_levels
from lfranker.noise.models import estimate_noise
from lfranker.simulation.scenes import KINDS, scene

SIMULATED = "simulated"
OWN = "own"  # sub-folder of the user's own slow scans: what a network is to learn, never held out
TOO_LARGE = 1.5  # a validation share above this multiple of the one asked for is not accepted
TOO_SMALL = 0.5  # nor one below this


class NoClean(Enum):
    """In the place of a folder of clean images: there are none."""

    NO_CLEAN = "none"

    def __str__(self) -> str:
        return self.value


NO_CLEAN = NoClean.NO_CLEAN


@dataclass(frozen=True, eq=False)
class CleanImage:
    name: str  # path in its folder, or kind and number
    group: str  # the sample: sub-folder, "." for the folder itself, or the kind of scene
    image: Image
    source: str  # file path or "simulated"
    white: int | None = None  # gray value of full brightness of a file of 16 bits

    @property
    def sha256(self) -> str:
        """Digest of the pixels: the same under any name."""
        return sha256_of_pixels(self.image)


def sha256_of_pixels(image: Image) -> str:
    """Return the digest by which an image is known, whatever file it is from."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def load_clean(
    folder: Path, max_noise: float, white: int | None = None
) -> tuple[list[CleanImage], list[str]]:
    """All images below ``folder`` without data bars, and notices of what was done or left out.

    An image whose estimated noise (of full scale) is above ``max_noise`` is left out by name.
    ``white`` is the gray value of full brightness of files of 16 bits; None: see `white_levels`.
    ValueError where nothing is left, or a file cannot be read.
    """
    images: list[CleanImage] = []
    files = image_files(folder)
    levels = white_levels(files, white)
    bars = folder_bars({path: levels.of(path) for path in files})
    notices = list(levels.notices)
    for path in files:
        relative = path.relative_to(folder)
        micrograph = read_image(path, levels.of(path), bars.get(path))
        notices += micrograph.notices
        image = micrograph.image
        if min(image.shape) < 3:
            notices.append(f"{relative}: left out, {image.shape[1]} x {image.shape[0]} px")
            continue
        noise = estimate_noise(image)
        if noise > max_noise:
            notices.append(f"{relative}: left out, noise {noise:.4f} is above {max_noise:g}")
            continue
        group = relative.parent.as_posix()
        name, full = relative.as_posix(), levels.of(path)
        images.append(CleanImage(name, group, image, str(path), full))
    if not images:
        left_out = "; ".join(notices) or "it holds no image files"
        raise ValueError(f"{folder}: no clean image to use: {left_out}")
    return images, notices


def simulated_clean(per_kind: int, size: int, seed: int) -> list[CleanImage]:
    """``per_kind`` scenes of size x size px of each kind, one group a kind."""
    return [
        CleanImage(f"{kind}-{index}", kind, scene(kind, (size, size), seed, index), SIMULATED)
        for kind in KINDS
        for index in range(per_kind)
    ]


def split(
    images: Sequence[CleanImage], validation: float, seed: int
) -> tuple[list[CleanImage], list[CleanImage]]:
    """Training and validation images; no image is in both, and no sample where that can be.

    Whole groups go to validation while its share of images stays within TOO_SMALL to TOO_LARGE of
    the one asked for; otherwise that share of every group's images does, at least one. What is
    in OWN is for training, unless that is all. A single image is cut in two across its longer
    axis, the last part for validation.
    """
    names = {image.name for image in images}
    if len(names) < len(images):
        raise ValueError(f"{len(images)} clean images have only {len(names)} different names")
    if validation == 0 or not images:
        return list(images), []
    if len(images) == 1:
        first, second = _cut(images[0], validation)
        return [first], [second]
    groups: dict[str, list[CleanImage]] = defaultdict(list)
    others = [image for image in images if image.group.split("/")[0] != OWN] or images
    for image in sorted(others, key=lambda image: image.name):
        groups[image.group].append(image)
    rng = np.random.default_rng([seed, len(others)])
    held_out = _whole_groups(groups, validation * len(others), rng) or _share_of_each(
        groups, validation, rng
    )
    return (
        [image for image in images if image.name not in held_out],
        [image for image in images if image.name in held_out],
    )


def draw_images(images: Sequence[CleanImage], seed: int, draw: int) -> list[CleanImage]:
    """Draw as many images of each group as it has, with replacement: a bootstrap's sample.

    Trainings on several draws differ as they would on images of other parts of the same samples.
    """
    rng = np.random.default_rng([seed, draw])
    groups: dict[str, list[CleanImage]] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    return [
        members[int(number)]
        for members in groups.values()
        for number in rng.integers(len(members), size=len(members))
    ]


def _whole_groups(
    groups: dict[str, list[CleanImage]], wanted: float, rng: np.random.Generator
) -> set[str]:
    """Names of the images of groups chosen at random; empty where no choice comes near."""
    names = list(groups)
    held_out: set[str] = set()
    for number in rng.permutation(len(names)):
        members = {image.name for image in groups[names[number]]}
        if len(held_out) < wanted and len(held_out) + len(members) <= TOO_LARGE * wanted:
            held_out |= members
    total = sum(len(members) for members in groups.values())
    return held_out if TOO_SMALL * wanted <= len(held_out) < total else set()


def _share_of_each(
    groups: dict[str, list[CleanImage]], validation: float, rng: np.random.Generator
) -> set[str]:
    """Names of images: every group's share, with the fractions carried to the next group."""
    held_out: set[str] = set()
    due = 0.0
    shuffled = [[members[i] for i in rng.permutation(len(members))] for members in groups.values()]
    for members in shuffled:
        due += validation * len(members)
        taken = min(round(due), len(members) - 1)  # a group keeps an image for training
        held_out |= {image.name for image in members[:taken]}
        due -= taken
    return held_out or {shuffled[0][0].name}


def _cut(image: CleanImage, validation: float) -> tuple[CleanImage, CleanImage]:
    axis = int(np.argmax(image.image.shape))
    length = image.image.shape[axis]
    at = int(np.clip(round(length * (1 - validation)), 1, length - 1))
    first, second = np.split(image.image, [at], axis=axis)
    return (
        replace(image, name=f"{image.name}#training", image=first),
        replace(image, name=f"{image.name}#validation", image=second),
    )
