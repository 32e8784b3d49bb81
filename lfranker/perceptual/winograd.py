"""Convolution of 3 x 3 with fixed weights, in 4 of 9 multiplications.

F(2 x 2, 3 x 3) of Lavin & Gray (CVPR 2016, 10.1109/CVPR.2016.435): windows of 4 x 4 px that
overlap by two are transformed, multiplied by the transformed weights, and transformed back to
2 x 2 px. It pays on a processor without AVX-512 where there are many channels, and where the
weights are transformed only once.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = 2  # px of the output that a window of 4 gives
WINDOW = 4
MANY = 256  # channels
OF_IMAGE = (
    (1.0, 0.0, -1.0, 0.0),
    (0.0, 1.0, 1.0, 0.0),
    (0.0, -1.0, 1.0, 0.0),
    (0.0, 1.0, 0.0, -1.0),
)
OF_WEIGHT = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
OF_OUTPUT = ((1.0, 1.0, 1.0, 0.0), (0.0, 1.0, -1.0, -1.0))
TURNED = (3, 1, 2, 0)  # rows of OF_WEIGHT for a kernel read backwards


def pays(device: torch.device, channels: int) -> bool:
    """Return whether it is faster than torch's convolution, which makes good use of AVX-512."""
    many = channels >= MANY and device.type == "cpu"
    return many and torch.backends.cpu.get_cpu_capability() != "AVX512"


def transformed(weight: Tensor) -> Tensor:
    """Return the weights (out, in, 3, 3) as ``convolve`` takes them: (16, in, out)."""
    # Made outside inference mode: weights first used there could not serve training later.
    with torch.inference_mode(False), torch.no_grad():
        matrix = weight.new_tensor(OF_WEIGHT)
        return torch.einsum("ay,bx,oiyx->abio", matrix, matrix, weight).flatten(0, 1).contiguous()


def convolve(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what ``conv2d`` does with padding 1; the weights, ``transformed``, get no gradient."""
    result: Tensor = _Convolution.apply(image, weight, bias)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return _convolved(image, weight, list(range(WINDOW))).add_(bias[:, None, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # The same with the kernel turned by half a turn, and inputs for outputs.
        (weight,) = ctx.saved_tensors
        return _convolved(gradient, weight.transpose(1, 2), list(TURNED)), None, None


def _convolved(image: Tensor, weight: Tensor, order: list[int]) -> Tensor:
    """Convolve (b, c, h, w); ``order`` says which transformed weights stand where."""
    x = image.permute(0, 2, 3, 1)
    (b, h, w, c), out = x.shape, weight.shape[-1]
    down, across = -(-h // TILE), -(-w // TILE)
    x = F.pad(x, (0, 0, 1, 1 + across * TILE - w, 1, 1 + down * TILE - h))
    windows = x.unfold(1, WINDOW, TILE).unfold(2, WINDOW, TILE).permute(4, 5, 0, 1, 2, 3)
    before = x.new_tensor(OF_IMAGE)[order]
    after = x.new_tensor(OF_OUTPUT)[:, order]
    x = torch.kron(before, before) @ windows.reshape(WINDOW**2, -1)
    x = torch.bmm(x.view(WINDOW**2, b * down * across, c), weight)
    x = torch.kron(after, after) @ x.view(WINDOW**2, -1)
    x = x.view(TILE, TILE, b, down, across, out).permute(2, 3, 0, 4, 1, 5)
    shape = (b, out, down * TILE, across * TILE)
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    y.permute(0, 2, 3, 1).view(x.shape).copy_(x)
    if shape[2:] == (h, w):
        return y
    return y[..., :h, :w].clone(memory_format=torch.channels_last)
