"""Whether one network that knows its loss ranks the subsets as trainings of their own do.

    python -m benchmarks.conditional --cache .lfranker [--parent RUN] [--repeats 3] [--cost 2]

A loss-conditional network (Dosovitskiy & Djolonga, You Only Train Once, ICLR 2020): the weights of
the losses are drawn for each batch, and scale and shift the features of every stage. It is trained
with the data, batches, network and settings of a finished power set, for ``cost`` times the steps
of one training, and scored on its scans at every subset of the losses. Half of the batches have a
subset, the others any weights. Their gradients at the output have the same norm: without that, the
losses with small gradients would not be learned. Prints Kendall's tau between its ranking and that
of the trainings, in each repeat, and the place at which it has their best. Experiment: nothing of
it is part of the product.
"""

import argparse
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn
from tqdm import tqdm

from lfranker.child_runs.worker import TrainingTask, read_task
from lfranker.datasets.patch_dataset import read_dataset
from lfranker.denoiser.scunet import SCUNet
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.scoring import of_noisy, score
from lfranker.losses import Objective, build_objective, parse_subset
from lfranker.scans.preparation import read_scans
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.scores import field_scores
from lfranker.training.batches import draw_batch
from lfranker.training.config import TrainConfig, learning_rate_factor
from lfranker.training.trainer import build_network

STAGES = ("m_head", "m_down1", "m_down2", "m_down3", "m_body", "m_up3", "m_up2", "m_up1")
CLIP = 1.0  # norm of all gradients; those at the output have norm 1 / sqrt(pixels)
CRITERIA = ("psnr", "ssim")


class Conditional(nn.Module):
    """SCUNet whose stages are scaled and shifted by what the weights of the losses say."""

    condition: Tensor

    def __init__(self, network: SCUNet, losses: int, dim: int) -> None:
        super().__init__()
        self.network = network
        channels = [dim, 2 * dim, 4 * dim, 8 * dim, 8 * dim, 4 * dim, 2 * dim, dim]
        self.films = nn.ModuleList(
            nn.Sequential(nn.Linear(losses, 64), nn.ReLU(), nn.Linear(64, 2 * count))
            for count in channels
        )
        for film in self.films:  # at first it is the network itself, whatever the weights
            nn.init.zeros_(film[-1].weight)
            nn.init.zeros_(film[-1].bias)
        self.register_buffer("condition", torch.full((losses,), 1 / losses))

    def forward(self, image: Tensor) -> Tensor:
        hooks = [
            getattr(self.network, stage).register_forward_hook(self._modulated(film))
            for stage, film in zip(STAGES, self.films, strict=True)
        ]
        try:
            return self.network(image)
        finally:
            for hook in hooks:
                hook.remove()

    def _modulated(self, film: nn.Module):
        def hook(module: nn.Module, given: object, output: Tensor) -> Tensor:
            scale, shift = film(self.condition).chunk(2)
            return output * (1 + scale[:, None, None]) + shift[:, None, None]

        return hook


def drawn_weights(corners: list[list[float]], rng: np.random.Generator) -> Tensor:
    """Weights that sum to 1: of a subset, or any."""
    weights = np.array(corners[rng.integers(len(corners))])
    if rng.random() < 0.5:
        weights = weights * 10 ** rng.uniform(-1, 1, weights.shape)
    return torch.tensor(weights / weights.sum(), dtype=torch.float32)


def train(task: TrainingTask, losses: tuple[str, ...], corners: list[list[float]], cost: int):
    config: TrainConfig = task.train
    config = TrainConfig(**{**vars(config), "steps": cost * config.steps})
    data = read_dataset(task.inputs.data)
    torch.manual_seed(config.repeat)
    network = Conditional(build_network(config), len(losses), config.dim)
    network.to(memory_format=torch.channels_last)
    averaged = deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    rng = np.random.default_rng((config.seed, config.repeat, len(losses)))
    terms = {name: build_objective([name]) for name in losses}
    for step in tqdm(range(config.steps), disable=None):
        noisy, clean, _ = draw_batch(data, config, step)
        network.condition = drawn_weights(corners, rng)
        output = network(noisy.to(memory_format=torch.channels_last))
        gradient = _gradient(terms, network.condition, output, clean)
        optimizer.zero_grad(set_to_none=True)
        output.backward(gradient)
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(step, config)
        optimizer.step()
        decay = min(config.ema_decay, (2 + step) / (11 + step))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(averaged.parameters()), [p.detach() for p in network.parameters()], 1 - decay
            )
    return averaged


def _gradient(
    terms: dict[str, Objective], weights: Tensor, output: Tensor, clean: Tensor
) -> Tensor:
    """Return the gradient at the output of the weighted losses, of norm 1 / sqrt(pixels)."""
    leaf = output.detach().requires_grad_()
    loss = sum(
        weight * objective(leaf, clean)[0]
        for weight, objective in zip(weights, terms.values(), strict=True)
        if weight > 0
    )
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient / (gradient.norm() * gradient.numel() ** 0.5).clamp_min(1e-20)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--parent")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cost", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    power_set = load_power_set(asked.parent)
    for repeat in range(asked.repeats):
        sys.stdout.write(compared(power_set, repeat, asked.cache, asked.cost) + "\n")
        sys.stdout.flush()


def compared(power_set: PowerSet, repeat: int, cache: Path, cost: int) -> str:
    """Train and score one conditional network, and compare its ranking with the trainings'."""
    names = [name for name, of in power_set.trainings if of == repeat]
    losses = tuple(dict.fromkeys(part for name in names for part in parse_subset(name)))
    corners = [[float(loss in parse_subset(name)) for loss in losses] for name in names]
    run = power_set.trainings[names[0], repeat]
    task = read_task(cache / "logs" / f"{run.run_id}.json")
    assert isinstance(task, TrainingTask)
    network = train(task, losses, corners, cost)
    scans = read_scans(task.inputs.scans)
    rows = {}
    for name, corner in zip(names, corners, strict=True):
        network.condition = torch.tensor(corner) / sum(corner)
        rows[name] = score(of_noisy(lambda image: denoise(network, image)), scans)[
            list(CRITERIA)
        ].mean()
    screen = pd.DataFrame(rows).T
    table = field_scores(power_set, power_set.scan_set()).table
    own = table[~table["baseline"] & (table["repeat"] == repeat)]
    true = own.groupby("name")[list(CRITERIA)].mean().loc[names]
    lines = [f"repeat {repeat}", screen.join(true, rsuffix=" alone").round(4).to_string()]
    for criterion in CRITERIA:
        tau = kendalltau(screen[criterion], true[criterion]).statistic
        best = true[criterion].idxmax()
        place = int(screen[criterion].rank(ascending=False)[best])
        lines.append(
            f"{criterion}: tau {tau:.2f}; {best}, best of the trainings, is number {place}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
