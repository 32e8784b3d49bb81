"""What a process of a child run is told: command, task and environment."""

import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from child_inputs import LENGTHS, child_of, inputs, prepared
from recorder import Recorder
from tracked import SCANS

import lfranker
from lfranker.child_runs import worker
from lfranker.child_runs.jobs import (
    WORKER,
    Child,
    job_of,
    same_package,
    training_job,
)
from lfranker.child_runs.scoring import score_training
from lfranker.child_runs.single_training import run_training
from lfranker.child_runs.travelling import Sender
from lfranker.child_runs.worker import ScoringTask, TrainingTask, read_task, run_task
from lfranker.datasets.patch_dataset import DatasetConfig, read_dataset
from lfranker.launching.on_node import LOG, OWNER
from lfranker.planning.inputs import InputConfig, Inputs
from lfranker.planning.plan import Task
from lfranker.planning.settings import Settings
from lfranker.processes.jobs import KEEPS_MEMORY, PROGRESS_VARIABLE
from lfranker.scans.scan_set import read_scans
from lfranker.tracking.claims import other_owner
from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import TrackedRun, own_run
from lfranker.tracking.shared_inputs import SharedInput, share
from lfranker.tracking.store import QUIET
from lfranker.training.presets import PRESETS

RUN = TrackedRun("run", "title", "experiment", "uri")


def test_a_worker_can_import_what_its_parent_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of the user's own lie beside the script that runs the power set."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    folders = same_package()["PYTHONPATH"].split(os.pathsep)
    assert folders[0] == str(Path(lfranker.__file__).parents[1]), "this very lfranker first"
    assert str(tmp_path) in folders


def test_a_training_is_told_all_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEEPS_MEMORY:
        monkeypatch.delenv(name, raising=False)
    job = job_of(child_of(tmp_path, "train", until=10), True, tmp_path)
    file = tmp_path / "logs" / "run.json"
    assert read_task(file) == TrainingTask(
        losses=("mse", "ssim"),
        preset="small",
        train=LENGTHS,
        inputs=InputConfig(
            scans=tmp_path / "scans",
            data=tmp_path / "second",
            perceptual="vgg16:random",
            init=tmp_path / "start",
            device="cuda",
            loss_weights={"ssim": 0.5, "mse": 2.0},
            cache=tmp_path,
        ),
        keep_checkpoints=True,
        dataset="of second",
        scan_set=SCANS,
        until=10,
    )
    limits = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "MLFLOW_RUN_ID": "run"}
    progress = tmp_path / "logs" / "run.steps"
    assert dict(job.environment) == {
        **limits, **KEEPS_MEMORY, **same_package(), QUIET: "true", PROGRESS_VARIABLE: str(progress)
    }  # fmt: skip
    assert job.command == [sys.executable, "-m", WORKER, str(file)]
    assert (job.name, job.log, job.progress) == ("run", tmp_path / "logs" / "run.txt", progress)
    assert (job.module, job.words) == (WORKER, (str(file),))


def test_other_machines_are_sent_the_images_of_the_repeat_and_each_input_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, sender = Recorder(monkeypatch), Sender(RUN, tmp_path)
    record.replace(share, lambda call: SharedInput(call.path, call.digest, call.run.run_id))
    weights = tmp_path / "start.pth"
    weights.write_bytes(b"weights")
    made = cast("Inputs", SimpleNamespace(**{
        **vars(prepared(tmp_path)), "init": weights, "perceptual_file": None
    }))  # fmt: skip
    second, first, again = (sender.inputs_of(made, repeat) for repeat in (1, 0, 1))
    assert second == {
        "data": SharedInput(tmp_path / "second", "of second", "run"),
        "scans": SharedInput(tmp_path / "scans", SCANS, "run"),
        "init": SharedInput(weights, sha256(b"weights").hexdigest(), "run"),
    }
    assert first == second | {"data": SharedInput(tmp_path / "first", "of first", "run")}
    assert again == second
    assert len(record.calls["", "share"]) == 4


