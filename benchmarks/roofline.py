"""How near a training step comes to the rate of a plain matrix product.

    python -m benchmarks.roofline [--rounds 15]

Batches of 8 x 64 x 64, one thread. A row for each network: the step's floating-point operations a
second, those of products and convolutions, and their share of the rate of a product of 1024 x 1024
matrices that is timed in turn with it. The last line is that of preset `small` (0,1,1,1,1,1,0,
dim 32); the others are those of `train_step`.
"""

import argparse
import sys
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.paired import last_line, seconds, times_faster
from benchmarks.train_step import stepper
from lfranker.denoiser.scunet import SCUNet

SIDE = 1024
NETWORKS = {  # blocks of each stage, channels, and those of a head
    "[2] * 7, dim 64": ((2,) * 7, 64, 32),
    "[1] * 7, dim 64": ((1,) * 7, 64, 32),
    "small": ((0, 1, 1, 1, 1, 1, 0), 32, 16),
}


def share(name: str, rounds: int) -> float:
    """Print the row of a network, and return its share."""
    config, dim, head_dim = NETWORKS[name]
    torch.manual_seed(0)
    network = SCUNet(config=config, dim=dim, head_dim=head_dim)
    step = stepper(network.to(memory_format=torch.channels_last))
    with FlopCounterMode(display=False) as counter:
        step()
    work = counter.get_total_flops() / (2 * SIDE**3)  # in products
    first, second = torch.rand(2, SIDE, SIDE)
    taken = seconds({"step": step, "product": lambda: first @ second}, rounds)
    of_product = times_faster(taken["step"], taken["product"]) * work
    rate = work * 2 * SIDE**3 / median(taken["step"]) / 1e9
    sys.stdout.write(
        f"{name:<18}{1000 * median(taken['step']):>8.0f} ms{rate:>8.1f} GFLOP/s{of_product:>8.2f}\n"
    )
    return of_product


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(f"torch {torch.__version__}, 1 thread\n")
    shares = {name: share(name, asked.rounds) for name in NETWORKS}
    last_line("roofline", shares["small"])


if __name__ == "__main__":
    main()
