"""A job as it travels to another machine, and its process there.

What is here runs on the nodes of an engine, inside of the engine's own process: it imports neither
torch nor MLflow.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lfranker.processes import alone
from lfranker.processes.jobs import (
    POLL,
    PROGRESS_VARIABLE,
    STALLED,
    Job,
    Pace,
    kill_process,
    last_words,
    start_process,
)
from lfranker.redaction import redacted

OWNER = "LFRANKER_OWNER"  # in the environment of an engine's job: who is responsible for its run
PATIENCE = 60.0  # seconds in which an interrupted training leaves its checkpoint
LOG = "LFRANKER_LOG"  # the file that its output goes to
LONGEST_LOG = 5000  # lines that are sent back
NOT_FOR_IT = ("SIGUSR1", "SIGUSR2")  # with which engines announce an end, to their own process


@dataclass(frozen=True)
class Work:
    """A job as it travels: `python -m` with words, of which the last names a file with a text.

    There are no secrets in it, as engines keep it in files.
    """

    name: str
    words: tuple[str, ...]
    text: str
    environment: Mapping[str, str]
    stall_minutes: float = 0.0  # no further for so long: ended and tried again, once; 0: never


def work_of(job: Job, stall_minutes: float) -> Work:
    """Return a job as it travels. Raises ValueError where no file says what it has to do."""
    if job.task is None or job.words[-1:] != (str(job.task),):
        raise ValueError(f"{job.name} has no task that could travel")
    words = (job.module, *job.words[:-1], job.task.name)
    text = job.task.read_text(encoding="utf-8")
    known = {name: value for name, value in job.environment.items() if name != PROGRESS_VARIABLE}
    return Work(job.name, words, text, known, stall_minutes)


@dataclass(frozen=True)
class Ended:
    """The end of a process: its exit code as of `subprocess`, or STALLED, and its log."""

    code: int
    log: str  # its end, without secrets


class NodeProcess:
    """The process on this node that does a piece of work."""

    def __init__(self, work: Work, owner: str, more: Mapping[str, str] | None = None) -> None:
        """Take the work; ``more``: environment that must not travel with it."""
        self.work, self.more = work, {**(more or {}), OWNER: owner}
        self._process: subprocess.Popen[bytes] | None = None
        self._job: Job | None = None

    def run(self) -> Ended:
        """Start it, and wait until it ends; whatever interrupts that ends it too."""
        with TemporaryDirectory(prefix="lfranker-", ignore_cleanup_errors=True) as folder:
            self._job = self._job_in(Path(folder))
            try:
                return Ended(self._watch(self._job), self.log())
            except BaseException:
                self.stop(PATIENCE)
                raise

    def stop(self, patience: float) -> None:
        """Ask it to end, which it does between two steps with a checkpoint, and wait for so long.

        May be called in a handler of signals, while `run` waits.
        """
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            kill_process(self._process)

    def log(self) -> str:
        """Return what it wrote."""
        return redacted(last_words(self._job.log, LONGEST_LOG), self.more) if self._job else ""

    def steps(self) -> int:
        """Return how far it says to be."""
        file = self._job.progress if self._job else None
        text = file.read_text() if file and file.exists() else ""
        return int(text) if text.isdigit() else 0

    def _job_in(self, folder: Path) -> Job:
        work = self.work
        task, progress = folder / work.words[-1], folder / "steps"
        task.write_text(work.text, encoding="utf-8")
        words = (*work.words[:-1], str(task))
        log = folder / f"{work.name}.txt"
        files = {PROGRESS_VARIABLE: str(progress), LOG: str(log)}
        told = {**work.environment, **self.more, **files}
        command = [sys.executable, "-m", alone.__name__, *words]
        return Job(work.name, command, log, told, progress)

    def _watch(self, job: Job) -> int:
        """Return the exit code; a process that gets no further is started once more."""
        limit = 60 * self.work.stall_minutes
        for _ in range(2):
            self._process, pace = _started(job), Pace(job)
            while (code := self._process.poll()) is None:
                time.sleep(POLL)
                if limit and pace.look() > limit:
                    kill_process(self._process)
                    break
            else:
                return code
        return STALLED


def _started(job: Job) -> subprocess.Popen[bytes]:
    """Start a process that signals of the engine do not reach, which would end it."""
    kept = [getattr(signal, name) for name in NOT_FOR_IT if hasattr(signal, name)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, kept)
    try:
        return start_process(job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def owner_here() -> str:
    """Return who is responsible for what this process does, where an engine has started it."""
    return os.environ.get(OWNER, "")
