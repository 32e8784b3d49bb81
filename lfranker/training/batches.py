"""The batches of a training: the same for every loss, whatever step a run starts at."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lfranker.datasets.synthesis import Dataset
from lfranker.noise.components import components_of
from lfranker.training.config import TrainConfig

Patches = NDArray[np.integer[Any]]


def draw_batch(data: Dataset, config: TrainConfig, step: int) -> tuple[Tensor, Tensor]:
    """Noisy and clean batch `(b, 1, p, p)` in [0, 1] of one step.

    Patch k has a generator of its own, keyed by (seed, repeat, step, k): it is the same
    whatever the batch size, the loss or the step that a resumed run starts at. Patches are
    mirrored and turned; by half turns only where the noise knows the fast axis, which is x in the
    scans too: where it is correlated, and in all noises of components, so that those with and
    without correlation or line offsets see the same patches.
    """
    noisy: list[Patches] = []
    clean: list[Patches] = []
    noise = data.config.noise
    half = noise.correlation != (0.0, 0.0) or bool(components_of(noise.mode))
    for k in range(config.batch):
        rng = np.random.default_rng((config.seed, config.repeat, step, k))
        index = data.train[rng.integers(len(data.train))]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        if half:
            turns = 2 * (turns // 2)
        for source, batch in ((data.noisy, noisy), (data.clean, clean)):
            patch = np.rot90(source[index], turns)
            batch.append(patch[:, ::-1] if mirrored else patch)
    return to_batch(np.stack(noisy)), to_batch(np.stack(clean))


class Batches:
    """The batches of a training on its device; the next one is drawn beside a step of a GPU."""

    def __init__(self, data: Dataset, config: TrainConfig, device: torch.device) -> None:
        self.data, self.config, self.device = data, config, device
        self.beside = device.type != "cpu"
        self.pool: ThreadPoolExecutor | None = None
        self.next: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None

    def of(self, step: int) -> tuple[Tensor, Tensor]:
        """Return noisy and clean batch of a step, channels last."""
        if not self.beside:
            noisy, clean = draw_batch(self.data, self.config, step)
        else:
            noisy, clean = self._drawn_ahead(step)
        return self._moved(noisy), self._moved(clean)

    def _moved(self, batch: Tensor) -> Tensor:
        return batch.to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def _drawn_ahead(self, step: int) -> tuple[Tensor, Tensor]:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(1, "batches")
        if self.next is None or self.next[0] != step:
            self.next = step, self.pool.submit(self._draw, step)
        drawn = self.next[1].result()
        after = step + 1
        if after < self.config.steps:
            self.next = after, self.pool.submit(self._draw, after)
        return drawn

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        noisy, clean = draw_batch(self.data, self.config, step)
        if self.device.type == "cuda":
            return noisy.pin_memory(), clean.pin_memory()
        return noisy, clean


def to_batch(patches: Patches) -> Tensor:
    """Scale stored integers `(b, p, p)` to float32 `(b, 1, p, p)` in [0, 1]."""
    scale = 1.0 / np.iinfo(patches.dtype).max
    return torch.from_numpy(patches.astype(np.float32) * np.float32(scale)).unsqueeze(1)
