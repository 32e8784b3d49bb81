"""The trainings of a power set as child runs and processes: made, watched, and cleaned up."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

import lfranker
from lfranker.experiment.inputs import InputConfig, Inputs
from lfranker.experiment.plan import Task, training_fingerprint
from lfranker.experiment.worker import ScoringTask, TrainingTask, write_task
from lfranker.launching.launcher import Launcher, Watch
from lfranker.noise.noise_config import mode_of
from lfranker.processes.failures import CommandError, FailedTrainingsError
from lfranker.processes.jobs import KEEPS_MEMORY, Job, last_words
from lfranker.ranking.entrants import Entrant
from lfranker.redaction import redact_file
from lfranker.tracking.claims import claimed, refuse_if_busy
from lfranker.tracking.power_set import Training, find_training, trainings_with
from lfranker.tracking.runs import (
    OPEN,
    TrackedRun,
    create_child,
    end_run,
    is_open,
    log_settings,
    schedule,
    set_tags,
    take_up,
    try_log_file,
)
from lfranker.tracking.server import QUIET
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import PROGRESS_VARIABLE
from lfranker.training.numerics import SAFEGUARDS

WORKER = "lfranker.experiment.worker"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Child:
    """A task with its run, and what is still to be done for it: "train", "evaluate" or nothing."""

    task: Task
    run: TrackedRun
    todo: str
    inputs: Inputs
    until: int = 0  # it pauses once the branch of so many steps is scored; 0: it does not

    @property
    def steps(self) -> int:
        """Steps that are made once it has paused or ended, those of branches included."""
        config = self.task.config
        return config.steps_until(self.until) if self.until else config.total_steps

    @property
    def title(self) -> str:
        return f"{_entrant(self.task, self.inputs)} (repeat {self.task.repeat})"


def adopt(
    parent: TrackedRun,
    key: str,
    tasks: Sequence[Task],
    inputs: Inputs,
    take_over: bool,
    title: str = "{}",
) -> list[Child]:
    """Return a child run for every task: those of earlier power sets that share the key, or new.

    Trainings that diverged with fewer safeguards than there are now are superseded by new runs,
    which have their names by `title`. Raises ValueError where another process is still training
    one of them, unless `take_over`. Another command that adopts the same waits meanwhile.
    """
    planned = {(task.name, task.repeat) for task in tasks}
    children: list[Child] = []
    with claimed(parent.experiment_id, key) as renew:
        known = trainings_with(key, parent.experiment_id)
        if not take_over:
            refuse_if_busy(run for which, run in known.items() if which in planned)
        for task in tasks:
            renew()
            there = known.get((task.name, task.repeat))
            children.append(_child(parent, key, task, inputs, there, title))
    return children


def _child(
    parent: TrackedRun, key: str, task: Task, inputs: Inputs, known: Training | None, title: str
) -> Child:
    """A new run for a task, or the one that is there."""
    if known is None or _lacked_safeguards(known):
        run, todo = _create(parent, task, inputs, key, title), "train"
        if known is not None:
            set_tags(known.run_id, {Tag.SUPERSEDED: run.run_id})
    else:
        take_up(known, parent)
        run, todo = known, _todo(known, inputs)
    if inputs.noise:
        _name_noise(run, inputs)
    if todo == "train":
        schedule(run)
    elif known is not None and not known.finished:
        end_run(run.run_id, "FINISHED")
    return Child(task, run, todo, inputs)


def _name_noise(run: TrackedRun, inputs: Inputs) -> None:
    """The noise as a tag, and all of its parameters."""
    noise = inputs.settings.dataset.noise
    names = (*mode_of(noise.mode).uses, "gain", "offset")  # the last two in every mode
    uses = {name: getattr(noise, name) for name in names}
    set_tags(run.run_id, {Tag.NOISE: inputs.noise})
    log_settings(run.run_id, {"noise": noise.mode, **uses})


def _lacked_safeguards(run: Training) -> bool:
    """Return whether it diverged without today's safeguards."""
    return run.outcome == "diverged" and run.safeguards < SAFEGUARDS


