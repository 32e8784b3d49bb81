"""Ray as an engine, with a stand-in for Ray: what is asked of it, and when."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lfranker.launching.engine import End
from lfranker.launching.on_node import Work
from lfranker.launching.ray_engine import RayEngine


class StandIn(ModuleType):
    """A Ray whose tasks run for ever, and which keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.begun: list[object] = []
        names = "TaskCancelledError OutOfMemoryError RayTaskError RuntimeEnvSetupError RayError"
        kinds = {name: type(name, (Exception,), {}) for name in names.split()}
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

    handlers: list[object] = []
    process = SimpleNamespace(run=lambda: handlers.append(signal.getsignal(signal.SIGINT)))
    monkeypatch.setattr(ray_keeper, "NodeProcess", lambda *_: process)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ray_keeper.do(work("a")[0], "ray:1@one", {})
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("address", "begun"), [(None, "local"), ("auto", "auto"), ("10.0.0.1:6379", "10.0.0.1:6379")]
)
def test_without_an_address_no_cluster_is_joined_that_runs_here(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch, address: str | None, begun: str
) -> None:
    monkeypatch.setattr("lfranker.launching.ray_engine.find_spec", lambda _: True)
    RayEngine({}, address, None).check()
    assert ray.begun == [begun]
