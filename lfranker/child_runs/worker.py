"""A process of a power set, which does one task: a training, or scoring its model.

python -m lfranker.child_runs.worker TASK.json
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from lfranker.child_runs.console import Console
from lfranker.child_runs.scoring import score_training
from lfranker.child_runs.single_training import TrainingConfig, run_training
from lfranker.child_runs.travelling import found_here, node_cache
from lfranker.datasets.patch_dataset import Dataset, read_dataset
from lfranker.files import write_text
from lfranker.launching.on_node import LOG, owner_here
from lfranker.planning.inputs import InputConfig
from lfranker.planning.settings import Settings
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.scans.preparation import ScanSet, read_scans
from lfranker.tracking.claims import other_owner
from lfranker.tracking.models import know_packages
from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import own_run, send_log
from lfranker.tracking.shared_inputs import SharedInput
from lfranker.training.config import TrainConfig
from lfranker.training.presets import PRESETS

PATHS = ("clean", "scans", "data", "init", "cache")  # of InputConfig


@dataclass(frozen=True)
class TrainingTask:
    """One training on a stored dataset, and its scoring on scans that are prepared.

    The run that it belongs to is the process's own, by MLFLOW_RUN_ID.
    """

    losses: tuple[str, ...]
    preset: str
    train: TrainConfig
    inputs: InputConfig
    keep_checkpoints: bool
    dataset: str  # digests of what the power set prepared, and nothing else is to be read
    scan_set: str
    until: int = 0  # pause once the branch of so many steps is scored; 0: train to the end
    shared: Mapping[str, SharedInput] = field(default_factory=dict)  # inputs, by their options


@dataclass(frozen=True)
class ScoringTask:
    """Scoring the model of a finished training on scans that are prepared."""

    run: str
    scans: Path
    scan_set: str  # its digest
    shared: Mapping[str, SharedInput] = field(default_factory=dict)


def write_task(task: TrainingTask | ScoringTask, file: Path) -> None:
    """Write what `read_task` reads."""
    stored = {"task": type(task).__name__, **asdict(task)}
    write_text(file, json.dumps(stored, indent=1, default=str))


def read_task(file: Path) -> TrainingTask | ScoringTask:
    """Read the task of a process. Raises ValueError where the file holds none.

    Inputs that it shares with other machines are where this one has them, fetched if need be.
    """
    stored: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    kind, here = stored.pop("task", None), found_here(stored.get("shared", {}))
    if kind == ScoringTask.__name__:
        _, scans = here.get("scans", ("", Path(stored["scans"])))
        return ScoringTask(stored["run"], scans, stored["scan_set"])
    if kind != TrainingTask.__name__:
        raise ValueError(f"{file}: task is {kind!r}; allowed are TrainingTask and ScoringTask")
    for name, (there, path) in here.items():  # `vgg16:FILE` is among what names a file
        stored["inputs"][name] = stored["inputs"][name].replace(there, str(path))
    if here:
        stored["inputs"]["cache"] = str(node_cache())
    given = {name: Path(stored["inputs"][name]) for name in PATHS if stored["inputs"][name]}
    return TrainingTask(
        tuple(stored["losses"]),
        stored["preset"],
        TrainConfig(**stored["train"]),
        InputConfig(**{**stored["inputs"], **given}),
        stored["keep_checkpoints"],
        stored["dataset"],
        stored["scan_set"],
        stored["until"],
    )


Prepared = TypeVar("Prepared", Dataset, ScanSet)


def prepare() -> None:
    """Do once what else takes each training seconds: what its optimiser imports, what is installed.

    Not needed: a training that nobody prepared for does it itself.
    """
    import_module("torch._dynamo")
    know_packages()


def main(words: Sequence[str]) -> None:
    """Do what the file says that is named by the one word, the ID of its run.

    On another machine its log is sent to the run: the command may have ended by then.
    """
    try:
        run_task(Path(words[0]))
    finally:
        if owner_here() and (log := os.environ.get(LOG)):
            sys.stderr.flush()
            send_log(Path(words[0]).stem, Path(log))


def run_task(file: Path) -> None:
    """Do what the file says."""
    task, console = read_task(file), Console(_write, _write)
    if isinstance(task, ScoringTask):
        scans = _the_same(read_scans(task.scans), task.scan_set)
        with terminate_as_interrupt():
            score_training(task.run, scans, console)
        return
    if task.inputs.data is None or task.inputs.scans is None:
        raise ValueError(f"{file}: the training has no dataset or no scans")
    scans = _the_same(read_scans(task.inputs.scans), task.scan_set)
    if owner_here() and _settled(os.environ["MLFLOW_RUN_ID"], scans, console):
        return
    dataset = _the_same(read_dataset(task.inputs.data), task.dataset)
    chosen = Settings(PRESETS[task.preset], task.train, dataset.config)
    run_training(
        TrainingConfig(chosen, task.losses, task.inputs, task.keep_checkpoints, task.until), console
    )


def _settled(run_id: str, scans: ScanSet, console: Console) -> bool:
    """Return whether a job of an engine has nothing to train; do what else there is to do.

    Another may have the run, handed in by a command that was killed before it could say so; or an
    earlier one was lost while it scored.
    """
    if other := other_owner(run_id):
        console.say(f"nothing to do: {other} has run {run_id}")
        return True
    training = find_training(run_id)
    if not training.model:
        return False
    with terminate_as_interrupt(), own_run(training.title, "train"):
        score_training(run_id, scans, console)
    return True


def _the_same(prepared: Prepared, digest: str) -> Prepared:
    """Return what the power set prepared. Raises ValueError where it was replaced since."""
    if prepared.digest == digest:
        return prepared
    raise ValueError(
        f"{prepared.folder}: replaced since the power set began, its digest was {digest[:16]} and "
        f"is {prepared.digest[:16]}; give the same command again"
    )


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
