"""The plan of a power set, pure: subsets x repeats -> tasks, and what is left to do."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lfranker.losses import subset_name
from lfranker.losses.subsets import ALL, SubsetRule
from lfranker.training.config import TrainConfig
from lfranker.training.loss_balancing import UNIT
from lfranker.training.numerics import NUMERICS, numerics_text

DETERMINING_FACTS = ("data", "perceptual", "init", "device")
VARY_DATA = "vary_data"  # the fact that each repeat trains on another draw of the images
WHERE_THERE = ("loss_files", VARY_DATA)  # facts that others do without


@dataclass(frozen=True)
class Task:
    """One training: a subset of the losses in one repeat."""

    losses: tuple[str, ...]
    name: str  # as it is shown: "mae+perceptual-random" where VGG19 has random weights
    config: TrainConfig

    @property
    def repeat(self) -> int:
        return self.config.repeat


def fingerprint(facts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that change when any of the facts does."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def powerset_key(config: TrainConfig, facts: Mapping[str, str], numerics: int = NUMERICS) -> str:
    """Return the key of what all trainings of a power set share that determines their weights.

    `facts` are data, perceptual, init, device; `loss_weights` where they are not those of the paper
    (how they are chosen, not the numbers: these follow from data and seed); and `loss_files`, the
    digest of what files decide, such as losses of the user's own, absent where there is none; so is
    `vary_data` where all repeats train on the same data. Else `data` is that of the first repeat.
    Neither the set of losses nor the scans enter: new scans reuse what is trained, and so does a
    larger set, unless a loss is added to it that needs such a file or the perceptual network.
    `numerics` is the number of `training.numerics`; the package's version does not enter.
    """
    common = {k: v for k, v in config.determining().items() if k != "repeat"}
    used = {name: facts[name] for name in DETERMINING_FACTS}
    used |= {name: facts[name] for name in WHERE_THERE if name in facts}
    if (weights := facts.get("loss_weights", UNIT)) != UNIT:
        used["loss_weights"] = weights
    return fingerprint({**common, **used, "version": numerics_text(numerics)})


def training_fingerprint(key: str, task: Task) -> str:
    """Return the fingerprint of what determines the weights of one training."""
    return fingerprint({"powerset": key, "losses": task.name, "repeat": task.repeat})


def tasks(
    losses: Sequence[str],
    repeats: int,
    config: TrainConfig,
    perceptual: str = "perceptual",
    rule: SubsetRule = ALL,
) -> list[Task]:
    """Every subset that `rule` keeps in every repeat, all subsets of a repeat together.

    `perceptual` is the name that the perceptual loss is shown under.
    """
    return [
        Task(subset, subset_name(subset, perceptual=perceptual), replace(config, repeat=repeat))
        for repeat in range(repeats)
        for subset in rule.subsets(losses)
    ]
