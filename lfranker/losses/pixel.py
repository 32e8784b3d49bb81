"""Losses of single pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

HUBER_DELTA = 0.05  # of full scale; torch's 1 would be half MSE on [0, 1]
CHARBONNIER_EPS = 1e-3  # of full scale (Lai et al., CVPR 2017)
MAPE_FLOOR = 0.05  # of full scale: darker targets count as this bright
PSNR_EPS = 1e-8  # of full scale squared: the PSNR stops at 80 dB


def mae(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error, L1; in units of full scale, >= 0."""
    return (output - target).abs().mean()


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error, L2; in units of full scale squared, >= 0."""
    return (output - target).square().mean()


def huber(output: Tensor, target: Tensor) -> Tensor:
    """d^2 / 2 up to ``HUBER_DELTA``, linear beyond; >= 0 (Huber 1964, 10.1214/aoms/1177703732)."""
    return F.huber_loss(output, target, delta=HUBER_DELTA)


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Smooth L1, mean of sqrt(d^2 + eps^2) - eps; >= 0.

    (Charbonnier et al. 1994, 10.1109/ICIP.1994.413553.) The subtraction is
    ours: zero at the target, the gradient as it was.
    """
    squares = (output - target).square() + CHARBONNIER_EPS**2
    return squares.sqrt().mean() - CHARBONNIER_EPS


def mape(output: Tensor, target: Tensor) -> Tensor:
    """Mean of |d| / target, a ratio; >= 0.

    (De Myttenaere et al. 2016, 10.1016/j.neucom.2015.12.114.) The target is
    taken as at least ``MAPE_FLOOR``: a black pixel has no relative error.
    """
    return ((output - target).abs() / target.clamp(min=MAPE_FLOOR)).mean()


def msle(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of log(1 + x), >= 0, as scikit-learn's mean_squared_log_error.

    Below 0 the logarithm goes on as its tangent, which is ours: an unclipped output may be there.
    """
    return (_log1p(output) - _log1p(target)).square().mean()


def _log1p(image: Tensor) -> Tensor:
    return torch.where(image > 0, image.clamp(min=0).log1p(), image)


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Minus the PSNR in dB, mean over images: 10 log10(MSE + eps), >= -80.

    The eps is ours: it keeps the loss and its gradient finite at the target.
    """
    errors = (output - target).square().mean(dim=(-3, -2, -1))
    return 10 * (errors + PSNR_EPS).log10().mean()
