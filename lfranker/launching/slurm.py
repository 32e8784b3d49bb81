"""Slurm as an engine: job arrays, by way of submitit.

The folder of submitit's files has to be seen by all nodes, as home folders are on a cluster; and so
has the Python environment. Data need not be.
"""

import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL
from typing import Any

from lfranker.launching import slurm_queue
from lfranker.launching.engine import End, SilentEngineError
from lfranker.launching.on_node import Ended, Work
from lfranker.launching.slurm_queue import QueueError
from lfranker.launching.slurm_task import (
    TERMINATED_WORDS,
    NoProgressError,
    SlurmTask,
    owner_of,
)
from lfranker.processes.failures import LONGEST, TRACEBACK, CommandError, last_error
from lfranker.redaction import redacted

PROCESSORS = "cpus-per-task"
OTHER_NAMES = {"cpus": PROCESSORS, "memory": "mem"}
OURS = (
    "array", "output", "error", "open-mode", "wrap", "requeue", "no-requeue",
    "nodes", "ntasks", "ntasks-per-node", "tasks-per-node",  # each task would train in the run
)  # fmt: skip
OF_CLUSTERS = ("cluster", "clusters")
FLAG = "true"  # as the value of an option that has none: `exclusive=true`
OF_A_CLUSTER = ("SLURM_CONF", "SLURM_JWT")
SETTLES = 15.0  # seconds after a job's end in which its files may still be on their way
LOST = frozenset({"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "CANCELLED", "REVOKED"})
OUT_OF_MEMORY, COMPLETED, FAILED = "OUT_OF_MEMORY", "COMPLETED", "FAILED"
LEAVE_RESULTS = frozenset({OUT_OF_MEMORY, COMPLETED, FAILED})
RESULT_SHOWS = 120.0  # seconds until a result must show: NFS keeps old folders for up to 60
EXIT_CODE = "Exited with exit code"  # in srun's last word on any task that failed
# what the daemon of a step writes into its log, as of its version
MEMORY_KILL = re.compile(r"Detected \d+ oom[-_]kill event|exceeded memory limit")
PATIENCE = 600.0  # seconds in which Slurm may not answer
REQUEUES = 10**6  # as many as it takes: `SlurmTask` ends what makes no progress
USUAL_TIME = "4:00:00"  # a training that takes longer goes on from its checkpoint
USUAL_WARNING = 90
NO_PROGRESS = f"{NoProgressError.__name__}: "
GPUS = ("gpus", "gres", "gpus-per-node", "gpus-per-task")


def parse_slurm(text: str) -> dict[str, str]:
    """Read `partition=gpu,time=4:00:00` as options of sbatch. Raises ValueError.

    A part without `=` belongs to the value before: `exclude=n1,n2`. An option without a value is
    written `exclusive=true`.
    """
    options: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if equals:
            name = name.strip().lstrip("-").replace("_", "-")
            options[OTHER_NAMES.get(name, name)] = value.strip()
        elif options:
            options[next(reversed(options))] += f",{part.strip()}"
        else:
            raise ValueError(f"slurm is {text!r}; allowed are options of sbatch: partition=gpu,...")
    if own := [name for name in options if name in OURS]:
        raise ValueError(f"slurm is {text!r}: {own[0]} is set by lfranker itself; leave it out")
    if others := [name for name in options if name in OF_CLUSTERS]:
        raise ValueError(
            f"slurm is {text!r}: {others[0]} is not allowed, as only the cluster of this machine "
            f"is asked for its jobs; give the command on a machine of the other one"
        )
    minutes(options.get("time", USUAL_TIME))
    if not options.get("signal", str(USUAL_WARNING)).isdecimal():
        raise ValueError(
            f"slurm is {text!r}; allowed for signal is a number of seconds before the time limit, "
            f"in which a training leaves its checkpoint"
        )
    return options


def minutes(time_limit: str) -> int:
    """Return a time limit as Slurm writes it, `4:00:00` or `1-12`, in minutes.

    Raises ValueError where it is none. Nor is 0, which to Slurm is no limit: a job that nothing
    warns of its end leaves no checkpoint.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time_limit)
    if found is None:
        raise ValueError(f"slurm: time is {time_limit!r}; allowed are minutes, 4:00:00 or 1-12:00")
    days, *parts = found.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:
        units = (3600, 60, 1)  # from hours
    else:
        units = (3600, 60, 1) if len(numbers) == 3 else (60, 1, 0)  # else from minutes
    seconds = sum(number * unit for number, unit in zip(numbers, units, strict=False))
    seconds += 86400 * int(days or 0)
    if not seconds:
        raise ValueError(
            f"slurm: time is {time_limit!r}; allowed are minutes, 4:00:00 or 1-12:00, and no time "
            f"of 0, which Slurm takes for no limit"
        )
    return math.ceil(seconds / 60)


def asks_for_gpu(options: Mapping[str, str]) -> bool:
    """Return whether options of sbatch ask for GPUs."""
    return any(name in options and options[name] != "0" for name in GPUS)


class SlurmEngine:
    """The Slurm that this machine can submit to."""

    name = "slurm"

    def __init__(self, options: Mapping[str, str], folder: Path, at_once: int | None) -> None:
        """Take options of sbatch, the folder of its files, and how many jobs may run at once."""
        self.options, self.folder, self.at_once = dict(options), folder, at_once
        self._ended: dict[str, float] = {}  # owner -> when its end was first seen
        self._cancelled: set[str] = set()  # whose results nobody waits for
        self._silent: float | None = None  # since when
        self._reasons: set[str] = set()  # for which all jobs wait

    def check(self) -> None:
        """Raise ValueError where jobs cannot be submitted so."""
        if find_spec("submitit") is None:
            raise ValueError("--launcher slurm needs submitit: pip install 'lfranker[slurm]'")
        if shutil.which("sbatch") is None:
            raise ValueError(
                "--launcher slurm: this machine has no sbatch; give the command on one that has, "
                "such as the cluster's login node"
            )
        own = ("signal", "time")
        words = [
            f"--{name}" if value == FLAG else f"--{name}={value}"
            for name, value in self.options.items()
            if name not in own
        ]
        words += [f"--time={self.options.get('time', USUAL_TIME)}", "--wrap", "true"]
        done = subprocess.run(
            ["sbatch", "--test-only", *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            why = "; ".join(done.stderr.strip().splitlines()) or "sbatch refuses it"
            raise ValueError(f"--slurm: {why.replace('sbatch: error: ', '')}")

    def submit(self, work: Sequence[Work]) -> Iterator[list[str]]:
        """Submit work as arrays, as large as they may be."""
        where, size = slurm_queue.cluster(), slurm_queue.largest_array()
        arrays = [work[at : at + size] for at in range(0, len(work), size)]
        at_once = max(1, self.at_once // len(arrays)) if self.at_once else size
        warning = int(self.options.get("signal", USUAL_WARNING))
        for array in arrays:
            tasks = [SlurmTask(one, where, warning) for one in array]
            # Python finds lfranker as the training itself will
            path = array[0].environment.get("PYTHONPATH", "")
            with _outside_of_jobs(path):
                jobs = self._submit(tasks, at_once)
            yield [owner_of(job, where) for job in jobs]

    def _submit(self, tasks: Sequence[SlurmTask], at_once: int) -> list[str]:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        executor = SlurmExecutor(self.folder, max_num_timeout=REQUEUES)
        executor.update_parameters(**self._parameters(), array_parallelism=at_once)
        try:
            return [job.job_id for job in executor.submit_array(tasks)]
        except (FailedSubmissionError, FailedJobError, subprocess.CalledProcessError) as error:
            raise CommandError(f"Slurm does not take the jobs: {error}") from error

    def _parameters(self) -> dict[str, Any]:
        """Options as submitit takes them."""
        own = ("time", "signal", "job-name")
        others = {k: v == FLAG or v for k, v in self.options.items() if k not in own}
        return {
            "job_name": self.options.get("job-name", "lfranker"),
            "time": minutes(self.options.get("time", USUAL_TIME)),
            "signal_delay_s": int(self.options.get("signal", USUAL_WARNING)),
            "additional_parameters": {**others, "requeue": True},
            # since Slurm 22.05 srun does not take it over from sbatch
            "srun_args": [f"--{PROCESSORS}={others[PROCESSORS]}"] if PROCESSORS in others else [],
        }

    def ends(self, owners: Collection[str]) -> dict[str, End]:
        """Return how jobs ended, by what they left or else by Slurm's word.

        The system kills a training that takes too much memory, whose job lives on and leaves that
        it was killed: there it is Slurm that knows why.
        """
        left = dict(self._left(owners))
        found = {owner: end for owner, end in left.items() if not _was_killed(end)}
        waiting = [owner for owner in owners if owner not in found]
        states = self._states([job_of(owner) for owner in waiting])
        for owner in waiting:
            state = states.get(job_of(owner))
            if owner in left:
                end = self._end_of_killed(owner, state, left[owner])
            else:
                end = self._end_by_word(owner, state)
            if end is not None:
                found[owner] = end
        return found

    def _end_of_killed(
        self, owner: str, state: slurm_queue.JobState | None, left: End
    ) -> End | None:
        """Return why a training was killed; None as long as Slurm may yet tell."""
        by_slurm = state is not None and state.state == OUT_OF_MEMORY
        if by_slurm or MEMORY_KILL.search(self._log(owner)):
            return End(OUT_OF_MEMORY)
        return left if self._waited(owner) > SETTLES else None

    def _end_by_word(self, owner: str, state: slurm_queue.JobState | None) -> End | None:
        """Return how a job ended that left nothing; None as long as it has not ended for sure."""
        if state is None:
            return None
        if not state.ended:
            self._ended.pop(owner, None)
            return None
        awaited = state.state in LEAVE_RESULTS and owner not in self._cancelled
        if self._waited(owner) <= (RESULT_SHOWS if awaited else SETTLES):
            return None
        if state.held:
            slurm_queue.cancel([job_of(owner)])
            return End(str(state))
        if state.state == COMPLETED:
            return End(f"{COMPLETED}, but its result did not appear in {self.folder}", lost=True)
        if state.state == FAILED:
            return self._end_by_log(owner, state)
        return End(str(state), state.state in LOST or state.state == slurm_queue.UNKNOWN)

    def _end_by_log(self, owner: str, state: slurm_queue.JobState) -> End:
        """Return why the job's own Python failed: on any other node it would fail as well.

        A task that was ended by SIGTERM was lost; Slurm queues it again by itself, if at all.
        """
        log = self._log(owner)
        if MEMORY_KILL.search(log):
            return End(OUT_OF_MEMORY)
        _, terminated, after = log.rpartition(TERMINATED_WORDS)
        if terminated and TRACEBACK not in after:
            why = TERMINATED_WORDS
        else:
            why = last_error("\n".join(line for line in log.splitlines() if EXIT_CODE not in line))
        if not why:
            return End(f"{state}, without a word in {self.folder}: do its nodes see it?")
        lost = why == TERMINATED_WORDS
        return End(f"{FAILED}: {redacted(why)[:LONGEST]}; its log is in {self.folder}", lost)

    def _waited(self, owner: str) -> float:
        """Return for how many seconds a job is known to have ended."""
        now = time.monotonic()
        return now - self._ended.setdefault(owner, now)

    def _log(self, owner: str) -> str:
        """Return what a job, Slurm and submitit wrote as its errors, at all of its times."""
        from submitit.core.utils import JobPaths

        file = JobPaths(self.folder, job_of(owner)).stderr
        return file.read_text(errors="replace") if file.exists() else ""

    def _states(self, jobs: Collection[str]) -> Mapping[str, slurm_queue.JobState]:
        """Ask Slurm, which may be silent for a while."""
        if not jobs:
            return {}
        try:
            states = slurm_queue.states(jobs)
        except QueueError as error:
            self._reasons = set()
            now = time.monotonic()
            if self._silent is None:
                self._silent = now
            if now - self._silent > PATIENCE:
                raise SilentEngineError(
                    f"Slurm has not answered for {PATIENCE / 60:g} minutes: {error}; its jobs go "
                    f"on, and the same command collects them"
                ) from error
            return {}
        self._silent = None
        waits = {state.reason for state in states.values() if state.state == slurm_queue.PENDING}
        runs = any(state.state != slurm_queue.PENDING for state in states.values())
        self._reasons = set() if runs else waits - {""}
        return states

    def waits_for(self) -> set[str]:
        """Return why the jobs that were last asked about wait; none where one of them does not."""
        return self._reasons

    def _left(self, owners: Collection[str]) -> Iterator[tuple[str, End]]:
        """Yield how jobs ended that have left it in the folder."""
        from submitit.core.utils import JobPaths, pickle_load

        names = {entry.name for entry in os.scandir(self.folder)} if self.folder.exists() else set()
        for owner in owners:
            file = JobPaths(self.folder, job_of(owner)).result_pickle
            if file.name in names:
                how, result = pickle_load(file)
                yield owner, _end_of(how == "success", result)

    def cancel(self, owners: Collection[str]) -> str:
        """Cancel jobs; returns the command that cancels their arrays, and what went wrong here."""
        self._cancelled |= set(owners)
        jobs = sorted(map(job_of, owners))
        by_hand = " ".join(["scancel", *sorted(set(map(slurm_queue.array_of, jobs)))])
        wrong = {slurm_queue.cancel(jobs[at : at + 500]) for at in range(0, len(jobs), 500)} - {""}
        return f"{by_hand} (Slurm answered: {'; '.join(sorted(wrong))})" if wrong else by_hand


def _was_killed(end: End) -> bool:
    return end.process is not None and end.process.code == -SIGKILL


def _end_of(well: bool, result: Any) -> End:
    """Return what submitit keeps: what came of a process, or the traceback of a task."""
    if well:
        return End(COMPLETED, process=result)
    why = last_error(str(result))
    if why.startswith(NO_PROGRESS):
        return End(why.removeprefix(NO_PROGRESS))
    return End(FAILED, process=Ended(1, str(result)))


@contextmanager
def _outside_of_jobs(path: str) -> Iterator[None]:
    """Let jobs that are submitted in the block know nothing of the one that this may be in.

    ``path``: their PYTHONPATH.
    """
    of_a_job = [n for n in os.environ if n.startswith("SLURM_") and n not in OF_A_CLUSTER]
    before = {name: os.environ.pop(name) for name in of_a_job}
    before["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = path
    try:
        yield
    finally:
        os.environ.update(before)


def job_of(owner: str) -> str:
    """Return the number of the job that an owner names, `12_3`."""
    return owner.partition(":")[2].partition("@")[0]
