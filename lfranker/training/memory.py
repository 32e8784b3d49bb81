"""Memory that a training needs, estimated before it begins, and what the machine has.

What SCUNet keeps for its backward pass was counted (PyTorch's saved tensors) on eight networks of
one to four blocks a stage, 16 and 32 channels; the formula is within 7 % of all of them. Of other
networks it is counted each time, on tensors without data.
"""

import os

import torch
from torch import Tensor

from lfranker.denoiser.networks import SCUNET, build
from lfranker.denoiser.scunet import MULTIPLE, WINDOW
from lfranker.processes.free_memory import group_limits
from lfranker.training.config import TrainConfig
from lfranker.training.devices import in_bfloat16

PROCESS = 5e8  # bytes of a process with torch and MLflow
NUMBER = 4  # bytes of a float32
COPIES = 5  # of the weights: they, their gradient, two of AdamW's, the average
LEVELS = (0, 1, 2, 3, 2, 1, 0)  # of the stages: halvings of the image, doublings of the channels
KEPT_IN_BLOCK = 11.5  # numbers a pixel and channel of a block
KEPT_IN_LEVEL = 2.7  # and of what leads from one level to the next
PERCEPTUAL = 3000  # bytes a pixel of a batch: levels of VGG19 for output and target
VGG19 = 2.2e8  # bytes of its weights, 80 MB, and as Winograd's convolution takes them, 140 MB
MOST = 256  # at once, where nobody knows
HALF = 0.6  # of what a GPU keeps, most of it in 16 bits


def weight_count(config: TrainConfig) -> int:
    """Return how many weights the network has; of SCUNet without biases and norms."""
    if config.network != SCUNET:
        with torch.device("meta"):
            return sum(weight.numel() for weight in build(config.network_settings).parameters())
    blocks = sum(
        count * (config.dim * 2**level) ** 2 * 19 // 2  # 1 x 1, 3 x 3, attention and its MLP
        for count, level in zip(config.blocks, LEVELS, strict=True)
    )
    between = 2 * sum(8 * (config.dim * 2**level) ** 2 for level in range(3))
    return blocks + between + 2 * 9 * config.dim


def kept_bytes(config: TrainConfig, patch: int) -> float:
    """Return about how many bytes the network keeps of a batch for its backward pass."""
    if config.network != SCUNET:
        return _counted_bytes(config, patch)
    side = -(-patch // MULTIPLE) * MULTIPLE
    pixels = [config.batch * side**2 // 4**level for level in range(4)]
    channels = [config.dim * 2**level for level in range(4)]
    numbers = KEPT_IN_LEVEL * sum(c * n for c, n in zip(channels, pixels, strict=True))
    for count, level in zip(config.blocks, LEVELS, strict=True):
        attention = channels[level] // 2 // config.head_dim * WINDOW**2
        numbers += count * pixels[level] * (KEPT_IN_BLOCK * channels[level] + attention)
    return NUMBER * numbers


def _counted_bytes(config: TrainConfig, patch: int) -> int:
    sizes, alive = dict[int, int](), list[Tensor]()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes()
        alive.append(tensor)  # or another storage may get its address
        return tensor

    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        network = build(config.network_settings)
        network(torch.empty(config.batch, 1, patch, patch))
    own = {weight.untyped_storage()._cdata for weight in network.parameters()}
    return sum(size for storage, size in sizes.items() if storage not in own)


def training_bytes(config: TrainConfig, patch: int, perceptual: bool = True) -> float:
    """Return about how many bytes one training takes on a processor, the process included."""
    losses = (VGG19 + PERCEPTUAL * config.batch * patch**2) * perceptual
    weights = NUMBER * COPIES * weight_count(config)
    return PROCESS + weights + kept_bytes(config, patch) + losses


def machine_bytes() -> int | None:
    """Return how much memory this process may use at the most; None where that is not known."""
    limits = [limit for limit, _ in group_limits()]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def most_at_once(config: TrainConfig, patch: int) -> int:
    """Return how many such trainings the machine's memory carries."""
    memory = machine_bytes()
    return MOST if memory is None else int(memory // training_bytes(config, patch))


def refuse_too_large(config: TrainConfig, patch: int, device: torch.device, jobs: int) -> None:
    """Raise ValueError where ``jobs`` such trainings at once need more memory than there is."""
    needed, where = training_bytes(config, patch), "this machine has"
    memory: float | None = machine_bytes()
    if device.type == "cuda":
        needed, where = needed * (HALF if in_bfloat16(config, device) else 1), "the GPU has"
        memory = torch.cuda.get_device_properties(device).total_memory
    if memory is None or needed * jobs <= memory:
        return
    shape = f"dim (now {config.dim})" if config.network == SCUNET else f"width (now {config.width})"
    several = f"{jobs} trainings at once need" if jobs > 1 else "a training needs"
    raise ValueError(
        f"{several} about {needed * jobs / 1e9:.3g} GB of memory, {where} {memory / 1e9:.3g} GB: "
        f"ask for less of {'jobs, ' * (jobs > 1)}batch (now {config.batch}), patch (now {patch}), "
        f"{shape} or depth (now {config.depth})"
    )
