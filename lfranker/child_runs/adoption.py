"""The trainings of a power set as child runs and processes: made, watched, and cleaned up."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from lfranker.child_runs.jobs import Child, entrant_of, job_of
from lfranker.child_runs.travelling import Sender
from lfranker.evaluation.criteria import ALL_METRICS, QUALITY
from lfranker.evaluation.scoring import metrics_of
from lfranker.launching.engine import SilentEngineError
from lfranker.launching.launcher import Launcher, Watch
from lfranker.launching.owners import engine_of
from lfranker.noise.noise_config import BLIND, OF_SCANS, mode_of
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import Task, training_fingerprint
from lfranker.processes.failures import CommandError, FailedTrainingsError
from lfranker.processes.jobs import Job, last_words
from lfranker.ranking.entrants import parts_of
from lfranker.redaction import redact_file
from lfranker.tracking.claims import claimed, refuse_if_busy, still_open, to_collect
from lfranker.tracking.power_set import Training, find_training, trainings_with
from lfranker.tracking.runs import (
    OPEN,
    TrackedRun,
    create_child,
    end_run,
    log_settings,
    schedule,
    set_tags,
    several_at_a_time,
    take_up,
    try_log_file,
)
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import CURVE, steps_logged
from lfranker.training.numerics import SAFEGUARDS

Say = Callable[[str], None]
StepsMade = Callable[[Sequence[Job]], Mapping[str, int]]  # by the names of the jobs
ASKED = 30.0  # seconds between two questions to the server how far trainings are


def adopt(
    parent: TrackedRun,
    key: str,
    tasks: Sequence[Task],
    inputs: Inputs,
    take_over: bool,
    title: str = "{}",
    engine: str = "",
) -> list[Child]:
    """Return a child run for every task: those of earlier power sets that share the key, or new.

    Trainings that diverged with fewer safeguards than there are now are superseded by new runs.
    ``title`` is the form of their names. Raises ValueError where another process is still training
    one of them, unless `take_over`. Another command that adopts the same waits meanwhile.
    `engine`: whose jobs are taken up where the command that had them ended; "": of none.
    """
    planned = {(task.name, task.repeat) for task in tasks}
    children: list[Child] = []
    with claimed(parent.experiment_id, key) as renew:
        known = trainings_with(key, parent.experiment_id)
        renew()
        mine = [run for which, run in known.items() if which in planned]
        owners = to_collect(mine, engine)
        renew()
        if not take_over:
            refuse_if_busy(run for run in mine if run.run_id not in owners)

        def child_of(task: Task) -> Child:
            there = known.get((task.name, task.repeat))
            if there is not None and there.run_id in owners and _todo(there, inputs):
                return _collected(parent, task, inputs, there, title)
            return _child(parent, key, task, inputs, there, title)

        # thousands for an engine, each of which takes the server several requests
        for child in several_at_a_time(child_of, tasks) if engine else map(child_of, tasks):
            renew()
            children.append(child)
    return children


def _collected(
    parent: TrackedRun, task: Task, inputs: Inputs, known: Training, title: str
) -> Child:
    """A run that a job of an engine is at."""
    set_tags(known.run_id, {Tag.PARENT: parent.run_id})
    todo = "evaluate" if known.finished else "train"
    return Child(task, known, todo, inputs, form=title, owner=known.owner)


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
    noise, network = parts_of(inputs.noise)
    if noise:
        _name_noise(run, noise, inputs)
    if network:
        set_tags(run.run_id, {Tag.NETWORK: network})
    if todo == "train":
        schedule(run)
    elif known is not None and not known.finished:
        end_run(run.run_id, "FINISHED")
    begun = isinstance(run, Training) and CURVE in run.metrics
    return Child(task, run, todo, inputs, form=title, begun=begun)


def _name_noise(run: TrackedRun, label: str, inputs: Inputs) -> None:
    """The noise as a tag, and all of its parameters."""
    noise = inputs.settings.dataset.noise
    names = (*mode_of(noise.mode).uses, "gain", "offset")  # the last two are of all that is added
    uses = {name: getattr(noise, name) for name in names}
    if noise.mode in OF_SCANS:
        uses = {"blind_radius": inputs.data.blind_radius} if noise.mode == BLIND else {}
    set_tags(run.run_id, {Tag.NOISE: label})
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
    return "" if run.is_scored(inputs.scans.digest, metrics_of(inputs.scans)) else "evaluate"


def _create(parent: TrackedRun, task: Task, inputs: Inputs, key: str, title: str) -> TrackedRun:
    tags = {
        Tag.POWERSET: key,
        Tag.LOSSES: task.name,
        Tag.REPEAT: str(task.repeat),
        Tag.TRAINING: training_fingerprint(key, task),
        Tag.PERCEPTUAL: inputs.facts["perceptual"] if "perceptual" in task.losses else "none",
    }
    name = entrant_of(task, inputs)
    numbered = str(name) if task.repeat == 0 else f"{name} #{task.repeat}"
    return create_child(parent, title.format(numbered), tags)


def steps_in_files(jobs: Sequence[Job]) -> dict[str, int]:
    """Return the steps that processes of this machine have made, as they tell in files."""
    files = {job.name: job.progress for job in jobs if job.progress and job.progress.exists()}
    texts = {name: file.read_text() for name, file in files.items()}
    return {name: int(text) for name, text in texts.items() if text.isdigit()}


@dataclass
class LoggedSteps:
    """Steps of trainings on other machines, as their curves show."""

    children: Sequence[Child]
    known: dict[str, int] = field(default_factory=dict)
    asked: float = float("-inf")

    def __call__(self, jobs: Sequence[Job]) -> Mapping[str, int]:
        """Return the steps that the trainings of these jobs have made."""
        if time.monotonic() - self.asked > ASKED:
            self.asked = time.monotonic()
            by_id = {child.run.run_id: child for child in self.children}
            (experiment,) = {child.run.experiment_id for child in self.children}
            self.known |= {
                run_id: by_id[run_id].task.config.steps_made(done)
                for run_id, done in steps_logged(experiment, by_id).items()
            }
        return {job.name: self.known[job.name] for job in jobs if job.name in self.known}


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
    sender: Sender | None = None  # of inputs, where trainings run on other machines
    engine: str = ""  # that has trainings, where this machine does not
    tally: Tally = field(default_factory=Tally)
    needed: set[Path] = field(default_factory=set)  # folders that trainings read

    def run(self, children: Sequence[Child]) -> None:
        """Do what is left to do for them."""
        jobs = self._jobs(children)
        made = LoggedSteps(children) if self.engine else steps_in_files
        reasons = run_all(
            children, jobs, self.launcher, self.cost, self.say, self.check_inputs, made
        )
        self.tally.add(children, reasons)

    def hand_in(self, children: Sequence[Child]) -> int:
        """Have an engine do what is left to do, and wait for nothing; returns how many jobs."""
        jobs = self._jobs(children)
        submit(self.launcher, jobs)
        return len(jobs)

    def _jobs(self, children: Sequence[Child]) -> list[Job]:
        todo = [child for child in children if child.todo]
        for child in todo:
            data = child.inputs.data_of(child.task.repeat)
            self.needed.update((child.inputs.scans.folder, data.folder))
        self.check_inputs()
        return [job_of(child, self.keep_checkpoints, self.cache, self.sender) for child in todo]

    def check_inputs(self) -> None:
        """Raise CommandError where a folder that trainings read is gone."""
        if gone := [folder for folder in sorted(self.needed) if not folder.is_dir()]:
            raise CommandError(
                f"{gone[0]} was deleted while it was in use: the same command makes it again and "
                f"goes on with what is left to do"
            )


def submit(launcher: Launcher, jobs: Sequence[Job]) -> None:
    """Submit jobs; where that fails or is interrupted, the launcher keeps none of them."""
    try:
        launcher.submit(jobs)
    except BaseException:
        launcher.cancel()
        raise


def run_all(
    children: Sequence[Child],
    jobs: Sequence[Job],
    launcher: Launcher,
    cost: Mapping[str, float],
    say: Say,
    check: Callable[[], None] = lambda: None,
    made: StepsMade = steps_in_files,
) -> dict[str, str]:
    """Have the jobs run, show progress weighted by cost, and leave no run open whatever happens.

    `cost`: seconds a step by name of the subset. What `check` raises ends them all. `made`: steps
    of the jobs so far. Returns why runs failed, by their IDs.
    """
    reasons: dict[str, str] = {}
    by_id = {child.run.run_id: child for child in children}
    cost_of = {i: cost.get(c.task.name, 1.0) * c.inputs.pace for i, c in by_id.items()}
    work = {i: cost_of[i] * c.steps for i, c in by_id.items()}
    total = sum(work[job.name] for job in jobs)
    for job in jobs:
        if job.progress is not None:
            job.progress.unlink(missing_ok=True)
    with (
        closing(children),
        tqdm(total=total, desc="power set", disable=None, bar_format=BAR, smoothing=0.1) as bar,
    ):
        done: set[str] = set()

        def poll() -> None:
            check()
            if bar.disable:
                return
            steps = made([job for job in jobs if job.name not in done])
            current = sum(work[name] for name in done) + sum(
                count * cost_of[name] for name, count in steps.items()
            )
            bar.update(min(current, total) - bar.n)

        def tell(job: Job, text: str) -> None:
            say(f"{by_id[job.name].title}: {text}")

        submit(launcher, jobs)
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
    if engine_of(run.owner) and not run.model and run.outcome != "diverged":
        return f"{child.title} has not ended: {run.owner} is at it, the same command waits for that"
    if run.status in OPEN:
        end_run(run_id, "FINISHED")
    return f"{child.title} {run.outcome}: {_shown(run.metrics) or 'no finite score'}"


def _shown(scores: Mapping[str, float]) -> str:
    """Write the scores that matter most: "PSNR 30.12 dB, SSIM 0.8912"."""
    shown = [(ALL_METRICS[name], scores[name]) for name in QUALITY if name in scores]
    return ", ".join(f"{m.title} {value:.{m.digits}f} {m.unit}".rstrip() for m, value in shown)


@contextmanager
def closing(children: Sequence[Child]) -> Iterator[None]:
    """No run of a child, also of one added within, is open afterwards.

    But where an engine does not answer, whose jobs go on with theirs.
    """
    goes_on = False
    try:
        yield
    except SilentEngineError:
        goes_on = True
        raise
    finally:
        left = [] if goes_on else still_open([child.run for child in children])
        list(several_at_a_time(_end_stopped, left))


def _end_stopped(run: TrackedRun) -> None:
    end_run(run.run_id, "KILLED", "the power set was stopped")
