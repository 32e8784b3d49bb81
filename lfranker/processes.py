"""Run commands as processes of this machine, a few at a time, and say why they failed.

Whatever ends the caller's loop (an error, Ctrl-C, a closed generator) ends the processes too.
A process that outlives a killed parent notices through `orphaned`.
"""

import os
import re
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lfranker.text import listed

PARENT_VARIABLE = "LFRANKER_PARENT_PID"
GRACE = 20.0  # seconds between asking a process to end and killing it
PATIENCE = 2 * GRACE  # seconds in which another signal cannot tear the work of ending
# Ctrl-C, `kill`, and a terminal that was closed (Windows knows no SIGHUP)
END_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
POLL = 0.5  # seconds
SUSPENDED = 60.0  # seconds between two polls: it was this process that got no further
STALLED = 1000  # in place of an exit code: ended because it got no further, twice


@dataclass(frozen=True)
class Job:
    """A command, what to add to its environment, and the file that its output goes to."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    progress: Path | None = None  # a file that it changes whenever it gets further


@dataclass(frozen=True)
class Stall:
    """How long a job may get no further before it is ended, and whom that is told.

    ``tell`` gets the job, the seconds, and whether it is ended: half-way it is not yet.
    """

    seconds: float
    tell: Callable[[Job, float, bool], None]


@dataclass
class _Running:
    """A process, and when it last got further."""

    job: Job
    process: subprocess.Popen[bytes]
    stamps: tuple[int, ...] = ()  # times of its files' last changes
    since: float = 0.0
    told: bool = False

    def look(self) -> float:
        """Return for how many seconds it got no further."""
        files = [file for file in (self.job.log, self.job.progress) if file is not None]
        stamps, now = tuple(map(_changed, files)), time.monotonic()
        if stamps != self.stamps:
            self.stamps, self.since, self.told = stamps, now, False
        return now - self.since


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def available_cores() -> int:
    """Return how many cores this process may use: a batch system may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    on_poll: Callable[[], None] | None = None,
    stall: Stall | None = None,
) -> Iterator[tuple[Job, int]]:
    """Yield (job, exit code) as jobs end; negative codes are signals, as in `subprocess`.

    A job that stalls is started once more; one that stalls again has the code STALLED.
    """
    waiting, again = list(jobs), set[str]()
    running: dict[str, _Running] = {}
    polled = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[job.name] = _Running(job, _start(job))
            ended = [one for one in running.values() if one.process.poll() is not None]
            for one in ended:
                del running[one.job.name]
                yield one.job, one.process.returncode
            polled = _excuse(running.values(), polled)
            for one in _stalled(running.values(), stall):
                del running[one.job.name]
                _kill(one.process)
                if one.job.name in again:
                    yield one.job, STALLED
                else:
                    again.add(one.job.name)
                    waiting.insert(0, one.job)
            if on_poll is not None:
                on_poll()
            if not ended:
                time.sleep(POLL)
    finally:
        _end([one.process for one in running.values()])


def _excuse(running: Iterable[_Running], polled: float) -> float:
    """Count no time in which this process itself was stopped; returns when it polled."""
    now = time.monotonic()
    if now - polled > SUSPENDED:
        for one in running:
            one.since += now - polled
    return now


def _stalled(running: Iterable[_Running], stall: Stall | None) -> list[_Running]:
    """Return those that got no further for too long, and tell of them, half-way too."""
    if stall is None:
        return []
    quiet = {one.job.name: (one, one.look()) for one in running}
    for one, seconds in quiet.values():
        if seconds > stall.seconds or (seconds > stall.seconds / 2 and not one.told):
            one.told = True
            stall.tell(one.job, seconds, seconds > stall.seconds)
    return [one for one, seconds in quiet.values() if seconds > stall.seconds]


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
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, also a stopped one; what waits for a lost disk ends once that is back."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)


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
    """Return the last lines that a job wrote, empty where it wrote nothing."""
    text = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return "\n".join(text[-lines:])


def alive(pid: int) -> bool:
    """Return whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


LONGEST = 300  # characters of a reason
TRACEBACK = "Traceback (most recent call last):"
BY_SIGNAL = {
    signal.SIGKILL: "most likely out of memory (killed by the system, signal 9): fewer jobs at "
    "once or a smaller batch need less",
    signal.SIGSEGV: "segmentation fault (signal 11)",
    signal.SIGBUS: "bus error (signal 7): a file that it reads was cut off, or the disk is full",
}
DISK_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")
OUT_OF_MEMORY = ("MemoryError", "allocate memory", "out of memory")
MODULE = re.compile(r"^(?:\w+\.)+(?=\w+(?::|$))")  # of an exception: "torch.cuda."


class CommandError(RuntimeError):
    """A command could not do all that it was asked to do; the message is for the user."""


class FailedTrainingsError(CommandError):
    """Some trainings of a power set failed; what could be done without them is done.

    ``failures``: title of the training -> reason. ``total``: how many trainings there are.
    """

    def __init__(self, failures: Mapping[str, str], total: int) -> None:
        self.failures, self.total = dict(failures), total
        by_reason = defaultdict[str, list[str]](list)
        for title, reason in failures.items():
            by_reason[reason].append(title)
        reasons = "; ".join(f"{listed(names)}: {why}" for why, names in by_reason.items())
        super().__init__(f"{len(failures)} of {total} trainings failed: {reasons}")


def reason_of(code: int, log: Path) -> str:
    """Return why a process ended with an exit code other than 0, in one line.

    A negative code is a signal, as in `subprocess`. The reason is else the last error in the log.
    """
    error = last_error(log.read_text(errors="replace")) if log.exists() else ""
    if code < 0:
        return _cut(_by_signal(-code, error))
    if not error:
        where = "without a word" if log.exists() else f"and its log, {log}, is gone"
        return f"it ended with exit code {code} {where}"
    if any(words in error for words in DISK_FULL):
        return _cut(f"disk full: {error}")
    if any(words in error for words in OUT_OF_MEMORY):
        return _cut(f"out of memory: {error}")
    return _cut(error)


def last_error(text: str) -> str:
    """Return the last error that a process wrote in one line; its last line where there is none."""
    lines = [line.rpartition("\r")[2].rstrip() for line in text.strip().splitlines()]
    begins = [at for at, line in enumerate(lines) if line.strip() == TRACEBACK]
    if begins:
        after = (line for line in lines[begins[-1] + 1 :] if line and not line[0].isspace())
        if error := next(after, ""):
            return MODULE.sub("", error)
    return lines[-1] if lines else ""


def _by_signal(number: int, error: str) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    why = BY_SIGNAL.get(number, f"ended by signal {number} ({name})")  # type: ignore[call-overload]
    return f"{why}; {error}" if error and number not in BY_SIGNAL else why


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
