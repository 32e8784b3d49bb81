"""The processes of a power set, done in this process one after another."""

import shutil
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from mlflow.tracking import fluent
from mlflow.utils.thread_utils import ThreadLocalVariable

from lfranker.experiment.worker import run_task
from lfranker.processes.jobs import Job
from lfranker.simulation.scans import simulate_scans, simulated_fields


def one_after_another(
    jobs: Sequence[Job],
    at_once: int,
    on_poll: object = None,
    stall: object = None,
    places: object = None,
) -> Generator[tuple[Job, int]]:
    """Do in this process what each job's process would do, which has no run open yet."""
    for job in jobs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fluent, "_active_run_stack", ThreadLocalVariable(list))
            for variable, value in job.environment.items():
                patch.setenv(variable, value)
            run_task(Path(job.command[3]))
        yield job, 0


def scans_at_spd5(count: int, size: int, folder: Path, seed: int) -> None:
    """Simulate so many fields at one fast speed and the clean one: others take as long again."""
    simulate_scans(simulated_fields(count, size, seed), folder, seed)
    for speed in ("spd2", "spd3"):
        shutil.rmtree(folder / speed)
