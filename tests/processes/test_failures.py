"""Reasons of failures, from real processes and from what they wrote."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lfranker.processes.failures import FailedTrainingsError, last_error, reason_of


def ended(code: str, log: Path) -> str:
    """The reason of a process that runs this code."""
    with log.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=out, stderr=subprocess.STDOUT, check=False
        )
    assert done.returncode != 0
    return reason_of(done.returncode, log)


KILLED = "import os; os.kill(os.getpid(), {})"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (KILLED.format(int(signal.SIGKILL)), "out of memory (killed by the system, signal 9)"),
        (KILLED.format(int(signal.SIGSEGV)), "segmentation fault (signal 11)"),
        (KILLED.format(int(signal.SIGBUS)), "bus error (signal 7)"),
        (KILLED.format(int(signal.SIGTERM)), "ended by signal 15 (SIGTERM)"),
        ("raise SystemExit(3)", "it ended with exit code 3 without a word"),
        ("raise MemoryError", "out of memory: MemoryError"),
        (
            "import errno; raise OSError(errno.ENOSPC, 'No space left on device', '/data/x')",
            "disk full: OSError: [Errno 28] No space left on device: '/data/x'",
        ),
        (
            "import sqlite3; raise sqlite3.OperationalError('database or disk is full')",
            "disk full: OperationalError: database or disk is full",
        ),
        ("raise ValueError('the reason\\nand its details')", "ValueError: the reason"),
        (
            # MLflow writes addresses after the error
            "import atexit; atexit.register(print, 'View run at: http://host'); 1 / 0",
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_the_reason_of_an_end_is_said_in_words(code: str, reason: str, tmp_path: Path) -> None:
    assert reason in ended(code, tmp_path / "log.txt")


def test_the_last_of_several_errors_counts_and_a_last_line_where_there_is_none() -> None:
    first = "Traceback (most recent call last):\n  File\nKeyError: 'a'\n"
    second = "\nDuring handling, another:\n\nTraceback (most recent call last):\n  File\n"
    assert last_error(f"{first}{second}torch.cuda.OutOfMemoryError: CUDA out of memory\n") == (
        "OutOfMemoryError: CUDA out of memory"
    )
    assert last_error("one\n 3%|\r 50%|\rthe reason\n") == "the reason"
    assert last_error("") == ""


def test_a_log_that_is_gone_is_named(tmp_path: Path) -> None:
    assert f"its log, {tmp_path / 'gone'}, is gone" in reason_of(1, tmp_path / "gone")


def test_trainings_that_failed_alike_are_counted_and_named_together() -> None:
    error = FailedTrainingsError({"mae": "disk full", "mse": "killed", "ssim": "disk full"}, 15)
    assert str(error) == "3 of 15 trainings failed: mae, ssim: disk full; mse: killed"
    (line,) = str(FailedTrainingsError({"mae": "killed"}, 15)).splitlines()
    assert line == "1 of 15 trainings failed: mae: killed"
