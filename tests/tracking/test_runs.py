"""How runs begin, end, and change hands."""

import socket
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from tracked import make_parent

from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import (
    create_child,
    end_run,
    log_settings,
    own_run,
    set_tags,
    take_up,
    tracked,
)
from lfranker.tracking.stale_runs import refuse_if_busy, sweep
from lfranker.tracking.tags import Tag


def test_runs_end_as_what_they_were(store: Path) -> None:
    def status(error: type[BaseException] | None) -> tuple[str, str]:
        try:
            with own_run("name", "role") as run:
                if error is not None:
                    raise error("because")
        except (ValueError, KeyboardInterrupt):
            pass
        ended = MlflowClient().get_run(run.run_id)
        return ended.info.status, ended.data.tags.get(Tag.REASON, "")

    assert status(None) == ("FINISHED", "")
    assert status(KeyboardInterrupt) == ("KILLED", "")
    assert status(ValueError) == ("FAILED", "ValueError: because")


def test_a_run_is_abandoned_only_when_its_process_is_gone(store: Path) -> None:
    run = create_child(tracked(make_parent()), "mae", {Tag.LOSSES: "mae"})

    def left() -> bool:
        return find_training(run.run_id).abandoned

    assert not left(), "this process made it"
    set_tags(
        run.run_id, {Tag.OWNER: f"{socket.gethostname()}:4194305"}
    )  # above Linux's largest pid
    assert left()
    set_tags(run.run_id, {Tag.OWNER: "elsewhere:4194305"})
    assert not left()
    MlflowClient().delete_tag(run.run_id, Tag.OWNER)
    assert left(), "nobody will ever end it"
    end_run(run.run_id, "KILLED")
    assert not left()


def test_what_killed_processes_left_open_is_swept(store: Path) -> None:
    parent = make_parent()
    left = create_child(tracked(parent), "left", {Tag.OWNER: f"{socket.gethostname()}:4194305"})
    mine = create_child(tracked(parent), "mine", {})
    foreign = MlflowClient().create_run(parent.info.experiment_id, run_name="of another tool")
    assert sweep(parent.info.experiment_id) == ["left"]
    ids = [left.run_id, mine.run_id, foreign.info.run_id]
    assert [MlflowClient().get_run(run_id).info.status for run_id in ids] == [
        "KILLED",
        "RUNNING",
        "RUNNING",
    ]


def test_what_another_process_trains_is_refused_by_name(store: Path) -> None:
    run = create_child(tracked(make_parent()), "mae", {Tag.OWNER: "elsewhere:7"})
    with pytest.raises(ValueError, match=r"mae .* elsewhere:7.*--take-over"):
        refuse_if_busy([find_training(run.run_id)])
    end_run(run.run_id, "KILLED")
    refuse_if_busy([find_training(run.run_id)])


def test_a_run_taken_up_again_loses_its_old_reason(store: Path) -> None:
    parent = make_parent()
    run = create_child(tracked(parent), "mae", {Tag.LOSSES: "mae"})
    end_run(run.run_id, "KILLED", "the power set was stopped")
    take_up(run, tracked(parent))
    tags = MlflowClient().get_run(run.run_id).data.tags
    assert {Tag.NOTE, Tag.REASON}.isdisjoint(tags)
    assert tags[Tag.LOSSES] == "mae"


def test_settings_that_mlflow_run_recorded_as_words_are_logged_as_used(store: Path) -> None:
    with own_run("name", "role") as run:
        mlflow.log_params({"steps": "preset", "seed": "0"})
        log_settings(run.run_id, {"steps": 250, "seed": 0, "dim": 16})
    params = MlflowClient().get_run(run.run_id).data.params
    assert params == {"steps": "preset", "used/steps": "250", "seed": "0", "dim": "16"}
    for log_every in (10, 20, 10):  # a resumed run may log at another rhythm
        log_settings(run.run_id, {"log_every": log_every, "steps": 250})
    params = MlflowClient().get_run(run.run_id).data.params
    assert params["log_every"] == "10"
    assert params["used/log_every"] == "20"
    assert len(params) == 6
