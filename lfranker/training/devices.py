"""Where trainings run: on the processor, or on GPUs, of which each training has one."""

import os
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lfranker.training.config import TrainConfig

VISIBLE = "CUDA_VISIBLE_DEVICES"  # the GPUs that a process sees, by number or name, with commas
CHOICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def read_device(text: str) -> str:
    """Return a choice of device as it is written. Raises ValueError where it is none."""
    if not CHOICE.fullmatch(text):
        raise ValueError(f"device is {text}; allowed are auto, cpu, cuda, or one GPU: cuda:0")
    return text


def device_of(choice: str) -> torch.device:
    """Return the device of auto, cpu, cuda or cuda:N; all GPUs have no number.

    Raises ValueError where there is no such GPU.
    """
    count = gpu_count()
    if not choice.startswith("cuda"):
        return torch.device("cuda" if choice == "auto" and count else "cpu")
    if not count:
        raise ValueError(
            f"--device {choice}: this machine has no GPU that torch can use; allowed: cpu"
        )
    chosen = torch.device(choice)
    if (chosen.index or 0) >= count:
        last = f" to cuda:{count - 1}" if count > 1 else ""
        raise ValueError(f"--device {choice}: there is no such GPU; allowed: cpu, cuda:0{last}")
    return chosen


def gpu_count() -> int:
    """Return how many GPUs torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def gpus_of(device: torch.device) -> list[int]:
    """Return the numbers of the GPUs that trainings on a device share; none of a processor."""
    if device.type != "cuda":
        return []
    return list(range(gpu_count())) if device.index is None else [device.index]


def places_of(device: torch.device) -> list[dict[str, str]]:
    """Return the environment of processes that have a GPU each, which they see as their only one.

    One place for each GPU; a single one without any change for processors.
    """
    visible = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return [
        {VISIBLE: visible[gpu] if gpu < len(visible) else str(gpu)} for gpu in gpus_of(device)
    ] or [{}]


def in_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Return whether a network computes in bfloat16 while it is trained, under autocast."""
    if config.precision == "auto":
        return device.type == "cuda"
    return config.precision == "bfloat16"


def compiled(network: nn.Module, config: TrainConfig) -> Callable[[Tensor], Tensor]:
    """Return the network as it is called in training; its weights are the network's own."""
    if config.compile == "none":
        return network
    return torch.compile(network, mode=config.compile)
