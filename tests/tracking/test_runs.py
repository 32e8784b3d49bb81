"""How runs begin, end, and change hands."""

import socket
import time
from contextlib import nullcontext
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from tracked import make_child, make_parent

from lfranker.tracking import runs
from lfranker.tracking.claims import refuse_if_busy, sweep
from lfranker.tracking.power_set import find_training, settings_of
from lfranker.tracking.runs import (
    create_child,
    end_run,
    get_run,
    leave_to_other,
    log_settings,
    own_run,
    send_log,
    set_owners,
    set_tags,
    several_at_a_time,
    take_up,
    tracked,
)
from lfranker.tracking.tags import USED, Tag


def test_each_run_is_told_its_own_owner(store: Path) -> None:
    parent = make_parent("mae")
    runs = [make_child(parent, name, {}).info.run_id for name in ("mae", "mse")]
    owners = {run_id: f"slurm:7_{at}@one" for at, run_id in enumerate(runs)}
    set_owners(owners)
    assert {run_id: get_run(run_id).data.tags[Tag.OWNER] for run_id in runs} == owners


def test_runs_end_as_what_they_were(store: Path) -> None:
    def status(error: type[BaseException] | None) -> tuple[str, str]:
        expected = nullcontext() if error is None else pytest.raises(error)
        with expected, own_run("name", "role") as run:
            if error is not None:
                raise error("because")
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
    set_tags(run.run_id, {Tag.STOPPED: "500"})
    take_up(run, tracked(parent))
    tags = MlflowClient().get_run(run.run_id).data.tags
    assert {Tag.NOTE, Tag.REASON, Tag.STOPPED}.isdisjoint(tags)
    assert tags[Tag.LOSSES] == "mae"


def test_a_parameter_that_mlflow_run_has_logged_is_not_logged_twice(store: Path) -> None:
    with own_run("name", "role") as run:
        typed = {"steps": "250", "learning_rate": "5e-4", "peak": "10:60", "device": "auto"}
        mlflow.log_params({**typed, "sigma": "0.1", "kernel": "1,0.1"})
        settings = {"steps": 250, "learning_rate": 0.0005, "peak": (10.0, 60.0), "device": "cpu"}
        log_settings(run.run_id, {**settings, "sigma": (0.1, 0.1), "kernel": (1.0, 0.1), "dim": 16})
    after = MlflowClient().get_run(run.run_id)
    assert after.data.params == {**typed, "sigma": "0.1", "kernel": "1,0.1", "dim": "16"}
    used = {k: v for k, v in after.data.tags.items() if k.startswith(USED)}
    assert used == {USED + "device": "cpu"}, "no other means something else than was typed"
    assert settings_of(after)["device"] == "cpu"
    for log_every in (10, 20, 30, 10):  # a run that is resumed may be told otherwise
        log_settings(run.run_id, {"log_every": log_every})
        after = MlflowClient().get_run(run.run_id)
        assert settings_of(after)["log_every"] == str(log_every)
    assert after.data.params["log_every"] == "10"


def test_settings_of_runs_that_were_logged_before_tags_were_used_are_read(store: Path) -> None:
    with own_run("name", "role") as run:
        mlflow.log_params({"steps": "preset", "used/steps": "250", "seed": "0"})
    assert settings_of(MlflowClient().get_run(run.run_id)) == {
        "steps": "250", "used/steps": "250", "seed": "0"
    }  # fmt: skip


