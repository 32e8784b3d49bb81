"""Commands that adopt the same trainings at once."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.queues import Queue
from pathlib import Path
from threading import BrokenBarrierError
from types import SimpleNamespace
from typing import Any, cast

import pytest
from copies import start_function
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tracked import make_child, make_parent, power_set_of

from lfranker.child_runs import adoption
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import tasks
from lfranker.processes.failures import CommandError
from lfranker.tracking import claims
from lfranker.tracking.claims import CLAIM, claimed, other_owner, refuse_if_busy, still_open
from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import find_run, set_tags, tracked
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig


def two_adopt_at_once(parent: str, way: str) -> None:
    """Have two processes adopt three trainings, and print what each was told.

    Between its search and the first new run each waits for the other to have searched too. Both
    stay until both have told.
    """
    if way == "tag":
        claims._folder = lambda: None
    context = multiprocessing.get_context("fork")
    start, searched, over = context.Barrier(2), context.Barrier(2), context.Event()
    told: Queue[tuple[int, str]] = context.Queue()
    search = adoption.trainings_with

    def search_and_wait(*words: Any) -> Any:
        found = search(*words)
        with suppress(BrokenBarrierError):  # the other one may not search yet
            searched.wait(2)
        return found

    def adopt() -> None:
        scans = SimpleNamespace(digest="0123456789abcdef", has_clean=True)
        inputs = SimpleNamespace(scans=scans, facts={"perceptual": "none"}, noise="")
        plan = tasks(["mae", "ssim"], 1, TrainConfig())
        start.wait()
        try:
            adoption.adopt(find_run(parent), "key", plan, cast("Inputs", inputs), False)
            told.put((os.getpid(), ""))
        except ValueError as error:
            told.put((os.getpid(), str(error)))
        over.wait(120)

    adoption.trainings_with = search_and_wait
    both = [context.Process(target=adopt) for _ in range(2)]
    for process in both:
        process.start()
    sys.stdout.write(json.dumps([told.get(timeout=120) for _ in both]))
    over.set()
    for process in both:
        process.join(60)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["lock", "tag"])
def test_two_commands_at_once_make_each_training_once(store: Path, way: str) -> None:
    parent = make_parent("mae,ssim")
    done = start_function(two_adopt_at_once, parent.info.run_id, way, log=store / "said.txt")
    assert done.wait(300) == 0, done.said
    told = json.loads(done.said.strip().splitlines()[-1])
    (taken,) = (pid for pid, said in told if not said)
    (said,) = (said for _, said in told if said)
    assert f"being trained by process {os.uname().nodename}:{taken}" in said
    children = [run.title for run in power_set_of(parent).members]
    assert sorted(children) == ["mae", "mae+ssim", "ssim"]


def held(experiment: str) -> str:
    return str(MlflowClient().get_experiment(experiment).tags.get(f"{CLAIM}key", ""))


@pytest.fixture
def on_a_server(store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ID of an experiment whose store cannot be locked."""
    monkeypatch.setattr(claims, "_folder", lambda: None)
    monkeypatch.setattr(claims, "SETTLE", 0.05)
    monkeypatch.setattr(claims, "PAUSE", 0.05)
    return str(make_parent().info.experiment_id)


def fail_once(monkeypatch: pytest.MonkeyPatch, instead: str = "") -> list[str]:
    """Have the first claim written, or another one ``instead``, and answered by an error.

    Returns all claims, as they are asked for.
    """
    write, asked = MlflowClient.set_experiment_tag, list[str]()

    def fail(client: MlflowClient, experiment: str, key: str, value: str) -> None:
        asked.append(value)
        first = len(asked) == 1
        write(client, experiment, key, (first and instead) or value)
        if first:
            raise MlflowException("UNIQUE constraint failed")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", fail)
    return asked


