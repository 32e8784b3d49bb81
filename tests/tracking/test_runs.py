"""How runs begin, end, and change hands."""

import socket
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from tracked import make_parent

from lfranker.tracking.runs import (
    NOTE,
    TAG,
    abandoned,
    create_child,
    end_run,
    log_settings,
    own_run,
    set_tags,
    take_up,
)
from lfranker.tracking.stale_runs import refuse_if_busy, sweep


def test_runs_end_as_what_they_were(store: Path) -> None:
    def status(error: type[BaseException] | None) -> tuple[str, str]:
        try:
            with own_run("name", "role") as run:
                if error is not None:
                    raise error("because")
        except (ValueError, KeyboardInterrupt):
            pass
        ended = MlflowClient().get_run(run.info.run_id)
        return ended.info.status, ended.data.tags.get(TAG + "reason", "")

    assert status(None) == ("FINISHED", "")
    assert status(KeyboardInterrupt) == ("KILLED", "")
    assert status(ValueError) == ("FAILED", "ValueError: because")


def test_a_run_is_abandoned_only_when_its_process_is_gone(store: Path) -> None:
    parent = make_parent()
    run = create_child(parent, "mae", {})
    with own_run("mine", "role") as mine:
        assert not abandoned(MlflowClient().get_run(mine.info.run_id))
    host = MlflowClient().get_run(mine.info.run_id).data.tags[TAG + "owner"].split(":")[0]
    assert not abandoned(MlflowClient().get_run(run.info.run_id)), "this process made it"
    set_tags(run.info.run_id, {TAG + "owner": f"{host}:4194305"})  # above Linux's largest pid
    assert abandoned(MlflowClient().get_run(run.info.run_id))
    set_tags(run.info.run_id, {TAG + "owner": "elsewhere:4194305"})
    assert not abandoned(MlflowClient().get_run(run.info.run_id))
    MlflowClient().delete_tag(run.info.run_id, TAG + "owner")
    assert abandoned(MlflowClient().get_run(run.info.run_id)), "nobody will ever end it"


def test_what_killed_processes_left_open_is_swept(store: Path) -> None:
    parent = make_parent()
    left = create_child(parent, "left", {TAG + "owner": f"{socket.gethostname()}:4194305"})
    mine = create_child(parent, "mine", {})
    foreign = MlflowClient().create_run(parent.info.experiment_id, run_name="of another tool")
    assert sweep(parent.info.experiment_id) == ["left"]
    statuses = {
        run.info.run_id: MlflowClient().get_run(run.info.run_id).info.status
        for run in (left, mine, foreign)
    }
    assert list(statuses.values()) == ["KILLED", "RUNNING", "RUNNING"]


def test_what_another_process_trains_is_refused_by_name(store: Path) -> None:
    run = create_child(make_parent(), "mae", {TAG + "owner": "elsewhere:7"})
    with pytest.raises(ValueError, match=r"mae .* elsewhere:7.*--take-over"):
        refuse_if_busy([MlflowClient().get_run(run.info.run_id)])
    end_run(run.info.run_id, "KILLED")
    refuse_if_busy([MlflowClient().get_run(run.info.run_id)])


def test_a_run_taken_up_again_loses_its_old_reason(store: Path) -> None:
    parent = make_parent()
    run = create_child(parent, "mae", {TAG + "losses": "mae"})
    end_run(run.info.run_id, "KILLED", "the power set was stopped")
    take_up(MlflowClient().get_run(run.info.run_id), parent)
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert {NOTE, TAG + "reason"}.isdisjoint(tags)
    assert tags[TAG + "losses"] == "mae"


def test_settings_that_mlflow_run_recorded_as_words_are_logged_as_used(store: Path) -> None:
    with own_run("name", "role") as run:
        mlflow.log_params({"steps": "preset", "seed": "0"})
        log_settings(run, {"steps": 250, "seed": 0, "dim": 16})
    params = MlflowClient().get_run(run.info.run_id).data.params
    assert params == {"steps": "preset", "used/steps": "250", "seed": "0", "dim": "16"}
    for log_every in (10, 20, 10):  # a resumed run may log at another rhythm
        log_settings(run, {"log_every": log_every, "steps": 250})
    params = MlflowClient().get_run(run.info.run_id).data.params
    assert params["log_every"] == "10"
    assert params["used/log_every"] == "20"
    assert len(params) == 6
