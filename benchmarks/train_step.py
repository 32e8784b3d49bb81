"""A training step of SCUNet against deepinv's: same weights, batches, MAE and AdamW.

    python -m benchmarks.train_step [--threads 2] [--rounds 7]

Batches of 8 x 64 x 64, dim 64. The losses of the first steps must be equal. The last line is the
smaller of the two ratios. Needs deepinv (extra `bench`).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.paired import compare, header, last_line, rounds_asked
from lfranker.denoiser.scunet import SCUNet

DEPTHS = (1, 2)  # blocks in each stage


def step(
    network: nn.Module, optimizer: torch.optim.Optimizer, noisy: Tensor, clean: Tensor
) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.l1_loss(network(noisy), clean)
    loss.backward()
    optimizer.step()
    return loss.item()


def stepper(network: nn.Module) -> Callable[[], float]:
    """Return a function that makes a step and returns its loss; the batch is always the same."""
    noisy, clean = torch.rand(2, 8, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    return partial(step, network, optimizer, noisy, clean)


def ratio(depth: int, rounds: int) -> float:
    from deepinv.models import SCUNet as Published

    config = [depth] * 7
    torch.manual_seed(0)
    own = SCUNet(config=config)
    other = Published(in_nc=1, config=config, pretrained=None, device=None)
    other.load_state_dict(own.state_dict(), strict=True)
    # as a training has it; the other as it comes
    first, second = stepper(own.to(memory_format=torch.channels_last)), stepper(other)
    for _ in range(2):
        torch.testing.assert_close(first(), second(), rtol=1e-5, atol=0)
    return compare(f"[{depth}] * 7, dim 64", first, second, rounds)


def main() -> None:
    rounds = rounds_asked(__doc__, threads=2, rounds=7)
    header("training step", "deepinv")
    last_line("train_step", min(ratio(depth, rounds) for depth in DEPTHS))


if __name__ == "__main__":
    main()
