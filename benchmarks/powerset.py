"""The trainings of a power set against a plain loop over deepinv's SCUNet.

    python -m benchmarks.powerset [--jobs 2] [--steps 3] [--rounds 1] [--precision auto]

The 15 subsets of MAE, MSE, SSIM and VGG19, the network of preset `night` (its heads are those that
deepinv's has), batches of 8 x 64 x 64 of simulated scenes. Own side: as many processes as jobs, one
thread each, and `Trainer`, with averaged weights and clipping. The other side: one process with as
many threads; torch's, pytorch-msssim's and piq's losses; torch's AdamW as it comes. Initial
weights, batches and the first loss of each subset are the same (with own precision bfloat16, which
the loop does not have, within 2 %). Starts of processes, scores and
logs are left out on both sides.
Needs the extra `bench`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.paired import last_line
from benchmarks.perceptual_loss import theirs as piq_loss
from benchmarks.ssim_loss import theirs as msssim_loss
from lfranker.datasets.clean_images import simulated_clean
from lfranker.datasets.patch_dataset import Dataset, read_dataset
from lfranker.datasets.synthesis import synthesise
from lfranker.losses import VGGFeatures, build_objective
from lfranker.perceptual.vgg import VGG19
from lfranker.perceptual.weights import random_state
from lfranker.training.batches import draw_batch
from lfranker.training.presets import PRESETS
from lfranker.training.trainer import Trainer, build_network

NAMES = ("mae", "mse", "ssim", "perceptual")
SUBSETS = [subset for size in range(1, 5) for subset in combinations(NAMES, size)]
NIGHT = PRESETS["night"]
PATCHES = 200


@cache
def features() -> VGGFeatures:
    return VGGFeatures(random_state(VGG19, 0))


def first_loss_of_own(folder: str, subset: tuple[str, ...], steps: int, precision: str) -> float:
    """Train one subset as a training of a power set does; returns the loss of its first step."""
    torch.set_num_threads(1)
    config = replace(NIGHT.train, steps=steps, precision=precision)
    objective = build_objective(subset, features())
    data = read_dataset(Path(folder))
    training = Trainer(build_network(config), objective, data, config, torch.device("cpu"))
    first, *_ = training.steps()
    return first.loss


def plain_losses() -> Mapping[str, Callable[[Tensor, Tensor], Tensor]]:
    published = piq_loss(dict(random_state(VGG19, 0)))

    def colours(first: Tensor, second: Tensor) -> Tensor:
        return published(first.expand(-1, 3, -1, -1), second.expand(-1, 3, -1, -1))

    return {
        "mae": nn.functional.l1_loss,
        "mse": nn.functional.mse_loss,
        "ssim": msssim_loss,
        "perceptual": colours,
    }


def first_losses_of_loop(data: Dataset, steps: int) -> list[float]:
    """Train all subsets one after another, as a loop in a script would."""
    from deepinv.models import SCUNet as Published

    config, losses, first = NIGHT.train, plain_losses(), []
    for subset in SUBSETS:
        network = Published(in_nc=1, config=list(config.blocks), dim=config.dim, pretrained=None)
        optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate)
        network.load_state_dict(build_network(config).state_dict(), strict=True)
        for step in range(steps):
            noisy, clean, _ = draw_batch(data, config, step)
            output = network(noisy)
            loss = torch.stack([losses[name](output, clean) for name in subset]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step == 0:
                first.append(loss.item())
    return first


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    asked = parser.parse_args()
    taken: dict[str, list[float]] = {"own": [], "loop": []}
    with TemporaryDirectory() as folder, get_context("spawn").Pool(asked.jobs) as pool:
        config = replace(NIGHT.dataset, patches=PATCHES)
        data = synthesise(simulated_clean(1, 256, 0), Path(folder) / "data", config)
        words = [(str(data.folder), own, asked.steps, asked.precision) for own in SUBSETS]
        pool.starmap(first_loss_of_own, words[-asked.jobs :], chunksize=1)  # imports, VGG19
        torch.set_num_threads(asked.jobs)
        for _ in range(asked.rounds):
            start = perf_counter()
            own = pool.starmap(first_loss_of_own, words, chunksize=1)
            taken["own"].append(perf_counter() - start)
            start = perf_counter()
            other = first_losses_of_loop(data, asked.steps)
            taken["loop"].append(perf_counter() - start)
            rtol = 0.02 if asked.precision == "bfloat16" else 1e-3
            np.testing.assert_allclose(own, other, rtol=rtol)
    sys.stdout.write(f"15 subsets, {asked.steps} steps each, {asked.jobs} jobs or threads\n")
    for name, seconds in taken.items():
        sys.stdout.write(f"{name:<6}{median(seconds):8.1f} s\n")
    last_line("powerset", median(taken["loop"]) / median(taken["own"]))


if __name__ == "__main__":
    main()