def _todo(run: Training, inputs: Inputs) -> str:
    """A run that has its model is trained, whatever ended it after that."""
    if run.outcome == "diverged" and run.finished:
        return ""
    if not run.model:
        return "train"
    return "" if run.is_scored(inputs.scans.digest) else "evaluate"


def _create(parent: TrackedRun, task: Task, inputs: Inputs, key: str, title: str) -> TrackedRun:
    tags = {
        Tag.POWERSET: key,
        Tag.LOSSES: task.name,
        Tag.REPEAT: str(task.repeat),
        Tag.TRAINING: training_fingerprint(key, task),
        Tag.PERCEPTUAL: inputs.facts["perceptual"] if "perceptual" in task.losses else "none",
    }
    name = _entrant(task, inputs)
    numbered = str(name) if task.repeat == 0 else f"{name} #{task.repeat}"
    return create_child(parent, title.format(numbered), tags)


def _entrant(task: Task, inputs: Inputs) -> Entrant:
    return Entrant.parse(task.name).on(inputs.noise)


def job_of(child: Child, keep_checkpoints: bool, cache: Path) -> Job:
    """The process that does what is left to do for a child; its task is written to a file."""
    run_id = child.run.run_id
    file = cache / "logs" / f"{run_id}.json"
    write_task(_task_of(child, keep_checkpoints, cache), file)
    words, threads = [WORKER, str(file)], child.task.config.threads
    if child.todo == "train":
        return training_job(run_id, words, threads, cache)
    return _job(run_id, words, threads, cache, {})


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


def _task_of(child: Child, keep_checkpoints: bool, cache: Path) -> TrainingTask | ScoringTask:
    inputs, losses = child.inputs, child.task.losses
    if child.todo == "evaluate":
        return ScoringTask(child.run.run_id, inputs.scans.folder, inputs.scans.digest)
    data = inputs.data_of(child.task.repeat)
    prepared = InputConfig(
        scans=inputs.scans.folder,
        data=data.folder,
        perceptual=inputs.perceptual_choice,
        init=inputs.init,
        device=inputs.device.type,
        loss_weights={name: inputs.loss_weights[name] for name in losses},
        cache=cache,
    )
    preset = inputs.settings.preset.name
    return TrainingTask(
        losses, preset, child.task.config, prepared, keep_checkpoints, data.digest,
        inputs.scans.digest, child.until,
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


@dataclass
class Tally:
    """Trainings of a power set that were to be done, and why some could not be."""

    begun: set[str] = field(default_factory=set)  # IDs of their runs
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)  # ID -> title, reason

    def add(self, children: Sequence[Child], reasons: Mapping[str, str]) -> None:
        """Take note of children that were run; ``reasons``: ID of the run -> why it failed."""
        for child in children:
            self.begun.add(child.run.run_id)
            self.failures.pop(child.run.run_id, None)
            if reason := reasons.get(child.run.run_id):
                self.failures[child.run.run_id] = child.title, reason

    def raise_if_failed(self) -> None:
        """Raise FailedTrainingsError where any training failed, or its scoring."""
        if self.failures:
            raise FailedTrainingsError(dict(self.failures.values()), len(self.begun))


@dataclass(frozen=True)
class Means:
    """Everything that trainings are run with, and what came of them."""

    inputs: Inputs
    launcher: Launcher
    at_once: int
    cost: dict[str, float]  # s a step by name of the subset
    keep_checkpoints: bool
    cache: Path
    say: Say
    tally: Tally = field(default_factory=Tally)
    needed: set[Path] = field(default_factory=set)  # folders that trainings read

    def run(self, children: Sequence[Child]) -> None:
        """Do what is left to do for them."""
        todo = [child for child in children if child.todo]
        for child in todo:
            data = child.inputs.data_of(child.task.repeat)
            self.needed.update((child.inputs.scans.folder, data.folder))
        self.check_inputs()
        jobs = [job_of(child, self.keep_checkpoints, self.cache) for child in todo]
        reasons = run_all(children, jobs, self.launcher, self.cost, self.say, self.check_inputs)
        self.tally.add(children, reasons)

    def check_inputs(self) -> None:
        """Raise CommandError where a folder that trainings read is gone."""
        if gone := [folder for folder in sorted(self.needed) if not folder.is_dir()]:
            raise CommandError(
                f"{gone[0]} was deleted while it was in use: the same command makes it again and "
                f"goes on with what is left to do"
            )