def test_a_job_that_was_taken_for_lost_leaves_its_run_alone(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Left(BaseException):
        """In place of the end of the process."""

    def leave(code: int) -> None:
        assert code == 75
        raise Left

    monkeypatch.setattr(runs.os, "_exit", leave)
    monkeypatch.setenv("LFRANKER_OWNER", "slurm:7@one")
    run = tracked(make_parent())

    def lose_it() -> None:
        assert get_run(run.run_id).data.tags[Tag.OWNER] == "slurm:7@one"
        leave_to_other(run.run_id)
        set_tags(run.run_id, {Tag.OWNER: "slurm:8@one"})
        raise KeyboardInterrupt

    monkeypatch.setenv("MLFLOW_RUN_ID", run.run_id)
    with pytest.raises(Left), own_run("name", "train"):
        lose_it()
    assert get_run(run.run_id).info.status == "RUNNING", "it is the other's"
    mlflow.end_run()

    monkeypatch.setenv("MLFLOW_RUN_ID", tracked(make_parent()).run_id)
    with pytest.raises(Left), own_run("name", "train") as other:
        set_tags(other.run_id, {Tag.OWNER: "slurm:8@one"})
    assert get_run(other.run_id).info.status == "RUNNING", "nor is it ended as done"
    mlflow.end_run()

    monkeypatch.setenv("MLFLOW_RUN_ID", tracked(make_parent()).run_id)

    def cut_off(run_id: str) -> None:
        set_tags(run_id, {Tag.OWNER: "slurm:8@one"})
        raise OSError("the node was cut off")

    with pytest.raises(Left), own_run("name", "train") as third:
        cut_off(third.run_id)
    left = get_run(third.run_id)
    assert (left.info.status, left.data.tags.get(Tag.REASON)) == ("RUNNING", None)
    mlflow.end_run()
    monkeypatch.delenv("LFRANKER_OWNER")
    leave_to_other(run.run_id)


def test_a_log_is_sent_without_secrets_while_it_is_written(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hidden-word")
    run_id, log = make_parent().info.run_id, store / "a.txt"
    with log.open("w") as writing:
        writing.write("hidden-word is wrong")
        writing.flush()
        send_log(run_id, log)
        writing.write(", and more")
    assert log.read_text() == "hidden-word is wrong, and more"
    kept = Path(MlflowClient().download_artifacts(run_id, "logs/a.txt"))
    assert kept.read_text() == "*** is wrong"
    log.write_text("\nthe next process goes on\n")
    send_log(run_id, log)
    kept = Path(MlflowClient().download_artifacts(run_id, "logs/a.txt"))
    assert kept.read_text() == "*** is wrong\nthe next process goes on\n"


def test_no_address_in_a_name_or_a_tag_has_its_password(store: Path) -> None:
    """Addresses come there by a command, by its end, and by a child."""
    address = "see http://me:hidden-word@host/store"
    parent = make_parent()
    with own_run(address, "train") as run:
        set_tags(run.run_id, {Tag.NOTE: address})
    child = create_child(tracked(parent), address, {Tag.NOTE: address})
    end_run(child.run_id, "FAILED", address)
    for known in (get_run(run.run_id), get_run(child.run_id)):
        written = {"name": known.info.run_name, **known.data.tags}
        found = [name for name, text in written.items() if "@host/store" in str(text)]
        assert {"name", str(Tag.NOTE)} <= set(found)
        assert [name for name in written if "hidden-word" in str(written[name])] == []


def test_no_reason_of_a_failed_run_has_a_secret(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own process says why it failed, or the one that waited for it."""
    monkeypatch.setenv("HF_TOKEN", "hidden-word")
    with pytest.raises(OSError, match="hidden-word"), own_run("name", "train") as run:
        raise OSError("401 for hidden-word")
    child = create_child(tracked(make_parent()), "mae", {})
    end_run(child.run_id, "FAILED", "401 for hidden-word")
    assert get_run(run.run_id).data.tags[Tag.REASON] == "OSError: 401 for ***"
    tags = get_run(child.run_id).data.tags
    assert tags[Tag.REASON] == "401 for ***"
    assert tags[Tag.NOTE] == "**FAILED**\n\n```\n401 for ***\n```"


def test_several_at_a_time_keep_their_order_and_stop_where_the_caller_does() -> None:
    assert list(several_at_a_time(lambda n: n * n, range(50))) == [n * n for n in range(50)]
    begun: list[int] = []

    def slow(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    for number in several_at_a_time(slow, range(10_000)):
        if number == 3:
            break
    count = len(begun)
    assert count < 1000
    time.sleep(0.1)
    assert len(begun) == count
