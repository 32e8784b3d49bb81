import os
import signal
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lfranker.processes import jobs as processes
from lfranker.processes.jobs import (
    STALLED,
    SUSPENDED,
    Job,
    Pace,
    Process,
    Stall,
    _excuse,
    _Running,
    alive,
    last_words,
    run_jobs,
)
from lfranker.processes.signals import END_SIGNALS, stop_between_steps, terminate_as_interrupt


def python(name: str, code: str, folder: Path) -> Job:
    return Job(name, [sys.executable, "-c", code], folder / f"{name}.txt")


def test_a_job_gets_on_where_its_log_or_its_progress_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10.0]
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now[0]))
    log, progress = tmp_path / "log.txt", tmp_path / "steps"
    pace = Pace(Job("a", [], log, progress=progress))
    looked = [pace.look()]
    for at, changed in ((15.0, None), (17.0, progress), (20.0, None), (21.0, log), (25.0, None)):
        now[0] = at
        if changed is not None:
            changed.touch()
        looked.append(pace.look())
    assert looked == [0.0, 5.0, 0.0, 3.0, 0.0, 4.0]


def test_exit_codes_and_output_come_back(tmp_path: Path) -> None:
    jobs = [
        python("good", "print('fine')", tmp_path),
        python("bad", "import sys; print('first'); sys.exit('the reason')", tmp_path),
    ]
    codes = {job.name: code for job, code in run_jobs(jobs, 2)}
    assert codes == {"good": 0, "bad": 1}
    assert last_words(tmp_path / "good.txt") == "fine"
    assert last_words(tmp_path / "bad.txt") == "the reason"


def test_no_more_than_asked_run_at_once(tmp_path: Path) -> None:
    # each job counts the marks of the jobs that run beside it
    code = (
        f"import os, pathlib, time; p = pathlib.Path(r'{tmp_path}');"
        "m = p / f'{os.getpid()}.mark'; m.touch(); time.sleep(.3);"
        "print(len(list(p.glob('*.mark')))); m.unlink()"
    )
    list(run_jobs([python(str(n), code, tmp_path) for n in range(5)], 2))
    seen = [int(last_words(tmp_path / f"{n}.txt")) for n in range(5)]
    assert max(seen) == 2


def test_jobs_at_once_are_in_places_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "that of the shell")
    code = (
        f"import os, pathlib, time; p = pathlib.Path(r'{tmp_path}');"
        "m = p / f'{os.getpid()}.mark'; m.write_text(os.environ['PLACE']); time.sleep(.3);"
        "print([n.read_text() for n in p.glob('*.mark')]); m.unlink()"
    )
    places = [{"PLACE": "a"}, {"PLACE": "b"}]
    names = [str(number) for number in range(5)]
    jobs = [python(name, code, tmp_path) for name in names]
    assert {job.name for job, code in run_jobs(jobs, 2, places=places) if code == 0} == set(names)
    seen = [literal_eval(last_words(tmp_path / f"{name}.txt")) for name in names]
    assert all(len(set(beside)) == len(beside) for beside in seen), "one in each"
    assert {place for beside in seen for place in beside} == {"a", "b"}


