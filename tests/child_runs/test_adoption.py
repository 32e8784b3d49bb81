"""What is left to do for the trainings of a power set, and how they end."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from child_inputs import child_of, inputs
from mlflow import MlflowClient
from mlflow.entities import Run
from recorder import Recorder
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.child_runs import adoption
from lfranker.child_runs.adoption import (
    ASKED,
    LoggedSteps,
    Means,
    Tally,
    _close,
    adopt,
    closing,
    steps_in_files,
    submit,
)
from lfranker.child_runs.jobs import (
    Child,
)
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.launching.engine import SilentEngineError
from lfranker.launching.launcher import Outcome, Watch
from lfranker.launching.local import LocalLauncher
from lfranker.launching.owners import own_name
from lfranker.noise.noise_config import NoiseConfig, mode_of
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import tasks, training_fingerprint
from lfranker.processes.failures import CommandError, FailedTrainingsError
from lfranker.processes.jobs import Job
from lfranker.tracking import claims, runs
from lfranker.tracking.runs import TrackedRun, log_metrics, set_tags, tracked
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig
from lfranker.training.numerics import SAFEGUARDS

PLAN = tasks(["mae"], 1, TrainConfig())
SCORED = {f"outcome.{SCANS[:8]}": "ok"}


def adopted(parent: Run, take_over: bool = False) -> Child:
    (child,) = adopt(tracked(parent), "key", PLAN, inputs(), take_over)
    return child


def status(run: TrackedRun) -> str:
    return str(MlflowClient().get_run(run.run_id).info.status)


@pytest.mark.parametrize(
    ("ended", "tags", "todo", "becomes"),
    [
        ("FINISHED", {"model": "m", **SCORED}, "", "FINISHED"),
        ("FINISHED", {"model": "m"}, "evaluate", "FINISHED"),
        ("KILLED", {"model": "m"}, "evaluate", "FINISHED"),  # stopped while it was scored
        ("FAILED", {"model": "m"}, "evaluate", "FINISHED"),  # scoring failed
        ("KILLED", {"model": "m", **SCORED}, "", "FINISHED"),
        ("KILLED", {}, "train", "SCHEDULED"),
        ("FAILED", {}, "train", "SCHEDULED"),
        ("FINISHED", {"outcome": "diverged", "safeguards": str(SAFEGUARDS)}, "", "FINISHED"),
    ],
)
def test_a_run_with_a_model_is_never_trained_again(
    store: Path, ended: str, tags: dict[str, str], todo: str, becomes: str
) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {}, **tags)
    MlflowClient().set_terminated(run.info.run_id, ended)
    child = adopted(parent)
    assert child.run.run_id == run.info.run_id
    assert child.todo == todo
    assert not child.begun
    assert status(tracked(run)) == becomes


def test_a_training_that_had_logged_a_point_has_begun(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {"train/loss": 0.5})
    MlflowClient().set_terminated(run.info.run_id, "KILLED")
    child = adopted(parent)
    assert (child.todo, child.begun) == ("train", True)


def test_what_diverged_with_fewer_safeguards_is_trained_again_in_a_run_of_its_own(
    store: Path,
) -> None:
    parent = make_parent("mae")
    old = make_child(parent, "mae", {}, outcome="diverged")
    new = adopted(parent)
    assert new.todo == "train"
    assert new.run.run_id != old.info.run_id, "its curves and checkpoints are left behind"
    MlflowClient().set_terminated(new.run.run_id, "KILLED")
    again = adopted(parent)
    assert (again.run.run_id, again.todo) == (new.run.run_id, "train"), "and resumed"
    tags = {"outcome": "diverged", "safeguards": str(SAFEGUARDS)}
    set_tags(new.run.run_id, {f"lfranker.{name}": value for name, value in tags.items()})
    MlflowClient().set_terminated(new.run.run_id, "FINISHED")
    kept = adopted(parent)
    assert (kept.run.run_id, kept.todo) == (new.run.run_id, ""), "once is enough"
    children = [run.run_id for run in power_set_of(parent).members]
    assert children == [new.run.run_id], "only the newer one is ranked"


def test_what_ended_well_with_fewer_safeguards_is_kept(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {}, model="m", **SCORED)
    kept = adopted(parent)
    assert (kept.run.run_id, kept.todo) == (run.info.run_id, "")


def noted(**versions: int) -> dict[str, str]:
    """Tags of a run that was scored by these metrics."""
    return {"model": "m", **SCORED, f"metrics.{SCANS[:8]}": json.dumps(versions)}


@pytest.mark.parametrize(
    ("tags", "todo"),
    [
        ({"model": "m", **SCORED}, ""),  # before metrics were noted, by those of that time
        (noted(**dict.fromkeys(METRICS, 1)), ""),
        (noted(**dict.fromkeys(METRICS, 1), gone=3), ""),
        (noted(**{**dict.fromkeys(METRICS, 1), "ssim": 2}), "evaluate"),
        (noted(psnr=1, ssim=1), "evaluate"),
    ],
)
def test_runs_are_scored_again_by_metrics_that_they_were_not_scored_by(
    store: Path, tags: dict[str, str], todo: str
) -> None:
    parent = make_parent("mae")
    make_child(parent, "mae", {}, **tags)
    assert adopted(parent).todo == todo


@pytest.mark.parametrize("tags", [{"model": "m", **SCORED}, noted(**dict.fromkeys(METRICS, 1))])
@pytest.mark.parametrize(
    ("name", "changed"),
    [("new", METRICS["ssim"]), ("ssim", replace(METRICS["ssim"], version=2))],
)
def test_a_new_metric_or_version_reaches_runs_that_are_scored_already(
    store: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], name: str, changed: Metric
) -> None:
    parent = make_parent("mae")
    make_child(parent, "mae", {}, **tags)
    monkeypatch.setitem(METRICS, name, changed)
    assert adopted(parent).todo == "evaluate"


def test_a_new_training_is_owned_by_who_makes_it(store: Path) -> None:
    child = adopted(make_parent("mae"))
    assert child.todo == "train"
    assert status(child.run) == "SCHEDULED"
    assert Tag.OWNER in MlflowClient().get_run(child.run.run_id).data.tags


def test_what_another_machine_left_open_is_taken_over_only_on_demand(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {})
    MlflowClient().update_run(run.info.run_id, status="RUNNING")
    set_tags(run.info.run_id, {Tag.OWNER: "elsewhere:7"})
    with pytest.raises(ValueError, match="elsewhere:7"):
        adopted(parent)
    assert adopted(parent, take_over=True).todo == "train"


@pytest.mark.parametrize(
    ("engine", "status_before", "waiting", "collected"),
    [
        ("slurm", "RUNNING", False, True),
        ("slurm", "SCHEDULED", False, True),
        ("slurm", "KILLED", False, True),  # its machine was taken away, and it waits for another
        ("", "RUNNING", False, False),
        ("slurm", "RUNNING", True, False),
    ],
)
def test_jobs_whose_command_has_ended_are_taken_up_by_the_next(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    status_before: str,
    waiting: bool,
    collected: bool,
) -> None:
    monkeypatch.setattr(claims, "gone", lambda owner: False)
    monkeypatch.setattr(runs, "gone", lambda owner: False)
    earlier, parent = make_parent("mae"), make_parent("mae")
    if waiting:
        MlflowClient().update_run(earlier.info.run_id, status="RUNNING")
    run = make_child(earlier, "mae", {})
    MlflowClient().update_run(run.info.run_id, status=status_before)
    set_tags(run.info.run_id, {Tag.OWNER: "slurm:7_0@one"})
    if not collected:
        with pytest.raises(ValueError, match="slurm:7_0@one"):
            adopt(tracked(parent), "key", PLAN, inputs(), False, engine=engine)
        return
    (child,) = adopt(tracked(parent), "key", PLAN, inputs(), False, engine=engine)
    assert (child.run.run_id, child.owner, child.todo) == (
        run.info.run_id, "slurm:7_0@one", "train",
    )  # fmt: skip
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags[Tag.PARENT] == parent.info.run_id
    assert tags[Tag.OWNER] == "slurm:7_0@one"
    assert status(child.run) == status_before


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
    return adoption.run_all(children, jobs, LocalLauncher(at_once), {}, lambda _: None)


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
    adoption.run_all([child], jobs, LocalLauncher(1), {}, said.append)
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
    monkeypatch.setattr(adoption, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(
        adoption, "steps_logged", lambda of, ids: asked.append((of, list(ids))) or {"run": 36}
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

    monkeypatch.setattr(adoption, "tqdm", Bar)
    monkeypatch.setattr(adoption, "closing", lambda _: nullcontext())
    monkeypatch.setattr(adoption, "_close", lambda child, _, why: f"{child.title} {why or 'ok'}")
    said, launcher = list[str](), SimpleNamespace(submit=lambda _: None, outcomes=outcomes)
    reasons = adoption.run_all(
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
    assert adoption.run_all([child], jobs, launcher, {}, said.append) == {}
    assert status(child.run) == "FINISHED"
    stalls = [line for line in said if "mae (repeat 0): no progress for" in line]
    assert stalls[0].endswith(" minutes, it is ended after 0.1")
    assert [line for line in said if line.endswith(" minutes, ended")] != []


@pytest.mark.slow
def test_a_training_that_stalls_twice_has_failed(store: Path, tmp_path: Path) -> None:
    child = adopted(make_parent("mae"))
    jobs = [python_job(child, "import time; time.sleep(600)", tmp_path)]
    launcher = LocalLauncher(1, stall_minutes=0.03)
    reasons = adoption.run_all([child], jobs, launcher, {}, lambda _: None)
    assert reasons == {child.run.run_id: "no progress for 0.03 minutes, twice"}
    assert status(child.run) == "FAILED"


def test_a_folder_that_is_deleted_while_it_is_read_ends_all_trainings_in_one_line(
    store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache" / "scans"
    folder.mkdir(parents=True)
    child = adopted(make_parent("mae"))
    means = Means(
        child.inputs, LocalLauncher(1), 1, {}, False, tmp_path, lambda _: None, needed={folder}
    )
    means.check_inputs()
    code = f"import shutil, time; shutil.rmtree({str(folder.parent)!r}); time.sleep(600)"
    jobs = [python_job(child, code, tmp_path)]
    with pytest.raises(CommandError, match=rf"{folder} was deleted while .*: the same command"):
        adoption.run_all(
            [child], jobs, means.launcher, {}, lambda _: None, check=means.check_inputs
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


def test_a_new_training_has_the_tags_by_which_it_is_found_again(store: Path) -> None:
    parent, config = make_parent("mae,perceptual", key="own key"), TrainConfig()
    facts = {"perceptual": "digest of weights"}
    noise = NoiseConfig(mode="microscope", peak=(50.0, 60.0), sigma=(0.1, 0.2))
    settings = SimpleNamespace(dataset=SimpleNamespace(noise=noise))
    made = SimpleNamespace(
        scans=SimpleNamespace(digest=SCANS, has_clean=True),
        facts=facts,
        noise="mine",
        settings=settings,
    )
    plan = tasks(["mae", "perceptual"], 2, config)
    children = adopt(tracked(parent), "key of mine", plan, cast("Inputs", made), False, "{} tried")
    runs = {child.run.title: MlflowClient().get_run(child.run.run_id) for child in children}
    names = ["mae", "perceptual", "mae+perceptual"]
    shown = [f"{name} @ mine" for name in names]
    assert list(runs) == [
        *(f"{name} tried" for name in shown),
        *(f"{name} #1 tried" for name in shown),
    ]
    titles = [f"{name} tried (repeat 1)" for name in shown[-2:]]
    assert [child.title for child in children[-2:]] == titles
    run = runs["perceptual @ mine #1 tried"].data
    assert {tag: value for tag, value in run.tags.items() if "user" not in tag} == {
        Tag.PARENT: parent.info.run_id,
        Tag.NAME: "perceptual @ mine #1 tried",
        Tag.ROLE: "child",
        Tag.OWNER: own_name(),
        Tag.POWERSET: "key of mine",
        Tag.LOSSES: "perceptual",
        Tag.REPEAT: "1",
        Tag.TRAINING: training_fingerprint("key of mine", plan[4]),
        Tag.PERCEPTUAL: "digest of weights",
        Tag.NOISE: "mine",
    }
    ranges = {"peak": (50.0, 60.0), "sigma": (0.1, 0.2), "gain": (1.0, 1.0), "offset": (0.0, 0.0)}
    assert run.params.items() >= {name: str(value) for name, value in ranges.items()}.items()
    assert set(run.params) == {"noise", *mode_of("microscope").uses, "gain", "offset"}
    assert run.params["noise"] == "microscope"
    assert runs["mae @ mine tried"].data.tags[Tag.PERCEPTUAL] == "none"


def test_what_is_run_is_given_to_processes_and_tallied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, record = child_of(tmp_path, "train"), Recorder(monkeypatch)
    done = replace(child, todo="", run=replace(child.run, run_id="kept"))
    record.replace(adoption.run_all, lambda _: {"run": "no memory"})
    said = list[str]()
    launcher = LocalLauncher(2)
    means = Means(child.inputs, launcher, 2, {"mse+ssim": 0.3}, True, tmp_path, said.append)
    means.run([child, done])
    (call,) = record.calls["", "run_all"]
    assert call.children == [child, done]
    assert [job.name for job in call.jobs] == ["run"]
    assert (call.launcher, call.cost) == (launcher, {"mse+ssim": 0.3})
    assert call.say == said.append
    assert call.check == means.check_inputs
    assert means.needed == {tmp_path / "scans", tmp_path / "second"}
    assert means.tally.begun == {"run", "kept"}
    assert means.tally.failures == {"run": ("mse+ssim (repeat 1)", "no memory")}


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
