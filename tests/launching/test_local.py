"""Jobs as processes of this machine, behind what all launchers have in common."""

import sys
import time
from pathlib import Path

import pytest

from lfranker.launching.launcher import Watch
from lfranker.launching.local import LocalLauncher
from lfranker.processes.jobs import Job, alive


def job(name: str, code: str, folder: Path) -> Job:
    return Job(name, [sys.executable, "-c", code], folder / f"{name}.txt")


def test_outcomes_say_in_words_without_passwords_why_a_job_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hidden-word")
    launcher = LocalLauncher(2)
    launcher.submit([job("well", "", tmp_path)])
    launcher.submit([job("ill", "raise OSError('hidden-word is wrong')", tmp_path)])
    ended = {one.name: outcome.failure for one, outcome in launcher.outcomes(Watch())}
    assert ended == {"well": "", "ill": "OSError: *** is wrong"}
    assert list(launcher.outcomes(Watch())) == [], "each is told once"


def test_cancelled_jobs_are_gone_and_those_that_wait_never_start(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    launcher = LocalLauncher(2)
    launcher.submit([job("brief", "", tmp_path), job("long", code, tmp_path)])
    launcher.submit([job("waiting", code, tmp_path)])
    log = tmp_path / "long.txt"
    for one, _ in launcher.outcomes(Watch()):
        assert one.name == "brief"
        deadline = time.monotonic() + 60
        while not log.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        launcher.cancel()
    assert not alive(int(log.read_text()))
    assert not (tmp_path / "waiting.txt").exists()
    launcher.submit([job("forgotten", code, tmp_path)])
    launcher.cancel()
    assert list(launcher.outcomes(Watch())) == []
