"""Which trainings a staged search goes on with, without training any."""

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from lfranker.experiment import staged_search
from lfranker.experiment.child_runs import Child, Means
from lfranker.experiment.staged_search import run_staged
from lfranker.ranking.along_training import Stop

NAMES = ("mae", "mse", "ssim")


def test_what_diverged_or_collapsed_is_over_and_each_is_run_once_a_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Repeat 1 of mse diverges, repeat 0 of ssim collapses, and mae is done for the first stage."""
    trainings = {
        (name, repeat): SimpleNamespace(
            run_id=f"{name} {repeat}", title=name, outcome="ok", collapsed_at=0
        )
        for name in NAMES
        for repeat in range(2)
    }
    power_set = SimpleNamespace(trainings=trainings, steps=100, seed=0, order=())
    ran: list[tuple[int, list[str]]] = []
    said: list[str] = []
    tags: dict[str, Any] = {}
    ended: dict[str, str] = {}

    def run(children: list[Child]) -> None:
        ran.append((children[0].until, [child.run.run_id for child in children]))
        trainings["mse", 1].outcome = "diverged"
        trainings["ssim", 0].collapsed_at = 25

    def scored(*_: object) -> dict[int, object]:
        """Return scores at the first length: of mae before the first stage, of all after it."""
        names = NAMES if ran else ("mae",)
        rows = [{"name": name, "repeat": repeat} for name in names for repeat in range(2)]
        return {25: SimpleNamespace(table=pd.DataFrame(rows))}

    everything = {
        "load_power_set": lambda _: power_set,
        "branch_scores": scored,
        "to_stop": lambda *_: {},
        "schedule": lambda _: None,
        "set_tags": lambda run_id, own: tags.update({run_id: own}),
        "end_run": lambda run_id, status, _: ended.update({run_id: status}),
    }
    for name, value in everything.items():
        monkeypatch.setattr(staged_search, name, value)
    settings = SimpleNamespace(train=SimpleNamespace(branches=(25, 50)))
    inputs = SimpleNamespace(settings=settings, scans=SimpleNamespace(id="scans"))
    means = cast("Means", SimpleNamespace(inputs=inputs, say=said.append, run=run))
    children = [
        Child(cast("Any", None), cast("Any", one), "train", cast("Any", inputs))
        for one in trainings.values()
    ]
    run_staged("parent", children, means, {})
    assert ran == [
        (25, ["mse 0", "mse 1", "ssim 0", "ssim 1"]),
        (50, ["mae 0", "mae 1", "mse 0"]),
        (0, ["mae 0", "mae 1", "mse 0"]),
    ]
    assert ended == {"ssim 0": "KILLED", "ssim 1": "KILLED"}
    assert set(tags) == set(ended)
    assert said[1:3] == ["ssim: stopped, the output of a repeat is nearly constant"] * 2
    assert staged_search._why(Stop(25, {"psnr": "mae"}, {"psnr": 1.0})).startswith("it cannot come")
