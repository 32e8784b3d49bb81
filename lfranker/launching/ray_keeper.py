"""What runs in a Ray cluster: tasks that do work, and an actor that keeps what came of them.

Tasks of Ray die with the process that submitted them. Here that is an actor of the cluster's own,
on its head: a command may end, and another ask how they ended.
"""

import signal
import threading
import uuid
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import exceptions as failures

from lfranker.launching.engine import End
from lfranker.launching.on_node import Ended, NodeProcess, Work

LOOK = 0.5  # seconds between two looks at the tasks
UNKNOWN = "UNKNOWN"
# the memory of a node was not enough: another try would not change that
OUT_OF_MEMORY = "OUT_OF_MEMORY"
CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class Request:
    """Processors and GPUs that a training asks for of a machine."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Group:
    """The tasks that one command hands in, of which ``at_once`` run at the same time; 0: all."""

    name: str
    at_once: int


@dataclass
class _Task:
    """A piece of work: waiting, running or ended."""

    work: Work
    request: Request
    secrets: Mapping[str, str]
    group: Group
    reference: Any = None  # of Ray, once it is submitted
    end: End | None = None


def do(work: Work, owner: str, secrets: Mapping[str, str]) -> Ended:
    """Do the work in a process of its own; a cancelled one leaves a checkpoint.

    Ray cancels a task by SIGINT, which a node that was started in the background ignores.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return NodeProcess(work, owner, secrets).run()


class Keeper:
    """Submits tasks, so many at once, and keeps how they ended; its methods are called remotely."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._tasks: dict[str, _Task] = {}
        self._waiting: deque[str] = deque()
        self._running: set[str] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(
        self, work: Sequence[Work], request: Request, secrets: Mapping[str, str], group: Group
    ) -> list[str]:
        """Take work and return its owners."""
        with self._lock:
            owners = [f"ray:{uuid.uuid4().hex[:16]}@{self.address}" for _ in work]
            for owner, one in zip(owners, work, strict=True):
                self._tasks[owner] = _Task(one, request, secrets, group)
            self._waiting.extend(owners)
        return owners

    def ends(self, owners: Collection[str]) -> dict[str, End]:
        """Return how those that ended did; those that are not known are lost."""
        with self._lock:
            known = {owner: self._tasks.get(owner) for owner in owners}
        unknown = End(UNKNOWN, lost=True)
        ended = {owner: unknown if task is None else task.end for owner, task in known.items()}
        return {owner: end for owner, end in ended.items() if end is not None}

    def cancel(self, owners: Collection[str]) -> None:
        """Cancel tasks: those that run are interrupted, the others never start."""
        with self._lock:
            for owner in owners:
                task = self._tasks.get(owner)
                if task is None or task.end is not None:
                    continue
                if task.reference is None:
                    self._waiting.remove(owner)
                    task.end = End(CANCELLED, lost=True)
                else:
                    ray.cancel(task.reference)

    def _watch(self) -> None:
        """Start what waits, and see what has ended, as long as the actor lives."""
        pause = threading.Event()
        while not pause.wait(LOOK):
            with self._lock:
                self._look()
                self._start_what_may()

    def _start_what_may(self) -> None:
        """Start what waits, in its order, as long as its group has fewer running than it may."""
        running = Counter(self._tasks[owner].group.name for owner in self._running)
        held = deque[str]()
        for owner in self._waiting:
            group = self._tasks[owner].group
            if 0 < group.at_once <= running[group.name]:
                held.append(owner)
            else:
                self._start(owner)
                running[group.name] += 1
        self._waiting = held

    def _start(self, owner: str) -> None:
        task = self._tasks[owner]
        asked = task.request
        # tried again by the launcher, which counts
        remote = ray.remote(do).options(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=0)
        task.reference = remote.remote(task.work, owner, task.secrets)
        self._running.add(owner)

    def _look(self) -> None:
        by_reference = {self._tasks[owner].reference: owner for owner in self._running}
        if not by_reference:
            return
        waited = list(by_reference)
        ended, _ = ray.wait(waited, num_returns=len(waited), timeout=0, fetch_local=False)
        for reference in ended:
            owner = by_reference[reference]
            self._tasks[owner].end = _end_of(reference)
            self._running.discard(owner)


def _end_of(reference: Any) -> End:
    try:
        return End("FINISHED", process=ray.get(reference))
    except failures.TaskCancelledError:
        return End(CANCELLED, lost=True)
    except failures.OutOfMemoryError:
        return End(OUT_OF_MEMORY)
    except failures.RayTaskError as error:
        return End("FAILED", process=Ended(1, str(error)))
    except failures.RuntimeEnvSetupError as error:
        return End(f"RuntimeEnvSetupError: {error}")
    except failures.RayError as error:  # a worker or a node that died
        return End(type(error).__name__, lost=True)
