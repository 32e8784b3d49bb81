"""Jobs that an engine has: which are tried again, how failures are named, what is cancelled."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from lfranker.launching import engine as launching
from lfranker.launching.engine import End, EngineLauncher, SilentEngineError
from lfranker.launching.launcher import Watch
from lfranker.launching.on_node import Ended, Work
from lfranker.processes.failures import CommandError
from lfranker.processes.jobs import Job

WELL = End("COMPLETED", process=Ended(0, "fine\n"))
CRASHED = End("COMPLETED", process=Ended(1, "Traceback (most recent call last):\nKeyError: 'x'"))
KILLED = End("COMPLETED", process=Ended(-9, "step 7"))
NODE_FAIL = End("NODE_FAIL", lost=True)
OUT_OF_MEMORY = End("OUT_OF_MEMORY")


class FakeEngine:
    """An engine whose jobs end as the plan says, each in its turn."""

    name = "fake"

    def __init__(self, plan: Mapping[str, Sequence[End]]) -> None:
        self.plan = {name: list(ends) for name, ends in plan.items()}
        self.work: dict[str, Work] = {}
        self.cancelled: set[str] = set()
        self.by_hand = ""

    def check(self) -> None:
        """Nothing is wrong."""

    def submit(self, work: Sequence[Work]) -> Iterator[list[str]]:
        for one in work:  # one at a time
            owner = f"fake:{len(self.work)}@here"
            self.work[owner] = one
            yield [owner]

    def ends(self, owners: Collection[str]) -> Mapping[str, End]:
        found = {}
        for owner in owners:
            left = self.plan[self.work[owner].name]
            if owner in self.cancelled:
                found[owner] = End("CANCELLED", lost=True)
            elif left:
                found[owner] = left.pop(0)
        return found

    def cancel(self, owners: Collection[str]) -> str:
        self.cancelled |= set(owners)
        return self.by_hand

    def waits_for(self) -> set[str]:
        return set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "ASK", 0.0)


def job(name: str, folder: Path, owner: str = "") -> Job:
    task = folder / f"{name}.json"
    task.write_text(f"what {name} does")
    command = ["python", "-m", "some.module", str(task)]
    return Job(name, command, folder / f"{name}.txt", {"A": "b"}, None, "some.module", task, owner)


def outcomes(
    plan: Mapping[str, Sequence[End]], folder: Path, retries: int = 2
) -> tuple[dict[str, str], list[str], FakeEngine]:
    """Run jobs to the end; why they failed, what was told on the way, and the engine."""
    engine, told = FakeEngine(plan), list[str]()
    launcher = EngineLauncher(engine, lambda _: None, retries, stall_minutes=30)
    launcher.submit([job(name, folder) for name in plan])
    watch = Watch(tell=lambda one, text: told.append(f"{one.name}: {text}"))
    found = {one.name: outcome.failure for one, outcome in launcher.outcomes(watch)}
    return found, told, engine


def test_what_was_lost_is_tried_again_and_what_failed_by_itself_is_not(tmp_path: Path) -> None:
    plan = {
        "well": [WELL],
        "lost": [NODE_FAIL, KILLED, WELL],
        "crashed": [CRASHED, WELL],
        "large": [OUT_OF_MEMORY, WELL],
    }
    failures, told, engine = outcomes(plan, tmp_path)
    assert failures == {
        "well": "",
        "lost": "",
        "crashed": "KeyError: 'x'",
        "large": "OUT_OF_MEMORY",
    }
    assert told == [
        "lost: NODE_FAIL; tried again (1 of 2)",
        "lost: most likely out of memory (killed by the system, signal 9): fewer jobs at once or a "
        "smaller batch need less; tried again (2 of 2)",
    ]
    assert [work.name for work in engine.work.values()].count("lost") == 3
    assert not (tmp_path / "lost.txt").exists(), "it has sent its log itself"
    assert "KeyError" in (tmp_path / "crashed.txt").read_text()


def test_why_jobs_failed_has_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hidden-word")
    words = "Traceback (most recent call last):\nValueError: no hidden-word"
    plan = {
        "a": [End("COMPLETED", process=Ended(1, words))],
        "b": [End("RuntimeEnvSetupError: hidden-word")],
    }
    expected = {"a": "ValueError: no ***", "b": "RuntimeEnvSetupError: ***"}
    assert outcomes(plan, tmp_path)[0] == expected


@pytest.mark.parametrize(("retries", "failure"), [(0, "NODE_FAIL"), (1, "NODE_FAIL, 2 times")])
def test_a_machine_that_is_lost_every_time_is_a_failure_in_the_end(
    tmp_path: Path, retries: int, failure: str
) -> None:
    assert outcomes({"a": [NODE_FAIL] * 9}, tmp_path, retries)[0] == {"a": failure}


def test_what_travels_is_the_text_of_the_task_and_no_path_of_this_machine(tmp_path: Path) -> None:
    _, _, engine = outcomes({"a": [WELL]}, tmp_path)
    (work,) = engine.work.values()
    assert work == Work("a", ("some.module", "a.json"), "what a does", {"A": "b"}, 30)
    assert str(tmp_path) not in str(work)


def test_whatever_ends_the_loop_cancels_the_jobs_that_are_left(tmp_path: Path) -> None:
    engine = FakeEngine({"a": [WELL], "b": [], "c": []})
    launcher = EngineLauncher(engine, lambda _: None, 2)
    launcher.submit([job(name, tmp_path) for name in "abc"])

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(launcher.outcomes(Watch(poll=stop)))
    assert engine.cancelled == {"fake:1@here", "fake:2@here"}
    assert list(launcher.outcomes(Watch())) == []


def test_jobs_that_are_not_seen_to_end_are_told_with_what_cancels_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launching, "TO_END", 0.0)
    engine = FakeEngine({"a": [], "b": [], "c": []})
    engine.by_hand = "fakecancel all (fakecancel: error: away)"
    launcher, told = EngineLauncher(engine, lambda _: None, 2), list[str]()
    launcher.submit([job(name, tmp_path) for name in "abc"])
    with pytest.raises(KeyboardInterrupt):
        list(launcher.outcomes(Watch(stop, lambda one, text: told.append(f"{one.name}: {text}"))))
    why = "not seen to end within 0 s of being cancelled; by hand: "
    assert told == [f"a: its job and 2 more were {why}{engine.by_hand}"]
    launcher.submit([job("b", tmp_path)])
    with pytest.warns(UserWarning, match="^b: its job was not seen to end .*: fakecancel all"):
        launcher.cancel()


def test_why_all_jobs_wait_is_told_once_after_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WaitingEngine(FakeEngine):
        def waits_for(self) -> set[str]:
            return reasons[now[0]]

    reasons = [set(), {"Priority"}, {"Held"}, {"Held"}, set(), {"New"}, {"New"}, {"Held", "New"}]
    now, told = [0], list[str]()
    # two and a half minutes between two questions
    clock = SimpleNamespace(monotonic=lambda: 150.0 * now[0], sleep=lambda _: None)
    monkeypatch.setattr(launching, "time", clock)
    engine = WaitingEngine({"a": [], "b": []})
    launcher = EngineLauncher(engine, lambda _: None, 2)
    launcher.submit([job(name, tmp_path) for name in "ab"])

    def poll() -> None:
        now[0] += 1
        if now[0] == len(reasons):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(launcher.outcomes(Watch(poll, lambda one, text: told.append(f"{one.name}: {text}"))))
    assert told == [
        "a: its job and 1 more have been waiting for more than 5 minutes: Held",
        "a: its job and 1 more have been waiting for more than 5 minutes: New",
    ]


def test_an_engine_that_does_not_answer_keeps_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: Collection[str]) -> Mapping[str, End]:
        raise SilentEngineError("it has not answered; its jobs go on")

    engine = FakeEngine({"a": []})
    monkeypatch.setattr(engine, "ends", silent)
    launcher = EngineLauncher(engine, lambda _: None, 2)
    launcher.submit([job("a", tmp_path)])
    with pytest.raises(CommandError, match="its jobs go on"):
        list(launcher.outcomes(Watch()))
    assert engine.cancelled == set()
    launcher.cancel()
    assert engine.cancelled == set(), "it has forgotten them"


def test_jobs_of_an_earlier_command_are_waited_for_and_not_handed_in_again(tmp_path: Path) -> None:
    engine, told = FakeEngine({"old": [NODE_FAIL, WELL], "new": [WELL]}), dict[str, str]()
    engine.work["fake:0@here"] = Work("old", (), "", {})
    launcher = EngineLauncher(engine, told.update, 1)
    launcher.submit([job("old", tmp_path, "fake:0@here"), job("new", tmp_path)])
    assert told == {"new": "fake:1@here"}
    assert sorted(one.name for one, _ in launcher.outcomes(Watch())) == ["new", "old"]
    assert told == {"new": "fake:1@here", "old": "fake:2@here"}, "a try of it is a job like others"
