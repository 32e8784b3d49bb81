"""LPIPS and DISTS with random weights in place of the published ones."""

import torch
from torch import Tensor

from lfranker.losses.lpips_dists import CHANNELS, DISTS, LPIPS, l2_pool
from lfranker.perceptual.vgg import VGG16, VGGFeatures, last_layers
from lfranker.perceptual.weights import random_state


def fitted(kind: torch.dtype) -> tuple[LPIPS, DISTS]:
    state = {key: value.to(kind) for key, value in random_state(VGG16, 0).items()}
    layers = last_layers(VGG16)
    lpips = LPIPS(VGGFeatures(state, layers, VGG16), lpips_weights(kind))
    return lpips, DISTS(VGGFeatures(state, layers, VGG16, l2_pool), *dists_weights(kind))


def lpips_weights(kind: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(count, generator=generator).to(kind) for count in CHANNELS]


def dists_weights(kind: torch.dtype) -> tuple[Tensor, Tensor]:
    alpha, beta = torch.rand(2, 3 + sum(CHANNELS), generator=torch.Generator().manual_seed(2))
    return alpha.to(kind), beta.to(kind)
