"""Distance of deep features (Johnson et al., ECCV 2016, 10.1007/978-3-319-46475-6_43).

VGG19 (Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556), features before the ReLU, the layers
and weights common in restoration (Real-ESRGAN, arXiv:2107.10833), L1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import einsum
from torch import Tensor, nn

from lfranker.perceptual import winograd

LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
BLOCKS = {layer.partition("_")[0]: weight for layer, weight in LAYERS.items()}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red green blue, in [0, 1]


class Convolution(NamedTuple):
    name: str  # conv{block}_{number}
    key: str  # in torchvision's and timm's files
    channels_in: int
    channels_out: int
    pooled: bool  # max pooling stands before it


def _vgg(*counts: int) -> tuple[Convolution, ...]:
    plan, index, before = [], 0, 3
    for block, (count, channels) in enumerate(
        zip(counts, (64, 128, 256, 512, 512), strict=True), start=1
    ):
        for number in range(1, count + 1):
            pooled = block > 1 and number == 1
            name = f"conv{block}_{number}"
            plan.append(Convolution(name, f"features.{index}", before, channels, pooled))
            index, before = index + 2, channels  # a ReLU follows each
        index += 1  # a pooling ends each block
    return tuple(plan)


VGG19 = _vgg(2, 2, 4, 4, 4)
VGG16 = _vgg(2, 2, 3, 3, 3)
NETWORKS = {"vgg19": VGG19, "vgg16": VGG16}


def last_layers(network: Sequence[Convolution]) -> tuple[str, ...]:
    """The last convolution of each block: of VGG19 those of LAYERS."""
    last = {conv.name.partition("_")[0]: conv.name for conv in network}
    return tuple(last.values())


def convolutions_for(
    layers: Sequence[str], network: Sequence[Convolution] = VGG19
) -> tuple[Convolution, ...]:
    """The convolutions up to the deepest of ``layers``."""
    allowed = last_layers(network)
    if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(allowed):
        raise ValueError(
            f"perceptual layers {list(layers)}: expected some of {list(allowed)}, once"
        )
    deepest = max(index for index, conv in enumerate(network) if conv.name in layers)
    return tuple(network[: deepest + 1])


def shapes(plan: Sequence[Convolution]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a file, by their keys."""
    weights = {f"{c.key}.weight": (c.channels_out, c.channels_in, 3, 3) for c in plan}
    biases = {f"{c.key}.bias": (c.channels_out,) for c in plan}
    return {**weights, **biases}


def fold_gray(weight: Tensor) -> Tensor:
    """First convolution for (gray image, ones) in place of three normalised equal channels.

    Normalising is x / std - mean / std, and zeros are padded after it. The second term is a
    constant image: as a channel of ones, padded with zeros, it stays exact at the border, which a
    bias would not. (c, 3, y, x) to (c, 2, y, x).
    """
    scale = 1 / torch.tensor(STD, dtype=weight.dtype)
    shift = -torch.tensor(MEAN, dtype=weight.dtype) * scale
    return einsum(weight, torch.stack((scale, shift)), "c rgb y x, two rgb -> c two y x")


def max_pool(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps, 2)


class Features(nn.Module):
    """A frozen network: gray (b, 1, h, w) in [0, 1] to a list of features, shallow first."""

    weights: tuple[float, ...]  # of each feature in the loss
    smallest: int  # side of an image, px


class VGGFeatures(Features):
    """Features before ReLU, each with the weight that LAYERS gives its block.

    ``weights`` holds ``features.N.weight`` and ``.bias`` for each of
    ``convolutions_for(layers, network)``, as for RGB. Sides must be at least
    ``smallest`` px. The tensors are buffers kept out of the state_dict: no optimiser trains them
    and no checkpoint repeats them. Where Winograd's convolution pays, weights of many channels
    are kept once more, as it takes them.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        layers: Sequence[str] = tuple(LAYERS),
        network: Sequence[Convolution] = VGG19,
        pool: Callable[[Tensor], Tensor] = max_pool,
    ) -> None:
        super().__init__()
        self.plan, self.pool = convolutions_for(layers, network), pool
        self.layers = tuple(name for name in last_layers(network) if name in layers)
        self.weights = tuple(BLOCKS[name.partition("_")[0]] for name in self.layers)
        self.smallest = 2 ** sum(conv.pooled for conv in self.plan)
        self._transformed: dict[tuple[str, torch.dtype], Tensor] = {}
        for conv in self.plan:
            weight, bias = weights[f"{conv.key}.weight"], weights[f"{conv.key}.bias"]
            if conv.name == "conv1_1":
                weight = fold_gray(weight)
            weight = weight.detach().contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"{conv.name}_weight", weight, persistent=False)
            self.register_buffer(f"{conv.name}_bias", bias.detach(), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        if min(image.shape[-2:]) < self.smallest:
            size = "x".join(map(str, image.shape[-2:]))
            raise ValueError(
                f"perceptual: image of {size} px, {self.layers[-1]} needs {self.smallest} a side"
            )
        features = []
        x = torch.cat((image, torch.ones_like(image)), dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        for index, conv in enumerate(self.plan):
            if index:
                # In place only where the value before the ReLU is not itself a feature.
                x = F.relu(x, inplace=self.plan[index - 1].name not in self.layers)
            if conv.pooled:
                x = self.pool(x)
            x = self._convolve(conv, x)
            if conv.name in self.layers:
                features.append(x)
        return features

    def _convolve(self, conv: Convolution, x: Tensor) -> Tensor:
        weight, bias = (self.get_buffer(f"{conv.name}_{part}") for part in ("weight", "bias"))
        if not winograd.pays(x.device, conv.channels_out):
            return F.conv2d(x, weight, bias, padding=1)
        key = (conv.name, weight.dtype)
        if key not in self._transformed:
            self._transformed[key] = winograd.transformed(weight)
        return winograd.convolve(x, self._transformed[key], bias)


class PerceptualLoss(nn.Module):
    """Sum over layers of weight times the mean absolute difference of features; >= 0."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.features(target)
        terms = [
            weight * (found - want).abs().mean()
            for weight, found, want in zip(
                self.features.weights, self.features(output), wanted, strict=True
            )
        ]
        return torch.stack(terms).sum()
