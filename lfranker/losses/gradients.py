"""Losses of differences between neighbouring pixels."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from lfranker.losses.structure import require_side

SOBEL = (1, 2, 1)
SCHARR = (3, 10, 3)
PREWITT = (1, 1, 1)
GMSD_C = 170 / 255**2  # (Xue et al. 2014, for 8 bits)
# Of full scale squared, inside square roots: 1e-6 of full scale is below a float32 image's noise.
EPS = 1e-12


def gradient(output: Tensor, target: Tensor) -> Tensor:
    """Mean |difference| of the Sobel derivatives along x plus that along y; >= 0.

    In units of full scale per px (the filters are divided by 8), where the filter is inside.
    """
    require_side("gradient", output, 3)
    return _l1(output - target, SOBEL)


def gradient_scharr(output: Tensor, target: Tensor) -> Tensor:
    """Loss like ``gradient``, with Scharr's filter: less dependent on the edge's direction."""
    require_side("gradient_scharr", output, 3)
    return _l1(output - target, SCHARR)


def gmsd(output: Tensor, target: Tensor) -> Tensor:
    """Gradient magnitude similarity deviation, mean over images; >= 0.

    (Xue et al., IEEE TIP 2014, 10.1109/TIP.2013.2293423.) Prewitt filters after a mean of 2 x 2
    px; the standard deviation of the similarity over the image. Only where the filter is inside
    (they pad with zeros, which makes edges of the border). The eps in the roots, subtracted again
    at the end, are ours.
    """
    require_side("gmsd", output, 6)
    first, second = _magnitude(output), _magnitude(target)
    similarity = (2 * first * second + GMSD_C) / (first.square() + second.square() + GMSD_C)
    spread = similarity.var(dim=(-3, -2, -1), correction=0)
    return ((spread + EPS).sqrt() - EPS**0.5).mean()


def tv(output: Tensor, target: Tensor) -> Tensor:
    """Total variation of the output alone: mean |step| along x plus that along y; >= 0.

    Anisotropic, in units of full scale per px (Rudin, Osher & Fatemi 1992,
    10.1016/0167-2789(92)90242-F). The target does not enter.
    """
    require_side("tv", output, 2)
    return output.diff(dim=-1).abs().mean() + output.diff(dim=-2).abs().mean()


def _magnitude(image: Tensor) -> Tensor:
    # GMSD_C goes with filters divided by 3: steps of two px.
    derivatives = 2 * _derivatives(F.avg_pool2d(image, 2), PREWITT)
    return (derivatives.square().sum(dim=1, keepdim=True) + EPS).sqrt()


def _l1(difference: Tensor, smoothing: tuple[int, ...]) -> Tensor:
    return 2 * _derivatives(difference, smoothing).abs().mean()  # the sum of two means


def _derivatives(image: Tensor, smoothing: tuple[int, ...]) -> Tensor:
    """(b, 1, h, w) to (b, 2, h - 2, w - 2): along x and along y, of full scale per px."""
    across = torch.tensor(smoothing, dtype=image.dtype, device=image.device)
    along = torch.tensor((-1, 0, 1), dtype=image.dtype, device=image.device)
    kernel = torch.outer(across, along) / (2 * across.sum())
    return F.conv2d(image, rearrange([kernel, kernel.T], "d y x -> d 1 y x"))
