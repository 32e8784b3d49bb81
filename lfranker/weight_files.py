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
    """ImageNet weights, torchvision's: on the Hugging Face hub, and in torch's own cache."""

    repository: str
    file: str
    torchvision: str


IMAGENET = {
    "vgg19": Published("timm/vgg19.tv_in1k", "model.safetensors", "vgg19-dcbb9e9d.pth"),
    "vgg16": Published("timm/vgg16.tv_in1k", "model.safetensors", "vgg16-397923af.pth"),
}


def find_imagenet(network: str = "vgg19") -> Path | None:
    """ImageNet's weights on this disk: in the Hugging Face cache, else torchvision's in torch's."""
    published = IMAGENET[network]
    cached = huggingface_hub.try_to_load_from_cache(published.repository, published.file)
    if isinstance(cached, str):
        return Path(cached)
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.torchvision
    return path if path.is_file() else None


def read_tensors(path: Path, wanted: Iterable[str]) -> dict[str, Tensor]:
    """Those of ``wanted`` that the file has, as float32; ValueError where it cannot be read."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                names = set(file.keys())
                return {key: file.get_tensor(key).float() for key in wanted if key in names}
        # No mmap: torchvision's file is of the format before zip.
        state = torch.load(path, map_location="cpu", weights_only=True)
        present = state if isinstance(state, dict) else {}
        return {key: present[key].float() for key in wanted if key in present}
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as weights ({error})") from error


def read_network(path: Path, name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors that ``shapes`` names; ValueError where one is missing or of another shape."""
    state = read_tensors(path, shapes)
    if missing := sorted(set(shapes) - set(state)):
        raise ValueError(f"{path}: not a {name}, {', '.join(missing)} missing")
    for key, wanted in shapes.items():
        found = tuple(state[key].shape)
        if found != wanted:
            raise ValueError(f"{path}: not a {name}, {key} is {found}, expected {wanted}")
    return state
