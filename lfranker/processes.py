"""Runs commands as processes of this machine, a few at a time, and owns them.

Whatever ends the caller's loop (an error, Ctrl-C, a closed generator) ends the processes too.
A process that outlives a killed parent notices through `orphaned`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

PARENT_VARIABLE = "LFRANKER_PARENT_PID"
GRACE = 20.0  # seconds between asking a process to end and killing it
PATIENCE = 2 * GRACE  # seconds in which another signal cannot tear the work of ending
# Ctrl-C, `kill`, and a terminal that was closed (Windows knows no SIGHUP)
END_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
POLL = 0.5  # seconds


@dataclass(frozen=True)
class Job:
    """A command, what to add to its environment, and the file that its output goes to."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def available_cores() -> int:
    """Return how many cores this process may use: a batch system may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job], at_once: int, on_poll: Callable[[], None] | None = None
) -> Iterator[tuple[Job, int]]:
    """Yield (job, exit code) as jobs end; negative codes are signals, as in `subprocess`."""
    waiting = list(jobs)
    running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[job.name] = (job, _start(job))
            ended = [(j, p) for j, p in running.values() if p.poll() is not None]
            for job, process in ended:
                del running[job.name]
                yield job, process.returncode
            if on_poll is not None:
                on_poll()
            if not ended:
                time.sleep(POLL)
    finally:
        _end([process for _, process in running.values()])


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **job.environment, PARENT_VARIABLE: str(os.getpid())}
    with job.log.open("wb") as log:
        # a session of its own: the terminal's Ctrl-C reaches the parent alone, which then ends
        # its children in order
        return subprocess.Popen(
            list(job.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def launched() -> bool:
    """Return whether this process was started by `run_jobs`."""
    return PARENT_VARIABLE in os.environ


def orphaned() -> bool:
    """Return whether this process was started by `run_jobs` and its parent is gone."""
    return launched() and os.getppid() != int(os.environ[PARENT_VARIABLE])


@contextmanager
def terminate_as_interrupt(patience: float = PATIENCE) -> Iterator[None]:
    """A signal to end raises KeyboardInterrupt inside the block: one path cleans up for all.

    More signals within `patience` seconds do nothing, so that they cannot tear the cleanup: Ctrl-C
    under `mlflow run` arrives twice, from the terminal and from MLflow.
    """
    came: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if came and time.monotonic() - came[-1] < patience:
            return
        came.append(time.monotonic())
        raise KeyboardInterrupt(f"signal {number}")

    with _handling(interrupt):
        yield


@contextmanager
def stop_between_steps(patience: float = PATIENCE) -> Iterator[Callable[[], bool]]:
    """Make a signal to end, inside the block, only let the yielded function say True.

    Work that must not be torn apart asks it between steps. A signal that comes more than
    `patience` seconds after the first interrupts.
    """
    came: list[float] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(time.monotonic())
        if came[-1] - came[0] > patience:
            raise KeyboardInterrupt(f"signal {number}")

    with _handling(remember):
        yield lambda: bool(came)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def last_words(log: Path, lines: int = 1) -> str:
    """The last lines that a job wrote, for the reason of its failure."""
    text = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return "\n".join(text[-lines:]) or "no output"


def alive(pid: int) -> bool:
    """Return whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
