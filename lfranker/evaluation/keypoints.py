"""Keypoints that a denoised scan shares with the clean scan of its field as it was taken.

AKAZE (Alcantarilla et al., BMVC 2013) on 8 bits, brute-force Hamming distance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from lfranker.arrays import Image
from lfranker.registration.register import Transform, positions

LEAST_RATIO = 0.5  # of the nearest to the second nearest descriptor: the paper's "threshold"
TOLERANCE = 2.0  # px of the clean scan between where a keypoint is and where it should be
INVERSIONS = 4  # fixed-point steps; displacements change by less than 2 % of a px per px

Points = NDArray[np.float64]  # (n, 2): y, x in px


@dataclass(frozen=True)
class Detected:
    """Keypoints of one image."""

    points: Points
    descriptors: NDArray[np.uint8]  # (n, 61)


@dataclass(frozen=True)
class Shared:
    """Matches of two sets of keypoints in the overlap of their images."""

    output: Points
    original: Points
    pairs: NDArray[np.intp]  # (n, 2): indices of keypoints that are each other's nearest
    inliers: NDArray[np.bool_]  # (n,): at the same place, to TOLERANCE

    @property
    def precision(self) -> float:
        """Share of the matches that are right; NaN without a match."""
        return float(self.inliers.mean()) if len(self.inliers) else float("nan")

    @property
    def repeatability(self) -> float:
        """Right matches over the smaller number of keypoints; 0 where either image has none.

        After Mikolajczyk & Schmid 2005 (10.1109/TPAMI.2005.188), with matched descriptors in
        place of overlapping regions. Its keypoints match nothing, so noise cannot raise it as it
        raises the count; but noise leaves coarse keypoints be: over 24 fields at 100 ns the noisy
        scan has 0.58, filters 0.57, briefly trained networks 0.54 to 0.58.
        """
        smaller = min(len(self.output), len(self.original))
        return float(self.inliers.sum()) / smaller if smaller else 0.0


def detect(image: Image) -> Detected:
    """AKAZE keypoints of a float32 (h, w) image in [0, 1]."""
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    found, descriptors = cv2.AKAZE.create().detectAndCompute(levels, None)
    points = np.array([(k.pt[1], k.pt[0]) for k in found], np.float64).reshape(-1, 2)
    if descriptors is None:
        descriptors = np.zeros((0, 61), np.uint8)
    return Detected(points, np.asarray(descriptors, np.uint8))


def keypoints(output: Image, original: Image) -> float:
    """Count the keypoints of the output that are found again in the clean scan as it was taken.

    A match is kept where its distance is below 0.5 of the second best. Note that noise, too,
    matches: this count is won by not denoising at all, and says little on its own.
    """
    found, sought = detect(output), detect(original)
    if len(found.points) == 0 or len(sought.points) < 2:
        return 0.0
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    pairs = matcher.knnMatch(found.descriptors, sought.descriptors, k=2)
    return float(sum(first.distance < LEAST_RATIO * second.distance for first, second in pairs))


def shared(output: Image, original: Image, transform: Transform, mask: NDArray[np.bool_]) -> Shared:
    """Cross-checked matches of ``output`` (on the noisy grid) and ``original``, judged by place.

    Only keypoints where both scans show the specimen count, on either side: ``mask`` is where
    ``original``, moved by ``transform``, covers the output.
    """
    rows, columns = positions(transform, mask.shape)
    field = np.stack([rows, columns], axis=-1)
    found = _within(detect(output), mask, lambda points: points)
    sought = _within(detect(original), mask, lambda points: _inverse(points, field))
    if not (len(found.points) and len(sought.points)):
        return Shared(found.points, sought.points, np.zeros((0, 2), np.intp), np.zeros(0, np.bool_))
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    matches = matcher.match(found.descriptors, sought.descriptors)
    pairs = np.array([(m.queryIdx, m.trainIdx) for m in matches], np.intp).reshape(-1, 2)
    expected = _at(field, found.points[pairs[:, 0]])
    off = np.linalg.norm(expected - sought.points[pairs[:, 1]], axis=1)
    return Shared(found.points, sought.points, pairs, off <= TOLERANCE)


def _within(
    detected: Detected, mask: NDArray[np.bool_], place: Callable[[Points], Points]
) -> Detected:
    """Select keypoints whose place on the noisy grid, to the nearest px, lies in the mask."""
    at = np.rint(place(detected.points)).astype(np.intp)
    inside = np.all((at >= 0) & (at < mask.shape), axis=1)
    inside[inside] = mask[at[inside, 0], at[inside, 1]]
    return Detected(detected.points[inside], detected.descriptors[inside])


def _at(field: NDArray[np.float64], points: Points) -> Points:
    """Places in the clean scan of points of the noisy grid: linear between pixels."""
    return np.stack(
        [map_coordinates(field[..., axis], points.T, order=1, mode="nearest") for axis in range(2)],
        axis=1,
    )


def _inverse(points: Points, field: NDArray[np.float64]) -> Points:
    """Places on the noisy grid of points of the clean scan."""
    grid = np.moveaxis(np.indices(field.shape[:2]), 0, -1)
    found = points - np.mean(field - grid, axis=(0, 1))
    for _ in range(INVERSIONS):
        inside = np.clip(found, 0, np.array(field.shape[:2]) - 1)
        found = found + points - (_at(field, inside) + found - inside)
    return found
