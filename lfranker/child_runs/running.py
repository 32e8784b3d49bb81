"""Trainings of child runs are run by a launcher: watched, counted, and closed at the end."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from lfranker.child_runs.jobs import Child, job_of
from lfranker.child_runs.travelling import Sender
from lfranker.evaluation.criteria import in_short
from lfranker.launching.engine import SilentEngineError
from lfranker.launching.launcher import Launcher, Watch
from lfranker.launching.owners import engine_of
from lfranker.planning.inputs import Inputs
from lfranker.processes.failures import CommandError, FailedTrainingsError
from lfranker.processes.jobs import Job, last_words
from lfranker.redaction import redact_file
from lfranker.tracking.claims import still_open
from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import (
    OPEN,
    TrackedRun,
    end_run,
    set_tags,
    several_at_a_time,
    try_log_file,
)
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import steps_logged

Say = Callable[[str], None]
StepsMade = Callable[[Sequence[Job]], Mapping[str, int]]  # by the names of the jobs
ASKED = 30.0  # seconds between two questions to the server how far trainings are


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
class TrainingRunner:
    """Runs trainings of a power set, with all that they need, and keeps what came of them."""

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
    return f"{child.title} {run.outcome}: {in_short(run.metrics) or 'no finite score'}"


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
