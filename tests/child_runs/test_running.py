"""How the trainings of a power set run and end, and what is said of them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from child_inputs import adopted, child_of, inputs, status
from mlflow import MlflowClient
from recorder import Recorder
from tracked import make_child, make_parent

from lfranker.child_runs import running
from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.jobs import (
    Child,
)
from lfranker.child_runs.running import (
    ASKED,
    LoggedSteps,
    Tally,
    TrainingRunner,
    _close,
    closing,
    steps_in_files,
    submit,
)
from lfranker.launching.engine import SilentEngineError
from lfranker.launching.launcher import Outcome, Watch
from lfranker.launching.local import LocalLauncher
from lfranker.planning.plan import tasks
from lfranker.processes.failures import CommandError, FailedTrainingsError
from lfranker.processes.jobs import Job
from lfranker.tracking.runs import log_metrics, set_tags, tracked
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig


def test_a_scoring_that_fails_leaves_the_training_finished(store: Path, tmp_path: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {}, model="m")
    child = adopted(parent)
    reasons = run_all([child], [python_job(child, "raise OSError('no answer')", tmp_path)], 1)
    assert reasons == {run.info.run_id: "scoring: OSError: no answer"}
    assert status(tracked(run)) == "FINISHED"
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags[Tag.REASON] == "scoring: OSError: no answer"


def python_job(child: Child, code: str, folder: Path) -> Job:
    return Job(child.run.run_id, [sys.executable, "-c", code], folder / "log.txt")


def run_all(children: list[Child], jobs: list[Job], at_once: int) -> dict[str, str]:
    return running.run_all(children, jobs, LocalLauncher(at_once), {}, lambda _: None)


def test_a_training_that_fails_says_why_and_keeps_its_log_without_passwords(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hidden-word")
    child = adopted(make_parent("mae"))
    code = "print('at http://me:other-word@host'); raise RuntimeError('hidden-word is wrong')"
    reasons = run_all([child], [python_job(child, code, tmp_path)], 1)
    assert reasons == {child.run.run_id: "RuntimeError: *** is wrong"}
    assert status(child.run) == "FAILED"
    tags = MlflowClient().get_run(child.run.run_id).data.tags
    assert tags[Tag.REASON].startswith("RuntimeError: *** is wrong\n\n")
    kept = Path(MlflowClient().download_artifacts(child.run.run_id, "logs/log.txt")).read_text()
    assert "at http://***@host" in kept
    for text in (kept, *tags.values()):
        assert "hidden-word" not in text
        assert "other-word" not in text


def test_a_log_that_cannot_be_kept_does_not_hide_how_a_training_ended(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifact", full)
    child = adopted(make_parent("mae"))
    said: list[str] = []
    jobs = [python_job(child, "raise RuntimeError('first')", tmp_path)]
    running.run_all([child], jobs, LocalLauncher(1), {}, said.append)
    assert status(child.run) == "FAILED"
    (line,) = said
    assert "FAILED: RuntimeError: first; its log could not be kept: [Errno 28] No space" in line


def test_steps_are_those_that_processes_tell_in_files(tmp_path: Path) -> None:
    jobs = [Job(name, [], tmp_path / "log", {}, tmp_path / name) for name in ("a", "b", "c")]
    (tmp_path / "a").write_text("12")
    (tmp_path / "b").write_text("")  # it has begun
    assert steps_in_files([*jobs, Job("d", [], tmp_path / "log")]) == {"a": 12}


def test_steps_on_other_machines_are_asked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """36 of 40 are behind the branches of 10 and of 20, whose decays are 2 and 4 steps."""
    asked, now = list[tuple[str, list[str]]](), [100.0]
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(
        running, "steps_logged", lambda of, ids: asked.append((of, list(ids))) or {"run": 36}
    )
    child = child_of(tmp_path, "train")
    other = replace(child, run=replace(child.run, run_id="other"))
    jobs = [Job(name, [], tmp_path / "log") for name in ("run", "other")]
    steps = LoggedSteps([child, other])
    for seconds in (0.0, ASKED - 1, 2.0):
        now[0] += seconds
        assert steps(jobs) == {"run": 36 + 2 + 4}
    assert steps(jobs[1:]) == {}
    assert asked == [(child.run.experiment_id, ["run", "other"])] * 2


def test_progress_is_the_share_of_the_seconds_that_trainings_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of a takes 0.5 s, on a network that takes twice as long; of b nobody has timed one."""
    bars = list[Any]()

    class Bar:
        disable, n = False, 0.0

        def __init__(self, total: float, **_: object) -> None:
            self.total, self.shown = total, list[float]()
            bars.append(self)

        def update(self, by: float) -> None:
            self.n += by
            self.shown.append(self.n)

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None: ...

    made = {"a": 4, "b": 6}
    children = [
        SimpleNamespace(
            run=SimpleNamespace(run_id=name), task=SimpleNamespace(name=name), title=name,
            inputs=SimpleNamespace(pace=pace), steps=steps, todo="train",
        )
        for name, pace, steps in (("a", 2.0, 10), ("b", 3.0, 30))
    ]  # fmt: skip
    jobs = [Job(name, [], tmp_path / name) for name in made]

    def outcomes(watch: Watch) -> Iterator[tuple[Job, Outcome]]:
        watch.poll()
        watch.tell(jobs[1], "it waits")
        yield jobs[0], Outcome()
        made["b"] = 99  # more than there are: those of an earlier try
        watch.poll()
        yield jobs[1], Outcome("no memory")

    monkeypatch.setattr(running, "tqdm", Bar)
    monkeypatch.setattr(running, "closing", lambda _: nullcontext())
    monkeypatch.setattr(running, "_close", lambda child, _, why: f"{child.title} {why or 'ok'}")
    said, launcher = list[str](), SimpleNamespace(submit=lambda _: None, outcomes=outcomes)
    reasons = running.run_all(
        cast(Any, children), jobs, cast(Any, launcher), {"a": 0.5}, said.append,
        made=lambda left: {job.name: made[job.name] for job in left},
    )  # fmt: skip
    assert reasons == {"b": "no memory"}
    assert said == ["b: it waits", "[1/2] a ok", "[2/2] b no memory"]
    (bar,) = bars
    assert bar.total == 10 * 0.5 * 2 + 30 * 1.0 * 3
    assert bar.shown == [4 + 18, 10 + 18, 100, 100]