def test_two_first_claims_at_one_moment_are_made_one_after_the_other(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server makes the tag for one of them, and has an error for the other."""
    asked = fail_once(monkeypatch, instead="another")
    monkeypatch.setattr(claims, "STALE", 0.2)  # the other one is gone by then
    with claimed(on_a_server, "key"):
        assert held(on_a_server) == asked[1] == asked[0]


def test_a_claim_that_was_written_is_had_where_the_answer_was_lost(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fail_once(monkeypatch)
    monkeypatch.setattr(claims, "STALE", 0.2)  # another's would be taken over after that
    with claimed(on_a_server, "key"):
        assert asked == [held(on_a_server)]


def test_an_error_of_the_server_is_no_claim_of_another(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("not allowed")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    with pytest.raises(MlflowException, match="not allowed"), claimed(on_a_server, "key"):
        pytest.fail("it was claimed")


def test_a_claim_ends_with_its_block_and_is_renewed_within(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.0)
    with claimed(on_a_server, "key") as renew:
        before = held(on_a_server)
        assert before
        renew()
        assert held(on_a_server) != before
    assert not held(on_a_server)
    with pytest.raises(ZeroDivisionError), claimed(on_a_server, "key"):
        1 / 0  # noqa: B018
    assert not held(on_a_server), "an error leaves none either"
    assert f"{CLAIM}other" not in MlflowClient().get_experiment(on_a_server).tags


def test_a_claim_that_another_wrote_meanwhile_is_not_ours(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one decided before ours was there, and writes a moment later."""
    write, client = MlflowClient.set_experiment_tag, MlflowClient()

    def overwritten(self: MlflowClient, experiment: str, tag: str, value: str) -> None:
        write(self, experiment, tag, value)
        write(self, experiment, tag, "another")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", overwritten)
    monkeypatch.setattr(claims, "LONGEST", 1.0)
    with pytest.raises(CommandError, match="another command has been"), claimed(on_a_server, "key"):
        pytest.fail("two have it")
    assert held(on_a_server) == "another"
    monkeypatch.undo()
    write(client, on_a_server, f"{CLAIM}key", "")


def test_who_was_away_while_another_took_over_does_not_go_on(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.0)
    with claimed(on_a_server, "key") as renew:
        MlflowClient().set_experiment_tag(on_a_server, f"{CLAIM}key", "another")
        with pytest.raises(CommandError, match="another took up the same trainings"):
            renew()
    assert held(on_a_server) == "another"
    MlflowClient().set_experiment_tag(on_a_server, f"{CLAIM}key", "")


def test_time_in_which_the_server_did_not_answer_makes_no_claim_old(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of its own: the second question takes longer than a claim lasts."""
    now, asked = [0.0], list[float]()
    read = claims._holder

    def slowly(*words: Any) -> str:
        asked.append(now[0])
        now[0] += claims.STALE + 1 if len(asked) == 2 else 0
        return read(*words)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(claims, "PAUSE", claims.RENEWED)
    monkeypatch.setattr(claims, "_holder", slowly)
    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    MlflowClient().set_experiment_tag(on_a_server, f"{CLAIM}key", "another")
    with claimed(on_a_server, "key"):
        waited = [at for at in asked if at > asked[1]]
        assert len(waited) >= claims.STALE / claims.PAUSE, "it is asked for as long again"


def test_databricks_is_a_server_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims.mlflow, "get_tracking_uri", lambda: "databricks")
    assert claims._folder() is None


@pytest.mark.parametrize(("request_takes", "other_writes_after"), [(0.0, 1.9), (3.0, 11.0)])
def test_what_another_writes_while_a_claim_settles_is_seen(
    on_a_server: str,
    monkeypatch: pytest.MonkeyPatch,
    request_takes: float,
    other_writes_after: float,
) -> None:
    """Seconds of a clock of its own: two, or four times as long as a slow server has taken."""
    write, now, written = MlflowClient.set_experiment_tag, [0.0], list[float]()

    def slowly(self: MlflowClient, experiment: str, tag: str, value: str) -> None:
        write(self, experiment, tag, value)
        now[0] += request_takes
        written.append(now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] >= written[0] + other_writes_after and held(on_a_server) != "another":
            write(MlflowClient(), on_a_server, f"{CLAIM}key", "another")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", slowly)
    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(claims, "SETTLE", 2.0)
    monkeypatch.setattr(claims, "PAUSE", 4.0)
    monkeypatch.setattr(claims, "LONGEST", 20.0)
    with pytest.raises(CommandError, match="another command has been"), claimed(on_a_server, "key"):
        pytest.fail("two have it")
    assert len(written) == 1


def test_a_claim_of_a_process_that_is_gone_is_taken_over(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "STALE", 0.3)
    MlflowClient().set_experiment_tag(on_a_server, f"{CLAIM}key", "left behind")
    with claimed(on_a_server, "key"):
        assert held(on_a_server) != "left behind"


def test_a_claim_that_is_renewed_is_not_taken_over(
    on_a_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of its own: every half of STALE the other command writes another value."""
    client, now, tag = MlflowClient(), [0.0], f"{CLAIM}key"
    client.set_experiment_tag(on_a_server, tag, "another 0")

    def sleep(seconds: float) -> None:
        now[0] += claims.STALE / 2
        if held(on_a_server).startswith("another"):
            client.set_experiment_tag(on_a_server, tag, f"another {now[0]:.0f}")

    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(claims, "LONGEST", 6 * claims.STALE)
    with pytest.raises(CommandError, match="another command has been"), claimed(on_a_server, "key"):
        pytest.fail("two have it")
    assert held(on_a_server).startswith("another")


def test_a_lock_is_beside_the_store_and_makes_others_wait(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LONGEST", 0.0)
    parent = make_parent()
    with claimed(parent.info.experiment_id, "key"):
        assert (store / claims.LOCK).exists()
        with (
            pytest.raises(CommandError, match=str(store / claims.LOCK)),
            claimed(parent.info.experiment_id, "another key"),
        ):
            pytest.fail("two have it")
    with claimed(parent.info.experiment_id, "key"):
        assert Tag.POWERSET in parent.data.tags


@pytest.mark.parametrize("status", ["RUNNING", "SCHEDULED"])
def test_a_training_blocks_others_as_long_as_its_process_is_there(store: Path, status: str) -> None:
    run_id, host = make_child(make_parent("mae"), "mae", {}).info.run_id, socket.gethostname()
    MlflowClient().update_run(run_id, status=status)
    set_tags(run_id, {Tag.OWNER: f"{host}:{os.getpid()}"})
    with pytest.raises(ValueError, match=f"is being trained by process {host}:{os.getpid()}"):
        refuse_if_busy([find_training(run_id)])
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    set_tags(run_id, {Tag.OWNER: f"{host}:{ended.pid}"})
    refuse_if_busy([find_training(run_id)])


def test_a_run_is_anothers_while_an_engine_has_its_job(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    dead = "slurm:8@one"
    monkeypatch.setattr(claims, "gone", lambda owner: owner == dead)
    assert other_owner(run_id) == "", "the command that made it is no other job"
    set_tags(run_id, {Tag.OWNER: "slurm:7@one"})
    assert other_owner(run_id) == "slurm:7@one"
    monkeypatch.setenv("LFRANKER_OWNER", "slurm:7@one")
    assert other_owner(run_id) == ""
    set_tags(run_id, {Tag.OWNER: dead})
    assert other_owner(run_id) == ""


def test_which_runs_are_open_is_asked_for_all_at_once(store: Path) -> None:
    parent = make_parent("mae")
    runs = [tracked(make_child(parent, name, {})) for name in ("mae", "mse", "ssim", "huber")]
    for run, status in zip(runs, ("RUNNING", "SCHEDULED", "KILLED", "FINISHED"), strict=True):
        MlflowClient().update_run(run.run_id, status=status)
    assert still_open(runs) == runs[:2]
    assert still_open(runs[2:]) == []
    assert still_open([]) == []
