"""A staged search: who is stopped, who goes on, and that pausing changes nothing."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from in_process import in_this_process, scans_at_spd5
from mlflow import MlflowClient
from recorder import COMMANDS, everywhere

from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import TrainingRunner
from lfranker.experiment import staged_search
from lfranker.experiment.powerset import _after_training
from lfranker.experiment.staged_search import run_staged
from lfranker.ranking.along_training import Stop
from lfranker.ranking.entrants import PairScores
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set

NAMES = ("mae", "mse", "ssim")
OPTIONS = {
    "preset": "smoke", "losses": "mae,mse", "steps": 12, "patches": 24, "patch": 48, "batch": 1,
    "depth": "0,0,0,1,0,0,0", "log-every": 4,
}  # fmt: skip


@pytest.fixture
def scans(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    in_this_process(monkeypatch)
    scans_at_spd5(2, 96, store / "scans", 11)
    return store / "scans"


def powerset(scans: Path, cache: str, **options: object) -> tuple[str, PowerSet]:
    told = {**OPTIONS, "scans": scans, "cache": scans.parent / cache, **options}
    words = [word for name, value in told.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(COMMANDS["powerset"], words)
    assert done.exit_code == 0, done.output
    return done.output, load_power_set()


def weights(power_set: PowerSet, name: str) -> Mapping[str, torch.Tensor]:
    return load_network(f"models:/{power_set.trainings[name, 0].model}").state_dict()


@pytest.mark.slow
def test_what_is_stopped_is_said_and_the_others_are_trained_as_ever(
    scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[int, list[str]]] = []

    def stop_mse(by_length: Mapping[int, PairScores], steps: int, *others: object) -> dict:
        asked.append({n: sorted(set(own.table["name"])) for n, own in by_length.items()})
        assert steps == 12
        return {"mse": Stop(6, {"psnr": "mae"}, {"psnr": 1.5})} if 6 in by_length else {}

    monkeypatch.setattr(staged_search, "to_stop", stop_mse)
    output, staged = powerset(scans, "first", search="staged")
    every = ["mae", "mae+mse", "mse"]
    assert asked == [{3: every}, {3: every, 6: every}]
    stopped = staged.trainings["mse", 0]
    assert (stopped.status, stopped.model, stopped.shorter) == ("KILLED", "", (3, 6))
    assert staged.stops == {"mse": Stop(6, {"psnr": "mae"}, {"psnr": 1.5})}
    assert "1 of 3 subsets was stopped early by the staged search and cannot win: mse" in output
    # 5 + 1 + 1 of 12 + 1 + 1 steps were made of one of three
    assert staged.saved == pytest.approx(7 / 14 / 3)
    page = MlflowClient().download_artifacts(staged.run_id, "ranking/ranking.html")
    assert "The search was staged: 1 of 3 subsets was stopped" in Path(page).read_text()
    for name in ("mae", "mae+mse"):
        history = MlflowClient().get_metric_history(staged.trainings[name, 0].run_id, "train/loss")
        assert [point.step for point in history] == [4, 8, 12], "no step is made twice"
    kept = {name: weights(staged, name) for name in ("mae", "mae+mse")}

    everywhere(monkeypatch, _after_training, lambda *_: None)  # it is about the trainings alone
    _, whole = powerset(scans, "first", search="exhaustive")
    assert whole.stops == {}
    assert {run.status for run in whole.trainings.values()} == {"FINISHED"}
    assert whole.trainings["mse", 0].run_id == stopped.run_id, "it went on where it was"
    MlflowClient().delete_experiment(whole.experiment_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "alone")
    _, alone = powerset(scans, "second")
    for name in every:
        own = kept.get(name) or weights(whole, name)
        for key, value in weights(alone, name).items():
            assert torch.equal(own[key], value), (name, key)


@pytest.mark.slow
def test_without_shorter_trainings_there_are_no_stages(scans: Path) -> None:
    words = ["--search", "staged", "--shorter", "false", "--scans", str(scans)]
    done = CliRunner().invoke(COMMANDS["powerset"], words)
    assert done.exit_code != 0
    assert "--search staged judges trainings by shorter ones" in done.output


class Staged:
    """A search over stand-ins for trainings, and what it did with them.

    Repeat 1 of mse diverges, repeat 0 of ssim collapses, and mae is done for the first stage.
    """

    def __init__(self) -> None:
        self.trainings = {
            (name, repeat): SimpleNamespace(
                run_id=f"{name} {repeat}", title=name, outcome="ok", collapsed_at=0
            )
            for name in NAMES
            for repeat in range(2)
        }
        self.ran: list[tuple[int, list[str]]] = []
        self.judged_by: list[list[int]] = []
        self.said: list[str] = []
        self.tags: dict[str, Any] = {}
        self.ended: dict[str, str] = {}

    def run(self, children: list[Child]) -> None:
        self.ran.append((children[0].until, [child.run.run_id for child in children]))
        self.trainings["mse", 1].outcome = "diverged"
        self.trainings["ssim", 0].collapsed_at = 25

    def scored(self, *_: object) -> dict[int, object]:
        """Return scores by length: before the first stage of mae alone, after it of all."""
        names = NAMES if self.ran else ("mae",)
        rows = [{"name": name, "repeat": repeat} for name in names for repeat in range(2)]
        scores = SimpleNamespace(table=pd.DataFrame(rows))
        return dict.fromkeys((25, 50)[: max(len(self.ran), 1)], scores)

    def stop_none(self, known: Mapping[int, object], *_: object) -> dict[str, Stop]:
        self.judged_by.append(list(known))
        return {}

    def search(self, monkeypatch: pytest.MonkeyPatch) -> None:
        power_set = SimpleNamespace(trainings=self.trainings, steps=100, seed=0, order=())
        stand_ins = {
            "load_power_set": lambda _: power_set,
            "branch_scores": self.scored,
            "to_stop": self.stop_none,
            "schedule": lambda _: None,
            "set_tags": lambda run_id, own: self.tags.update({run_id: own}),
            "end_run": lambda run_id, status, _: self.ended.update({run_id: status}),
        }
        for name, value in stand_ins.items():
            monkeypatch.setattr(staged_search, name, value)
        settings = SimpleNamespace(train=SimpleNamespace(branches=(25, 50)))
        inputs = SimpleNamespace(settings=settings, scans=SimpleNamespace(id="scans"))
        means = cast(
            "TrainingRunner", SimpleNamespace(inputs=inputs, say=self.said.append, run=self.run)
        )
        children = [
            Child(cast("Any", None), cast("Any", one), "train", cast("Any", inputs))
            for one in self.trainings.values()
        ]
        run_staged("parent", children, means, {})


def test_what_diverged_or_collapsed_is_over_and_each_is_run_once_a_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    staged = Staged()
    staged.search(monkeypatch)
    assert staged.ran == [
        (25, ["mse 0", "mse 1", "ssim 0", "ssim 1"]),
        (50, ["mae 0", "mae 1", "mse 0"]),
        (0, ["mae 0", "mae 1", "mse 0"]),
    ]
    assert staged.judged_by == [[25], [25, 50]]
    assert staged.ended == {"ssim 0": "KILLED", "ssim 1": "KILLED"}
    assert set(staged.tags) == set(staged.ended)
    assert staged.said[1:3] == ["ssim: stopped, the output of a repeat is nearly constant"] * 2
    assert staged_search._why(Stop(25, {"psnr": "mae"}, {"psnr": 1.0})).startswith("it cannot come")
