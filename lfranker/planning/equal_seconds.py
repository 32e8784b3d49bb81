"""Networks are compared at equal seconds: how many steps each has is measured, once.

Steps of a network cost what its layers and the losses cost. The first network has the steps that
were asked for; the others have so many that all subsets together take as long on each. What was
measured is rounded, and kept in the cache, so that the same power set finds its trainings again.
Other machines measure other numbers, and with these steps train other weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from lfranker.files import write_text
from lfranker.options import options
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import fingerprint
from lfranker.planning.time_estimate import Subset, seconds_per_step, to_time
from lfranker.training.config import TrainConfig

LEAST_TIMED = 6  # times that each network is timed, on few subsets again and again
DIGITS = 2  # of the ratio of two times, which is not measured better


def at_equal_seconds(
    all_inputs: Sequence[Inputs], subsets: Sequence[Subset], cache: Path
) -> list[Inputs]:
    """Return the inputs with so many steps that each network takes as long as the first."""
    by_network: dict[str, Inputs] = {}
    for own in all_inputs:
        by_network.setdefault(own.settings.train.network, own)
    if len(by_network) == 1:
        return list(all_inputs)
    paces = _paces(by_network, to_time(subsets), cache)
    return [_with_pace(own, paces[own.settings.train.network]) for own in all_inputs]


def _with_pace(own: Inputs, pace: float) -> Inputs:
    train = own.settings.train
    steps = max(1, round(train.steps / pace))
    if steps == train.steps:
        return replace(own, pace=pace)
    notice = (
        f"{own.noise} is trained for {steps:,} steps in place of {train.steps:,}, since one takes "
        f"{pace:g} times as long"
    )
    return replace(
        own,
        settings=replace(own.settings, train=replace(train, steps=steps)),
        pace=pace,
        notices=[*own.notices, notice],
    )


def _paces(
    by_network: Mapping[str, Inputs], subsets: Sequence[Subset], cache: Path
) -> dict[str, float]:
    """Return seconds a step of each network over those of the first, as measured once."""
    first = next(iter(by_network.values()))
    asked = {
        "networks": [_costing(own.settings.train) for own in by_network.values()],
        "subsets": ["+".join(subset) for subset in subsets],
        "patch": first.settings.dataset.patch,
        "device": str(first.device),
        "perceptual": first.facts["perceptual"],
        "torch": torch.__version__,
    }
    kept = cache / "paces" / f"{fingerprint(asked)}.json"
    if not kept.exists():
        seconds = measured(by_network, subsets)
        base = next(iter(seconds.values()))
        paces = {name: float(f"{own / base:.{DIGITS}g}") for name, own in seconds.items()}
        write_text(kept, json.dumps({"paces": paces, "seconds": seconds, "of": asked}, indent=1))
    stored: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))["paces"]
    return stored


def _costing(train: TrainConfig) -> dict[str, Any]:
    """Return the settings that steps take longer or shorter by."""
    without = {"steps", "seed", "repeat", "learning_rate", "weight_decay", "warmup"}
    without |= {
        name for name, (_, known) in options(TrainConfig).items() if not known.affects_weights
    }
    return {name: value for name, value in train.used.items() if name not in without}


def measured(by_network: Mapping[str, Inputs], subsets: Sequence[Subset]) -> dict[str, float]:
    """Return seconds a step of each network, mean over the subsets; networks take turns."""
    times: dict[tuple[str, Subset], list[float]] = {}
    for _ in range(-(-LEAST_TIMED // len(subsets))):
        for subset in subsets:
            for name, own in by_network.items():
                train = own.settings.train
                torch.set_num_threads(train.threads)
                taken = seconds_per_step(own.objective(subset), own.data, train, own.device)
                times.setdefault((name, subset), []).append(taken)
    return {name: fmean(median(times[name, subset]) for subset in subsets) for name in by_network}
