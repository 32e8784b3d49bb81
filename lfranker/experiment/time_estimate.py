"""How long a power set will take: of many subsets a few are timed, the others follow from them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np
import torch
from scipy.optimize import nnls

from lfranker.datasets.synthesis import Dataset
from lfranker.denoiser.tiling import denoise
from lfranker.losses import Objective
from lfranker.scans.preparation import ScanSet
from lfranker.training.trainer import TrainConfig, Trainer, build_network

ALL_TIMED = 15  # subsets, those of the paper's four losses: up to so many, each is timed
BETWEEN = 4  # of more, this many are timed beside the single losses and the largest
LONG = 24 * 3600.0  # s, that nobody should start unasked

Subset = tuple[str, ...]


def to_time(subsets: Sequence[Subset]) -> list[Subset]:
    """The subsets to time: each where they are few.

    Otherwise every single loss, in the plan or not, the largest subset and BETWEEN others.
    """
    if len(subsets) <= ALL_TIMED:
        return list(subsets)
    losses = dict.fromkeys(loss for subset in subsets for loss in subset)
    places = np.linspace(0, len(subsets) - 1, BETWEEN + 2)[1:].round().astype(int)
    chosen = [*((loss,) for loss in losses), *(subsets[place] for place in places)]
    return list(dict.fromkeys(chosen))


@dataclass(frozen=True)
class Costs:
    """Seconds a step by subset: those timed as they were, others by adding up.

    A step costs what the network does plus what each loss does, fitted to what was timed (least
    squares, no part below 0); `off` is the largest relative error of that where it was timed.
    Of the paper's four losses on a busy processor, 5 to 8 subsets of 15 timed, the total was off by
    2 to 3 %, a single subset by up to a third, as much as the timings themselves.
    """

    by_subset: Mapping[Subset, float]
    off: float
    timed: int


def costs(timed: Mapping[Subset, float], subsets: Sequence[Subset]) -> Costs:
    """The cost of every subset."""
    if set(subsets) <= set(timed):
        return Costs({subset: timed[subset] for subset in subsets}, 0.0, len(timed))
    losses = list(dict.fromkeys(loss for subset in timed for loss in subset))

    def row(subset: Subset) -> list[float]:
        return [1.0, *(float(loss in subset) for loss in losses)]

    seconds = np.array(list(timed.values()))
    # relative: the noise of a timing is in proportion to it
    parts, _ = nnls(np.array([row(s) for s in timed]) / seconds[:, None], np.ones(len(timed)))
    errors = [abs(float(np.dot(row(s), parts)) / value - 1) for s, value in timed.items()]
    found = {s: timed.get(s, float(np.dot(row(s), parts))) for s in subsets}
    return Costs(found, max(errors), len(timed))


@dataclass(frozen=True)
class Estimate:
    """A plan and its time, in seconds."""

    found: Costs
    repeats: int
    steps: int
    jobs: int  # trainings at once
    overhead: float  # of each training: starting and scoring
    more: int = 0  # trainings after the ranking at the most, of subsets not known yet
    noises: int = 1  # that each subset is trained on

    @property
    def total(self) -> float:
        """If nothing is finished yet."""
        each = [self._training(s) for s in self.found.by_subset.values()]
        planned = self.repeats * self.noises * sum(each)
        return max((planned + self.more * max(each)) / self.jobs, *each)

    def _training(self, seconds_per_step: float) -> float:
        return seconds_per_step * self.steps + self.overhead

    def __str__(self) -> str:
        """A line for each subset, or for each size where there are many."""
        by_subset = self.found.by_subset
        if len(by_subset) <= ALL_TIMED:
            lines = [f"  {'+'.join(s):<32} {t:7.3f} s a step" for s, t in by_subset.items()]
        else:
            lines = self._by_size()
        on_each = f", each subset on {self.noises} noises" if self.noises > 1 else ""
        return "\n".join(
            (
                f"{self.repeats * self.noises * len(by_subset):,} trainings of {self.steps:,} "
                f"steps, {self.jobs} at once{on_each}:",
                *lines,
                *([f"  and up to {self.more:,} more after the ranking"] if self.more else []),
                f"about {as_clock(self.total)} in all, if nothing is finished yet",
            )
        )

    def _by_size(self) -> list[str]:
        sizes: dict[int, list[float]] = defaultdict(list)
        for subset, seconds in self.found.by_subset.items():
            sizes[len(subset)].append(seconds)
        return [
            *(
                f"  {len(s):6,} subsets of {size}: {min(s):.3f} to {max(s):.3f} s a step, "
                f"{as_clock(self.repeats * self.noises * sum(map(self._training, s)))} one after "
                f"another"
                for size, s in sorted(sizes.items())
            ),
            f"  ({self.found.timed} subsets timed; the others add up from them, which for those "
            f"timed is off by {self.found.off:.0%} at most)",
        ]


TIMED_STEPS = 2  # after one that warms up


STARTING = 12.0  # s that a process needs to import torch and mlflow, and to log its model


def seconds_per_step(
    objective: Objective, data: Dataset, config: TrainConfig, device: torch.device
) -> float:
    """Median duration of optimiser steps on this objective, s."""
    timed = replace(config, steps=1 + TIMED_STEPS)
    steps = Trainer(build_network(timed), objective, data, timed, device).steps()
    next(steps)
    return median(_seconds(lambda: next(steps).loss) for _ in range(TIMED_STEPS))


def scoring_seconds(config: TrainConfig, scans: ScanSet, device: torch.device) -> float:
    """Time to denoise every pair of `scans` once, s, judged by the first."""
    network = build_network(config).to(device)
    first = next(iter(scans))
    return len(scans) * _seconds(lambda: denoise(network, first.noisy))


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def as_clock(seconds: float) -> str:
    """`93784` -> `1 d 2:03:04`."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return f"{days} d " * (days > 0) + f"{h}:{m:02d}:{s:02d}"
