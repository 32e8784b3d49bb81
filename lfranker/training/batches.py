"""The batches of a training: the same for every loss, whatever step a run starts at."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lfranker.datasets.patch_dataset import Dataset
from lfranker.noise.components import components_of
from lfranker.noise.noise_config import BLIND, OF_SCANS, RECORRUPTED
from lfranker.training.config import TrainConfig
from lfranker.training.noisy_targets import hide, recorrupt

Patches = NDArray[np.integer[Any]]


class Batch(NamedTuple):
    """Patches `(b, 1, p, p)` of one step; ``clean`` is what a network's output is compared with."""

    noisy: Tensor
    clean: Tensor
    hidden: Tensor | None = None  # pixels in which it is compared, where these are not all

    def composite(self, output: Tensor) -> Tensor:
        """Return the output as losses see it: the target itself where nothing was hidden."""
        return output if self.hidden is None else torch.where(self.hidden, output, self.clean)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with each of its parts changed."""
        hidden = None if self.hidden is None else change(self.hidden)
        return Batch(change(self.noisy), change(self.clean), hidden)


def draw_batch(data: Dataset, config: TrainConfig, step: int) -> Batch:
    """Noisy and clean batch of one step.

    Patch k has a generator of its own, keyed by (seed, repeat, step, k): it is the same
    whatever the batch size, the loss or the step that a resumed run starts at. Patches are
    mirrored and turned; by half turns only where the noise knows the fast axis, which is x in the
    scans too: where it is correlated, in noisy scans, and in all noises of components, so that
    those with and without correlation or line offsets see the same patches.
    """
    noisy: list[Patches] = []
    clean: list[Patches] = []
    indices: list[int] = []
    generators: list[np.random.Generator] = []
    noise = data.config.noise
    along_x = noise.mode in OF_SCANS or bool(components_of(noise.mode))
    half = noise.correlation != (0.0, 0.0) or along_x
    for k in range(config.batch):
        rng = np.random.default_rng((config.seed, config.repeat, step, k))
        index = data.train[rng.integers(len(data.train))]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        if half:
            turns = 2 * (turns // 2)
        for source, batch in ((data.noisy, noisy), (data.clean, clean)):
            patch = np.rot90(source[index], turns)
            batch.append(patch[:, ::-1] if mirrored else patch)
        indices.append(int(index))
        generators.append(rng)
    drawn = Batch(to_batch(np.stack(noisy)), to_batch(np.stack(clean)))
    return with_noisy_targets(data, drawn, indices, generators)


def with_noisy_targets(
    data: Dataset,
    drawn: Batch,
    indices: Sequence[int],
    generators: Sequence[np.random.Generator],
) -> Batch:
    """Return the batch as networks see it where a patch is its own target; others as they are.

    ``indices`` and ``generators``: which pair each patch is of, and what is drawn for it.
    """
    mode = data.config.noise.mode
    if mode not in (BLIND, RECORRUPTED):
        return drawn
    patches = drawn.noisy.numpy()[:, 0]
    if mode == BLIND:
        runs = [hide(p, data.blind_radius, rng) for p, rng in zip(patches, generators, strict=True)]
        replaced, hidden = (
            torch.from_numpy(np.stack(part))[:, None] for part in zip(*runs, strict=True)
        )
        return Batch(replaced, drawn.clean, hidden)
    pairs = [
        recorrupt(patch, data.noise_in(index), rng)
        for patch, index, rng in zip(patches, indices, generators, strict=True)
    ]
    return Batch(*(torch.from_numpy(np.stack(part))[:, None] for part in zip(*pairs, strict=True)))


class Batches:
    """The batches of a training on its device; the next one is drawn beside a step of a GPU."""

    def __init__(self, data: Dataset, config: TrainConfig, device: torch.device) -> None:
        self.data, self.config, self.device = data, config, device
        self.beside = device.type != "cpu"
        self.pool: ThreadPoolExecutor | None = None
        self.next: tuple[int, Future[Batch]] | None = None

    def of(self, step: int) -> Batch:
        """Return the batch of a step, channels last."""
        if not self.beside:
            drawn = draw_batch(self.data, self.config, step)
        else:
            drawn = self._drawn_ahead(step)
        return drawn.each(self._moved)

    def _moved(self, batch: Tensor) -> Tensor:
        return batch.to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def _drawn_ahead(self, step: int) -> Batch:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(1, "batches")
        if self.next is None or self.next[0] != step:
            self.next = step, self.pool.submit(self._draw, step)
        drawn = self.next[1].result()
        after = step + 1
        if after < self.config.steps:
            self.next = after, self.pool.submit(self._draw, after)
        return drawn

    def _draw(self, step: int) -> Batch:
        drawn = draw_batch(self.data, self.config, step)
        if self.device.type == "cuda":
            return drawn.each(Tensor.pin_memory)
        return drawn


def to_batch(patches: Patches) -> Tensor:
    """Scale stored integers `(b, p, p)` to float32 `(b, 1, p, p)` in [0, 1]."""
    scale = 1.0 / np.iinfo(patches.dtype).max
    return torch.from_numpy(patches.astype(np.float32) * np.float32(scale)).unsqueeze(1)
