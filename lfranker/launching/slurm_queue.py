"""What Slurm says of its jobs: those that it has by `squeue`, those of before by `sacct`.

`sacct` needs accounting, which a cluster may do without. Then a job that ended minutes ago is as
one that never was.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache

ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
UNKNOWN = "UNKNOWN"  # to Slurm, by now
PENDING = "PENDING"
HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT"})  # until somebody releases it
# a node could not start it
NOT_STARTED = re.compile(r"launch.failed.requeued.held|launch.failure.limit", re.IGNORECASE)
ANSWER = 60  # seconds in which an answer must come
AGED = 10.0  # seconds in which the states of all jobs are not asked for again


class QueueError(RuntimeError):
    """Slurm does not answer."""


@dataclass(frozen=True)
class JobState:
    """State of a job in Slurm's word, and the reason that it gives."""

    state: str
    reason: str = ""

    @property
    def ended(self) -> bool:
        """True where the job will not run any more."""
        return self.state in ENDED or self.state == UNKNOWN or self.held

    @property
    def held(self) -> bool:
        """True where Slurm has put the job aside after a failure."""
        return self.state in HELD or bool(NOT_STARTED.search(self.reason))

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


def slurm_here() -> bool:
    """Return whether this machine can ask Slurm."""
    return shutil.which("squeue") is not None


def states(jobs: Collection[str]) -> dict[str, JobState]:
    """Return the state of each job, `12_3` of an array. Raises QueueError."""
    known = _queue(["--jobs", ",".join(sorted(map(array_of, jobs)))])
    if missing := {job for job in jobs if job not in known}:
        known |= _accounts({array_of(job) for job in missing})
    return {job: known.get(job, JobState(UNKNOWN)) for job in jobs}


def cancel(jobs: Sequence[str]) -> str:
    """Cancel jobs; returns why that failed, "" where it did not."""
    try:
        _asked(["scancel", "--quiet", *jobs])
    except QueueError as error:
        return str(error)
    return ""


def array_of(job: str) -> str:
    """Return the number of the array that a job is of, or its own."""
    return job.partition("_")[0]


def _queue(which: Sequence[str]) -> dict[str, JobState]:
    words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r"]
    try:
        lines = _asked([*words, *which])
    except QueueError as error:
        if "Invalid job id" in str(error):
            return {}
        raise
    return _parsed(lines)


def _accounts(arrays: Collection[str]) -> dict[str, JobState]:
    """Return what the accounting knows of them; nothing where there is none."""
    words = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State,Reason"]
    try:
        return _parsed(_asked([*words, "--jobs", ",".join(sorted(arrays))]))
    except QueueError:
        return {}


def _parsed(lines: Sequence[str]) -> dict[str, JobState]:
    parts = [line.split("|") for line in lines if line.count("|") == 2]
    return {
        job: JobState(state.split()[0], "" if reason in ("None", "(null)") else reason)
        for job, state, reason in parts
        if state  # `CANCELLED by 1000` in accounts
    }


def _asked(words: Sequence[str]) -> list[str]:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER, check=False)
    except subprocess.TimeoutExpired as error:
        raise QueueError(f"{words[0]} has not answered for {ANSWER} s") from error
    except OSError as error:
        raise QueueError(str(error)) from error
    if done.returncode:
        raise QueueError(done.stderr.strip() or f"{words[0]} ended with {done.returncode}")
    return done.stdout.splitlines()


@cache
def cluster() -> str:
    """Return the name of the cluster that this machine belongs to. Raises QueueError."""
    lines = _asked(["scontrol", "show", "config"])
    found = next((line for line in lines if line.startswith("ClusterName")), "")
    return found.partition("=")[2].strip()


@cache
def largest_array() -> int:
    """Return how many jobs an array may have. Raises QueueError."""
    lines = _asked(["scontrol", "show", "config"])
    found = next((line for line in lines if line.startswith("MaxArraySize")), "")
    return max(1, int(found.partition("=")[2].strip() or 1001))


@dataclass
class _All:
    """The states of all jobs that Slurm has, as they were a moment ago."""

    when: float = float("-inf")
    states: dict[str, JobState] = field(default_factory=dict)


_all = _All()


def gone(owner: str) -> bool:
    """Return whether a job, `12_3@cluster`, is known to run no more; False where nobody can tell.

    Many runs may be asked about one after another: all jobs are read at once.
    """
    job, _, where = owner.partition("@")
    try:
        if not slurm_here() or where != cluster():
            return False
        if time.monotonic() - _all.when > AGED:
            _all.states, _all.when = _queue([]), time.monotonic()
        if job not in _all.states:
            _all.states[job] = states([job])[job]
    except QueueError:
        return False
    return _all.states[job].ended
