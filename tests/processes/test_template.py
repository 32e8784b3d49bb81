"""Jobs as copies of a process that has imported their module."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from lfranker.processes import template
from lfranker.processes.jobs import Job, last_words, run_jobs
from lfranker.processes.template import KNOWS

pytestmark = pytest.mark.skipif(not KNOWS, reason="this system starts each job as a process")

TOY = """
import gc, os, pathlib, sys, time
from lfranker.processes.jobs import orphaned

with pathlib.Path(__file__).with_name("imports").open("a") as file:
    file.write(f"{os.getpid()}\\n")


print("a module may say something")  # which is no answer


def prepare():
    with pathlib.Path(__file__).with_name("prepared").open("a") as file:
        file.write(f"{os.getpid()}\\n")


def main(words):
    print(os.getpid(), os.getppid(), os.environ.get("OWN"), *words, sys.argv[1:], flush=True)
    if "garbage" in words:
        print("looked for:", gc.isenabled(), "set apart:", gc.get_freeze_count() > 1000)
    if "fail" in words:
        raise ValueError("the reason")
    if "exit" in words:
        sys.exit(3)
    if "die" in words:
        os.kill(os.getpid(), 9)
    while "stay" in words and not orphaned():
        time.sleep(0.05)
    print("last", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
"""
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    (tmp_path / "toy_of_a_job.py").write_text(TOY)
    return tmp_path


def job(folder: Path, name: str, *words: str, **environment: str) -> Job:
    command = [sys.executable, "-m", "toy_of_a_job", *words]
    known = {"PYTHONPATH": os.pathsep.join((ROOT, str(folder))), **environment}
    return Job(name, command, folder / f"{name}.txt", known, module="toy_of_a_job")


def imports(folder: Path) -> int:
    return len((folder / "imports").read_text().split())


def codes(jobs: list[Job], at_once: int = 2) -> Mapping[str, int]:
    return {job.name: code for job, code in run_jobs(jobs, at_once)}


def test_copies_end_as_processes_do_and_import_once(toy: Path) -> None:
    jobs = [job(toy, "one", "a", OWN="1"), job(toy, "two", "b", OWN="2")]
    jobs += [job(toy, name, name) for name in ("fail", "exit", "die")]
    assert codes(jobs) == {"one": 0, "two": 0, "fail": 1, "exit": 3, "die": -signal.SIGKILL}
    assert imports(toy) == 1
    words = {name: lines(toy, name)[0].split() for name in codes_of()}
    assert words["one"][2:] == ["1", "a", "['a']"]
    assert words["two"][2:] == ["2", "b", "['b']"]
    assert words["fail"][2] == "None", "the environment of one is not that of another"
    assert len({pid for pid, *_ in words.values()}) == 5
    assert last_words(toy / "fail.txt") == "ValueError: the reason"
    assert last_words(toy / "one.txt") == "last"


def test_what_all_copies_need_is_prepared_once(toy: Path) -> None:
    jobs = [job(toy, name, name) for name in ("one", "two")]
    assert codes(jobs) == {"one": 0, "two": 0}
    (by,) = (toy / "prepared").read_text().split()
    assert {lines(toy, job.name)[0].split()[1] for job in jobs} == {by}, "their template"


def test_copies_look_for_garbage_in_what_they_make_alone(toy: Path) -> None:
    jobs = [job(toy, name, "garbage") for name in ("one", "two")]
    assert codes(jobs) == {"one": 0, "two": 0}
    assert lines(toy, "two")[1] == "looked for: True set apart: True"


def lines(folder: Path, name: str) -> list[str]:
    """Return what a job wrote, without what its module says where it was imported for it."""
    said = (folder / f"{name}.txt").read_text().splitlines()
    return [line for line in said if line != "a module may say something"]


def codes_of() -> tuple[str, ...]:
    return "one", "two", "fail", "exit", "die"


def test_what_is_read_at_the_start_of_a_process_has_a_template_of_its_own(toy: Path) -> None:
    jobs = [job(toy, str(n), OMP_NUM_THREADS=str(1 + n % 2)) for n in range(4)]
    assert set(codes(jobs).values()) == {0}
    assert imports(toy) == 2


def test_how_memory_is_kept_is_read_at_the_start_too(toy: Path) -> None:
    jobs = [job(toy, name, MALLOC_TRIM_THRESHOLD_="777777") for name in ("one", "two")]
    running = run_jobs([*jobs, job(toy, "three", "stay", MALLOC_TRIM_THRESHOLD_="777777")], 3)
    next(running)
    parent = lines(toy, "one")[0].split()[1]
    begun_with = Path(f"/proc/{parent}/environ").read_bytes().split(b"\0")
    running.close()
    assert b"MALLOC_TRIM_THRESHOLD_=777777" in begun_with


def test_one_job_alone_is_a_process(toy: Path) -> None:
    assert codes([job(toy, "alone")]) == {"alone": 0}
    assert lines(toy, "alone")[0].split()[1] == str(os.getpid())


def test_a_module_that_cannot_be_imported_says_why_in_every_log(toy: Path) -> None:
    (toy / "toy_of_a_job.py").write_text("raise ImportError('no such thing')")
    assert codes([job(toy, "one"), job(toy, "two")]) == {"one": 1, "two": 1}
    for name in ("one", "two"):
        assert last_words(toy / f"{name}.txt") == "ImportError: no such thing"


def test_one_that_makes_no_copies_in_time_is_replaced_by_processes(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "TO_IMPORT", 0.0)
    assert codes([job(toy, "one"), job(toy, "two")]) == {"one": 0, "two": 0}
    assert lines(toy, "two")[0].split()[1] == str(os.getpid())


def test_after_a_killed_template_its_copies_end_and_the_others_are_done(toy: Path) -> None:
    jobs = [job(toy, "one", "stay"), job(toy, "two", "b"), job(toy, "three", "c")]
    running = run_jobs(jobs, 2)
    first, code = next(running)
    assert (first.name, code) == ("two", 0)
    os.kill(int((toy / "two.txt").read_text().split()[1]), signal.SIGKILL)
    assert {job.name: code for job, code in running} == {"one": -signal.SIGKILL, "three": 0}
    assert last_words(toy / "one.txt") == "last", "it noticed that it was left alone"


def test_a_number_that_is_given_again_is_another_process() -> None:
    """Answers of a template: number 7 ended with 3, and another process with it begins and ends."""
    one = template.Template.__new__(template.Template)
    out, told = os.pipe()
    with os.fdopen(out, "rb") as answers, os.fdopen(told, "wb", buffering=0) as pipe:
        one.process = SimpleNamespace(stdout=answers)  # type: ignore[assignment]
        one.codes, one.begun, one.rest, one.ended = {}, [], b"", False
        pipe.write(b"[7, null]\n[7, 3]\n")
        first, second = template.Copy(one, 7), template.Copy(one, 7)
        assert (first.poll(), first.poll()) == (3, 3)
        assert second.poll() is None
        pipe.write(b"[8, null]\n[8, 3]\n[8, nu")
        assert second.poll() is None
        pipe.write(b"ll]\n")
        assert template.Copy(one, 8).poll() is None, "nobody had asked for the code of the first"
        pipe.write(b"[8, 0]\n")
        assert template.Copy(one, 8).poll() == 0
    assert one.begun == [7, 8, 8]


def test_a_process_that_nobody_waits_for_is_gone_when_it_has_ended() -> None:
    process = subprocess.Popen(["true"])
    deadline = time.monotonic() + 20
    while not template._is_gone(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert template._is_gone(process.pid)
    assert Path(f"/proc/{process.pid}").exists(), "it is there, as a zombie"
    process.wait()
    assert template._is_gone(process.pid)
    assert not template._is_gone(os.getpid())


def test_copies_that_outlive_a_killed_template_have_no_code_yet() -> None:
    one = template.Template.__new__(template.Template)
    one.codes, one.ended = {}, True
    process = subprocess.Popen(["true"])
    process.wait()
    assert one.code_of(process.pid) == -signal.SIGKILL
    assert one.code_of(os.getpid()) is None


def test_leaving_the_loop_ends_template_and_copies(toy: Path) -> None:
    running = run_jobs([job(toy, "one", "stay"), job(toy, "two"), job(toy, "three")], 2)
    assert [next(running)[0].name for _ in range(2)] == ["two", "three"]
    assert imports(toy) == 1, "one that stays keeps nobody from the template"
    pids = [int(pid) for pid in (toy / "one.txt").read_text().split()[:2]]
    running.close()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


PARENT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from test_template import job
from lfranker.processes.jobs import run_jobs
folder = Path({folder!r})
list(run_jobs([job(folder, "one", "stay"), job(folder, "two")], 2))
"""


def test_copies_notice_that_the_starter_of_their_template_was_killed(toy: Path) -> None:
    code = PARENT.format(root=ROOT, tests=str(Path(__file__).parent), folder=str(toy))
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while last_words(toy / "two.txt") != "last" and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while last_words(toy / "one.txt") != "last" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert last_words(toy / "one.txt") == "last"
