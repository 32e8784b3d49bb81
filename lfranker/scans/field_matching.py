"""Matching of scans that show the same field: by name, by stage position, by content.

Each way takes scans and their speeds, fast to slow, and returns the groups about which it leaves
no doubt: scans of one field, each at a speed of its own.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, dist
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.transform import downscale_local_mean

from lfranker.arrays import Floats, Image, hann_window
from lfranker.images.image_file import read_image
from lfranker.microscopes.reading import ScanMetadata

# Of the width of the field. On 24 real fields the stage was reported alike in both scans, in steps
# of 0.04 of the width, and neighbouring fields are 0.59 and more apart.
SAME_PLACE = 0.1
OTHER_PLACE = 0.5  # less overlap than this cannot be registered either
SAME_WIDTH = 0.05  # relative; the calibration of two speeds differs by 0.004 on those fields
THUMBNAIL = 128  # px at most; averaging 4 x 4 px makes little of the noise
BACKGROUND = 8.0  # px of the thumbnail: brightness that varies more slowly says little
# Measured: 0.93 and more between two scans of a field at 100 ns and 30 us, 0.42 and less between
# scans of different ones.
LEAST_CORRELATION = 0.6
NUMBER = re.compile(r"[ _\-.]*\(?\d+\)?$")


@dataclass(frozen=True)
class Scan:
    path: Path
    speed: str
    key: str  # the file's name without speed; "" where the name tells no speed
    metadata: ScanMetadata


Group = dict[str, Scan]  # speed -> scan, all of one field


def by_name(scans: list[Scan], speeds: list[str]) -> list[Group]:
    """Names that differ in the speed only. ValueError where the stage was elsewhere."""
    groups = _unique(_buckets((scan.key, scan) for scan in scans))
    for group in groups:
        if not _one_place(group):
            raise ValueError(
                "called like scans of one field, but the stage was elsewhere: "
                + ", ".join(f"{scan.path.name} at {scan.metadata.stage}" for scan in group.values())
            )
    return groups


def by_number(scans: list[Scan], speeds: list[str]) -> list[Group]:
    """Names that differ in the number at their end, where the stage does not contradict."""
    keyed = ((NUMBER.sub("", scan.path.stem), scan) for scan in scans)
    return [group for group in _unique(_buckets(keyed)) if _one_place(group)]


def by_stage(scans: list[Scan], speeds: list[str]) -> list[Group]:
    """Scans of fields of equal width at the same place."""
    clusters: list[list[Scan]] = []
    for scan in scans:
        if scan.metadata.stage is None:
            continue
        near = [c for c in clusters if any(_apart(scan, other) <= SAME_PLACE for other in c)]
        clusters = [c for c in clusters if not any(c is n for n in near)]
        clusters.append([scan, *(other for cluster in near for other in cluster)])
    return _unique(clusters)


def by_content(scans: list[Scan], speeds: list[str]) -> list[Group]:
    """Scans that correlate with one of the slowest speed, and only with that one.

    ValueError lists the candidates where more than one does.
    """
    clean = [scan for scan in scans if scan.speed == speeds[-1]]
    others = [scan for scan in scans if scan.speed != speeds[-1]]
    if not clean or not others:
        return []
    spectra = {scan.path: _spectrum(read_image(scan.path).image) for scan in scans}
    found: dict[Path, list[Scan]] = {scan.path: [] for scan in clean}
    for scan in others:
        candidates = [
            target
            for target in clean
            if _apart(scan, target, unknown=0) <= OTHER_PLACE
            and _correlation(spectra[scan.path], spectra[target.path]) >= LEAST_CORRELATION
        ]
        if len(candidates) > 1:
            raise _ambiguous(scan, candidates)
        if candidates:
            found[candidates[0].path].append(scan)
    for target in clean:
        partners = found[target.path]
        for speed in speeds:
            same = [scan for scan in partners if scan.speed == speed]
            if len(same) > 1:
                raise _ambiguous(target, same)
    members = ([target, *found[target.path]] for target in clean)
    return [{scan.speed: scan for scan in group} for group in members if len(group) > 1]


def _buckets(keyed: Iterable[tuple[str, Scan]]) -> list[list[Scan]]:
    buckets: dict[str, list[Scan]] = defaultdict(list)
    for key, scan in keyed:
        if key:
            buckets[key].append(scan)
    return list(buckets.values())


def _unique(clusters: list[list[Scan]]) -> list[Group]:
    """Select groups of at least two scans that all have speeds of their own."""
    groups = [({scan.speed: scan for scan in cluster}, len(cluster)) for cluster in clusters]
    return [group for group, count in groups if len(group) == count > 1]


def _one_place(group: Group) -> bool:
    first, *others = group.values()
    return all(_apart(first, other, unknown=0) <= OTHER_PLACE for other in others)


def _apart(a: Scan, b: Scan, unknown: float = np.inf) -> float:
    """Distance of two fields in widths of a field; ``unknown`` where a stage is not known.

    Infinite where the widths differ. Without widths only equal positions are near.
    """
    if a.metadata.stage is None or b.metadata.stage is None:
        return unknown
    distance = dist(a.metadata.stage, b.metadata.stage)
    if a.metadata.field_width is None or b.metadata.field_width is None:
        return 0 if distance == 0 else np.inf
    smaller, larger = sorted((a.metadata.field_width, b.metadata.field_width))
    return distance / smaller if larger / smaller <= 1 + SAME_WIDTH else np.inf


def thumbnail(image: Image) -> Floats:
    """Return means over squares of pixels, as large as make it THUMBNAIL px at most."""
    factor = max(1, ceil(max(image.shape) / THUMBNAIL))
    rows, columns = (length // factor * factor for length in image.shape)
    cut = image[:rows, :columns].astype(np.float64)
    return np.asarray(downscale_local_mean(cut, (factor, factor)))


def _spectrum(image: Image) -> NDArray[np.complexfloating]:
    """Spectrum of a unit-norm thumbnail, less background, faded out at its border, zero-padded."""
    small = thumbnail(image)
    window = hann_window(small.shape)
    detail = small - gaussian_filter(small, BACKGROUND)
    detail = (detail - np.average(detail, weights=window)) * window
    norm = float(np.linalg.norm(detail))
    return np.fft.rfft2(detail / norm if norm > 0 else detail, (2 * THUMBNAIL, 2 * THUMBNAIL))


def _correlation(a: NDArray[np.complexfloating], b: NDArray[np.complexfloating]) -> float:
    """Normalised cross-correlation at the best shift, at most 1."""
    return float(np.fft.irfft2(a * b.conj()).max())


def _ambiguous(scan: Scan, candidates: list[Scan]) -> ValueError:
    listed = ", ".join(f"{other.path.name} ({other.speed})" for other in candidates)
    return ValueError(
        f"{scan.path.name} ({scan.speed}) may show the field of any of: {listed}; give them names "
        "that differ in the speed only, or a sub-folder per speed"
    )
