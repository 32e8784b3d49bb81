"""The benchmarks start, and trials run as trainings of a power set do."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guarded_server import mlflow_server

from benchmarks import recipe
from lfranker.processes.jobs import Job
from lfranker.tracking.runs import TrackedRun

NAMES = sorted(
    path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py")
    if "def main(" in path.read_text()
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_has_a_page_of_help_that_says_how_it_is_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 0
    assert f"python -m benchmarks.{name} " in " ".join(capsys.readouterr().out.split())


def test_a_trial_is_told_its_settings_and_a_finished_one_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Job] = []

    def record(jobs: list[Job], at_once: int) -> list[tuple[Job, int]]:
        started.extend(jobs)
        return []

    monkeypatch.setattr(recipe, "run_jobs", record)
    monkeypatch.setattr(recipe, "is_open", lambda run: run.run_id != "id-done")
    runs = {name: TrackedRun(f"id-{name}", "0", name, "") for name in ("wide", "done")}
    trials = {"wide": {"dim": 48, "head_dim": 24, "threads": 2}, "done": {}}
    recipe._run(runs, trials, 1, tmp_path)
    (job,) = started
    assert job.name == "id-wide"
    assert list(job.command) == [
        sys.executable, "-m", "entrypoints.train", "--dim", "48", "--head-dim", "24",
        "--threads", "2",
    ]  # fmt: skip
    assert job.log.parent == tmp_path / "logs"
    assert job.environment["MLFLOW_RUN_ID"] == "id-wide"
    assert job.environment["OMP_NUM_THREADS"] == "2"


@pytest.mark.slow
def test_stubs_are_run_ranked_and_measured_on_a_real_server(
    tmp_path: Path, empty_store: Path
) -> None:
    words = ["local", "--losses", "2", "--repeats", "1", "--folder", str(tmp_path / "jobs")]
    with mlflow_server(tmp_path, empty_store) as port:
        uri = f"http://127.0.0.1:{port}"
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.launching", *words],
            env={**os.environ, "MLFLOW_TRACKING_URI": uri}, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stages = [line.partition(":")[0] for line in done.stdout.splitlines() if "/s; command" in line]
    assert stages == ["runs made", "handed in", "done", "ranked"]
    assert "0 failed []" in done.stdout