@pytest.mark.slow
def test_a_stopped_training_is_named_ended_and_tried_again_in_the_same_run(
    store: Path, tmp_path: Path
) -> None:
    child, said = adopted(make_parent("mae")), list[str]()
    mark = tmp_path / "mark"
    code = f"import os, pathlib, signal; p = pathlib.Path({str(mark)!r}); there = p.exists();"
    code += "p.touch(); there or os.kill(os.getpid(), signal.SIGSTOP)"
    jobs = [python_job(child, code, tmp_path)]
    launcher = LocalLauncher(1, stall_minutes=0.1)
    assert running.run_all([child], jobs, launcher, {}, said.append) == {}
    assert status(child.run) == "FINISHED"
    stalls = [line for line in said if "mae (repeat 0): no progress for" in line]
    assert stalls[0].endswith(" minutes, it is ended after 0.1")
    assert [line for line in said if line.endswith(" minutes, ended")] != []


@pytest.mark.slow
def test_a_training_that_stalls_twice_has_failed(store: Path, tmp_path: Path) -> None:
    child = adopted(make_parent("mae"))
    jobs = [python_job(child, "import time; time.sleep(600)", tmp_path)]
    launcher = LocalLauncher(1, stall_minutes=0.03)
    reasons = running.run_all([child], jobs, launcher, {}, lambda _: None)
    assert reasons == {child.run.run_id: "no progress for 0.03 minutes, twice"}
    assert status(child.run) == "FAILED"


