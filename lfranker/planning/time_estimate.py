"""Estimates of a power set's duration: a few of many subsets are timed, the others follow."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from time import perf_counter

import torch

from lfranker.datasets.patch_dataset import Dataset
from lfranker.denoiser.tiling import denoise
from lfranker.losses import Objective
from lfranker.scans.preparation import ScanSet
from lfranker.training.config import TrainConfig
from lfranker.training.trainer import Trainer, build_network

ALL_TIMED = 15  # subsets, those of the paper's four losses: up to so many, each is timed
LONG = 24 * 3600.0  # s, that nobody should start unasked

Subset = tuple[str, ...]


def to_time(subsets: Sequence[Subset]) -> list[Subset]:
    """Return the subsets to time: each where they are few, else the first and last of each size.

    In a whole power set the first of a size has the losses that the last of another one lacks, so
    that over all sizes each loss counts as often as it should.
    """
    if len(subsets) <= ALL_TIMED:
        return list(subsets)
    ends = (end for same in _by_size(subsets).values() for end in (same[0], same[-1]))
    return list(dict.fromkeys(ends))


def costs(timed: Mapping[Subset, float], subsets: Sequence[Subset]) -> dict[Subset, float]:
    """Return seconds a step of every subset: as timed, else the mean of those timed of its size."""
    means = {size: fmean(timed[s] for s in same) for size, same in _by_size(timed).items()}
    return {s: timed[s] if s in timed else means[len(s)] for s in subsets}


def _by_size(subsets: Iterable[Subset]) -> dict[int, list[Subset]]:
    sizes: dict[int, list[Subset]] = defaultdict(list)
    for subset in subsets:
        sizes[len(subset)].append(subset)
    return dict(sorted(sizes.items()))


@dataclass(frozen=True)
class TimeEstimate:
    """A plan and its time, in seconds."""

    by_subset: Mapping[Subset, float]  # seconds a step
    timed: int  # subsets; the others have the mean of those timed of their size
    repeats: int
    steps: int
    jobs: int  # trainings at once
    overhead: float  # of each training: starting and scoring
    more: int = 0  # trainings after the ranking at the most, of subsets not known yet
    noises: int = 1  # that each subset is trained on, networks or both
    compared: str = "noises"  # what these are
    in_branches: int = 0  # steps of each training beside `steps`

    @property
    def total(self) -> float:
        """Duration of all trainings if nothing is finished yet."""
        return self._of(list(self.by_subset.values()))

    @property
    def longest(self) -> float:
        """Duration of all trainings if each subset took as long as the slowest that was timed."""
        return self._of([max(self.by_subset.values())] * len(self.by_subset))

    def _of(self, seconds_per_step: Sequence[float]) -> float:
        each = [self._training(seconds) for seconds in seconds_per_step]
        planned = self.repeats * self.noises * sum(each)
        return max((planned + self.more * max(each)) / self.jobs, *each)

    def _training(self, seconds_per_step: float) -> float:
        return seconds_per_step * (self.steps + self.in_branches) + self.overhead

    def __str__(self) -> str:
        """A line for each subset, or for each size where there are many."""
        number = len(self.by_subset)
        count = self.repeats * self.noises * number
        on_each = f", each subset on {self.noises} {self.compared}" if self.noises > 1 else ""
        branches = f" and {self.in_branches:,} in shorter branches" if self.in_branches else ""
        bound = (
            f"; {as_clock(self.longest)} if all took as long as the slowest subset timed"
            if self.timed < number
            else ""
        )
        return "\n".join(
            (
                f"{count:,} training{'s' * (count != 1)} of {self.steps:,} steps{branches}, "
                f"{self.jobs} at once{on_each}:",
                *(self._lines() if number <= ALL_TIMED else self._lines_by_size()),
                *([f"  and up to {self.more:,} more after the ranking"] if self.more else []),
                f"about {as_clock(self.total)} for all, if nothing is finished yet{bound}",
                "then filters are scored, and the losses are ranked",
            )
        )

    def _lines(self) -> list[str]:
        return [f"  {'+'.join(s):<32} {t:7.3f} s a step" for s, t in self.by_subset.items()]

    def _lines_by_size(self) -> list[str]:
        lines = []
        for size, same in _by_size(self.by_subset).items():
            seconds = [self.by_subset[subset] for subset in same]
            clock = as_clock(self.repeats * self.noises * sum(map(self._training, seconds)))
            lines.append(
                f"  {len(same):6,} subsets of {size}: about {fmean(seconds):.3f} s a step, "
                f"{clock} one after another"
            )
        return [
            *lines,
            f"  ({self.timed} subsets timed, the first and the last of each size; the others are "
            f"taken as their mean, which a single one may well miss)",
        ]


TIMED_STEPS = 3  # after one that warms up; one that something else delayed does not count
STARTING = 3.0  # s of a training beside its steps and scores: most of it to log its model
IMPORTS = 9.0  # s more of one that is no copy of a process which has imported torch and MLflow


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
