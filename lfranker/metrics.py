"""How good a denoised scan is, against the registered clean scan of the same field.

Outputs are float32 (h, w), clipped to [0, 1] by the caller; the data range is 1. Only pixels that
the clean scan covers count: the mask of a pair.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from skimage.metrics import structural_similarity

from lfranker.images import Image
from lfranker.prepared_scans import Pair

WINDOW_RADIUS = 5  # px, of SSIM's window: 3.5 sigma of 1.5 px
LEAST_RATIO = 0.5  # of the nearest to the second nearest descriptor: the paper's "threshold"


@dataclass(frozen=True)
class Metric:
    function: Callable[[Image, Pair], float]
    higher_is_better: bool
    title: str  # with its unit, as a heading
    digits: int  # after the point, in tables


def psnr(output: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio over the mask, dB. Equal images give inf, an empty mask NaN."""
    if not mask.any():
        return float("nan")
    error = float(np.mean((output[mask].astype(np.float64) - clean[mask]) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(output: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """Structural similarity, at most 1 (Wang et al. 2004, 10.1109/TIP.2003.819861).

    Gaussian window, sigma 1.5, population covariance. The mean is over pixels whose whole window
    lies in the mask and the image, NaN if there are none; with a full mask it is scikit-image's.
    """
    _, similarity = structural_similarity(
        output,
        clean,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    side = 2 * WINDOW_RADIUS + 1
    inside = binary_erosion(mask, np.ones((side, side)), border_value=0)
    return float(similarity[inside].mean(dtype=np.float64)) if inside.any() else float("nan")


def keypoints(output: Image, original: Image) -> float:
    """How many keypoints of the output are found again in the clean scan as it was taken.

    AKAZE (Alcantarilla et al., BMVC 2013) on 8 bits, brute-force Hamming distance; a match is
    kept where it is below 0.5 of the second best. Note that noise, too, matches: this count is
    won by not denoising at all, and says little on its own.
    """
    detector = cv2.AKAZE.create()
    _, found = detector.detectAndCompute(_to_bytes(output), None)
    _, sought = detector.detectAndCompute(_to_bytes(original), None)
    if found is None or sought is None or len(sought) < 2:
        return 0.0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(found, sought, k=2)
    return float(sum(first.distance < LEAST_RATIO * second.distance for first, second in pairs))


def _to_bytes(image: Image) -> NDArray[np.uint8]:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


METRICS: dict[str, Metric] = {
    "psnr": Metric(lambda output, pair: psnr(output, pair.clean, pair.mask), True, "PSNR (dB)", 2),
    "ssim": Metric(lambda output, pair: ssim(output, pair.clean, pair.mask), True, "SSIM", 4),
    "keypoints": Metric(
        lambda output, pair: keypoints(output, pair.original), True, "Matched keypoints", 0
    ),
}
