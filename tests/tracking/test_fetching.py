from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from tracked import make_child, make_parent

from lfranker.tracking.runs import read_texts, tracked


def test_texts_come_in_the_order_asked_and_none_for_what_is_not_there(store: Path) -> None:
    parent = make_parent()
    runs = [make_child(parent, name, {}) for name in ("mae", "mse", "ssim")]
    for run in runs[:2]:
        MlflowClient().log_text(run.info.run_id, f"of {run.info.run_id} µ", "scores/a.csv")
    found = list(read_texts([(tracked(run), "scores/a.csv") for run in reversed(runs)]))
    assert found == [None, *(f"of {run.info.run_id} µ" for run in (runs[1], runs[0]))]
    assert list(read_texts([])) == []


def test_runs_whose_artifacts_lie_elsewhere_are_read_too(store: Path, tmp_path: Path) -> None:
    client = MlflowClient()
    elsewhere = client.create_experiment("b", artifact_location=(tmp_path / "far away").as_uri())
    here = make_child(make_parent(), "mae", {})
    there = client.create_run(elsewhere)
    for run, text in ((here, "one"), (there, "two")):
        client.log_text(run.info.run_id, text, "a.txt")
    assert list(read_texts([(tracked(run), "a.txt") for run in (here, there)])) == ["one", "two"]


def test_a_store_that_fails_is_not_taken_for_one_without_the_file(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracked(make_child(make_parent(), "mae", {}))

    def fail(*_: object) -> None:
        raise MlflowException("the store is away")

    monkeypatch.setattr(LocalArtifactRepository, "_download_file", fail)
    with pytest.raises(MlflowException, match="the store is away"):
        list(read_texts([(run, "a.txt")]))
