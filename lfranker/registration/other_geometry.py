"""Rotation, another magnification or a mirror between two scans of a field: named only.

Keypoints of both (AKAZE) are matched and a similarity is fitted to the matches, whatever the
angle and the scale are.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lfranker.arrays import Image

SMOOTHING = 1.5  # px: keypoints of noise match nothing, but hide others
CONTRAST = (0.5, 99.5)  # percentiles that become black and white
NEAREST = 0.8  # of the distance to the second nearest descriptor
TOLERANCE = 3.0  # px between a keypoint and its place by the fit
LEAST_MATCHES = 12  # that agree; four agree by chance at this tolerance
ROTATED = 0.3  # degrees
MAGNIFIED = 0.02  # relative
STRAIGHT = 10.0  # degrees: what is turned less is mirrored about an axis of the frame
CERTAIN = 3.0  # standard errors of the fit that a movement of the corners has to exceed


def other_geometry(noisy: Image, clean: Image) -> str | None:
    """Return how the clean scan is turned, magnified or mirrored, seen from the noisy one, or None.

    What moves the corners of the frame by no more than a keypoint's tolerance, or the fit's own
    error, is neither: keypoints of a small frame agree on a turn of 0.4 degrees by noise alone.
    """
    found = _similarity(noisy, clean)
    if found is None:
        return _mirrored(noisy, clean)
    fit, error = found
    scale, angle = math.hypot(fit[0, 0], fit[1, 0]), math.atan2(fit[1, 0], fit[0, 0])
    corner = math.hypot(*noisy.shape) / 2  # px from the middle
    least = max(TOLERANCE / corner, CERTAIN * error)
    words = []
    if abs(angle) >= max(math.radians(ROTATED), least):
        degrees = f"{math.degrees(abs(angle)):.1f}".removesuffix(".0")
        words.append(f"rotated by about {degrees} degree{'s' * (degrees != '1')}")
    if abs(scale - 1) >= max(MAGNIFIED, least):
        words.append(f"magnified about {scale:.2f} times")
    return f"the clean scan is {' and '.join(words)} against the noisy one" if words else None


def _mirrored(noisy: Image, clean: Image) -> str | None:
    """Return which way the clean scan is mirrored, as by a program that counts rows upwards."""
    found = _similarity(noisy, np.ascontiguousarray(clean[:, ::-1]))
    if found is None:
        return None
    fit, _ = found
    turn = abs(math.degrees(math.atan2(fit[1, 0], fit[0, 0])))
    ways = {0: " left to right", 180: " top to bottom"}
    way = next((words for angle, words in ways.items() if abs(turn - angle) < STRAIGHT), "")
    return f"the clean scan is mirrored{way} against the noisy one"


def _similarity(noisy: Image, clean: Image) -> tuple[NDArray[np.float64], float] | None:
    """Return the map (2, 3) from (x, y) of the noisy scan to the clean one; None if none fits.

    Beside it the standard error of its angle (radians), and of its scale.
    """
    detector = cv2.AKAZE.create(threshold=1e-4)
    (ours, first), (theirs, second) = (
        detector.detectAndCompute(_levels(image), None) for image in (noisy, clean)
    )
    if first is None or second is None or len(theirs) < 2:
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(first, second, k=2)
    kept = [a for a, b in matches if a.distance < NEAREST * b.distance]
    if len(kept) < LEAST_MATCHES:
        return None
    source = np.array([ours[match.queryIdx].pt for match in kept])
    target = np.array([theirs[match.trainIdx].pt for match in kept])
    fit, inliers = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=5000
    )
    if fit is None or int(inliers.sum()) < LEAST_MATCHES:
        return None
    agree = inliers[:, 0].astype(bool)
    source, target = source[agree], target[agree]
    left = target - (source @ fit[:, :2].T + fit[:, 2])
    spread = np.square(source - source.mean(0)).sum()
    return np.asarray(fit), math.sqrt(np.square(left).sum() / (2 * len(left) - 4) / spread)


def _levels(image: Image) -> NDArray[np.uint8]:
    smooth = gaussian_filter(image, SMOOTHING)
    low, high = np.percentile(smooth, CONTRAST)
    return np.asarray(255 * np.clip((smooth - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
