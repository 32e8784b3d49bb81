"""A launcher that hands jobs to an engine, asks it how they end, and tries again what was lost."""

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Protocol

from lfranker.files import write_text
from lfranker.launching.launcher import Outcome, Submitted, Watch
from lfranker.launching.on_node import Ended, Work, work_of
from lfranker.processes.failures import CommandError, reason_of
from lfranker.processes.jobs import STALLED, Job
from lfranker.redaction import redacted

ASK = 3.0  # seconds between two questions to the engine
TO_END = 120.0  # seconds in which cancelled jobs are waited for: they save a checkpoint
WAITS = 300.0  # seconds after which it is told why all jobs wait
BY_OTHERS = tuple(-number for number in (SIGKILL, SIGTERM, SIGINT))  # codes of killed processes


@dataclass(frozen=True)
class End:
    """How a job of an engine ended."""

    state: str  # in the engine's word: COMPLETED, NODE_FAIL
    lost: bool = False  # with its machine, or taken from it: it may be tried again
    process: Ended | None = None  # what came of its process, where that is known


class SilentEngineError(CommandError):
    """An engine does not answer; its jobs go on, and the same command collects them later."""


class Engine(Protocol):
    """An engine: its jobs are named by owners, `slurm:12_3@cluster`, as runs have them in a tag."""

    @property
    def name(self) -> str:
        """The word that its owners begin with."""

    def check(self) -> None:
        """Raise ValueError where it cannot be used, or not with what it is asked for."""

    def submit(self, work: Sequence[Work]) -> Iterator[list[str]]:
        """Hand work in; yields the owners of its jobs in the same order, some at a time."""

    def ends(self, owners: Collection[str]) -> Mapping[str, End]:
        """Return how those of the jobs ended that have ended.

        Raises SilentEngineError where the engine has been asked in vain for long.
        """

    def cancel(self, owners: Collection[str]) -> str | None:
        """End jobs, running or waiting; may return what a user types where that fails, and why."""

    def waits_for(self) -> set[str]:
        """Return why the jobs that were last asked about wait.

        That is no reason at all where one of them does not wait, or where none is known.
        """


class EngineLauncher:
    """Jobs of an engine; each is tried again up to ``retries`` times where its machine was lost.

    ``submitted`` is told the owner of every job.
    """

    def __init__(
        self, engine: Engine, submitted: Submitted, retries: int, stall_minutes: float = 0.0
    ) -> None:
        self.engine, self.submitted = engine, submitted
        self.retries, self.stall_minutes = retries, stall_minutes
        self._jobs: dict[str, Job] = {}  # by owner
        self._tried: dict[str, int] = {}  # by name
        self._waiting: float | None = None  # since when all jobs are
        self._reasons: set[str] = set()  # that were told

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand the jobs in, but for those that an earlier command has handed in."""
        self._jobs |= {job.owner: job for job in jobs if job.owner}
        left = [job for job in jobs if not job.owner]
        work = [work_of(job, self.stall_minutes) for job in left]
        for owners in self.engine.submit(work) if work else ():
            some, left = left[: len(owners)], left[len(owners) :]
            known = dict(zip(owners, some, strict=True))
            self._jobs |= known
            self.submitted({job.name: owner for owner, job in known.items()})

    def outcomes(self, watch: Watch) -> Iterator[tuple[Job, Outcome]]:
        """Ask the engine until all jobs have ended, and yield how each did.

        The jobs of an engine that does not answer are left to it.
        """
        try:
            while self._jobs:
                for owner, end in self.engine.ends(list(self._jobs)).items():
                    job = self._jobs.pop(owner)
                    outcome = self._outcome(job, end, watch)
                    if outcome is not None:
                        yield job, outcome
                self._tell_of_waiting(watch)
                watch.poll()
                if self._jobs:
                    time.sleep(ASK)
        except SilentEngineError:
            self._jobs.clear()
            raise
        finally:
            self._cancel(watch.tell)

    def cancel(self) -> None:
        """Cancel all jobs, and wait until the engine has none of them."""
        self._cancel(lambda job, text: warnings.warn(f"{job.name}: {text}", stacklevel=4))

    def _cancel(self, tell: Callable[[Job, str], None]) -> None:
        """Cancel all jobs, and tell of those that are not seen to end."""
        left, self._jobs = self._jobs, {}
        if not left:
            return
        self.engine.cancel(left)
        deadline = time.monotonic() + TO_END
        with suppress(SilentEngineError):
            while left and time.monotonic() < deadline:
                ended = self.engine.ends(left)
                left = {owner: job for owner, job in left.items() if owner not in ended}
                if left:
                    time.sleep(1)
        if left:
            by_hand = self.engine.cancel(left)
            first, subject = _some(left, "was", "were")
            text = f"{subject} not seen to end within {TO_END:g} s of being cancelled"
            tell(first, text + (f"; by hand: {by_hand}" if by_hand else ""))

    def _tell_of_waiting(self, watch: Watch) -> None:
        """Tell, once, each reason for which all jobs have been waiting for long."""
        reasons = self.engine.waits_for()
        if not reasons or not self._jobs:
            self._waiting = None
            return
        now = time.monotonic()
        if self._waiting is None:
            self._waiting = now
        if now - self._waiting >= WAITS and (new := reasons - self._reasons):
            self._reasons |= new
            first, subject = _some(self._jobs, "has", "have")
            why = ", ".join(sorted(new))
            watch.tell(first, f"{subject} been waiting for more than {WAITS / 60:g} minutes: {why}")

    def _outcome(self, job: Job, end: End, watch: Watch) -> Outcome | None:
        """Return how a job ended, None where it is tried again; the log of a failed one is kept."""
        job.log.unlink(missing_ok=True)
        if end.process is not None and end.process.code:
            write_text(job.log, end.process.log)
        failure = self._failure(job, end)
        if not failure:
            return Outcome()
        lost = end.lost or (end.process is not None and end.process.code in BY_OTHERS)
        tried = self._tried.get(job.name, 0)
        if lost and tried < self.retries:
            self._tried[job.name] = tried + 1
            watch.tell(job, f"{failure}; tried again ({tried + 1} of {self.retries})")
            self.submit([replace(job, owner="")])
            return None
        return Outcome(failure + f", {tried + 1} times" * (lost and tried > 0))

    def _failure(self, job: Job, end: End) -> str:
        """Return why a job failed, in the engine's word where its process could not tell."""
        if end.process is None:
            return redacted(end.state)
        if end.process.code == STALLED:
            return f"no progress for {self.stall_minutes:g} minutes, twice"
        return redacted(reason_of(end.process.code, job.log)) if end.process.code else ""


def _some(jobs: Mapping[str, Job], one: str, several: str) -> tuple[Job, str]:
    """Return the first of the jobs, and all of them as a subject of it, with either verb."""
    first, more = next(iter(jobs.values())), len(jobs) - 1
    return first, f"its job and {more} more {several}" if more else f"its job {one}"
