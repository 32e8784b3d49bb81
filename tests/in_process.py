"""The processes of a power set, done in this process one after another."""

import shutil
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.tracking import fluent
from mlflow.utils.thread_utils import ThreadLocalVariable
from project import FILTERS, UNSCORED
from recorder import everywhere

from lfranker.child_runs.worker import run_task
from lfranker.evaluation.baselines import BASELINES, Family, families
from lfranker.evaluation.metrics import METRICS
from lfranker.planning.time_estimate import scoring_seconds, seconds_per_step
from lfranker.processes.jobs import Job, run_jobs
from lfranker.report import plots
from lfranker.simulation.scans import simulate_scans, simulated_fields
from lfranker.tracking.models import add_onnx


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


def in_this_process(
    patch: pytest.MonkeyPatch,
    tuned: Callable[[], Mapping[str, Family]] = dict,
    timed: Callable[..., float] = lambda *_, **__: 0.01,
) -> None:
    """Run power sets in this process, without what takes long and tests of its own look at.

    Most filters and metrics, and plots, are left out; `tuned`: the filters that are tuned; `timed`:
    seconds of a step.
    """
    everywhere(patch, run_jobs, one_after_another)
    everywhere(patch, seconds_per_step, timed)
    everywhere(patch, scoring_seconds, lambda *_, **__: 0.01)
    everywhere(patch, add_onnx, lambda model_id: None)
    everywhere(patch, families, tuned)
    keep_only(patch, BASELINES, FILTERS)
    keep_only(patch, METRICS, set(METRICS) - set(UNSCORED))
    patch.setattr(plots, "_svg", lambda figure: "<svg/>")


def keep_only(patch: pytest.MonkeyPatch, table: dict[str, Any], names: Collection[str]) -> None:
    """Leave these rows of a table alone; undone, it has all of them in their order."""
    kept = {name: row for name, row in table.items() if name in names}
    for name in reversed(list(table)):  # which is undone the last first
        patch.delitem(table, name)
    for name, row in kept.items():
        patch.setitem(table, name, row)


@contextmanager
def power_sets_in(
    folder: Path,
    empty_store: Path,
    tuned: Callable[[], Mapping[str, Family]] = dict,
    timed: Callable[..., float] = lambda *_, **__: 0.01,
) -> Iterator[None]:
    """Run power sets of this folder and its own store: see `in_this_process`."""
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("MLFLOW_EXPERIMENT_NAME", folder.name)
        MlflowClient().create_experiment(folder.name, (folder / "mlruns").as_uri())
        in_this_process(patch, tuned, timed)
        yield


def scans_at_spd5(count: int, size: int, folder: Path, seed: int) -> None:
    """Simulate so many fields at one fast speed and the clean one: others take as long again."""
    simulate_scans(simulated_fields(count, size, seed), folder, seed)
    for speed in ("spd2", "spd3"):
        shutil.rmtree(folder / speed)
