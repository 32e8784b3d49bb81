"""A child run, and what is left to do for it as a job: command, task and environment."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lfranker
from lfranker.child_runs.travelling import Sender
from lfranker.child_runs.worker import ScoringTask, TrainingTask, write_task
from lfranker.planning.inputs import InputConfig, Inputs
from lfranker.planning.plan import Task
from lfranker.processes.jobs import KEEPS_MEMORY, PROGRESS_VARIABLE, Job
from lfranker.ranking.entrants import Entrant
from lfranker.tracking.runs import TrackedRun
from lfranker.tracking.store import QUIET

WORKER = "lfranker.child_runs.worker"


@dataclass(frozen=True)
class Child:
    """A task with its run, and what is still to be done for it: "train", "evaluate" or nothing."""

    task: Task
    run: TrackedRun
    todo: str
    inputs: Inputs
    until: int = 0  # it pauses once the branch of so many steps is scored; 0: it does not
    form: str = "{}"  # of its title, of which an entrant is a part: "{} (2 own slow scans)"
    owner: str = ""  # of an engine's job that does it already, for a command that has ended
    begun: bool = False  # its curves have points of an earlier command

    @property
    def steps(self) -> int:
        """Steps that are made once it has paused or ended, those of branches included."""
        config = self.task.config
        return config.steps_until(self.until) if self.until else config.total_steps

    @property
    def title(self) -> str:
        shown = self.form.format(entrant_of(self.task, self.inputs))
        return f"{shown} (repeat {self.task.repeat})"


def entrant_of(task: Task, inputs: Inputs) -> Entrant:
    """Return what a task trains, by its losses and its noise."""
    return Entrant.parse(task.name).on(inputs.noise)


def job_of(child: Child, keep_checkpoints: bool, cache: Path, sender: Sender | None = None) -> Job:
    """The process that does what is left to do for a child; its task is written to a file.

    `sender`: of what it needs, where it runs on another machine.
    """
    run_id = child.run.run_id
    file = cache / "logs" / f"{run_id}.json"
    write_task(_task_of(child, keep_checkpoints, cache, sender), file)
    words, threads = [WORKER, str(file)], child.task.config.threads
    if child.todo == "train":
        job = training_job(run_id, words, threads, cache)
    else:
        job = _job(run_id, words, threads, cache, {})
    return replace(job, task=file, owner=child.owner)


def training_job(run_id: str, words: Sequence[str], threads: int, cache: Path) -> Job:
    """Return the process that trains into a run: `python -m` with these words."""
    return _job(run_id, words, threads, cache, {"MLFLOW_RUN_ID": run_id})


def _job(
    run_id: str, words: Sequence[str], threads: int, cache: Path, environment: Mapping[str, str]
) -> Job:
    """Return `python -m` with these words, on so many threads, its output kept in the cache."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    limits |= {name: os.environ.get(name, value) for name, value in KEEPS_MEMORY.items()}
    limits[QUIET] = "true"  # else the log ends with addresses, and not with what went wrong
    log, progress = cache / "logs" / f"{run_id}.txt", _progress_file(cache, run_id)
    command = [sys.executable, "-m", *words]
    told = {**limits, **same_package(), PROGRESS_VARIABLE: str(progress), **environment}
    copied = WORKER if words[0] == WORKER else ""
    return Job(run_id, command, log, told, progress, copied)


def _task_of(
    child: Child, keep_checkpoints: bool, cache: Path, sender: Sender | None
) -> TrainingTask | ScoringTask:
    inputs, losses = child.inputs, child.task.losses
    if child.todo == "evaluate":
        shared = sender.scans_of(inputs) if sender else {}
        return ScoringTask(child.run.run_id, inputs.scans.folder, inputs.scans.digest, shared)
    shared = sender.inputs_of(inputs, child.task.repeat) if sender else {}
    data = inputs.data_of(child.task.repeat)
    prepared = InputConfig(
        scans=inputs.scans.folder,
        data=data.folder,
        perceptual=inputs.perceptual_choice,
        init=inputs.init,
        device=inputs.facts["device"],
        loss_weights={name: inputs.loss_weights[name] for name in losses},
        cache=cache,
    )
    preset = inputs.settings.preset.name
    return TrainingTask(
        losses, preset, child.task.config, prepared, keep_checkpoints, data.digest,
        inputs.scans.digest, child.until, shared,
    )  # fmt: skip


def same_package() -> dict[str, str]:
    """Environment in which a process finds this very lfranker, and what its parent can import.

    Losses of the user's own may lie beside the script that runs the power set.
    """
    root = str(Path(lfranker.__file__).parents[1])
    known = [folder for folder in sys.path if folder and Path(folder).is_dir()]
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = dict.fromkeys(folder for folder in (root, *others, *known) if folder)
    return {"PYTHONPATH": os.pathsep.join(folders)}


def _progress_file(cache: Path, run_id: str) -> Path:
    return cache / "logs" / f"{run_id}.steps"