def test_leaving_the_loop_ends_the_processes(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    jobs = [python("quick", "pass", tmp_path), python("slow", code, tmp_path)]
    running = run_jobs(jobs, 2)
    next(running)
    deadline = time.monotonic() + 20
    while last_words(tmp_path / "slow.txt") == "" and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int(last_words(tmp_path / "slow.txt"))
    assert alive(pid)
    running.close()
    assert not alive(pid)


def test_a_job_that_stalls_is_tried_again_at_once_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test's own, which a poll takes 0.5 s of."""
    slept, polls = list[float](), list[int]()
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(processes, "time", clock)

    def on_poll() -> None:
        polls.append(len(slept))
        assert len(polls) <= len(slept) + 3, "it waits between polls"

    jobs = [Job("asleep", ["sleep", "60"], tmp_path / "a"), Job("other", ["true"], tmp_path / "b")]
    told: list[tuple[str, float, bool]] = []
    stall = Stall(2.0, lambda job, seconds, ended: told.append((job.name, seconds, ended)))
    running = run_jobs(jobs, 1, on_poll, stall)
    assert next(running) == (jobs[0], STALLED)
    running.close()
    assert told == [("asleep", 1.5, False), ("asleep", 2.5, True)] * 2


@pytest.mark.slow
def test_a_job_that_gets_no_further_is_named_ended_and_tried_once_more(tmp_path: Path) -> None:
    """The first stops itself, the first time only; the second gets further; the third sleeps."""
    stopped = "import os, pathlib, signal; p = pathlib.Path(r'{}'); there = p.exists(); p.touch();"
    stopped += "there or os.kill(os.getpid(), signal.SIGSTOP); print('went on')"
    working = (
        "import pathlib, time\nfor _ in range(40): pathlib.Path(r'{}').touch(); time.sleep(.2)"
    )
    progress = tmp_path / "progress"
    jobs = [
        python("stopped", stopped.format(tmp_path / "mark"), tmp_path),
        replace(python("working", working.format(progress), tmp_path), progress=progress),
        python("asleep", "import time; time.sleep(600)", tmp_path),
    ]
    told: list[tuple[str, bool]] = []
    stall = Stall(4.0, lambda job, seconds, ended: told.append((job.name, ended)))
    codes = {job.name: code for job, code in run_jobs(jobs, 3, stall=stall)}
    assert codes == {"stopped": 0, "working": 0, "asleep": STALLED}
    assert last_words(tmp_path / "stopped.txt") == "went on"
    of = {name: [ended for which, ended in told if which == name] for name in codes}
    assert of["asleep"] == [False, True, False, True]
    assert of["stopped"][:2] == [False, True]
    assert (of["stopped"].count(True), of["working"].count(True)) == (1, 0)


@pytest.mark.slow
def test_time_in_which_the_parent_itself_was_stopped_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SUSPENDED", 2.0)
    polls: list[None] = []

    def stop_once() -> None:
        polls.append(None)
        if len(polls) == 2:
            time.sleep(4)

    job = python("quiet", "import time; time.sleep(5)", tmp_path)
    stall = Stall(3.5, lambda job, seconds, ended: ended and pytest.fail("not the job stopped"))
    assert [code for _, code in run_jobs([job], 1, stop_once, stall)] == [0]


def test_time_between_two_polls_counts_unless_it_is_longer_than_any_poll_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, job = [100.0], python("quiet", "pass", tmp_path)
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now[0]))
    running = [_Running(job, cast(Process, None), 0, Pace(job, since=90.0))]
    assert _excuse(running, 99.0) == 100.0
    assert running[0].pace.since == 90.0
    now[0] += SUSPENDED + 1
    assert _excuse(running, 100.0) == now[0]
    assert running[0].pace.since == 90.0 + SUSPENDED + 1


ORPHAN = """
import os, sys, time
sys.path.insert(0, {root!r})
from lfranker.processes.jobs import orphaned
print(orphaned(), flush=True)
while not orphaned():
    time.sleep(.05)
print("orphan", flush=True)
"""
PARENT = """
import pathlib, sys
sys.path.insert(0, {root!r})
from lfranker.processes.jobs import Job, run_jobs
list(run_jobs([Job("o", [sys.executable, "-c", {code!r}], pathlib.Path({log!r}))], 1))
"""


def test_a_process_notices_that_its_parent_was_killed(tmp_path: Path) -> None:
    root, log = str(Path(__file__).parents[2]), tmp_path / "log.txt"
    code = PARENT.format(root=root, code=ORPHAN.format(root=root), log=str(log))
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for(log, "False")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(log, "orphan")
    assert parent.returncode == -signal.SIGKILL, "it was not the kill that ended the parent"


def wait_for(log: Path, word: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if last_words(log) == word:
            return
        time.sleep(0.05)
    pytest.fail(f"{log} never said {word!r}, but {last_words(log)!r}")


def test_ctrl_c_kill_and_a_closed_terminal_are_meant() -> None:
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} == set(END_SIGNALS)


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_interrupts_inside_the_block_only(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), terminate_as_interrupt():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def interrupted(patience: float, cleanup: Callable[[], None]) -> None:
    with terminate_as_interrupt(patience):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            cleanup()


def test_another_signal_does_not_tear_the_cleanup_until_patience_ends() -> None:
    done: list[str] = []

    def cleanup() -> None:
        for number in END_SIGNALS:
            signal.raise_signal(number)
        done.append("cleaned")

    with pytest.raises(KeyboardInterrupt):
        interrupted(60.0, cleanup)
    assert done == ["cleaned"]
    with pytest.raises(KeyboardInterrupt):
        interrupted(0.0, cleanup)
    assert done == ["cleaned"], "out of patience, the second signal counts"


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_between_steps_only_asks_until_patience_ends(number: int) -> None:
    with stop_between_steps() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
        os.kill(os.getpid(), number)
    with stop_between_steps(patience=0) as asked:
        os.kill(os.getpid(), number)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
