"""Addresses of pages of MLflow.

MLflow 3 opens on its GenAI side unless the address says otherwise.
"""

from urllib.parse import urlencode

import mlflow

from lfranker.tracking.runs import TrackedRun, find_run

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
    uri, own = mlflow.get_tracking_uri(), page_of(find_run(run_id))
    if uri.startswith(("http:", "https:")):
        return f"{uri.rstrip('/')}/{own}"
    return f"{LOCAL_SERVER}/{own} while `mlflow ui --backend-store-uri {uri}` runs"
