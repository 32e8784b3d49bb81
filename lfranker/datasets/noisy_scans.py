"""Noisy scans in the place of clean images: where there are none, pairs are made of these alone.

A pair of the noise `frames` is a scan and another one of the same field, on the grid of the first:
what they share is the specimen, not the noise, so that a network learns the same as from clean
targets, given more pairs (Noise2Noise: Lehtinen et al. 2018, arXiv 1803.04189). That is so too
where the second was interpolated, which only correlates its noise from pixel to pixel. Of the other
noises of OF_SCANS both are the same scan, and training makes input and target of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.datasets.clean_images import CleanImage, sha256_of_pixels, split
from lfranker.noise.noise_config import BLIND, FRAMES, NoiseConfig
from lfranker.noise.scan_noise import MeasuredNoise, measured_noise
from lfranker.scans.scan_set import ScanSet

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NoisyScan(CleanImage):
    """A scan to cut patches from; its group is its speed."""

    field: str = ""
    target: Image | None = None  # another frame on its grid; None: the scan itself
    covered: Mask | None = None  # where the other frame shows the specimen; None: everywhere


def noisy_digests(scans: ScanSet) -> list[str]:
    """Return the sha256 of the noisy scan of each record: compare `Dataset.trained_on`."""
    return [sha256_of_pixels(scans.read(record).noisy) for record in scans.records]


def split_scans(
    scans: Sequence[NoisyScan], validation: float, seed: int
) -> tuple[list[NoisyScan], list[NoisyScan]]:
    """Training and validation scans: all of a field, at all speeds, are on one side.

    The scans of a single field are cut in two across their lines.
    """
    fields = {scan.field: scan for scan in scans}
    if validation == 0:
        return list(scans), []
    if len(fields) == 1:
        halves = [_cut(scan, validation) for scan in scans]
        return [first for first, _ in halves], [second for _, second in halves]
    known = [replace(scan, name=field, group=".") for field, scan in fields.items()]
    held_out = {image.name for image in split(known, validation, seed)[1]}
    return (
        [scan for scan in scans if scan.field not in held_out],
        [scan for scan in scans if scan.field in held_out],
    )


def measured(scans: Sequence[NoisyScan], noise: NoiseConfig) -> Mapping[str, MeasuredNoise]:
    """Return the noise at each speed as measured on the scans; {} where it need not be known."""
    if noise.mode == FRAMES or (noise.mode == BLIND and noise.blind_radius is not None):
        return {}
    return _measured(tuple(scans))


@lru_cache(maxsize=1)  # asked for to name a dataset, and to make it
def _measured(scans: tuple[NoisyScan, ...]) -> Mapping[str, MeasuredNoise]:
    found = {}
    for speed in dict.fromkeys(scan.group for scan in scans):
        try:
            found[speed] = measured_noise(scan.image for scan in scans if scan.group == speed)
        except ValueError as error:
            raise ValueError(
                f"{speed}: noise {BLIND!r} with a --blind-radius needs not know the noise of the "
                f"scans, others do, and it cannot be measured: {error}"
            ) from error
    return found


def _cut(scan: NoisyScan, validation: float) -> tuple[NoisyScan, NoisyScan]:
    rows = len(scan.image)
    at = int(np.clip(round(rows * (1 - validation)), 1, rows - 1))
    return _part(scan, "training", slice(at)), _part(scan, "validation", slice(at, rows))


def _part(scan: NoisyScan, side: str, rows: slice) -> NoisyScan:
    return replace(
        scan,
        name=f"{scan.name}#{side}",
        image=scan.image[rows],
        target=None if scan.target is None else scan.target[rows],
        covered=None if scan.covered is None else scan.covered[rows],
    )