def _progress_file(cache: Path, run_id: str) -> Path:
    return cache / "logs" / f"{run_id}.steps"


def run_all(
    children: Sequence[Child],
    jobs: Sequence[Job],
    launcher: Launcher,
    cost: Mapping[str, float],
    say: Say,
    check: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Have the jobs run, show progress weighted by cost, and leave no run open whatever happens.

    `cost`: seconds a step by name of the subset. What `check` raises ends them all. Returns why
    runs failed, by their IDs.
    """
    reasons: dict[str, str] = {}
    by_id = {child.run.run_id: child for child in children}
    work = {i: cost.get(c.task.name, 1.0) * c.steps for i, c in by_id.items()}
    total = sum(work[job.name] for job in jobs)
    logs = {job.name: job.log for job in jobs}
    for log in logs.values():
        log.with_suffix(".steps").unlink(missing_ok=True)
    with (
        closing(children),
        tqdm(total=total, desc="power set", disable=None, bar_format=BAR, smoothing=0.1) as bar,
    ):
        done: set[str] = set()

        def poll() -> None:
            check()
            current = sum(
                work[i] if i in done else _steps(log) * cost.get(by_id[i].task.name, 1.0)
                for i, log in logs.items()
            )
            bar.update(min(current, total) - bar.n)

        def tell(job: Job, text: str) -> None:
            say(f"{by_id[job.name].title}: {text}")

        launcher.submit(jobs)
        for number, (job, outcome) in enumerate(launcher.outcomes(Watch(poll, tell)), 1):
            done.add(job.name)
            poll()
            if outcome.failure:
                scoring = "scoring: " * (by_id[job.name].todo == "evaluate")
                reasons[job.name] = scoring + outcome.failure
            line = _close(by_id[job.name], job, reasons.get(job.name, ""))
            say(f"[{number}/{len(jobs)}] {line}")
    return reasons


BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} to go"


def _steps(log: Path) -> int:
    file = log.with_suffix(".steps")
    text = file.read_text() if file.exists() else ""
    return int(text) if text.isdigit() else 0


def _close(child: Child, job: Job, failure: str) -> str:
    """Give a child its final status, FAILED where there is a failure; returns a line about it."""
    run_id, lost = child.run.run_id, ""
    if job.log.exists():
        redact_file(job.log)
        lost = try_log_file(run_id, job.log, "logs")
    return _end(child, job, failure) + f"; its log could not be kept: {lost}" * bool(lost)


def _end(child: Child, job: Job, failure: str) -> str:
    run_id = child.run.run_id
    if failure and child.todo == "evaluate":
        # the training it belongs to is as good as before
        set_tags(run_id, {Tag.REASON: failure})
        return f"{child.title} FAILED: {failure}"
    if failure:
        end_run(run_id, "FAILED", f"{failure}\n\n{last_words(job.log, 15)}")
        return f"{child.title} FAILED: {failure}"
    run = find_training(run_id)
    if child.until and run.outcome != "diverged":
        return f"{child.title}: scored as a training of {child.until} steps"
    if run.status in OPEN:
        end_run(run_id, "FINISHED")
    psnr, ssim = (run.metrics.get(name, float("nan")) for name in ("psnr", "ssim"))
    return f"{child.title} {run.outcome}: PSNR {psnr:.2f} dB, SSIM {ssim:.4f}"


@contextmanager
def closing(children: Sequence[Child]) -> Iterator[None]:
    """No run of a child, also of one added within, is open afterwards."""
    try:
        yield
    finally:
        for child in children:
            if is_open(child.run):
                end_run(child.run.run_id, "KILLED", "the power set was stopped")
