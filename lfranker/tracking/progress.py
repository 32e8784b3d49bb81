"""How far trainings on other machines are, as their curves show."""

from collections.abc import Collection

from lfranker.tracking.power_set import search

CURVE = "train/loss"


def steps_logged(experiment: str, run_ids: Collection[str]) -> dict[str, int]:
    """Return the last step of the curves of those of the runs that are running.

    One question for all of them, as the trainings log their curves anyway.
    """
    found: dict[str, int] = {}
    for run in search("attributes.status = 'RUNNING'", [experiment]):
        if run.info.run_id in run_ids:
            steps = {metric.key: int(metric.step) for metric in run.data.to_proto().metrics}
            found[run.info.run_id] = steps.get(CURVE, 0)
    return found
