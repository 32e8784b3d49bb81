"""Files of pretrained networks: where caches keep them, and reading them without running code."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple

import huggingface_hub
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor


class Published(NamedTuple):
    """Pretrained weights: on the Hugging Face hub, and torchvision's in torch's own cache."""

    repository: str
    file: str
    torchvision: str = ""  # none there


SHOWN = 4  # missing tensors that a message names
IMAGENET = {
    "vgg19": Published("timm/vgg19.tv_in1k", "model.safetensors", "vgg19-dcbb9e9d.pth"),
    "vgg16": Published("timm/vgg16.tv_in1k", "model.safetensors", "vgg16-397923af.pth"),
}


def find_imagenet(network: str = "vgg19") -> Path | None:
    """ImageNet's weights on this disk: in the Hugging Face cache, else torchvision's in torch's."""
    return find_published(IMAGENET[network])


def find_published(published: Published) -> Path | None:
    """Find on this disk: in the Hugging Face cache, else torchvision's in torch's."""
    cached = huggingface_hub.try_to_load_from_cache(published.repository, published.file)
    if isinstance(cached, str):
        return Path(cached)
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.torchvision
    return path if path.is_file() else None  # the folder itself where there is no name


def read_tensors(path: Path, wanted: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read those of ``wanted`` that the file has, else all it has, as float32.

    ValueError where it cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                names = set(file.keys())
                chosen = names if wanted is None else names.intersection(wanted)
                return {key: file.get_tensor(key).float() for key in chosen}
        # No mmap: torchvision's file is of the format before zip.
        state = torch.load(path, map_location="cpu", weights_only=True)
        present = state if isinstance(state, dict) else {}
        tensors = {key: value for key, value in present.items() if isinstance(value, Tensor)}
        chosen = set(tensors) if wanted is None else set(tensors).intersection(wanted)
        return {key: tensors[key].float() for key in chosen}
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as weights ({error})") from error


def read_network(path: Path, name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors that ``shapes`` names; ValueError where one is missing or of another shape."""
    state = read_tensors(path, shapes)
    check_tensors(path, name, state, shapes)
    return state


def check_tensors(
    path: Path, name: str, state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise ValueError where one that ``shapes`` names is missing or of another shape."""
    if missing := sorted(set(shapes) - set(state)):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise ValueError(f"{path}: not a {name}, {', '.join(missing[:SHOWN])}{more} missing")
    for key, wanted in shapes.items():
        found = tuple(state[key].shape)
        if found != wanted:
            raise ValueError(f"{path}: not a {name}, {key} is {found}, expected {wanted}")
