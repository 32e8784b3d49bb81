"""The losses by others' code, or by another way, of one float64 image in [0, 1] and its target."""

from collections.abc import Callable

import numpy as np
import piq
import pywt
import torch
import torch.nn.functional as F
from focal_frequency_loss import FocalFrequencyLoss
from numpy.typing import NDArray
from piq.functional import gradient_map, prewitt_filter, similarity_map
from scipy import fft, ndimage, special, stats
from skimage import filters
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import mean_absolute_percentage_error, mean_squared_log_error
from torch import Tensor

from lfranker.evaluation.stabilised import stabilise

Floats = NDArray[np.float64]


def ssim(x: Floats, y: Floats) -> float:
    return structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )


def mape(x: Floats, y: Floats) -> float:
    floored = np.maximum(y, 0.05)
    return float(mean_absolute_percentage_error(floored.ravel(), (floored + x - y).ravel()))


def ms_ssim(x: Floats, y: Floats) -> float:
    scales = {32: 2, 48: 3, 64: 3, 128: 4}[len(x)]  # piq takes side >> (scales - 1) > 10
    weights = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363, 0.1333], dtype=torch.float64)[:scales]
    value = piq.multi_scale_ssim(batch(x), batch(y), scale_weights=weights / weights.sum())
    return 1 - value.item()


def wavelet(x: Floats, y: Floats, name: str) -> float:
    coarse, *details = pywt.wavedec2(x - y, name, mode="periodization", level=3)
    parts = [coarse, *(band for level in details for band in level)]
    return sum(np.abs(part).sum() for part in parts) / x.size


def histogram(x: Floats, y: Floats) -> float:
    bins = np.arange(64)[:, None]
    counts = [np.maximum(0, 1 - np.abs(63 * image.ravel() - bins)).mean(axis=1) for image in (x, y)]
    return float(np.abs(counts[0] - counts[1]).sum())


def gradient(x: Floats, y: Floats) -> float:
    maps = [ndimage.sobel(x - y, axis)[1:-1, 1:-1] / 8 for axis in (0, 1)]
    return float(sum(np.abs(part).mean() for part in maps))


def gradient_scharr(x: Floats, y: Floats) -> float:
    # scikit-image's are of two px
    maps = [filter_(x - y)[1:-1, 1:-1] / 2 for filter_ in (filters.scharr_h, filters.scharr_v)]
    return float(sum(np.abs(part).mean() for part in maps))


def gmsd(x: Floats, y: Floats) -> float:
    """By piq's maps, less the border that it pads with zeros."""
    kernel = prewitt_filter(dtype=torch.float64)
    kernels = torch.stack([kernel, kernel.transpose(-1, -2)])
    maps = [gradient_map(F.avg_pool2d(batch(image), 2), kernels) for image in (x, y)]
    similarity = similarity_map(*maps, constant=170 / 255**2)
    return float(similarity[..., 1:-1, 1:-1].numpy().std())


def tv(x: Floats, y: Floats) -> float:
    side = len(x)
    return piq.total_variation(batch(x), norm_type="l1").item() / (side * (side - 1))


def poisson_nll(x: Floats, y: Floats) -> float:
    rate, wanted = batch(x) + 0.02, batch(y) + 0.02
    at = [F.poisson_nll_loss(r, wanted, log_input=False, eps=0).item() for r in (rate, wanted)]
    return at[0] - at[1]


def anscombe(x: Floats, y: Floats) -> float:
    black, white = (stabilise(np.full((1, 1), v, np.float32), 0.01, 0).item() for v in (0, 1))
    first, second = (stabilise(image, 0.01, 0) for image in (x, y))  # type: ignore[arg-type]
    return float(np.mean((first - second) ** 2) / (white - black) ** 2)


def batch(image: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image))[None, None]


# Side by side with LOSSES; those of pretrained networks have their own tests.
REFERENCES: dict[str, Callable[[Floats, Floats], float]] = {
    "mae": lambda x, y: F.l1_loss(batch(x), batch(y)).item(),
    "mse": lambda x, y: F.mse_loss(batch(x), batch(y)).item(),
    "ssim": lambda x, y: 1 - ssim(x, y),
    "huber": lambda x, y: special.huber(0.05, x - y).mean(),
    "charbonnier": lambda x, y: np.hypot(x - y, 1e-3).mean() - 1e-3,
    "mape": mape,
    "msle": lambda x, y: mean_squared_log_error(y.ravel(), x.ravel()),
    "psnr": lambda x, y: -peak_signal_noise_ratio(y, x, data_range=1),
    "dssim": lambda x, y: (1 - ssim(x, y)) / 2,
    "ms_ssim": ms_ssim,
    "fft": lambda x, y: np.abs(fft.fft2(x - y, norm="ortho")).mean(),
    "focal_frequency": lambda x, y: FocalFrequencyLoss()(batch(x), batch(y)).item(),
    "wavelet": lambda x, y: wavelet(x, y, "haar"),
    "wavelet_db2": lambda x, y: wavelet(x, y, "db2"),
    "histogram": histogram,
    "wasserstein": lambda x, y: stats.wasserstein_distance(x.ravel(), y.ravel()),
    "gradient": gradient,
    "gradient_scharr": gradient_scharr,
    "gmsd": gmsd,
    "ncc": lambda x, y: 1 - stats.pearsonr(x.ravel(), y.ravel()).statistic,
    "tv": tv,
    "poisson_nll": poisson_nll,
    "anscombe": anscombe,
}
