"""Runs whose process is gone, and runs that another process still works on."""

from collections.abc import Iterable

from lfranker.tracking.power_set import Training, search
from lfranker.tracking.runs import OPEN, abandoned, end_run
from lfranker.tracking.tags import Tag


def sweep(experiment: str) -> list[str]:
    """End what killed processes of this machine left open in an experiment; the runs' names."""
    swept = []
    for status in OPEN:
        for run in search(f"attributes.status = '{status}'", [experiment]):
            # only runs of lfranker's own: others in the experiment have no owner tag
            tags = run.data.tags
            if Tag.ROLE in tags and abandoned(run.info.status, tags.get(Tag.OWNER, "")):
                end_run(run.info.run_id, "KILLED", "its process ended without a word")
                swept.append(str(run.info.run_name))
    return swept


def refuse_if_busy(runs: Iterable[Training]) -> None:
    """Raise ValueError naming the first run that is open and not known to be abandoned."""
    for run in runs:
        if run.status in OPEN and not run.abandoned:
            raise ValueError(
                f"{run.title} (run {run.run_id}) is being trained by process "
                f"{run.owner}: wait for it or end that process. If you "
                f"know that it is gone (another machine, a container that is no more): "
                f"--take-over true"
            )
