"""Losses of local structure."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

SIDE = 11  # px, of the Gaussian window (Wang 2004)
SIGMA = 1.5  # px (Wang 2004)
C1, C2 = 0.01**2, 0.03**2  # (K1, K2 times the data range, 1)^2 (Wang 2004)


def local_mean(maps: Tensor) -> Tensor:
    """Gaussian-weighted mean about each pixel whose whole window is inside: sides shrink by 10."""
    x = torch.arange(SIDE, dtype=maps.dtype, device=maps.device) - SIDE // 2
    kernel = torch.exp(-0.5 * (x / SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    maps = F.conv2d(maps, rearrange(kernel, "y -> 1 1 y 1"))
    return F.conv2d(maps, rearrange(kernel, "x -> 1 1 1 x"))


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, in [0, 2] (Wang et al., IEEE TIP 2004, 10.1109/TIP.2003.819861).

    Population covariance and data range 1; the mean over pixels whose window is inside, as
    scikit-image's ``gaussian_weights=True, use_sample_covariance=False``.
    """
    if min(output.shape[-2:]) < SIDE:
        size = "x".join(map(str, output.shape[-2:]))
        raise ValueError(f"ssim: image of {size} px, smaller than its window of {SIDE}x{SIDE}")
    count = len(output)
    squares = output.square() + target.square()  # the variances enter as their sum only
    maps = torch.cat((output, target, squares, output * target))
    mean_o, mean_t, mean_squares, mean_product = local_mean(maps).split(count)
    means = mean_o.square() + mean_t.square()
    product = mean_o * mean_t
    luminance = (2 * product + C1) / (means + C1)
    structure = (2 * (mean_product - product) + C2) / (mean_squares - means + C2)
    return 1 - (luminance * structure).mean()
