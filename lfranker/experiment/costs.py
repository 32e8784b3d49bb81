"""How long a plan will take, from a few steps that are timed before it starts."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter

import torch

from lfranker.datasets.synthesis import Dataset
from lfranker.denoiser.tiling import denoise
from lfranker.losses import Objective
from lfranker.scans.preparation import ScanSet
from lfranker.training.trainer import TrainConfig, Trainer, build_network

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
