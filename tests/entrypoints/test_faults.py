"""Faults of docs/reliability.md that take a real power set, and a real server."""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from copies import Started, start_command
from guarded_server import (
    PASSWORD,
    QUOTED,
    USER,
    Failures,
    door,
    free_port,
    guard,
    mlflow_server,
    passing,
)
from mlflow import MlflowClient
from project import ROOT, SLOW, environment_without, scans_of_one_field

from lfranker.tracking.power_set import load_power_set

pytestmark = pytest.mark.slow
TINY = ["--preset", "smoke", "--losses", "mae,mse", "--steps", "8", "--patches", "24"]
ENVIRONMENT = environment_without(*SLOW)
LONGEST = 500  # seconds, on a machine that is busy otherwise


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Iterator[tuple[int, Path]]:
    """The port of a real server, and the folder of its store."""
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, empty_store) as port:
        yield port, folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scans_of_one_field(tmp_path_factory.mktemp("given") / "scans")


def options(cache: Path, scans: Path) -> list[str]:
    return [*TINY, "--scans", str(scans), "--cache", str(cache)]


@contextmanager
def started(cache: Path, scans: Path, known: Mapping[str, str], *words: str) -> Iterator[Started]:
    """A power set that runs within the block, and no longer."""
    every = [*options(cache, scans), *words]
    process = start_command("entrypoints.powerset", every, known, cache.parent / "said.txt")
    try:
        yield process
    finally:
        process.kill()


def trainings(pid: int, count: int) -> list[int]:
    """Wait for so many copies of a template of this process, and return their numbers."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        found = [copy for template in children(pid) for copy in children(template)]
        if len(found) == count:
            return found
        time.sleep(0.1)
    return pytest.fail("no training began")


def children(pid: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_a_killed_training_is_an_error_in_words_and_no_password_is_kept_anywhere(
    server: tuple[int, Path], scans: Path, tmp_path: Path
) -> None:
    behind, folder = server
    words = ["--max-size", "1", "--jobs", "2"]
    with door(guard(behind)) as front:
        uri = f"http://{USER}:{QUOTED}@127.0.0.1:{front}"
        known = {**ENVIRONMENT, "MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": "password"}
        with subprocess.Popen(
            [sys.executable, "-m", "entrypoints.powerset", *options(tmp_path / "cache", scans),
             *words],
            cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                first, _ = trained = trainings(process.pid, 2)
                pids = (process.pid, *children(process.pid), *trained)
                lines = [command_line(pid) for pid in pids]
                os.kill(first, signal.SIGKILL)
                said, _ = process.communicate(timeout=LONGEST)
            finally:
                process.kill()
    assert process.returncode == 1, said
    assert re.search(r"1 of 2 subsets was not trained to the end .*: (mae|mse)\.", said)
    assert "models:/lfranker@champion is version 1" in said, "the other one is ranked"
    assert re.match(
        r"1 of 2 trainings failed: (mae|mse) \(repeat 0\): most likely out of memory \(killed by",
        said.strip().splitlines()[-1],
    )

    secrets = [PASSWORD, QUOTED, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]
    kept = {
        str(file): file.read_bytes()
        for place in (folder, tmp_path)
        for file in place.rglob("*")
        if file.is_file()
    }
    assert any("/logs/" in name for name in kept)
    texts = {**kept, "printed": said.encode(), "commands": " ".join(lines).encode()}
    for name, text in texts.items():
        for secret in secrets:
            assert secret.encode() not in text, name


def state(pid: int) -> str:
    """The letter that the kernel has for what a process does: Z where it has ended."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.read_text().rpartition(")")[2].split()[0] if stat.exists() else "Z"


def told_to_stop(pid: int) -> bool:
    """Whether a process that is held has been sent SIGTERM, or has ended."""
    if state(pid) == "Z":
        return True
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (pending,) = [line.split()[1] for line in lines if line.startswith("ShdPnd:")]
    return bool(int(pending, 16) >> (signal.SIGTERM - 1) & 1)


@contextmanager
def held(pid: int, until: Callable[[], bool]) -> Iterator[None]:
    """Hold a process through the block, and then until something is true."""
    os.kill(pid, signal.SIGSTOP)
    yield
    deadline = time.monotonic() + LONGEST
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("noticed_by", ["the power set", "the training"])
def test_a_deleted_cache_ends_clearly_and_the_same_command_goes_on(
    noticed_by: str, store: Path, scans: Path
) -> None:
    words = ["--max-size", "1", "--jobs", "1", "--exclude", "mse"]
    known = {**ENVIRONMENT, "MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]}
    with started(store / "cache", scans, known, *words) as process:
        (training,) = trainings(process.pid, 1)
        if noticed_by == "the power set":
            with held(training, until=lambda: told_to_stop(training)):
                shutil.rmtree(store / "cache" / "scans")
        else:
            with held(process.pid, until=lambda: state(training) == "Z"):
                shutil.rmtree(store / "cache" / "scans")
        assert process.wait(LONGEST) == 1, process.said
    lines = process.said.strip().splitlines()
    assert re.match(r".*/cache/scans/\w+ was deleted while .*: the same command", lines[-1]), lines
    (run,) = load_power_set().trainings.values()
    # a training that had begun its run when it found nothing to read has failed
    ended = {"the power set": {"KILLED"}, "the training": {"KILLED", "FAILED"}}
    assert run.status in ended[noticed_by]

    with started(store / "cache", scans, known, *words) as process:
        assert process.wait(LONGEST) == 0, process.said
    (again,) = load_power_set().trainings.values()
    assert (again.run_id, again.status) == (run.run_id, "FINISHED")


AWAY = 15  # seconds; MLflow waits for 0, 2, 4, 8 and 16 s between its tries, half as long as usual
ANSWERS = 136  # of 500


def check_nothing_lost(port: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trainings have ended well, with each point of their curves once, and are ranked."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    trained = {run.data.tags.get("lfranker.losses"): run for run in runs} | {None: None}
    assert set(trained) == {None, "mae", "mse"}
    assert sum("lfranker.losses" in run.data.tags for run in runs) == 2
    for loss in ("mae", "mse"):
        run_id = trained[loss].info.run_id
        steps = [point.step for point in client.get_metric_history(run_id, "train/loss")]
        assert steps == [2, 4, 6, 8]
        assert [file.path for file in client.list_artifacts(run_id, "scores")]
        assert "lfranker.model" in trained[loss].data.tags
    power_sets = [run for run in runs if run.data.tags["lfranker.role"] == "powerset"]
    (parent,) = power_sets
    assert "ranking/ranking.json" in {
        file.path for file in client.list_artifacts(parent.info.run_id, "ranking")
    }


def test_answers_of_500_and_a_server_that_is_away_for_a_while_cost_nothing(
    server: tuple[int, Path], scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (behind, _), front, failures = server, free_port(), Failures(ANSWERS)
    known = {
        **ENVIRONMENT,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{front}",
        "MLFLOW_EXPERIMENT_NAME": "troubled",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    }
    with started(tmp_path / "cache", scans, known, "--max-size", "1", "--jobs", "2") as process:
        with door(passing(behind, failures), front):
            trainings(process.pid, 2)
        time.sleep(AWAY)
        assert process.poll() is None
        with door(passing(behind, failures), front):
            assert process.wait(LONGEST) == 0, process.said
    assert failures.given == ANSWERS
    check_nothing_lost(behind, "troubled", monkeypatch)
