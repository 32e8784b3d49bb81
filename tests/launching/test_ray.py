"""Ray as an engine, with a stand-in for Ray: what is asked of it, and when."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lfranker.launching import ray_engine
from lfranker.launching.engine import End
from lfranker.launching.on_node import Ended, Work
from lfranker.launching.ray_engine import RayEngine


class StandIn(ModuleType):
    """A Ray whose tasks run for ever, and which keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.begun: list[object] = []
        names = "TaskCancelledError OutOfMemoryError RayTaskError RuntimeEnvSetupError"
        kinds = {"RayError": type("RayError", (Exception,), {})}
        kinds |= {name: type(name, (kinds["RayError"],), {}) for name in names.split()}
        self.exceptions = ModuleType("ray.exceptions")
        vars(self.exceptions).update(kinds)

    def remote(self, _: Callable[..., object]) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def _start(self, work: Work, *_: object) -> str:
        self.started.append(work.name)
        return work.name

    def wait(self, references: list[str], **_: object) -> tuple[list[str], list[str]]:
        return [], references

    def cancel(self, reference: str) -> None:
        self.cancelled.append(reference)

    def init(self, address: object, **_: object) -> None:
        self.begun.append(address)

    def is_initialized(self) -> bool:
        return False

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address="1.2.3.4:5")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in, ours = StandIn(), "lfranker.launching.ray_keeper"
    before = sys.modules.pop(ours, None)
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.setitem(sys.modules, "ray.exceptions", stand_in.exceptions)
    yield stand_in
    sys.modules.pop(ours, None)
    if before is not None:
        sys.modules[ours] = before


def work(*names: str) -> list[Work]:
    return [Work(name, ("a_job", "task.json"), "to do", {}) for name in names]


def test_each_command_has_its_own_number_of_tasks_at_once(ray: StandIn) -> None:
    from lfranker.launching.ray_keeper import Group, Keeper, Request

    keeper, request = Keeper("1.2.3.4:5"), Request(1, 0)
    first = keeper.submit(work("a", "b", "c"), request, {}, Group("one", 1))
    keeper.submit(work("d", "e", "f"), request, {}, Group("other", 2))
    keeper.submit(work("g", "h"), request, {}, Group("all", 0))
    deadline = time.monotonic() + 20
    while len(ray.started) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.2)  # two more looks start nothing
    assert ray.started == ["a", "d", "e", "g", "h"]
    keeper.cancel(first)
    assert ray.cancelled == ["a"]
    ended = keeper.ends(first)
    assert ended == {owner: End("CANCELLED", lost=True) for owner in first[1:]}


