"""A process of a power set, which does one task.

python -m lfranker.experiment.worker TASK.json
"""

import sys
from pathlib import Path

from lfranker.datasets.synthesis import read_dataset
from lfranker.experiment.console import Console
from lfranker.experiment.scoring import score_training
from lfranker.experiment.settings import Settings
from lfranker.experiment.single_training import TrainingConfig, run_training
from lfranker.experiment.task_files import ScoringTask, read_task
from lfranker.processes import terminate_as_interrupt
from lfranker.scans.preparation import read_scans
from lfranker.training.presets import PRESETS


def run_task(file: Path) -> None:
    """Do what the file says."""
    task, console = read_task(file), Console(_write, _write)
    if isinstance(task, ScoringTask):
        scans = read_scans(task.scans)
        with terminate_as_interrupt():
            score_training(task.run, scans, console)
        return
    if task.inputs.data is None:
        raise ValueError(f"{file}: the training has no dataset")
    dataset = read_dataset(task.inputs.data).config
    chosen = Settings(PRESETS[task.preset], task.train, dataset)
    run_training(TrainingConfig(chosen, task.losses, task.inputs, task.keep_checkpoints), console)


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    run_task(Path(sys.argv[1]))
