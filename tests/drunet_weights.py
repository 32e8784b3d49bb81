"""Weights of small DRUNets, named as those that are published."""

import torch
from spandrel.architectures.DRUNet import DRUNet
from torch import Tensor


def drunet_weights(channels: int = 2) -> dict[str, Tensor]:
    """Draw weights for `channels` - 1 colours and a map of sigma."""
    torch.manual_seed(0)
    network = DRUNet(in_nc=channels, out_nc=channels - 1, nc=[8, 16, 24, 32], nb=2)
    return dict(network.state_dict())
