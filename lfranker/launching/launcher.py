"""What a launcher is to those who have jobs: it takes them, says how each ended, and cancels.

    launcher.submit(jobs)
    for job, outcome in launcher.outcomes(watch):
        ...

A launcher knows commands and machines, and nothing of trainings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lfranker.processes.jobs import Job


@dataclass(frozen=True)
class Outcome:
    """How a job ended: why it failed, in words; "" where it did what it was asked to."""

    failure: str = ""


def _nothing() -> None:
    """Do nothing."""


def _nothing_of(job: Job, text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Watch:
    """The functions that a launcher calls while jobs run."""

    poll: Callable[[], None] = _nothing  # every now and then; what it raises ends all jobs
    tell: Callable[[Job, str], None] = _nothing_of  # what happens to a job before it ends


Submitted = Callable[[Mapping[str, str]], None]  # name of a job -> owner of the engine's job


class Launcher(Protocol):
    """Processes of this machine, or an engine."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs, beside those that were taken before."""

    def outcomes(self, watch: Watch) -> Iterator[tuple[Job, Outcome]]:
        """Yield every job that was taken with its outcome, as they end.

        Whatever ends the caller's loop (an error, Ctrl-C, a closed generator) cancels the others.
        """

    def cancel(self) -> None:
        """End the jobs that have not ended, and forget them; returns once they are gone."""
