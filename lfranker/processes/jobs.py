"""Run commands as processes of this machine, a few at a time.

Whatever ends the caller's loop (an error, Ctrl-C, a closed generator) ends the processes too.
A process that outlives a killed parent notices through `orphaned`.
"""

import os
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from lfranker.processes.template import KNOWS, PARENT_VARIABLE, Request, Template

# Has glibc keep freed memory for the next time, as each step of a training asks for as much again:
# new memory of the system is filled with zeros first (benchmarks/kept_memory.py).
KEEPS_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**30)}
# what a process reads before it can be told anything
AT_START = ("PYTHONPATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS", *KEEPS_MEMORY)
PROGRESS_VARIABLE = "LFRANKER_PROGRESS"  # names the file in which a job says how far it is
ONE_PLACE: Sequence[Mapping[str, str]] = ({},)
GRACE = 20.0  # seconds between asking a process to end and killing it
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
    # the command is `python -m MODULE WORDS`; its `main(words)` does the same after its `prepare()`
    module: str = ""
    task: Path | None = None  # a file, its last word, that says what to do
    owner: str = ""  # of an engine's job that does it already, see `launching.owners`

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.command[self.command.index(self.module) + 1 :])


class Process(Protocol):
    """A running job, as it is asked and ended: a `subprocess.Popen`, or a copy of a template."""

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True)
class Stall:
    """How long a job may get no further before it is ended, and whom that is told.

    ``tell`` gets the job, the seconds, and whether it is ended: half-way it is not yet.
    """

    seconds: float
    tell: Callable[[Job, float, bool], None]


@dataclass
class Pace:
    """When a job last got further, as its files show."""

    job: Job
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


@dataclass(frozen=True)
class _Running:
    """A process, and how it gets on."""

    job: Job
    process: Process
    place: int
    pace: Pace


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


def copied(count: int) -> bool:
    """Return whether so many jobs of one module are copies of a process that has imported it."""
    return KNOWS and count > 1


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    on_poll: Callable[[], None] | None = None,
    stall: Stall | None = None,
    places: Sequence[Mapping[str, str]] = ONE_PLACE,
) -> Generator[tuple[Job, int]]:
    """Yield (job, exit code) as jobs end; negative codes are signals, as in `subprocess`.

    A job that stalls is started once more; one that stalls again has the code STALLED. ``places``
    are shared evenly between the jobs that run at once; each adds to the environment of its own.
    """
    waiting, again = list(jobs), set[str]()
    running: dict[str, _Running] = {}
    free = list(range(at_once))
    polled, starter = time.monotonic(), _Starter(copied(len(jobs)))
    try:
        while waiting or running:
            while waiting and free:
                job, place = waiting.pop(0), free.pop(0)
                process = starter.start(_at(job, places[place % len(places)]))
                running[job.name] = _Running(job, process, place, Pace(job))
            ended = [one for one in running.values() if one.process.poll() is not None]
            for one in ended:
                free.append(running.pop(one.job.name).place)
                yield one.job, int(one.process.returncode or 0)
            polled = _excuse(running.values(), polled)
            for one in _stalled(running.values(), stall):
                free.append(running.pop(one.job.name).place)
                kill_process(one.process)
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
        starter.close()


def _at(job: Job, place: Mapping[str, str]) -> Job:
    return replace(job, environment={**job.environment, **place})


def _excuse(running: Iterable[_Running], polled: float) -> float:
    """Count no time in which this process itself was stopped; returns when it polled."""
    now = time.monotonic()
    if now - polled > SUSPENDED:
        for one in running:
            one.pace.since += now - polled
    return now


def _stalled(running: Iterable[_Running], stall: Stall | None) -> list[_Running]:
    """Return those that got no further for too long, and tell of them, half-way too."""
    if stall is None:
        return []
    quiet = {one.job.name: (one, one.pace.look()) for one in running}
    for one, seconds in quiet.values():
        if seconds > stall.seconds or (seconds > stall.seconds / 2 and not one.pace.told):
            one.pace.told = True
            stall.tell(one.job, seconds, seconds > stall.seconds)
    return [one for one, seconds in quiet.values() if seconds > stall.seconds]


class _Starter:
    """Starts jobs: as copies of a process that has imported their module, or as processes."""

    def __init__(self, copies: bool) -> None:
        self.copies = copies
        self.templates: dict[tuple[str, ...], Template] = {}

    def start(self, job: Job) -> Process:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        if self.copies and job.module:
            request = Request(job.words, str(job.log.absolute()), job.environment)
            if copy := self._template(job).start(request):
                return copy
        return start_process(job)

    def _template(self, job: Job) -> Template:
        at_start = {name: job.environment.get(name, "") for name in AT_START}
        key = (job.module, *at_start.values())
        if key not in self.templates:
            known = {name: value for name, value in at_start.items() if value}
            self.templates[key] = Template(job.module, known)
        return self.templates[key]

    def close(self) -> None:
        for template in self.templates.values():
            template.close()


def start_process(job: Job) -> subprocess.Popen[bytes]:
    """Start a job's process, in a session of its own."""
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


def _end(processes: Sequence[Process]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            kill_process(process)


def kill_process(process: Process) -> None:
    """Kill a process, also a stopped one; what waits for a lost disk ends once that is back."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)


def launched() -> bool:
    """Return whether this process does a job of a command."""
    return PARENT_VARIABLE in os.environ


def orphaned() -> bool:
    """Return whether this process was started by another of this machine, which is gone.

    That is the command that has trainings run here, or what an engine has started for one of them:
    a training that an engine has runs on without the command.
    """
    return launched() and os.getppid() != int(os.environ[PARENT_VARIABLE])


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
