"""Quality of a denoised scan against the registered clean scan of the same field.

Outputs are float32 (h, w), clipped to [0, 1] by the caller; the data range is 1. Only pixels that
the clean scan covers count: the mask of a pair.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from skimage.metrics import structural_similarity

from lfranker.arrays import Image
from lfranker.evaluation.brightness import fit_brightness
from lfranker.evaluation.keypoints import Shared, keypoints, shared
from lfranker.evaluation.ms_ssim import ms_ssim
from lfranker.evaluation.resolution import frc, high_frequency_ratio
from lfranker.scans.scan_set import Pair

WINDOW_RADIUS = 5  # px, of SSIM's window: 3.5 sigma of 1.5 px


@dataclass(frozen=True)
class Metric:
    """A score of an output against its pair.

    version: to be raised with every change that changes values: models that were scored by another
        version are then scored again.
    """

    function: Callable[[Image, Pair], float]
    higher_is_better: bool | None  # None: neither, 1 is right
    title: str  # as a heading
    digits: int  # after the point, in tables
    unit: str = ""
    ranked: bool = False  # has leaderboards and winners of its own; the others are reported
    limits: tuple[float, float] = (-math.inf, math.inf)  # of all values that there can be
    version: int = 1


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


def psnr_fitted(output: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """PSNR, dB, after the gain and offset that fit the output to the clean scan best.

    Two scans of a field differ a little in brightness and contrast; what is left after the fit is
    noise and lost detail.
    """
    gain, offset = fit_brightness(output, clean, mask)
    return psnr((gain * output + offset).astype(np.float32), clean, mask)


METRICS: dict[str, Metric] = {
    "psnr": Metric(lambda o, p: psnr(o, p.clean, p.mask), True, "PSNR", 2, "dB", ranked=True),
    "ssim": Metric(
        lambda o, p: ssim(o, p.clean, p.mask), True, "SSIM", 4, ranked=True, limits=(-1, 1)
    ),
    "keypoints": Metric(
        lambda o, p: keypoints(o, p.original),
        True,
        "Keypoints",
        0,
        ranked=True,
        limits=(0, math.inf),
    ),
    "repeatability": Metric(
        lambda o, p: _shared(o, p).repeatability,
        True,
        "Repeatability",
        3,
        ranked=True,
        limits=(0, 1),
    ),
    "precision": Metric(lambda o, p: _shared(o, p).precision, True, "Precision", 3),
    "ms_ssim": Metric(lambda o, p: ms_ssim(o, p.clean, p.mask), True, "MS-SSIM", 4),
    "psnr_fitted": Metric(
        lambda o, p: psnr_fitted(o, p.clean, p.mask), True, "PSNR after a fit", 2, "dB"
    ),
    "frc": Metric(lambda o, p: frc(o, p.clean, p.mask), True, "FRC", 3, "1/px"),
    "high_frequency_ratio": Metric(
        lambda o, p: high_frequency_ratio(o, p.clean, p.mask), None, "HF power", 2
    ),
}


def _shared(output: Image, pair: Pair) -> Shared:
    return shared(output, pair.original, pair.transform, pair.mask)
