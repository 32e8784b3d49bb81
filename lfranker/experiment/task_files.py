"""Tasks of a power set's processes as files: one training each, or scoring its model."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lfranker.experiment.inputs import InputConfig
from lfranker.files import write_text
from lfranker.training.config import TrainConfig

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


@dataclass(frozen=True)
class ScoringTask:
    """Scoring the model of a finished training on scans that are prepared."""

    run: str
    scans: Path
    scan_set: str  # its digest


def write_task(task: TrainingTask | ScoringTask, file: Path) -> None:
    """Write what `read_task` reads."""
    stored = {"task": type(task).__name__, **asdict(task)}
    write_text(file, json.dumps(stored, indent=1, default=str))


def read_task(file: Path) -> TrainingTask | ScoringTask:
    """Read the task of a process. Raises ValueError where the file holds none."""
    stored: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    kind = stored.pop("task", None)
    if kind == ScoringTask.__name__:
        return ScoringTask(stored["run"], Path(stored["scans"]), stored["scan_set"])
    if kind != TrainingTask.__name__:
        raise ValueError(f"{file}: task is {kind!r}; allowed are TrainingTask and ScoringTask")
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
