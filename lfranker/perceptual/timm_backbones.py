"""Networks of timm, by name, as the features of the perceptual loss.

They are named ``timm/NAME``, NAME with or without the tag of its weights. timm is imported where it
is used: that takes seconds, which nobody else should wait.
"""

import difflib
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfranker.perceptual.vgg import Features
from lfranker.perceptual.weight_files import Published, check_tensors, read_tensors

PREFIX = "timm/"
IMAGES, SIDE = 8, 64  # that random weights are calibrated on; px, or what the network needs
COUNTER = "num_batches_tracked"  # of batch norms, without effect once they are frozen


class BackboneFeatures(Features):
    """Features of a timm network for one gray channel, repeated to its three and normalised.

    ``mean`` and ``std`` are the network's own, of images in [0, 1]. All levels weigh 1.
    """

    def __init__(
        self,
        network: nn.Module,
        name: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.network, self.name = network.requires_grad_(False), name
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)
        reductions = [int(r) for r in network.feature_info.reduction()]  # type: ignore[union-attr,operator]
        self.weights = (1.0,) * len(reductions)
        self.smallest = max(reductions)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay as in evaluation: batch norms must not learn from the images."""
        return super().train(False)

    def normalised(self, image: Tensor) -> Tensor:
        """(b, 1, h, w) to (b, 3, h, w)."""
        return (image.expand(-1, 3, -1, -1) - self.get_buffer("mean")) / self.get_buffer("std")

    def forward(self, image: Tensor) -> list[Tensor]:
        size = "x".join(map(str, image.shape[-2:]))
        if min(image.shape[-2:]) < self.smallest:
            raise ValueError(
                f"perceptual: image of {size} px, {len(self.weights)} levels of `{self.name}` need "
                f"{self.smallest} a side"
            )
        try:
            return list(self.network(self.normalised(image)))
        except AssertionError as error:  # of networks that want multiples of something
            raise ValueError(
                f"perceptual: `{self.name}` takes no image of {size} px ({error})"
            ) from error


def full_name(name: str) -> str:
    """``name`` with the tag of the weights that timm takes where none is named, if it has any.

    ValueError where timm has no such network, suggesting others, or it takes one size only.
    """
    import timm

    networks, tagged = timm.list_models(), timm.list_models(pretrained=True)
    if name not in networks and name not in tagged:
        near = difflib.get_close_matches(name, [*networks, *tagged])
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise ValueError(f"perceptual: timm has no network `{name}`; {hint}")
    config = _config(name)
    if config.fixed_input_size:
        size = "x".join(map(str, config.input_size[1:]))
        raise ValueError(
            f"perceptual: `{name}` takes images of {size} px only; choose a network that takes any "
            f"size, as convolutional ones do"
        )
    whole = f"{config.architecture}.{config.tag}"
    return whole if whole in tagged else name


def _config(name: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(name)


def published(name: str) -> Published | None:
    """Return the location of timm's weights of that name, if there are any."""
    repository = _config(name).hf_hub_id
    return Published(repository, "model.safetensors") if repository else None


def load_backbone(name: str, path: Path | None, seed: int, levels: int) -> BackboneFeatures:
    """The frozen network's ``levels`` shallowest levels, or all where it has fewer.

    With the weights of the file, else random ones. ValueError where the file is of another network
    or this one cannot serve. The smallest image is that whose deepest features are one pixel, or
    a power of two larger where the network fails on it.
    """
    network, config = _build(name, levels), _config(name)
    if path is not None:
        network.load_state_dict(_state(path, name, network), strict=False)
    features = BackboneFeatures(network, name, config.mean, config.std)
    for _ in range(4):
        if _gives_gradient(features):
            if path is None:
                randomise(features, seed)
            return features
        features.smallest *= 2
    raise ValueError(
        f"perceptual: `{name}` cannot serve, it gives no gradient for gray images of "
        f"{features.smallest // 2} px; choose another network"
    )


def _build(name: str, levels: int) -> nn.Module:
    import timm

    # timm draws initial weights, all of which are replaced.
    with torch.random.fork_rng(devices=[]):
        try:
            network = timm.create_model(name, pretrained=False, features_only=True)
            indices = tuple(network.feature_info.out_indices)  # type: ignore[union-attr,arg-type]
            if levels < len(indices):
                network = timm.create_model(
                    name, pretrained=False, features_only=True, out_indices=indices[:levels]
                )
        except Exception as error:  # its kind differs by family
            raise ValueError(
                f"perceptual: timm gives no features of `{name}` ({error}); choose another network"
            ) from error
    return network.eval()


def _state(path: Path, name: str, network: nn.Module) -> dict[str, Tensor]:
    """The file's tensors, named for the whole network, under the names they have in ``network``.

    Around a network timm puts one that gives features, with `stages.0` renamed `stages_0`, or all
    put below `model`.
    """
    tensors = read_tensors(path)
    state = {f"model.{key}": value for key, value in tensors.items()}
    state |= {key.replace(".", "_", 1): value for key, value in tensors.items()}
    state |= tensors
    shapes = {
        key: tuple(value.shape)
        for key, value in network.state_dict().items()
        if not key.endswith(COUNTER)
    }
    check_tensors(path, name, state, shapes)
    return {key: state[key] for key in shapes}


def randomise(features: BackboneFeatures, seed: int) -> None:
    """Kaiming normal by fan-in, biases 0, other vectors (norms, scales of branches) 1; in place.

    Batch norms then get the mean of each channel for `clouds`, and one variance, that of a mean
    channel: of its own a nearly dead channel would be magnified without bound. With mean 0 and
    variance 1 nothing in a deep network keeps the scale: in a ResNet-152 the deep features would
    be 10⁷ times the shallow ones, in an EfficientNet a thousandth.
    """
    generator = torch.Generator().manual_seed(seed)
    hooks = []
    with torch.no_grad():
        for key, parameter in features.network.named_parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)
            else:
                parameter.fill_(0.0 if key.endswith("bias") else 1.0)
        for module in features.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                hooks.append(module.register_forward_pre_hook(_calibrate))
        features(clouds(generator, max(SIDE, features.smallest)))
    for hook in hooks:
        hook.remove()


def _calibrate(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Calibrate a batch norm, as its pre-hook, to the input that it is about to take."""
    channels = inputs[0].transpose(0, 1).flatten(1)  # (c, all else)
    norm.get_buffer("running_mean").copy_(channels.mean(1))
    norm.get_buffer("running_var").fill_(channels.var(1).mean())


def clouds(generator: torch.Generator, side: int = SIDE) -> Tensor:
    """Noise as coarse as fine, with much the spectrum of pictures; (8, 1, side, side) in [0, 1]."""
    total, coarse = torch.zeros(IMAGES, 1, side, side), 2
    while coarse <= side:
        noise = torch.rand(IMAGES, 1, coarse, coarse, generator=generator)
        total += F.interpolate(noise, size=(side, side), mode="bilinear")
        coarse *= 2
    low, high = total.amin((1, 2, 3), keepdim=True), total.amax((1, 2, 3), keepdim=True)
    return (total - low) / (high - low)


def _gives_gradient(features: BackboneFeatures) -> bool:
    """Return whether an image of the smallest size gets a gradient."""
    side = features.smallest
    image = torch.full((1, 1, side, side), 0.5, requires_grad=True)
    try:
        with torch.enable_grad():
            total = torch.stack([level.mean() for level in features(image)]).sum()
        torch.autograd.grad(total, image)
    except (RuntimeError, ValueError):  # as the network words it
        return False
    return True
