"""What every network has to beat: classical denoisers, and the network that comes with the package.

Each takes float32 (h, w) in [0, 1] to the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, median_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from lfranker.arrays import Image
from lfranker.denoiser.bundled import denoise_bundled
from lfranker.evaluation.criteria import BUNDLED, CHAMPION_METRICS, is_filter
from lfranker.evaluation.stabilised import stabilised_bm3d
from lfranker.noise.models import estimate_noise


@dataclass(frozen=True)
class Family:
    """A denoiser with one parameter, and the values among which the best is sought."""

    function: Callable[[Image, float], Image]
    parameter: str  # its name, with the unit
    values: tuple[float, ...]


def unchanged(image: Image) -> Image:
    """The noisy scan itself: a network that scores below it does harm."""
    return image


def gaussian(image: Image, sigma: float) -> Image:
    """Gaussian blur of ``sigma`` px, mirrored at the border."""
    return gaussian_filter(image, sigma, mode="reflect")


def median(image: Image, size: float) -> Image:
    """Median over ``size`` x ``size`` px, mirrored at the border."""
    return median_filter(image, int(size), mode="reflect")


def total_variation(image: Image, weight: float) -> Image:
    """Rudin, Osher & Fatemi 1992 (10.1016/0167-2789(92)90242-F) by Chambolle's algorithm."""
    return denoise_tv_chambolle(image, weight=weight).astype(np.float32)


def non_local_means(image: Image, strength: float) -> Image:
    """Buades, Coll & Morel 2005 (10.1109/CVPR.2005.38), h = ``strength`` times the noise found."""
    sigma = estimate_noise(image)
    filtered = denoise_nl_means(image, patch_size=5, patch_distance=6, h=strength * sigma)
    return np.asarray(filtered, np.float32)


Function = Callable[[Image], Image]

BASELINES: dict[str, Function] = {
    "noisy": unchanged,
    "gaussian-1": partial(gaussian, sigma=1.0),
    "gaussian-1.5": partial(gaussian, sigma=1.5),
    "gaussian-2": partial(gaussian, sigma=2.0),
    "median-5": partial(median, size=5),
    BUNDLED: denoise_bundled,
}

# Steps of at most a factor of 1.5 in what is smoothed, over more than what scans at 100 ns and
# 2 us ask for.
FAMILIES: dict[str, Family] = {
    "gaussian-tuned": Family(gaussian, "sigma, px", (0.35, 0.5, 0.7, 1.0, 1.25, 1.5, 2.0)),
    "median-tuned": Family(median, "size, px", (1, 3, 5, 7)),
    "tv-tuned": Family(total_variation, "weight", (0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2)),
    "nlm-tuned": Family(non_local_means, "h, noise sigmas", (0.4, 0.6, 0.8, 1.2, 1.8, 2.7)),
}
BM3D = Family(stabilised_bm3d, "sigma, of the noise found", (1.0, 1.5, 2.25, 3.4))


def families() -> dict[str, Family]:
    """All of which the packages are there: BM3D comes with the extra of that name."""
    return FAMILIES | ({"bm3d-tuned": BM3D} if find_spec("bm3d") else {})


def best_filter(board: pd.DataFrame, among: Iterable[str] = tuple(BASELINES)) -> str | None:
    """The filter with the highest mean PSNR, or first criterion that there is; None without any.

    ``among``: names of baselines; those that need no tuning.
    """
    names = [name for name in among if is_filter(name) and name in board.index]
    criteria = [metric for metric in CHAMPION_METRICS if metric in board]
    known = board.loc[names, criteria[0]].astype(float).dropna() if criteria else pd.Series()
    return None if known.empty else str(known.idxmax())
