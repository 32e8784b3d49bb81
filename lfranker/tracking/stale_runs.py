"""Runs whose process is gone, and runs that another process still works on."""

from collections.abc import Iterable

from mlflow.entities import Run

from lfranker.tracking.power_set import search
from lfranker.tracking.runs import OPEN, TAG, abandoned, end_run


def sweep(experiment: str) -> list[str]:
    """End what killed processes of this machine left open in an experiment; the runs' names."""
    swept = []
    for status in OPEN:
        for run in search(f"attributes.status = '{status}'", [experiment]):
            # only runs of lfranker's own: others in the experiment have no owner tag
            if TAG + "role" in run.data.tags and abandoned(run):
                end_run(run.info.run_id, "KILLED", "its process ended without a word")
                swept.append(str(run.info.run_name))
    return swept


def refuse_if_busy(runs: Iterable[Run]) -> None:
    """Raise ValueError naming the first run that is open and not known to be abandoned."""
    for run in runs:
        if run.info.status in OPEN and not abandoned(run):
            raise ValueError(
                f"{run.info.run_name} (run {run.info.run_id}) is being trained by process "
                f"{run.data.tags.get(TAG + 'owner')}: wait for it or end that process. If you "
                f"know that it is gone (another machine, a container that is no more): "
                f"--take-over true"
            )
