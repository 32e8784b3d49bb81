"""The process of a job on the machine that an engine gave it."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent, indent

import pytest

from lfranker.launching.on_node import OWNER, NodeProcess, Work
from lfranker.processes.jobs import STALLED
from lfranker.processes.signals import terminate_as_interrupt

MODULE = """
import gc, os, pathlib, signal, sys, time
WITHOUT = not gc.isenabled()

def main(words):
    print(pathlib.Path(words[0]).read_text(), os.environ["LFRANKER_OWNER"], os.environ["MORE"])
    print("A" in os.environ, os.environ["MLFLOW_TRACKING_PASSWORD"], flush=True)
    pathlib.Path(os.environ["LFRANKER_PROGRESS"]).write_text("7")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python finds modules in, here and in processes."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hidden-word")
    return tmp_path


def process(folder: Path, code: str, stall_minutes: float = 0.0) -> NodeProcess:
    (folder / "a_job.py").write_text(MODULE + indent(dedent(code), "    "))
    work = Work("a", ("a_job", "task.json"), "to do", {"A": "b"}, stall_minutes)
    return NodeProcess(work, "slurm:1@one", {"MORE": "told apart"})


def begun(one: NodeProcess) -> None:
    deadline = time.monotonic() + 60
    while one.steps() != 7:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_told_what_to_do_and_its_log_comes_back_without_secrets(module: Path) -> None:
    one = process(module, "sys.exit(3)")
    ended = one.run()
    assert ended.code == 3
    assert ended.log == "to do slurm:1@one told apart\nTrue ***"
    assert OWNER not in os.environ


def test_no_garbage_is_looked_for_while_its_module_is_imported(module: Path) -> None:
    one = process(module, "print(WITHOUT, gc.isenabled(), gc.get_freeze_count() > 0)")
    assert one.run().log.splitlines()[-1] == "True True True"


def test_a_password_that_only_the_process_is_told_is_not_in_its_log(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Ray, whose own processes have none."""
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    one = process(module, "sys.exit(3)")
    one.more |= {"MLFLOW_TRACKING_PASSWORD": "hidden-word"}
    assert one.run().log == "to do slurm:1@one told apart\nTrue ***"


def test_a_signal_to_end_is_passed_on_and_that_of_the_engine_is_not(module: Path) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\ntime.sleep(600)"
    one = process(module, code)

    def end() -> None:
        begun(one)
        assert one._process is not None
        os.kill(one._process.pid, signal.SIGUSR2)
        time.sleep(0.2)
        one.stop(60)

    thread = threading.Thread(target=end)
    thread.start()
    assert one.run().code == 5
    thread.join()
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert not {signal.SIGUSR1, signal.SIGUSR2} & kept, "the engine's own process has them again"


def test_an_interrupt_lets_the_process_leave_its_checkpoint_first(module: Path) -> None:
    left = module / "checkpoint"
    leave = f"lambda *_: (pathlib.Path({str(left)!r}).touch(), sys.exit(5))"
    one = process(module, f"signal.signal(signal.SIGTERM, {leave})\ntime.sleep(60)")

    def interrupt() -> None:
        begun(one)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with terminate_as_interrupt(), pytest.raises(KeyboardInterrupt):
        one.run()
    thread.join()
    assert one._process is not None
    assert one._process.poll() == 5
    assert left.exists()


def test_one_that_does_not_end_is_killed(module: Path) -> None:
    one = process(module, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)")
    threading.Thread(target=lambda: (begun(one), time.sleep(0.3), one.stop(0.5))).start()
    assert one.run().code == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_one_that_gets_no_further_is_started_once_more(module: Path) -> None:
    code = "print(time.time_ns(), file=open({!r}, 'a'))\ntime.sleep(600)"
    one = process(module, code.format(str(module / "starts")), stall_minutes=0.02)
    assert one.run().code == STALLED
    assert len((module / "starts").read_text().splitlines()) == 2
