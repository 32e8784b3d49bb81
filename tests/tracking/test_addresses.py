"""Addresses of MLflow's pages, as they are printed and linked to."""

from pathlib import Path

import mlflow
import pytest
from tracked import make_parent

from lfranker.tracking.pages import how_to_open


def test_what_is_printed_opens_on_the_side_of_training(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = make_parent()
    page = f"#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"
    page += "?workflowType=machine_learning"
    run, own = parent.info.run_id, mlflow.get_tracking_uri()
    assert how_to_open(run) == (
        f"http://127.0.0.1:5000/{page} while `mlflow ui --backend-store-uri {own}` runs"
    )
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "https://example.org/mlflow/")
    assert how_to_open(run) == f"https://example.org/mlflow/{page}"
