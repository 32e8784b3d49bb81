"""Training one network on one objective: the loop, and its complete state.

The loop yields and logs nothing; whoever iterates decides what to record and when to stop.
All subsets of a power set that share `seed` and `repeat` see the same initial weights and the
same batches, so that a difference between runs is a difference between losses. The settings are in
``config``.
"""

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from math import isfinite
from statistics import median
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lfranker.datasets.patch_dataset import Dataset
from lfranker.denoiser.networks import build
from lfranker.losses import Objective, gradient_norms, shares
from lfranker.training.batches import Batch, Batches
from lfranker.training.config import TrainConfig, learning_rate_factor
from lfranker.training.devices import compiled, in_bfloat16

MEDIAN_WINDOW = 200  # gradient norms that the running median of the clipping looks back on
MEDIAN_MINIMUM = 10  # no clipping before this many norms are known
BLOWN = 20.0  # times the median norm: clipping no longer helps, the network has gone wrong
BLOWN_MINIMUM = 100  # norms; a network that has not learned anything yet may jump


@dataclass(frozen=True)
class Step:
    """One optimiser step; `index` counts from 1, `terms` are unweighted loss values.

    `shares` are measured at the steps whose point of the curves is logged, where there are two
    terms or more: norms of the weighted terms' gradients, which sum to 1.
    """

    index: int
    loss: float
    terms: dict[str, float]
    gradient_norm: float
    clipped: bool
    seconds: float
    shares: dict[str, float]  # of each term in the gradient at the output; {} where not measured


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer finite."""


def build_network(config: TrainConfig) -> nn.Module:
    """A network whose initial weights depend on `seed` and `repeat` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            int(np.random.SeedSequence((config.seed, config.repeat)).generate_state(1)[0])
        )
        return build(config.network_settings)


def _numbers(*values: Tensor) -> list[float]:
    """Read scalars of a device in one transfer."""
    return cast(list[float], torch.stack([value.detach().double() for value in values]).tolist())


class Trainer:
    """The state of one training and the loop that advances it."""

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        data: Dataset,
        config: TrainConfig,
        device: torch.device,
    ) -> None:
        # channels_last was 5 to 8 % faster a step on CPUs too (dim 16 and 32)
        self.network = network
        network.to(device).to(memory_format=torch.channels_last)
        self.ema = deepcopy(self.network).eval().requires_grad_(False)
        self.objective, self.data, self.config, self.device = (
            objective.to(device),
            data,
            config,
            device,
        )
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,  # on one thread a half to a quarter of the time of one operation at a time
        )
        self.forward = compiled(network, config)
        self.half = in_bfloat16(config, device)
        self.batches = Batches(data, config, device)
        self.done = 0
        self.clipped = 0
        self.restored = 0  # times that it blew up and went back
        self.norms: deque[float] = deque(maxlen=MEDIAN_WINDOW)

    def steps(self) -> Iterator[Step]:
        """Train up to `config.steps`, one step per item. Raises `DivergedError`."""
        while self.done < self.config.steps:
            yield self._step()

    def branch(self, steps: int) -> "Trainer":
        """Return a training of so many steps that is where this one is, and leave this untouched.

        While this one has not begun to decay, and until that one does, they are the same training.
        """
        config = replace(self.config, steps=steps, shorter=False)
        own = Trainer(deepcopy(self.network), self.objective, self.data, config, self.device)
        own.load_state_dict(deepcopy(self.state_dict()))
        return own

    def _step(self) -> Step:
        start = perf_counter()
        batch = self.batches.of(self.done)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            output = batch.composite(self.forward(batch.noisy))
        loss, terms = self.objective(output, batch.clean)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        usual, limit = self._usual_norm()
        measured = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        # all at once: each number that is read makes this process wait for a GPU
        value, norm, *values = _numbers(loss, measured, *terms.values())
        if not (isfinite(norm) and isfinite(value)):
            raise DivergedError(f"loss {value}, gradient norm {norm} at step {self.done + 1}")
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * learning_rate_factor(self.done, self.config)
        if self._is_blown(norm, usual):
            self._restore()
        else:
            self.norms.append(norm)
            self.optimizer.step()
        self.clipped += norm > limit
        self.done += 1
        self._average()
        seconds = perf_counter() - start
        named = dict(zip(terms, values, strict=True))
        return Step(
            self.done, value, named, norm, norm > limit, seconds, self._shares(output, batch)
        )

    def _shares(self, output: Tensor, batch: Batch) -> dict[str, float]:
        """Measure beside the training, on its batch: nothing that it depends on is touched."""
        if len(self.objective.terms) < 2 or not self.config.logs(self.done):
            return {}
        return shares(gradient_norms(self.objective, output, batch.clean, batch.hidden))

    def _usual_norm(self) -> tuple[float, float]:
        """Return the run's own running median norm, and the multiple of it that is clipped at.

        Adam does not care for the scale of a loss; a fixed threshold would.
        """
        usual = median(self.norms) if len(self.norms) >= MEDIAN_MINIMUM else float("inf")
        return usual, self.config.clip_factor * usual

    def _is_blown(self, norm: float, usual: float) -> bool:
        """Return whether a norm is beyond all others, among which it does not count then."""
        return len(self.norms) >= BLOWN_MINIMUM and norm > BLOWN * usual

    @torch.no_grad()
    def _restore(self) -> None:
        """Go back to the averaged weights, without momentum.

        At high learning rates a network may, from one step to the next, amplify some patches
        without bound; each step after that makes it worse.
        """
        for own, averaged in zip(self.network.parameters(), self.ema.parameters(), strict=True):
            own.copy_(averaged)
            if momentum := self.optimizer.state[own]:
                momentum["exp_avg"].zero_()
        self.restored += 1

    def _average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.done) / (10 + self.done))
        averaged: list[Tensor] = list(self.ema.parameters())
        current = [parameter.detach() for parameter in self.network.parameters()]
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on; tensors, numbers and lists only."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "clipped": self.clipped,
            "restored": self.restored,
            "norms": list(self.norms),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.clipped = int(state["done"]), int(state["clipped"])
        self.restored = int(state.get("restored", 0))  # older checkpoints have none
        self.norms = deque(state["norms"], maxlen=MEDIAN_WINDOW)
