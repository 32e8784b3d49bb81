"""A whole power set in this process: trained, scored on two scan sets, ranked, registered, read.

Every number is computed again here, from the weights and from the pixels.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from common_fixtures import leave_unsaid
from in_process import power_sets_in
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from recorder import COMMANDS
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio

from lfranker.datasets.patch_dataset import read_dataset
from lfranker.denoiser.tiling import denoise
from lfranker.losses import build_objective
from lfranker.planning.settings import preset_settings
from lfranker.scans.scan_set import ScanSet, read_scans
from lfranker.simulation.scans import simulate_scans, simulated_fields
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, Training, load_power_set
from lfranker.tracking.runs import list_files_below
from lfranker.training.curves import validate
from lfranker.training.initial_weights import load_initial
from lfranker.training.trainer import Trainer, build_network

pytestmark = pytest.mark.slow
STEPS, LOG_EVERY, SEED = 12, 4, 3
WEIGHTS = {"mae": 1.0, "ssim": 0.25}
SPEEDS = ("spd2", "spd3", "spd5")
DEPTH = "0,0,0,1,0,0,0"
CHANGES = {"steps": STEPS, "log_every": LOG_EVERY, "patches": 24, "patch": 48, "depth": DEPTH}


@dataclass(frozen=True)
class Whole:
    """The power set, its files and its two scan sets, as the commands left them."""

    power_set: PowerSet
    cache: Path
    init: Path
    first: ScanSet
    second: ScanSet

    def training(self, name: str, repeat: int) -> Training:
        return self.power_set.trainings[name, repeat]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Whole]:
    """Two power sets' worth of commands, each training in two repeats, far from defaults."""
    folder = tmp_path_factory.mktemp("whole")
    with power_sets_in(folder, empty_store), pytest.MonkeyPatch.context() as patch:
        leave_unsaid(patch)
        for name, count, seed in (("first", 2, 11), ("second", 1, 12)):
            simulate_scans(simulated_fields(count, 160, seed), folder / name, seed)
        other = build_network(preset_settings("smoke", seed=99, depth=DEPTH).train)
        save_file(other.state_dict(), folder / "init.safetensors")
        cache, init = folder / "cache", folder / "init.safetensors"
        settings = {
            "preset": "smoke", "losses": "mae,ssim", "repeats": 2, "seed": SEED, "init": init,
            "scans": folder / "first", "cache": cache, "shorter": "false",
            "loss-weights": "mae=1,ssim=0.25",
            **{name.replace("_", "-"): value for name, value in CHANGES.items()},
        }  # fmt: skip
        run("powerset", settings)
        parent = load_power_set().run_id
        run("evaluate", {"parent": parent, "scans": folder / "second", "cache": cache})
        sets = [read_scans(path.parent) for path in sorted(cache.rglob("scans.json"))]
        second, first = sorted(sets, key=lambda scans: len(scans.fields))
        run("rank", {"parent": parent, "scans": second.digest[:8], "promote": "never"})
        yield Whole(load_power_set(parent), cache, init, first, second)


def run(command: str, options: Mapping[str, object]) -> str:
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(COMMANDS[command], words)
    assert done.exit_code == 0, done.output
    return done.output


def trained_again(whole: Whole, losses: tuple[str, ...], repeat: int) -> Trainer:
    """The training as its settings say, without a run."""
    config = preset_settings("smoke", seed=SEED, **CHANGES).train
    config = replace(config, repeat=repeat, shorter=False)
    network = build_network(config)
    load_initial(network, whole.init)
    (manifest,) = whole.cache.glob("datasets/*/manifest.json")
    own = build_objective(losses, weights={name: WEIGHTS[name] for name in losses})
    trainer = Trainer(network, own, read_dataset(manifest.parent), config, torch.device("cpu"))
    for _ in trainer.steps():
        pass
    return trainer


@pytest.mark.parametrize("repeat", [0, 1])
def test_the_model_has_the_averaged_weights_of_a_training_as_asked_for(
    whole: Whole, repeat: int
) -> None:
    again = trained_again(whole, ("mae", "ssim"), repeat)
    run = whole.training("mae+ssim", repeat)
    logged = load_network(f"models:/{run.model}").state_dict()
    raw = again.network.state_dict()
    for name, value in again.ema.state_dict().items():
        torch.testing.assert_close(logged[name], value, rtol=0, atol=1e-7)
    assert max((logged[n] - raw[n]).abs().max().item() for n in logged) > 1e-4
    points = MlflowClient().get_metric_history(run.run_id, "val/psnr")
    assert [point.step for point in points] == [4, 8, 12]
    device = torch.device("cpu")
    of_average = validate(again.ema, again.data, device)["val/psnr"]
    assert points[-1].value == pytest.approx(of_average, abs=1e-4)
    assert abs(validate(again.network, again.data, device)["val/psnr"] - of_average) > 1e-2


