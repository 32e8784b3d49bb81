"""Power sets over noises against a real tracking store: whose trainings they are, and who wins."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tracked import SCANS, make_child, make_parent, name_model, power_set_of

from lfranker.child_runs.adoption import adopt
from lfranker.microscopes.reading import ScanMetadata
from lfranker.planning.inputs import InputConfig, Inputs
from lfranker.planning.noise_comparison import (
    inputs_on_each,
    keys_of,
    settings_logged,
    settings_on_each,
)
from lfranker.planning.plan import powerset_key, tasks
from lfranker.planning.settings import preset_settings
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.tracking.power_set import trainings_with
from lfranker.tracking.registry import choose_model
from lfranker.tracking.runs import create_child, get_run, log_metrics, set_tags, tracked
from lfranker.tracking.tags import Tag, outcome_on
from lfranker.training.config import TrainConfig
from lfranker.training.loss_balancing import loss_weights

pytestmark = pytest.mark.usefixtures("undrawn")

KEYS = {"gamma": "key-g", "eq1": "key-e"}
WORTH = {  # psnr; mae+ssim is the best on eq1, mae on gamma
    ("mae", "gamma"): 23.0, ("mae", "eq1"): 20.0, ("ssim", "gamma"): 21.0, ("ssim", "eq1"): 20.0,
    ("mae+ssim", "gamma"): 22.0, ("mae+ssim", "eq1"): 22.0,
}  # fmt: skip


def make_joint(losses: str = "mae,ssim") -> Run:
    parent = make_parent(losses)
    set_tags(parent.info.run_id, {Tag.NOISES: json.dumps(KEYS)})
    return get_run(parent.info.run_id)


def log_fields(run: Run, psnr: float) -> None:
    places = [f"p{place}" for place in range(6)]
    values = [psnr + place + 0.01 * (place % 2) for place in range(6)]
    table = pd.DataFrame({"field": places, "speed": "s", "place": places, "sample": ""})
    table = table.assign(psnr=values, ssim=[value / 100 for value in values])
    path = f"scores/scans-{SCANS[:8]}.csv"
    MlflowClient().log_text(run.info.run_id, table.to_csv(index=False), path)


def train(parent: Run, losses: str, noise: str, psnr: float, **tags: str) -> Run:
    metrics = {"psnr/s": psnr + 2.5, "ssim/s": (psnr + 2.5) / 100}
    run = make_child(parent, losses, metrics, powerset=KEYS[noise], **tags)
    log_fields(run, psnr)
    return run


@pytest.fixture
def joint(store: Path) -> Run:
    parent = make_joint()
    for (losses, noise), psnr in WORTH.items():
        train(parent, losses, noise, psnr)
    noisy = create_child(tracked(parent), "noisy", {Tag.POWERSET: "key", Tag.BASELINE: "noisy"})
    log_metrics(noisy.run_id, {"psnr/s": 15.0, "ssim/s": 0.15})
    log_fields(get_run(noisy.run_id), 15.0)
    MlflowClient().set_terminated(noisy.run_id, "FINISHED")
    return parent


def test_entrants_are_losses_with_noises_and_none_is_missing(joint: Run) -> None:
    assert power_set_of(joint).expected == [
        "mae @ gamma", "mae @ eq1", "ssim @ gamma", "ssim @ eq1", "mae+ssim @ gamma",
        "mae+ssim @ eq1",
    ]  # fmt: skip
    assert {name for name, _ in power_set_of(joint).trainings} == set(power_set_of(joint).expected)
    # under the key of one noise they are what they would be in a power set of that noise alone
    assert {name for name, _ in trainings_with("key-g", joint.info.experiment_id)} == {
        "mae",
        "ssim",
        "mae+ssim",
    }


@pytest.mark.slow
def test_the_ranking_names_the_best_pair_the_best_noise_and_the_interaction(joint: Run) -> None:
    report = rank_power_set(joint.info.run_id, "lfranker")
    assert report.ranking.champion == "mae @ gamma"
    assert list(report.ranking.leaderboard.index) == [
        "mae @ gamma", "mae+ssim @ gamma", "mae+ssim @ eq1", "ssim @ gamma", "mae @ eq1",
        "ssim @ eq1", "noisy",
    ]  # fmt: skip
    assert report.ranking.missing == ()
    said = "\n".join(report.notices)
    assert "PSNR by noise (mean over 3 loss subsets), " in said
    assert "The best noise in PSNR, gamma, is ahead of eq1 by 1.3" in said  # (3 + 1 + 0) / 3
    assert "by noise: gamma mae, eq1 mae+ssim. mae is further ahead of mae+ssim on gamma" in said
    assert "than on eq1, by 3.0" in said  # 1 ahead and 2 behind
    assert "left out on purpose" not in said
    table = report.findings.of("psnr").effects
    assert table is not None
    effects = table["value"]
    assert effects["mean effect", "mae"] == pytest.approx(22 - 20.5)
    assert effects["mean effect", "ssim"] == pytest.approx(22 - 21.5)
    tags = get_run(joint.info.run_id).data.tags
    answer = tags[Tag.NOTE].splitlines()[0]
    assert "Train on **mae @ gamma**: of 6 pairs of losses and noise" in answer
    _, _, which = tags[Tag.NOTE].partition("**Which noise is best to train on?**")
    assert "gamma, is ahead of eq1 by 1.3" in which.partition("**Do the criteria agree?**")[0]
    assert "viewStateShareKey=" in answer
    names = {f.path for f in MlflowClient().list_artifacts(joint.info.run_id, "ranking")}
    assert {"ranking/noises-psnr.csv", "ranking/noises-best-ssim.csv"} < names
    page = Path(MlflowClient().download_artifacts(joint.info.run_id, "ranking/ranking.html"))
    text = page.read_text()
    assert "<td>noises</td><td>gamma, eq1</td>" in text
    assert "<td>subsets</td><td>3 of 3</td>" in text
    assert "check_learning_rate" not in text, "what cannot be had is not advised"


@pytest.mark.usefixtures("unsaid")
def test_of_equals_the_first_noise_wins(store: Path) -> None:
    parent = make_joint("mae")
    for noise in ("eq1", "gamma"):
        train(parent, "mae", noise, 20.0)
    assert rank_power_set(parent.info.run_id, "lfranker").ranking.champion == "mae @ gamma"


@pytest.mark.slow
def test_missing_and_failed_pairs_are_named(store: Path) -> None:
    parent = make_joint()
    for losses, noise in WORTH:
        if (losses, noise) != ("ssim", "eq1"):
            outcome = "collapsed" if (losses, noise) == ("mae", "gamma") else "ok"
            train(parent, losses, noise, WORTH[losses, noise], outcome=outcome)
    report = rank_power_set(parent.info.run_id, "lfranker")
    assert report.ranking.missing == ("ssim @ eq1",)
    assert report.ranking.champion == "mae+ssim @ gamma"
    said = "\n".join(report.notices)
    assert "What each loss adds to PSNR cannot be said: mae, ssim failed, collapsed or" in said
    assert "PSNR by noise (of mae+ssim), " in said


@pytest.mark.usefixtures("unsaid")
def test_a_winner_is_registered_with_losses_and_noise_apart(store: Path) -> None:
    parent = make_joint("mae")
    train(parent, "mae", "eq1", 20.0)
    name_model(train(parent, "mae", "gamma", 22.0))
    rank_power_set(parent.info.run_id, "lfranker")
    version = MlflowClient().get_model_version_by_alias("lfranker", "champion")
    assert (version.tags[Tag.LOSSES], version.tags[Tag.NOISE]) == ("mae", "gamma")
    chosen = choose_model("lfranker", "psnr", ScanMetadata())
    assert "losses mae, noise gamma, run" in chosen.model


def inputs_on(noise: str) -> Inputs:
    chosen = preset_settings("smoke", noise=noise)
    facts = {"data": noise, "perceptual": "none", "init": "none", "device": "cpu"}
    made = SimpleNamespace(
        settings=chosen, facts=facts, noise=noise,
        scans=SimpleNamespace(digest=SCANS, has_clean=True),
        weights_logged=lambda: {"weight/mae": 1.0}, facts_logged=lambda: {"dataset": noise},
    )  # fmt: skip
    return cast("Inputs", made)


def test_trainings_of_one_noise_alone_are_taken_over_and_stay_its_own(store: Path) -> None:
    every = [inputs_on("eq1"), inputs_on("gamma")]
    key, keys = keys_of(every)
    config = every[0].settings.train
    assert keys == {own.noise: powerset_key(config, own.facts) for own in every}
    assert key not in keys.values()
    assert keys_of(every[:1]) == (keys["eq1"], {})

    alone = make_parent("mae")
    set_tags(alone.info.run_id, {Tag.POWERSET: keys["eq1"]})
    done = make_child(alone, "mae", {"psnr/s": 20.0}, powerset=keys["eq1"], model="m")
    set_tags(done.info.run_id, {outcome_on(SCANS): "ok"})

    parent = make_parent("mae")
    set_tags(parent.info.run_id, {Tag.POWERSET: key, Tag.NOISES: json.dumps(keys)})
    parent = get_run(parent.info.run_id)
    plan = tasks(["mae"], 1, config)
    (old,), (new,) = (adopt(tracked(parent), keys[own.noise], plan, own, False) for own in every)
    assert (old.run.run_id, old.todo, new.todo) == (done.info.run_id, "", "train")
    assert (old.title, new.title) == ("mae @ eq1 (repeat 0)", "mae @ gamma (repeat 0)")
    assert new.run.title == "mae @ gamma"
    for child, noise in ((old, "eq1"), (new, "gamma")):
        data = get_run(child.run.run_id).data
        assert (data.tags[Tag.NOISE], data.tags[Tag.LOSSES]) == (noise, "mae")
        assert data.params["noise"] == noise
        assert data.params["speckle_variance"] == "(0.01, 0.01)"
    assert ("alpha" in get_run(new.run.run_id).data.params) is False, "gamma has none"
    assert set(power_set_of(parent).trainings) == {
        ("mae @ eq1", 0),
        ("mae @ gamma", 0),
    }
    assert set(power_set_of(alone).trainings) == {("mae", 0)}


def test_the_parent_logs_what_its_trainings_have_in_common() -> None:
    every = [inputs_on("eq1"), inputs_on("gamma")]
    logged = settings_logged(every)
    assert logged["noises"] == "eq1,gamma"
    assert not {"noise", "peak", "alpha", "dataset"} & set(logged)
    assert (logged["weight/mae"], logged["patch"], logged["steps"]) == (1.0, 48, 5)
    assert logged["network"] == "scunet"
    assert not {"networks", "network_steps"} & set(logged)
    alone = settings_logged(every[:1])
    assert (alone["noise"], alone["dataset"], "noises" in alone) == ("eq1", "eq1", False)
    assert TrainConfig().steps != alone["steps"]


def test_where_networks_are_compared_the_parent_logs_the_steps_and_pace_of_each() -> None:
    def inputs_of(network: str, steps: int, pace: float) -> Inputs:
        own = inputs_on("eq1")
        train = replace(own.settings.train, network=network, steps=steps)
        changed = {"settings": replace(own.settings, train=train), "noise": network, "pace": pace}
        return cast("Inputs", SimpleNamespace(**{**vars(own), **changed}))

    logged = settings_logged([inputs_of("scunet", 8, 1.0), inputs_of("nafnet", 20, 0.4)])
    compared = {"networks": "scunet,nafnet", "network_steps": "scunet=8,nafnet=20"}
    assert logged.items() >= {**compared, "network_paces": "scunet=1,nafnet=0.4"}.items()
    assert logged.items() >= {"steps": 8, "noise": "eq1", "dataset": "eq1"}.items()
    assert {"dim", "width"} <= set(logged), "of either"
    assert not {"network", "noises"} & set(logged)


def test_repeats_and_weights_of_losses_are_of_the_noise_that_is_trained_on(tmp_path: Path) -> None:
    noises, losses = {name: {"noise": name} for name in ("eq1", "gamma")}, ("mae", "mse")
    chosen = settings_on_each("smoke", noises, seed=3, patches=24)
    config = InputConfig(cache=tmp_path, loss_weights="value")
    each = inputs_on_each(losses, chosen, config, draws=2)
    modes = [[data.config.noise.mode for data in own.drawn] for own in each]
    assert modes == [["eq1"] * 2, ["gamma"] * 2]
    for own, noise in zip(each, noises, strict=True):
        assert own.data.config.noise.mode == own.settings.dataset.noise.mode == own.noise == noise
        assert own.facts["data"] == own.data.digest
        weights = loss_weights("value", losses, None, own.data, 3)
        assert own.loss_weights == weights
        assert f"on {noise}: mae 1, mse {weights['mse']:g}" in "\n".join(own.notices)
    assert each[0].loss_weights["mse"] != each[1].loss_weights["mse"]
