"""Jobs as processes of this machine, a few at a time."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing

from lfranker.launching.launcher import Outcome, Watch
from lfranker.processes.failures import reason_of
from lfranker.processes.jobs import ONE_PLACE, STALLED, Job, Stall, run_jobs
from lfranker.redaction import redacted


class LocalLauncher:
    """Processes of this machine, ``at_once`` of them, which share the ``places`` evenly.

    ``places``: environments, each of which tells a process which GPU is its own. A job that gets no
    further for ``stall_minutes`` is ended and tried once more; 0: never.
    """

    def __init__(
        self,
        at_once: int,
        places: Sequence[Mapping[str, str]] = ONE_PLACE,
        stall_minutes: float = 0.0,
    ) -> None:
        self.at_once, self.places, self.stall_minutes = at_once, places, stall_minutes
        self._taken: list[Job] = []
        self._running: Generator[tuple[Job, int]] | None = None

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs; their processes start once outcomes are asked for."""
        self._taken += jobs

    def outcomes(self, watch: Watch) -> Iterator[tuple[Job, Outcome]]:
        """Run the jobs, and yield how each ended."""
        jobs, self._taken = self._taken, []

        def stalled(job: Job, seconds: float, ended: bool) -> None:
            what = "ended" if ended else f"it is ended after {self.stall_minutes:g}"
            watch.tell(job, f"no progress for {seconds / 60:.3g} minutes, {what}")

        stall = Stall(60 * self.stall_minutes, stalled) if self.stall_minutes else None
        self._running = run_jobs(jobs, self.at_once, watch.poll, stall, self.places)
        with closing(self._running) as running:
            for job, code in running:
                yield job, Outcome(self._failure(job, code))

    def cancel(self) -> None:
        """End the processes, and forget the jobs that have none."""
        self._taken = []
        if self._running is not None:
            self._running.close()

    def _failure(self, job: Job, code: int) -> str:
        if code == STALLED:
            return f"no progress for {self.stall_minutes:g} minutes, twice"
        return redacted(reason_of(code, job.log)) if code else ""
