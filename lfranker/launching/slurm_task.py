"""What Slurm runs on a node: submitit unpickles a task there and calls it.

Before a time limit and at a preemption submitit calls `checkpoint`, and requeues the task that is
returned. SIGTERM alone is how Slurm ends a job, whose training then leaves a checkpoint too; who
has cancelled it, or Slurm itself, decides whether it runs again.
"""

import os
import signal
import sys
from dataclasses import replace
from types import FrameType
from typing import Any

from lfranker.launching.on_node import Ended, NodeProcess, Work

TERMINATED = 128 + int(signal.SIGTERM)  # exit code
TERMINATED_WORDS = "ended by SIGTERM"  # the last that such a task writes
FOR_CHECKPOINT = 0.7  # share of the warning; the rest is left for what follows
MOST_IDLE = 3  # times that a task may be requeued one after another without a step


class NoProgressError(RuntimeError):
    """A task that would be requeued for ever."""


class SlurmTask:
    """A piece of work as a job of Slurm, of the cluster with this name.

    ``warning``: seconds before the time limit at which `checkpoint` is called.
    """

    def __init__(self, work: Work, cluster: str, warning: float) -> None:
        self.work, self.cluster, self.warning = work, cluster, warning
        self.log, self.steps, self.idle = "", 0, 0  # of earlier times
        self._process: NodeProcess | None = None

    def __call__(self) -> Ended:
        """Do the work; what the earlier times wrote comes first in the log."""
        signal.signal(signal.SIGTERM, self._terminate)
        self._process = NodeProcess(self.work, owner_of(job_here(), self.cluster))
        ended = self._process.run()
        return replace(ended, log=self.log + ended.log)

    def checkpoint(self) -> Any:
        """Have the training leave a checkpoint, and return what goes on from there.

        Raises NoProgressError where it has made no step for some times.
        """
        from submitit.helpers import DelayedSubmission

        again = SlurmTask(self.work, self.cluster, self.warning)
        if self._process is not None:
            self._process.stop(FOR_CHECKPOINT * self.warning)
            again.log, steps = f"{self.log}{self._process.log()}\n", self._process.steps()
            again.steps = max(steps, self.steps)
            again.idle = 0 if steps > self.steps else self.idle + 1
            if again.idle > MOST_IDLE:
                raise NoProgressError(f"TIMEOUT: no step within the time limit, {again.idle} times")
        return DelayedSubmission(again)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if self._process is not None:
            self._process.stop(FOR_CHECKPOINT * self.warning)
        sys.stderr.write(f"{TERMINATED_WORDS}\n")
        sys.exit(TERMINATED)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_process": None}


def job_here() -> str:
    """Return the number of the job that this process is in, as `squeue` has it."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID", "") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]


def owner_of(job: str, cluster: str) -> str:
    """Name a job as responsible for a run."""
    return f"slurm:{job}@{cluster}"
