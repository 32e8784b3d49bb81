"""A published DRUNet, a network for white noise of known sigma, behind the stabilising transform.

Zhang et al. 2021 (10.1109/TPAMI.2021.3088914). Its weights for gray images are not in this package:
the user gives the file, `drunet_gray.pth` as published.
"""

from collections.abc import Mapping
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lfranker.arrays import Floats, Image
from lfranker.denoiser.networks import FOREIGN, Padded
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baselines import BM3D, Family
from lfranker.evaluation.stabilised import denoise_stabilised

FIRST = "m_head.weight"  # of its weights
NAME = "drunet"


class OfSigma(nn.Module):
    """(b, 1, h, w) in [0, 1] to the same, by a DRUNet that is told the noise's sigma."""

    def __init__(self, network: nn.Module, sigma: float) -> None:
        super().__init__()
        self.network, self.sigma = network, sigma

    def forward(self, image: Tensor) -> Tensor:
        return cast(Tensor, self.network(torch.cat([image, torch.full_like(image, self.sigma)], 1)))


def drunet_of(weights: Mapping[str, Tensor]) -> nn.Module:
    """Return the DRUNet of these weights, which takes an image and a map of sigma.

    Raises ValueError where they are of another network, or of DRUNet for colour images.
    """
    from spandrel.architectures.DRUNet import DRUNetArch

    architecture, tensors = DRUNetArch(), dict(weights)
    if not architecture.detect(tensors):
        raise ValueError("holds weights of another network than DRUNet")
    inputs = tensors[FIRST].shape[1]
    if inputs != 2:
        raise ValueError(
            f"holds a DRUNet of {inputs} channels; that for gray images takes 2, the image and its "
            f"noise (drunet_gray.pth)"
        )
    try:
        network = architecture.load(tensors).model
    except (RuntimeError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"holds weights that do not fit DRUNet ({reason})") from error
    return cast(nn.Module, network).eval()


def stabilised_drunet(image: Image, strength: float, network: nn.Module) -> Image:
    """DRUNet of the stabilised image; ``strength``: see `denoise_stabilised`."""

    def denoised(values: Floats, sigma: float) -> Floats:
        known = FOREIGN[NAME]
        width = network.state_dict()[FIRST].shape[0]
        padded = Padded(OfSigma(network, sigma), known.multiple, known.maps * width)
        return np.asarray(denoise(padded, values.astype(np.float32)), np.float64)

    return denoise_stabilised(image, strength, denoised)


def drunet_family(network: nn.Module) -> Family:
    """Return it as a denoiser whose strength is tuned on other fields, as BM3D's is."""
    return Family(partial(stabilised_drunet, network=network), BM3D.parameter, BM3D.values)