def test_a_scoring_is_told_its_run_and_scans_and_opens_no_run_of_its_own(tmp_path: Path) -> None:
    job = job_of(child_of(tmp_path, "evaluate"), True, tmp_path)
    read = read_task(tmp_path / "logs" / "run.json")
    assert read == ScoringTask("run", tmp_path / "scans", SCANS)
    assert "MLFLOW_RUN_ID" not in job.environment
    assert job.environment["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("engine", "other", "model", "does"),
    [
        (False, "slurm:7@one", "m", "train"),
        (True, "slurm:7@one", "", ""),
        (True, "", "m", "score"),
        (True, "", "", "train"),
    ],
)
def test_a_job_of_an_engine_trains_what_is_not_trained_and_nobody_else_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: bool,
    other: str,
    model: str,
    does: str,
) -> None:
    job_of(child_of(tmp_path, "train", until=10), True, tmp_path)
    record, dataset = Recorder(monkeypatch), DatasetConfig(patches=7)
    scans = SimpleNamespace(digest=SCANS)
    data = SimpleNamespace(digest="of second", config=dataset)
    record.replace(read_scans, lambda _: scans)
    record.replace(read_dataset, lambda _: data)
    record.replace(other_owner, lambda _: other)
    record.replace(find_training, lambda _: SimpleNamespace(model=model, title="mse+ssim"))
    record.replace(own_run, lambda _: nullcontext())
    record.replace(score_training, lambda _: None)
    record.replace(run_training, lambda _: "ok")
    monkeypatch.setenv("MLFLOW_RUN_ID", "run")
    monkeypatch.setenv(OWNER, "slurm:8@one" if engine else "")
    run_task(tmp_path / "logs" / "run.json")
    scored, trained = record.calls["", "score_training"], record.calls["", "run_training"]
    assert (len(scored), len(trained)) == (does == "score", does == "train")
    for call in scored:
        assert (call.run_id, call.scans) == ("run", scans)
        assert record.calls["", "own_run"] == [SimpleNamespace(name="mse+ssim", role="train")]
    for call in trained:
        config = call.config
        assert config.settings == Settings(PRESETS["small"], LENGTHS, dataset)
        assert (config.losses, config.until, config.keep_checkpoints) == (("mse", "ssim"), 10, True)
        assert config.inputs.data == tmp_path / "second"


def test_a_scoring_task_scores_the_model_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_of(child_of(tmp_path, "evaluate"), True, tmp_path)
    record, scans = Recorder(monkeypatch), SimpleNamespace(digest=SCANS)
    record.replace(read_scans, lambda _: scans)
    record.replace(score_training, lambda _: None)
    run_task(tmp_path / "logs" / "run.json")
    (call,) = record.calls["", "score_training"]
    assert (call.run_id, call.scans, call.tuned) == ("run", scans, {})
    (call,) = record.calls["", "read_scans"]
    assert call.prepared == tmp_path / "scans"


@pytest.mark.parametrize("engine", [False, True])
def test_on_another_machine_the_log_is_sent_to_the_run_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: bool
) -> None:
    def fail(_: Path) -> None:
        raise RuntimeError("no memory")

    sent: list[object] = []
    monkeypatch.setattr(worker, "run_task", fail)
    monkeypatch.setattr(worker, "send_log", lambda *words: sent.append(words))
    monkeypatch.setenv(LOG, str(tmp_path / "log.txt"))
    monkeypatch.setenv(OWNER, "slurm:8@one" if engine else "")
    with pytest.raises(RuntimeError, match="no memory"):
        worker.main([str(tmp_path / "77.json")])
    assert sent == [("77", tmp_path / "log.txt")] * engine


def test_what_is_no_copy_of_a_worker_is_started_anew(tmp_path: Path) -> None:
    assert training_job("run", ["other.module", "word"], 1, tmp_path).module == ""


def test_the_steps_of_a_child_are_those_until_it_pauses(tmp_path: Path) -> None:
    """40 steps: branches of 10 and 20, which leave after 8 and 16."""
    assert child_of(tmp_path, "train", until=20).steps == 16 + 2 + 4
    assert replace(child_of_last(tmp_path), until=10).steps == 8 + 2
    assert child_of_last(tmp_path).steps == 40 + 2 + 4


def child_of_last(folder: Path) -> Child:
    task = Task(("mse", "ssim"), "mse+ssim", LENGTHS)
    return Child(task, RUN, "train", inputs())


def test_trainings_keep_their_memory_unless_the_user_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "5")
    told = training_job("run", ["a"], 2, tmp_path).environment
    assert told["MALLOC_TRIM_THRESHOLD_"] == "5"
    assert int(told["MALLOC_MMAP_THRESHOLD_"]) == 2**30, "bytes; no tensor of a step is as large"
    assert told["OMP_NUM_THREADS"] == "2"
