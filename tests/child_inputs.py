"""Inputs of trainings, and a child run of them, without a store or data."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from tracked import SCANS

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.jobs import Child
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import Task, tasks
from lfranker.tracking.runs import TrackedRun, tracked
from lfranker.training.config import TrainConfig
from lfranker.training.presets import PRESETS

PLAN = tasks(["mae"], 1, TrainConfig())
LENGTHS = TrainConfig(steps=40, threads=3, repeat=1)


def inputs() -> Inputs:
    scans = SimpleNamespace(digest=SCANS, has_clean=True)
    return cast(
        "Inputs", SimpleNamespace(scans=scans, facts={"perceptual": "none"}, noise="", pace=1.0)
    )


def prepared(folder: Path) -> Inputs:
    """Inputs of which no two are alike."""
    for name in ("scans", "first", "second", "start"):
        (folder / name).mkdir()
    data = [SimpleNamespace(folder=folder / n, digest=f"of {n}") for n in ("first", "second")]
    made = SimpleNamespace(
        scans=SimpleNamespace(folder=folder / "scans", digest=SCANS, has_clean=True),
        data_of=data.__getitem__,
        perceptual_choice="vgg16:random",
        init=folder / "start",
        device=torch.device("cuda", 1),
        loss_weights={"mae": 1.0, "ssim": 0.5, "mse": 2.0},
        facts={"perceptual": "weights", "device": "cuda"},
        settings=SimpleNamespace(preset=PRESETS["small"]),
        noise="",
        pace=1.0,
    )
    return cast("Inputs", made)


def child_of(folder: Path, todo: str, until: int = 0) -> Child:
    run = TrackedRun("run", "title", "experiment", "uri")
    task = Task(("mse", "ssim"), "mse+ssim", LENGTHS)
    return Child(task, run, todo, prepared(folder), until)


def adopted(parent: Run, take_over: bool = False) -> Child:
    """The child run of a power set's only training."""
    (child,) = adopt(tracked(parent), "key", PLAN, inputs(), take_over)
    return child


def status(run: TrackedRun) -> str:
    return str(MlflowClient().get_run(run.run_id).info.status)
