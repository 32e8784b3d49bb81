"""Weights of a network from a file, however the tool that wrote it has wrapped and named them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lfranker.denoiser.networks import Padded
from lfranker.training.checkpoints import UNREADABLE

# where checkpoints keep a network, the averaged one before the other
WRAPPED = (
    "params_ema",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "module",
)


def load_initial(network: nn.Module, path: Path) -> None:
    """Start `network` from the weights in a file (.safetensors, or .pth without pickled code).

    Raises ValueError where they cannot be read or belong to a network of another shape.
    """
    foreign = isinstance(network, Padded)
    own = network.network if isinstance(network, Padded) else network
    weights = read_weights(path, next(iter(own.state_dict())))
    if difference := _difference(weights, own.state_dict()):
        shape = "width and depth" if foreign else "depth, dim and head_dim"
        published = "" if foreign else "; the published ones are 4, 64, 32"
        raise ValueError(
            f"{path} holds weights of another network than the one asked for: {difference} (set "
            f"network, {shape}{published})"
        )
    own.load_state_dict(weights, strict=True)


def read_weights(path: Path, first: str = "m_head.0.weight") -> dict[str, Tensor]:
    """Tensors by name, from .safetensors or from a .pth that holds tensors, numbers and texts.

    Published files are a bare state dict; training tools nest it, and put `module.` (several GPUs),
    `_orig_mod.` (torch.compile) or the name of the network before every name: what stands before
    ``first``, a name of the network's, stands before all. Raises ValueError.
    """
    try:
        if path.suffix == ".safetensors":
            return _unprefixed(load_file(path), first)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (*UNREADABLE, SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{path}: cannot be read as weights ({reason})") from error
    found = _unwrapped(stored)
    if found is None:
        held = f"holds {', '.join(map(str, stored))}"[:300] if isinstance(stored, Mapping) else ""
        raise ValueError(f"{path}: no weights of a network found in it; {held or type(stored)}")
    return _unprefixed(found, first)


def _unwrapped(stored: Any) -> dict[str, Tensor] | None:
    """Return the first mapping of names to tensors, from the outside in; None without one."""
    if not isinstance(stored, Mapping):
        return None
    for name in WRAPPED:
        if (inner := _unwrapped(stored.get(name))) is not None:
            return inner
    tensors = {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
    return tensors or None


def _unprefixed(weights: Mapping[str, Tensor], first: str) -> dict[str, Tensor]:
    """Return the weights of the network under its own names; as they are where it has none."""
    fronts = [name.removesuffix(first) for name in weights if name.endswith(first)]
    if not fronts:
        return dict(weights)
    front = max(fronts, key=lambda front: "ema" in front)
    inner = {
        name.removeprefix(front): value for name, value in weights.items() if name.startswith(front)
    }
    return {name.replace("_orig_mod.", ""): value for name, value in inner.items()}


def _difference(weights: Mapping[str, Tensor], asked: Mapping[str, Tensor]) -> str:
    """Return what differs first between two networks, in a line; "" where nothing does."""
    shapes = [
        f"{name} is {tuple(weights[name].shape)}, and {tuple(asked[name].shape)} is asked for"
        for name in asked
        if name in weights and weights[name].shape != asked[name].shape
    ]
    missing = [f"{name} is not in it" for name in asked if name not in weights]
    unknown = [f"{name} is in it" for name in weights if name not in asked]
    differences = [*shapes, *missing, *unknown]
    more = len(differences) - 1
    return f"{differences[0]}{f', and {more} more' * bool(more)}" if differences else ""
