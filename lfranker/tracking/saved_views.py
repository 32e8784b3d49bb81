"""Views of a power set's runs for MLflow's pages: which columns, which charts, and in which order.

MLflow keeps a view that is shared as a tag of the experiment, and opens it by its key.
"""

import json

from mlflow import MlflowClient

from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.tracking.addresses import page
from lfranker.tracking.power_set import PowerSet
from lfranker.tracking.scan_pictures import GRID
from lfranker.tracking.tags import VIEW, Tag

TABLE, CHARTS = "TABLE", "CHART"  # MLflow's words for how runs are shown
COLUMNS = ("mean_rank", *CHAMPION_METRICS)
FIRST = "mean over scan speeds"  # heading of the charts above all others
SECTIONS = (FIRST, GRID.rstrip("/"), *CHAMPION_METRICS)  # the rest follows in MLflow's order


def save_view(power_set: PowerSet) -> None:
    """Write the view of a power set's ranked runs, the best first, into its experiment."""
    text = json.dumps(view_of(power_set))
    MlflowClient().set_experiment_tag(power_set.experiment_id, VIEW + power_set.run_id, text)


def view_page(power_set: PowerSet, mode: str) -> str:
    """Return the address of the view, as a table or as charts, from any page of MLflow."""
    return page(
        f"experiments/{power_set.experiment_id}/runs",
        viewStateShareKey=power_set.run_id,
        compareRunsMode=mode,
    )


def view_of(power_set: PowerSet) -> dict[str, object]:
    """Return the state of MLflow's page that shows the runs."""
    own = f"tags.`{Tag.POWERSET}` = '{power_set.key}'"
    if power_set.noises:  # whose trainings have keys of their own, and there is no OR
        own = f"tags.`{Tag.PARENT}` = '{power_set.run_id}'"
    return {
        "searchFilter": f"{own} AND metrics.mean_rank > 0",
        "orderByKey": "metrics.`mean_rank`",
        "orderByAsc": True,
        "selectedColumns": ["params.`losses`", *(f"metrics.`{name}`" for name in COLUMNS)],
        "compareRunSections": [_section(name) for name in SECTIONS],
        "compareRunCharts": [_bars(metric) for metric in COLUMNS],
        "isAccordionReordered": True,  # or the sections are sorted
        "runsHiddenMode": "FIRST_20_RUNS",
    }


def _section(name: str) -> dict[str, object]:
    return {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False}


def _bars(metric: str) -> dict[str, object]:
    return {
        "type": "BAR",
        "uuid": f"bars of {metric}",
        "metricSectionId": FIRST,
        "metricKey": metric,
        "displayName": metric,
        "runsCountToCompare": 20,
        "isGenerated": True,
        "deleted": False,
    }