def test_a_folder_that_is_deleted_while_it_is_read_ends_all_trainings_in_one_line(
    store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache" / "scans"
    folder.mkdir(parents=True)
    child = adopted(make_parent("mae"))
    runner = TrainingRunner(
        child.inputs, LocalLauncher(1), 1, {}, False, tmp_path, lambda _: None, needed={folder}
    )
    runner.check_inputs()
    code = f"import shutil, time; shutil.rmtree({str(folder.parent)!r}); time.sleep(600)"
    jobs = [python_job(child, code, tmp_path)]
    with pytest.raises(CommandError, match=rf"{folder} was deleted while .*: the same command"):
        running.run_all(
            [child], jobs, runner.launcher, {}, lambda _: None, check=runner.check_inputs
        )
    assert status(child.run) == "KILLED", "the process is ended, or this would take ten minutes"


def test_failures_are_counted_among_all_trainings_until_they_are_made_good(
    store: Path, tmp_path: Path
) -> None:
    parent = make_parent("mae,ssim")
    first = adopted(parent)
    (second,) = adopt(tracked(parent), "key", tasks(["ssim"], 1, TrainConfig()), inputs(), False)
    tally = Tally()
    tally.raise_if_failed()
    tally.add([first, second], {second.run.run_id: "killed"})
    with pytest.raises(FailedTrainingsError, match=r"^1 of 2 trainings failed: ssim .*: killed$"):
        tally.raise_if_failed()
    tally.add([second], {})
    tally.raise_if_failed()


def test_what_is_run_is_given_to_processes_and_tallied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, record = child_of(tmp_path, "train"), Recorder(monkeypatch)
    done = replace(child, todo="", run=replace(child.run, run_id="kept"))
    record.replace(running.run_all, lambda _: {"run": "no memory"})
    said = list[str]()
    launcher = LocalLauncher(2)
    runner = TrainingRunner(
        child.inputs, launcher, 2, {"mse+ssim": 0.3}, True, tmp_path, said.append
    )
    runner.run([child, done])
    (call,) = record.calls["", "run_all"]
    assert call.children == [child, done]
    assert [job.name for job in call.jobs] == ["run"]
    assert (call.launcher, call.cost) == (launcher, {"mse+ssim": 0.3})
    assert call.say == said.append
    assert call.check == runner.check_inputs
    assert runner.needed == {tmp_path / "scans", tmp_path / "second"}
    assert runner.tally.begun == {"run", "kept"}
    assert runner.tally.failures == {"run": ("mse+ssim (repeat 1)", "no memory")}


class FullQueue:
    """A launcher that takes one job and no other."""

    def __init__(self) -> None:
        self.taken: list[Job] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        self.taken += jobs[:1]
        raise CommandError("the queue is full")

    def outcomes(self, watch: Watch) -> Iterator[tuple[Job, Outcome]]:
        return iter(())

    def cancel(self) -> None:
        self.taken.clear()


def test_runs_are_closed_but_where_an_engine_does_not_answer(store: Path) -> None:
    child = adopted(make_parent("mae"))
    with pytest.raises(SilentEngineError), closing([child]):
        raise SilentEngineError("its jobs go on")
    assert status(child.run) == "SCHEDULED"
    with pytest.raises(CommandError), closing([child]):
        raise CommandError("the queue is full")
    assert status(child.run) == "KILLED"


def test_no_job_stays_with_a_launcher_that_does_not_take_them_all(tmp_path: Path) -> None:
    launcher = FullQueue()
    jobs = [Job(name, [sys.executable], tmp_path / name) for name in ("one", "two")]
    with pytest.raises(CommandError, match="the queue is full"):
        submit(launcher, jobs)
    assert launcher.taken == []


def test_how_a_child_ended_is_said_in_a_line(store: Path, tmp_path: Path) -> None:
    parent = make_parent("mae,mse")
    made = {"psnr": 21.256, "ssim": 0.87654}
    child = adopted(parent)
    log_metrics(child.run.run_id, made)
    job = python_job(child, "", tmp_path)
    paused = replace(child, until=500)
    assert _close(paused, job, "") == "mae (repeat 0): scored as a training of 500 steps"
    assert status(child.run) == "SCHEDULED", "it goes on"
    set_tags(child.run.run_id, {Tag.OWNER: "slurm:1@one"})
    assert _close(child, job, "").startswith("mae (repeat 0) has not ended: slurm:1@one is at it")
    assert status(child.run) == "SCHEDULED", "a job found it taken by another, and left it"
    set_tags(child.run.run_id, {Tag.MODEL: "m-1"})
    assert _close(child, job, "") == "mae (repeat 0) ok: PSNR 21.26 dB, SSIM 0.8765"
    assert status(child.run) == "FINISHED"
    set_tags(child.run.run_id, {Tag.OUTCOME: "diverged"})
    assert _close(paused, job, "").startswith("mae (repeat 0) diverged: PSNR"), "no branch to score"