def test_a_task_can_be_cancelled_where_its_node_was_started_in_the_background(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a node ignores SIGINT, by which Ray cancels, and so do the processes that it starts."""
    from lfranker.launching import ray_keeper

    handlers, told = list[object](), list[object]()
    process = SimpleNamespace(run=lambda: handlers.append(signal.getsignal(signal.SIGINT)))
    monkeypatch.setattr(ray_keeper, "NodeProcess", lambda *words: told.extend(words) or process)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ray_keeper.do(work("a")[0], "ray:1@one", {"PASSWORD": "hidden"})
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler]
    assert told == [*work("a"), "ray:1@one", {"PASSWORD": "hidden"}]


@pytest.mark.parametrize(
    ("address", "begun"), [(None, "local"), ("auto", "auto"), ("10.0.0.1:6379", "10.0.0.1:6379")]
)
def test_without_an_address_no_cluster_is_joined_that_runs_here(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch, address: str | None, begun: str
) -> None:
    monkeypatch.setattr("lfranker.launching.ray_engine.find_spec", lambda _: True)
    RayEngine({}, address, None).check()
    assert ray.begun == [begun]


ENDED = End("FINISHED")


@pytest.mark.parametrize(
    ("owner", "answer", "is_gone"),
    [
        ("ray:7@1.2.3.4:5", {"ray:7@1.2.3.4:5": ENDED}, True),
        ("ray:7@1.2.3.4:5", {}, False),
        ("ray:7@1.2.3.4:9", {"ray:7@1.2.3.4:9": ENDED}, False),  # it is another cluster
        ("ray:7@1.2.3.4", {"ray:7@1.2.3.4": ENDED}, False),
        ("ray:7@1.2.3.4:5", ValueError("no keeper"), True),
        ("ray:7@1.2.3.4:5", ConnectionError("no cluster"), False),
        ("ray:7@1.2.3.4:5", "RayError", False),
        ("ray:7@1.2.3.4:5", None, False),  # there is no Ray here
    ],
)
def test_a_task_is_gone_where_the_keeper_of_its_cluster_says_so(
    ray: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    answer: dict[str, End] | Exception | str | None,
    is_gone: bool,
) -> None:
    asked: list[object] = []

    def ends(owners: list[str]) -> dict[str, End]:
        asked.append(owners)
        if isinstance(answer, str):
            raise ray.exceptions.RayError
        if isinstance(answer, Exception):
            raise answer
        return {} if answer is None else answer

    keeper = SimpleNamespace(ends=SimpleNamespace(remote=ends))
    ray.get_actor = lambda *_: keeper
    ray.get = lambda value: value
    monkeypatch.setattr(ray_engine, "find_spec", lambda _: None if answer is None else True)
    monkeypatch.setattr(
        ray_engine.socket, "create_connection", lambda *_: SimpleNamespace(close=lambda: None)
    )
    assert ray_engine.gone(owner) == is_gone
    assert asked in ([], [[owner]])


@pytest.mark.parametrize(("host", "is_gone"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_a_cluster_that_refuses_is_gone_where_it_was_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, host: str, is_gone: bool
) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(ray_engine, "find_spec", lambda _: True)
    monkeypatch.setattr(ray_engine.socket, "create_connection", refuse)
    assert ray_engine.gone(f"ray:7@{host}:6379") == is_gone


def test_what_a_task_ended_of_is_told_apart(ray: StandIn) -> None:
    """Lost ones are tried again; those that nothing would change are not."""
    from lfranker.launching.ray_keeper import _end_of

    def end(of: object) -> End:
        def get(_: object) -> object:
            if isinstance(of, Exception):
                raise of
            return of

        ray.get = get
        return _end_of("reference")

    known = vars(ray.exceptions)
    assert end(Ended(3, "log")) == End("FINISHED", process=Ended(3, "log"))
    assert end(known["TaskCancelledError"]()) == End("CANCELLED", lost=True)
    assert end(known["OutOfMemoryError"]()) == End("OUT_OF_MEMORY")
    assert end(known["RayTaskError"]("why")) == End("FAILED", process=Ended(1, "why"))
    assert end(known["RuntimeEnvSetupError"]("why")) == End("RuntimeEnvSetupError: why")
    assert end(known["RayError"]()) == End("RayError", lost=True)


def test_work_is_handed_in_with_what_it_asks_for_and_without_this_machines_folders(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfranker.launching.ray_keeper import Group, Request

    calls: list[tuple[str, tuple[Any, ...]]] = []
    keeper = SimpleNamespace(**{
        name: SimpleNamespace(remote=lambda *words, name=name: calls.append((name, words)))
        for name in ("submit", "ends", "cancel")
    })  # fmt: skip
    ray.get = lambda value: {"ray:1@one": ENDED} if value is None else value
    for name in ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "told")
    monkeypatch.setenv("SHELL_SECRET", "kept")
    monkeypatch.setattr(ray_engine, "AT_A_TIME", 2)
    for asked, at_once, request in (
        ({"gpus": 0.5}, 3, Request(1.0, 0.5)),
        ({"cpus": 4}, None, Request(4, 0.0)),
    ):
        engine = RayEngine(asked, None, at_once)
        vars(engine)["_keeper"] = keeper
        given = [
            replace(one, environment={"PYTHONPATH": "here", "A": "b"})
            for one in work("a", "b", "c")
        ]
        list(engine.submit(given))
        (_, (first, own, secrets, group)), (_, (second, *_)) = calls
        calls.clear()
        assert [*first, *second] == [replace(one, environment={"A": "b"}) for one in given]
        assert (own, group) == (request, Group(engine._name, at_once or 0))
        assert {n: v for n, v in secrets.items() if v in ("told", "kept")} == {
            "MLFLOW_TRACKING_URI": "told"
        }
    assert engine.ends({"ray:1@one"}) == {"ray:1@one": ENDED}
    engine.cancel({"ray:1@one"})
    assert calls == [("ends", (["ray:1@one"],)), ("cancel", (["ray:1@one"],))]
