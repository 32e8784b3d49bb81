"""How near a training step comes to the rate of a plain matrix product.

    python -m benchmarks.roofline [--rounds 15]

The network of preset `small` (0,1,1,1,1,1,0, dim 32), batches of 8 x 64 x 64, one thread. The
ratio is the step's floating-point operations a second, those of products and convolutions, over
the rate of a product of 1024 x 1024 matrices that is timed in turn with it.
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
CONFIG, DIM, HEAD_DIM = (0, 1, 1, 1, 1, 1, 0), 32, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = SCUNet(config=CONFIG, dim=DIM, head_dim=HEAD_DIM)
    step = stepper(network.to(memory_format=torch.channels_last))
    with FlopCounterMode(display=False) as counter:
        step()
    work = {"step": counter.get_total_flops() / 1e9, "product": 2 * SIDE**3 / 1e9}
    first, second = torch.rand(2, SIDE, SIDE)
    taken = seconds({"step": step, "product": lambda: first @ second}, asked.rounds)
    sys.stdout.write(f"torch {torch.__version__}, 1 thread\n")
    for name, operations in work.items():
        middle = median(taken[name])
        sys.stdout.write(
            f"{name:<10}{operations:>8.2f} GFLOP{1000 * middle:>8.0f} ms"
            f"{operations / middle:>8.1f} GFLOP/s\n"
        )
    share = times_faster(taken["step"], taken["product"]) * work["step"] / work["product"]
    last_line("roofline", share)


if __name__ == "__main__":
    main()
