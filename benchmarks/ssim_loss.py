"""The loss `ssim`, forward and backward, against pytorch-msssim.

    python -m benchmarks.ssim_loss [--threads 1] [--rounds 25]

Values and gradients must be equal. The last line is the smallest of the ratios. Needs
pytorch-msssim (extra `bench`).
"""

from functools import partial

import torch
from torch import Tensor

from benchmarks.paired import compare, header, last_line, rounds_asked
from lfranker.losses.structure import ssim

SIZES = ((8, 64), (8, 128), (16, 128))  # images, side


def theirs(output: Tensor, target: Tensor) -> Tensor:
    import pytorch_msssim

    return 1 - pytorch_msssim.ssim(output, target, data_range=1)


def both(loss: object, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return a loss and its gradient."""
    assert callable(loss)
    value = loss(output, target)
    return value.detach(), torch.autograd.grad(value, output)[0]


def ratio(count: int, side: int, rounds: int) -> float:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(count, 1, side, side, generator=generator)
    output = (target + 0.1 * torch.randn(target.shape, generator=generator)).requires_grad_()
    own, other = (partial(both, loss, output, target) for loss in (ssim, theirs))
    torch.testing.assert_close(own(), other(), rtol=1e-4, atol=1e-8)
    return compare(f"{count} x {side} x {side}", own, other, rounds)


def main() -> None:
    rounds = rounds_asked(__doc__, threads=1, rounds=25)
    header("ssim, forward and backward", "msssim")
    last_line("ssim_loss", min(ratio(*size, rounds) for size in SIZES))


if __name__ == "__main__":
    main()
