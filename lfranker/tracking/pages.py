"""MLflow's pages: their addresses, and views of a power set's runs that are saved for them.

MLflow 3 opens on its GenAI side unless the address says otherwise. A view says which columns and
charts there are, and in which order; MLflow keeps one that is shared as a tag of the experiment,
and opens it by its key.
"""

import json
from collections.abc import Sequence
from urllib.parse import urlencode

import mlflow
from mlflow import MlflowClient

from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.redaction import address_shown
from lfranker.tracking.power_set import PowerSet, quoted
from lfranker.tracking.runs import TrackedRun, find_run
from lfranker.tracking.score_logging import GRID, NO_STEP, keys_of
from lfranker.tracking.tags import VIEW, Tag

TRAINING_SIDE = {"workflowType": "machine_learning"}
LOCAL_SERVER = "http://127.0.0.1:5000"  # of `mlflow ui`


def page(path: str, **query: str) -> str:
    """Return the address of a page on the side of model training, from any other page."""
    return f"#/{path}?{urlencode(query | TRAINING_SIDE)}"


def page_of(run: TrackedRun, below: str = "") -> str:
    """Return the address of a run's page, or of a page below it, from any other page."""
    return page(f"experiments/{run.experiment_id}/runs/{run.run_id}{below}")


def how_to_open(run_id: str) -> str:
    """Return the address of a run's page with that of the server, and what to start before."""
    uri, own = address_shown(mlflow.get_tracking_uri()), page_of(find_run(run_id))
    if uri.startswith(("http:", "https:")):
        return f"{uri.rstrip('/')}/{own}"
    return f"{LOCAL_SERVER}/{own} while `mlflow ui --backend-store-uri {uri}` runs"


TABLE, CHARTS = "TABLE", "CHART"  # MLflow's words for how runs are shown
FIRST = "mean over scan speeds"  # heading of the charts above all others
PICTURES = GRID.rstrip("/")
MOST_PICTURES = 6  # charts: they are large, and all are loaded


def save_view(power_set: PowerSet) -> None:
    """Write the view of a power set's ranked runs, the best first, into its experiment."""
    first = next(iter(power_set.trainings.values()), None)
    keys = [] if first is None else keys_of(first.run_id)
    text = json.dumps(view_of(power_set, keys[:MOST_PICTURES]))
    MlflowClient().set_experiment_tag(power_set.experiment_id, VIEW + power_set.run_id, text)


def view_page(power_set: PowerSet, mode: str) -> str:
    """Return the address of the view, as a table or as charts, from any page of MLflow."""
    return page(
        f"experiments/{power_set.experiment_id}/runs",
        viewStateShareKey=power_set.run_id,
        compareRunsMode=mode,
    )


def view_of(power_set: PowerSet, pictures: Sequence[str]) -> dict[str, object]:
    """Return the state of MLflow's page that shows the runs, and the pictures with these keys."""
    own = f"tags.`{Tag.POWERSET}` = {quoted(power_set.key)}"
    if power_set.noises:  # whose trainings have keys of their own, and there is no OR
        own = f"tags.`{Tag.PARENT}` = '{power_set.run_id}'"
    runs = power_set.trainings.values()
    scored = [name for name in CHAMPION_METRICS if any(name in run.metrics for run in runs)]
    columns = ["mean_rank", *scored]
    sections = [FIRST, PICTURES, *scored]  # the rest follows in MLflow's order
    return {
        "searchFilter": f"{own} AND metrics.mean_rank > 0",
        "orderByKey": "metrics.`mean_rank`",
        "orderByAsc": True,
        "selectedColumns": ["params.`losses`", *(f"metrics.`{name}`" for name in columns)],
        "compareRunSections": [_section(name) for name in sections],
        "compareRunCharts": [*map(_bars, columns), *map(_pictures, pictures)],
        "isAccordionReordered": True,  # or the sections are sorted
        "runsHiddenMode": "FIRST_20_RUNS",
    }


def _section(name: str) -> dict[str, object]:
    size = {"columns": 1, "cardHeight": 420} if name == PICTURES else {}  # a row of all runs
    return {"uuid": name, "name": name, "display": True, "isReordered": False, **size}


def _bars(metric: str) -> dict[str, object]:
    return {
        "type": "BAR",
        "uuid": f"bars of {metric}",
        "metricSectionId": FIRST,
        "metricKey": metric,
        "displayName": metric,
        "runsCountToCompare": 20,
        "isGenerated": True,
    }


def _pictures(key: str) -> dict[str, object]:
    return {
        "type": "IMAGE",
        "uuid": key,
        "metricSectionId": PICTURES,
        "imageKeys": [key],
        "step": NO_STEP,
        "showRunParams": False,
    }
