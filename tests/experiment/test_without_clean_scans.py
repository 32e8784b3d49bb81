"""A power set on noisy scans alone, without clean images: trained, scored, ranked, read."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from in_process import power_sets_in
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from recorder import COMMANDS

from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baselines import FAMILIES, gaussian
from lfranker.evaluation.reference_free import noise_by_speed, noise_removed, tried
from lfranker.evaluation.scoring import of_noisy
from lfranker.scans.scan_set import ScanSet, read_scans
from lfranker.simulation.scans import simulate_scans, simulated_fields
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.runs import list_files_below
from lfranker.tracking.scores import field_scores, scores

pytestmark = pytest.mark.slow
SPEEDS = ("spd2", "spd3")


@dataclass(frozen=True)
class Whole:
    power_set: PowerSet
    scans: ScanSet
    output: str


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("alone")
    with power_sets_in(folder, empty_store, lambda: {"gaussian-tuned": FAMILIES["gaussian-tuned"]}):
        simulate_scans(simulated_fields(3, 96, 11), folder / "scans", 11)
        for path in (folder / "scans").iterdir():
            if path.is_dir() and path.name not in SPEEDS:
                shutil.rmtree(path)
        words = [
            "--preset", "smoke", "--losses", "mae,ssim", "--steps", "8", "--patches", "24",
            "--scans", "scans", "--target", "none", "--cache", "cache", "--shorter", "true",
            "--log-every", "8", "--clean", "none",
        ]  # fmt: skip
        done = CliRunner().invoke(COMMANDS["powerset"], words)
        assert done.exit_code == 0, done.output
        (manifest,) = (folder / "cache").rglob("scans.json")
        yield Whole(load_power_set(), read_scans(manifest.parent), done.output)


def test_scores_are_those_of_the_logged_models_on_the_noisy_scans(whole: Whole) -> None:
    noise = noise_by_speed(whole.scans)
    table = field_scores(whole.power_set, whole.scans.id).table
    for name, training in [(key[0], run) for key, run in whole.power_set.trainings.items()]:
        denoiser = of_noisy(partial(denoise, load_network(f"models:/{training.model}")))
        own = table[table["name"] == name].set_index(["field", "speed"])
        for pair in whole.scans:
            trial = tried(pair, denoiser, noise[pair.speed])
            expected = noise_removed(np.clip(denoiser(pair), 0, 1).astype(np.float32), trial)
            stored = own["noise_removed"][pair.field, pair.speed]
            assert stored == pytest.approx(expected, abs=1e-5)
    assert set(table["field"]) == set(whole.scans.fields)
    assert len(whole.scans.fields) == 3
    assert table["ssim_estimated"].notna().all()
    assert not {"psnr", "ssim", "repeatability"} & set(table)


def test_filters_are_tuned_by_the_noise_that_they_remove(whole: Whole) -> None:
    board = scores(whole.power_set, whole.scans.digest)
    noise = noise_by_speed(whole.scans)
    widths = {"gaussian-1": 1.0, "gaussian-2": 2.0}
    for name, sigma in widths.items():
        denoiser = of_noisy(partial(gaussian, sigma=sigma))
        removed: dict[str, list[float]] = {}
        for pair in whole.scans:
            output = np.clip(denoiser(pair), 0, 1)
            value = noise_removed(output, tried(pair, denoiser, noise[pair.speed]))
            removed.setdefault(pair.speed, []).append(value)
        expected = np.mean([np.mean(values) for values in removed.values()])
        assert board["noise_removed"][name] == pytest.approx(expected, abs=1e-5)
    assert board["noise_removed"]["noisy"] == pytest.approx(0, abs=0.05)
    best = max(board["noise_removed"][name] for name in widths)
    assert board["noise_removed"]["gaussian-tuned"] > best - 0.02
    assert "clean" not in board.index


def test_the_ranking_says_that_no_scan_was_clean(whole: Whole) -> None:
    parent = MlflowClient().get_run(whole.power_set.run_id)
    page = load_text(f"runs:/{parent.info.run_id}/ranking/ranking.html")
    note = parent.data.tags["mlflow.note.content"]
    for text in (page, note):
        assert "ranked without clean scans" in text
        assert "4 of the 6 noisy scans that are scored are among those trained on" in text
    assert "(mean rank over noise removed and estimated SSIM), and" in whole.output
    board = pd.read_csv(
        f"{parent.info.artifact_uri}/ranking/synthetic-leaderboard.csv", index_col=0
    )
    rows = field_scores(whole.power_set, whole.scans.id).entrants
    means = rows.groupby(["speed", "name"])[["noise_removed", "ssim_estimated"]].mean()
    ranks = means.groupby("speed").rank(ascending=False).groupby("name").mean().mean(axis=1)
    assert set(ranks.index) == {"mae", "ssim", "mae+ssim"}
    assert board["mean_rank"][ranks.index].to_numpy() == pytest.approx(ranks.to_numpy())


def test_winners_are_registered_and_pictures_have_no_clean_scan(whole: Whole) -> None:
    aliases = MlflowClient().get_registered_model("lfranker").aliases
    assert {"champion", "best-noise_removed", "best-ssim_estimated-spd2"} <= set(aliases)
    assert not any("psnr" in alias for alias in aliases)
    files = list_files_below(whole.power_set.run_id, f"pictures/{whole.scans.id.short}")
    assert len(files) == 6
    assert not list_files_below(
        whole.power_set.run_id, f"pictures/{whole.scans.id.short}-keypoints"
    )
    curves = {name for run in whole.power_set.trainings.values() for name in run.metrics}
    assert "steps/noise_removed" in curves
