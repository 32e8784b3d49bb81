"""Losses of local structure."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from lfranker.evaluation.ms_ssim import WEIGHTS

SIDE = 11  # px, of the Gaussian window (Wang 2004)
SIGMA = 1.5  # px (Wang 2004)
C1, C2 = 0.01**2, 0.03**2  # (K1, K2 times the data range, 1)^2 (Wang 2004)
MS_FLOOR = 0.1  # of the mean structure of a scale, which has no fractional power below 0
BANDED = 256  # px, the longest side filtered by products with matrices
NCC_EPS = 1e-8  # of full scale squared, a variance far below that of any noise


def local_mean(maps: Tensor) -> Tensor:
    """Gaussian-weighted mean about each pixel whose whole window is inside: sides shrink by 10.

    On a processor two products with banded matrices, up to 4 times as fast as convolutions of one
    channel; not of long sides, where most of the matrices is zeros.
    """
    x = torch.arange(SIDE, dtype=maps.dtype, device=maps.device) - SIDE // 2
    kernel = torch.exp(-0.5 * (x / SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    if maps.device.type == "cpu" and max(maps.shape[-2:]) <= BANDED:
        count, channels = maps.shape[:2]
        rows, columns = (_band(kernel, length) for length in maps.shape[-2:])
        across = maps.flatten(0, 1) @ columns.t()
        return torch.bmm(rows.expand(len(across), -1, -1), across).unflatten(0, (count, channels))
    maps = F.conv2d(maps, rearrange(kernel, "y -> 1 1 y 1"))
    return F.conv2d(maps, rearrange(kernel, "x -> 1 1 1 x"))


def _band(kernel: Tensor, length: int) -> Tensor:
    """The matrix that filters ``length`` values: (length - 10, length)."""
    band = kernel.new_zeros(length - SIDE + 1, length)
    # Along each row the kernel begins one further: rows of length + 1 begin where it does.
    band.flatten().as_strided((len(band), SIDE), (length + 1, 1)).copy_(kernel)
    return band


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, in [0, 2] (Wang et al., IEEE TIP 2004, 10.1109/TIP.2003.819861).

    Population covariance and data range 1; the mean over pixels whose window is inside, as
    scikit-image's ``gaussian_weights=True, use_sample_covariance=False``.
    """
    require_side("ssim", output, SIDE)
    luminance, structure = _similarity(output, target)
    return 1 - (luminance * structure).mean()


def dssim(output: Tensor, target: Tensor) -> Tensor:
    """(1 - SSIM) / 2, in [0, 1]; SSIM as in ``ssim``."""
    require_side("dssim", output, SIDE)
    return ssim(output, target) / 2


def ms_ssim(output: Tensor, target: Tensor) -> Tensor:
    """1 - MS-SSIM, in [0, 1] (Wang, Simoncelli & Bovik 2003, 10.1109/ACSSC.2003.1292216).

    As many of the five scales as leave room for a window at the last: 3 at 48 and 64 px, 4 at
    128, with the published weights divided by their sum; structure at all of them, luminance at
    the last, each scale half the one before (mean of 2 x 2 px). Below ``MS_FLOOR`` the logarithm
    of a scale's mean goes on as its tangent, which is ours: others cut it off, and a network that
    begins with a negative of the image has no gradient to leave it by.
    """
    require_side("ms_ssim", output, 2 * SIDE)
    weights = WEIGHTS[: scales_for(min(output.shape[-2:]))]
    logarithm = torch.zeros(len(output), dtype=output.dtype, device=output.device)
    for scale, weight in enumerate(weights, start=1):
        luminance, structure = _similarity(output, target)
        term = luminance * structure if scale == len(weights) else structure
        mean = term.mean(dim=(-3, -2, -1))
        inside = mean.clamp(min=MS_FLOOR)
        log = inside.log() + (mean - inside) / MS_FLOOR
        logarithm = logarithm + log * (weight / sum(weights))
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return 1 - logarithm.exp().mean()


def scales_for(side: int) -> int:
    """Count the scales, at most five, with a window inside an image of ``side`` px."""
    return sum(side >> scale >= SIDE for scale in range(len(WEIGHTS)))


def ncc(output: Tensor, target: Tensor) -> Tensor:
    """1 - Pearson's correlation of the pixels, mean over images; in [0, 2].

    (Covariance + eps) over the geometric mean of (variance + eps): the eps is ours and makes two
    constant images alike.
    """
    x = output - output.mean(dim=(-3, -2, -1), keepdim=True)
    y = target - target.mean(dim=(-3, -2, -1), keepdim=True)
    products = torch.stack((x * y, x * x, y * y)).mean(dim=(-3, -2, -1)) + NCC_EPS
    covariance, variance_o, variance_t = products
    return 1 - (covariance / (variance_o * variance_t).sqrt()).mean()


def _similarity(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM's luminance, and its contrast times structure, wherever a window is inside."""
    count = len(output)
    squares = output.square() + target.square()  # the variances enter as their sum only
    maps = torch.cat((output, squares, output * target))
    mean_o, mean_squares, mean_product = local_mean(maps).split(count)
    mean_t = local_mean(target)  # without a gradient of its own, unlike the others
    means = mean_o.square() + mean_t.square() + C1
    product = 2 * mean_o * mean_t + C1
    # C1 was added to both, and stands for nothing in the differences
    structure = (2 * mean_product - product + (C1 + C2)) / (mean_squares - means + (C1 + C2))
    return product / means, structure


def require_side(loss: str, image: Tensor, smallest: int) -> None:
    """Raise ValueError naming the loss where a side of (b, 1, h, w) is below ``smallest`` px."""
    if min(image.shape[-2:]) < smallest:
        size = "x".join(map(str, image.shape[-2:]))
        raise ValueError(f"{loss}: image of {size} px, it needs {smallest} a side")
