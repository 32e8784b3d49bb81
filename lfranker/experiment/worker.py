"""A process of a power set, which does one task.

python -m lfranker.experiment.worker TASK.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from lfranker.datasets.synthesis import Dataset, read_dataset
from lfranker.experiment.console import Console
from lfranker.experiment.scoring import score_training
from lfranker.experiment.settings import Settings
from lfranker.experiment.single_training import TrainingConfig, run_training
from lfranker.experiment.task_files import ScoringTask, read_task
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.scans.preparation import ScanSet, read_scans
from lfranker.training.presets import PRESETS

Prepared = TypeVar("Prepared", Dataset, ScanSet)


def main(words: Sequence[str]) -> None:
    """Do what the file says that is named by the one word."""
    run_task(Path(words[0]))


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
    _the_same(read_scans(task.inputs.scans), task.scan_set)
    dataset = _the_same(read_dataset(task.inputs.data), task.dataset)
    chosen = Settings(PRESETS[task.preset], task.train, dataset.config)
    run_training(
        TrainingConfig(chosen, task.losses, task.inputs, task.keep_checkpoints, task.until), console
    )


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
