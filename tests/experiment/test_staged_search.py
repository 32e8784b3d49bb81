"""A staged search in this process: who is stopped, and that pausing changes nothing."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from in_process import one_after_another
from mlflow import MlflowClient
from recorder import COMMANDS, everywhere

from lfranker.evaluation.baselines import families
from lfranker.experiment import staged_search
from lfranker.experiment.time_estimate import scoring_seconds, seconds_per_step
from lfranker.processes.jobs import run_jobs
from lfranker.ranking.along_training import Stop
from lfranker.ranking.entrants import PairScores
from lfranker.simulation.scans import simulate_scans, simulated_fields
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set

pytestmark = pytest.mark.slow
OPTIONS = {
    "preset": "smoke", "losses": "mae,mse", "steps": 12, "patches": 24, "patch": 48, "batch": 1,
    "depth": "0,0,0,1,0,0,0", "log-every": 4,
}  # fmt: skip


@pytest.fixture
def scans(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    everywhere(monkeypatch, run_jobs, one_after_another)
    everywhere(monkeypatch, seconds_per_step, lambda *_, **__: 0.01)
    everywhere(monkeypatch, scoring_seconds, lambda *_, **__: 0.01)
    everywhere(monkeypatch, families, dict)
    simulate_scans(simulated_fields(2, 160, 11), store / "scans", 11)
    return store / "scans"


def powerset(scans: Path, cache: str, **options: object) -> tuple[str, PowerSet]:
    told = {**OPTIONS, "scans": scans, "cache": scans.parent / cache, **options}
    words = [word for name, value in told.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(COMMANDS["powerset"], words)
    assert done.exit_code == 0, done.output
    return done.output, load_power_set()


def weights(power_set: PowerSet, name: str) -> Mapping[str, torch.Tensor]:
    return load_network(f"models:/{power_set.trainings[name, 0].model}").state_dict()


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


def test_without_shorter_trainings_there_are_no_stages(scans: Path) -> None:
    words = ["--search", "staged", "--shorter", "false", "--scans", str(scans)]
    done = CliRunner().invoke(COMMANDS["powerset"], words)
    assert done.exit_code != 0
    assert "--search staged judges trainings by shorter ones" in done.output
