"""Losses of single pixels."""

from torch import Tensor


def mae(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error, L1; in units of full scale, >= 0."""
    return (output - target).abs().mean()


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error, L2; in units of full scale squared, >= 0."""
    return (output - target).square().mean()