def test_repeats_and_subsets_differ_in_what_they_should(whole: Whole) -> None:
    trainings = whole.power_set.trainings
    assert set(trainings) == {(n, r) for n in ("mae", "ssim", "mae+ssim") for r in (0, 1)}
    weights = {
        key: torch.cat([v.flatten() for v in load_network(f"models:/{t.model}").parameters()])
        for key, t in trainings.items()
    }
    for key, own in weights.items():
        assert all(not torch.equal(own, other) for k, other in weights.items() if k != key), key


@cache
def table_of(run_id: str, scans: str) -> pd.DataFrame:
    """Rows of a run's stored table of scores on the scans with this digest."""
    (path,) = (
        path
        for path in list_files_below(run_id, "scores")
        if scans[:8] in path and "-at-" not in path
    )
    return pd.read_csv(io.StringIO(load_text(f"runs:/{run_id}/{path}")))


@pytest.mark.parametrize("which", ["first", "second"])
def test_scores_are_those_of_the_model_on_these_scans(whole: Whole, which: str) -> None:
    scans: ScanSet = getattr(whole, which)
    training = whole.training("ssim", 1)
    network = load_network(f"models:/{training.model}")
    table = table_of(training.run_id, scans.digest).set_index(["field", "speed"])
    assert len(table) == len(scans) == len(scans.fields) * len(SPEEDS)
    for pair in scans:
        output = np.clip(denoise(network, pair.noisy), 0, 1)
        own = peak_signal_noise_ratio(pair.clean[pair.mask], output[pair.mask], data_range=1)
        assert table.loc[(pair.field, pair.speed), "psnr"] == pytest.approx(own, abs=1e-3)
    prefix = "" if which == "first" else f"tested on {scans.id.short}/"
    metrics = training.metrics
    for speed in SPEEDS:
        mean = table.xs(speed, level="speed")["psnr"].mean()
        assert metrics[f"{prefix}psnr/{speed}"] == pytest.approx(mean, abs=1e-9)
    by_speed = table.groupby(level="speed")["psnr"].mean()
    assert metrics[f"{prefix}psnr"] == pytest.approx(by_speed.mean(), abs=1e-9)


def test_a_picture_is_kept_of_every_field_at_every_speed(whole: Whole) -> None:
    for scans, fields in ((whole.first, whole.first.fields), (whole.second, whole.second.fields)):
        wanted = {f"{field}-{speed}.png" for field in fields[:2] for speed in SPEEDS}
        files = list_files_below(whole.training("mae", 0).run_id, f"pictures/{scans.id.short}")
        assert {Path(file).name for file in files} == wanted


def means(whole: Whole, scans: ScanSet, metric: str, speed: str = "") -> dict[str, float]:
    """Mean score of each subset over repeats, fields and, without one, scan speeds."""
    found = dict[str, list[float]]()
    for (name, _), training in whole.power_set.trainings.items():
        table = table_of(training.run_id, scans.digest)
        rows = table[table["speed"] == speed] if speed else table
        found.setdefault(name, []).append(float(rows[metric].mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_winners_are_registered_under_their_aliases(whole: Whole) -> None:
    """Each alias is at the repeat 0 of the subset with the highest mean, as computed here."""
    client = MlflowClient()
    for metric in ("psnr", "ssim"):
        for speed in ("", *SPEEDS):
            scores = means(whole, whole.first, metric, speed)
            best = max(scores, key=lambda name: scores[name])
            alias = f"best-{metric}-{speed}".removesuffix("-")
            version = client.get_model_version_by_alias("lfranker", alias)
            assert version.run_id == whole.training(best, 0).run_id, alias
    ranks = [
        pd.Series(means(whole, whole.first, metric, speed)).rank(ascending=False)
        for metric in ("psnr", "ssim", "repeatability")
        for speed in SPEEDS
    ]
    mean_rank = sum(ranks) / len(ranks)
    version = client.get_model_version_by_alias("lfranker", "champion")
    best = set(mean_rank.index[np.isclose(mean_rank, mean_rank.min())])
    assert version.tags["lfranker.losses"] in best
    parent = client.get_run(whole.power_set.run_id)
    assert parent.data.tags["lfranker.champion"] == version.tags["lfranker.losses"]


def test_the_other_scans_have_a_ranking_of_their_own(whole: Whole) -> None:
    folder = f"ranking-{whole.second.id.short}"
    (path,) = (
        path
        for path in list_files_below(whole.power_set.run_id, folder)
        if path.endswith("leaderboard.csv")
    )
    text = load_text(f"runs:/{whole.power_set.run_id}/{path}")
    board = pd.read_csv(io.StringIO(text), index_col=0)
    for name, score in means(whole, whole.second, "psnr").items():
        assert board.loc[name, "psnr"] == pytest.approx(score, abs=1e-9)
