"""Losses that know that electrons are counted: a brighter pixel is a noisier one."""

import torch
from torch import Tensor

BACKGROUND = 0.02  # of full scale, added to both images: black has counts too, so logs are finite
PEAK = 100.0  # counts at full scale, of the order of scans at 100 to 300 ns a pixel
OFFSET = 3 / 8  # counts (Anscombe 1948)


def poisson_nll(output: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of the target as Poisson counts about the output, less its minimum.

    Mean of u - v - v log(u / v), u and v being output and target plus ``BACKGROUND``; >= 0, the
    Kullback-Leibler divergence of the two Poisson laws per count at full scale (Csiszar 1991,
    10.1214/aos/1176348385). Below half the background, where the logarithm ends, it goes on as its
    tangent, which is ours: an unclipped output may be there.
    """
    rate, wanted = output + BACKGROUND, target + BACKGROUND
    least = BACKGROUND / 2
    inside = rate.clamp(min=least)
    divergence = inside - wanted - wanted * (inside / wanted).log()
    beyond = (rate - inside) * (1 - wanted / least)
    return (divergence + beyond).mean()


def anscombe(output: Tensor, target: Tensor) -> Tensor:
    """MSE of the variance-stabilised images, 2 sqrt(peak x + 3/8); >= 0.

    (Anscombe 1948, 10.1093/biomet/35.3-4.246.) Peak ``PEAK``. Ours: stretched so that 0 and 1
    stay 0 and 1, comparable to MSE; and below 0 the root goes on as its tangent.
    """
    return (_stabilised(output) - _stabilised(target)).square().mean()


def _stabilised(image: Tensor) -> Tensor:
    low, high = OFFSET**0.5, (PEAK + OFFSET) ** 0.5
    root = (PEAK * image.clamp(min=0) + OFFSET).sqrt() - low
    tangent = PEAK / (2 * low) * image
    return torch.where(image > 0, root, tangent) / (high - low)
