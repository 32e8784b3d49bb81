"""Losses of the distribution of the values, blind to where in the image they are."""

import torch
from einops import rearrange
from torch import Tensor

BINS = 64  # between 0 and 1


def histogram(output: Tensor, target: Tensor) -> Tensor:
    """L1 of the two histograms, as shares of the pixels, mean over images; in [0, 2].

    A value counts for the two bins about it in proportion to its nearness, which gives it a
    gradient. Values outside [0, 1] count as the nearest end and have none.
    """
    return (_soft_counts(output) - _soft_counts(target)).abs().sum(dim=-1).mean()


def wasserstein(output: Tensor, target: Tensor) -> Tensor:
    """First Wasserstein distance of the values, mean over images; >= 0, in units of full scale.

    In one dimension the mean distance of the sorted values (Bonneel et al. 2015,
    10.1007/s10851-014-0506-3).
    """
    return (_sorted(output) - _sorted(target)).abs().mean()


def _sorted(image: Tensor) -> Tensor:
    return rearrange(image, "b 1 h w -> b (h w)").sort(dim=-1).values


def _soft_counts(image: Tensor) -> Tensor:
    """(b, 1, h, w) to (b, BINS), the sum of each row being 1."""
    place = rearrange(image, "b 1 h w -> b (h w)").clamp(0, 1) * (BINS - 1)
    below = place.detach().floor().clamp(max=BINS - 2)
    share = place - below
    counts = torch.zeros(len(image), BINS, dtype=image.dtype, device=image.device)
    index = below.long()
    counts = counts.scatter_add(1, index, 1 - share).scatter_add(1, index + 1, share)
    return counts / place.shape[-1]
