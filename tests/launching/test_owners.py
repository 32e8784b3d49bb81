"""Who has a run, and when an owner is known to be gone."""

import os
import socket
import subprocess
import sys

import pytest

from lfranker.launching.owners import engine_of, gone, own_name


@pytest.fixture
def ended() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_of_processes_only_those_of_this_machine_can_be_told_to_be_gone(ended: int) -> None:
    here = socket.gethostname()
    assert own_name() == f"{here}:{os.getpid()}"
    assert not gone(own_name())
    assert gone(f"{here}:{ended}")
    assert not gone(f"not-{here}:{ended}"), "it may run there"
    assert not gone(f"{here}:no number")
    assert not gone("")


def test_a_process_is_of_no_engine() -> None:
    assert engine_of(own_name()) == ""
    assert engine_of("slurm:12_3@cluster") == "slurm"
