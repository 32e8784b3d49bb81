"""Each loss's share of the gradient: measured, logged with the curves, and reported."""

from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from svg import texts
from torch import Tensor
from tracked import make_child, make_parent
from trained import CPU, TINY, make_data, make_trainer

from lfranker.losses import Objective, build_objective, gradient_norms, shares
from lfranker.losses.pixel import mae, mse
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.report.findings import Findings
from lfranker.report.plots import HATCHES, SHADES, share_plot
from lfranker.report.sections import MOST_COMBINED, shares_section
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import own_run, set_tags
from lfranker.tracking.scores import combined_gradient_shares
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import TrainingRun
from lfranker.training.curves import Curves
from lfranker.training.trainer import Step, Trainer, build_network

TABLE = pd.DataFrame(
    {"mae": [0.05, nan, 0.4], "mse": [nan, 0.07, 0.4], "ssim": [0.95, 0.93, 0.2]},
    index=["mae+ssim", "mse+ssim", "mae+mse+ssim"],
)


def test_gradient_norms_by_hand() -> None:
    output = torch.tensor([[[[0.5, 1.0, 0.0, 0.25]]]])
    target = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])
    objective = Objective({"mae": mae, "mse": mse}, {"mse": 4.0})
    norms = gradient_norms(objective, output, target)
    # of mae: 1/4 for two pixels; of mse: 2/4 of 0.5 and of 0.25, four times
    assert norms["mae"] == pytest.approx(0.25 * 2**0.5, rel=1e-6)
    assert norms["mse"] == pytest.approx(4 * 0.5 * (0.5**2 + 0.25**2) ** 0.5, rel=1e-6)
    found = shares(norms)
    assert found["mse"] == pytest.approx(norms["mse"] / (norms["mae"] + norms["mse"]))
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)


def test_no_gradient_and_none_that_is_finite_have_no_shares() -> None:
    assert shares({"mae": 0.0, "mse": 0.0}) == {}
    assert shares({"mae": nan, "mse": 1.0}) == {}
    assert shares({"mae": 0.0, "mse": 2.0}) == {"mae": 0.0, "mse": 1.0}


def test_measuring_leaves_what_made_the_output_alone() -> None:
    weight = torch.tensor(0.5, requires_grad=True)
    target = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    output = (weight * target).bfloat16()
    state = torch.get_rng_state()
    with torch.no_grad():
        norms = gradient_norms(build_objective(("mae", "ssim")), output, target)
    assert all(norm > 0 for norm in norms.values())
    assert weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_training_with_and_without_it_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trained(measured: int) -> tuple[dict[str, Tensor], list[bool], Tensor]:
        torch.manual_seed(7)
        trainer = make_trainer(replace(TINY, log_every=measured), ("mae", "mse", "ssim"))
        found = [bool(step.shares) for step in trainer.steps()]
        return trainer.network.state_dict() | trainer.ema.state_dict(), found, torch.get_rng_state()

    each, found, random = trained(1)
    assert found == [True] * TINY.steps
    with monkeypatch.context() as never:
        never.setattr(Trainer, "_shares", lambda *_: {})
        without, found, untouched = trained(1)
    assert found == [False] * TINY.steps
    assert all(torch.equal(each[name], without[name]) for name in without)
    assert torch.equal(random, untouched)


def test_a_point_of_the_curves_is_the_mean_of_the_steps_since_the_last() -> None:
    curves, points = Curves(), []
    for steps in ([(1.0, True, {"mae": 0.25}), (4.0, False, {})], [(6.0, True, {})]):
        for loss, clipped, share in steps:
            curves.add(Step(1, loss, {"mae": loss + 1}, loss + 2, clipped, loss + 3, share))
        points.append(curves.point())
    names = ("loss", "mae", "gradient_norm", "seconds_per_step", "clipped", "share/mae")
    expected = (2.5, 3.5, 4.5, 5.5, 0.5, 0.25), (6.0, 7.0, 8.0, 9.0, 1.0)
    assert points == [
        {f"train/{name}": value for name, value in zip(names, values, strict=False)}
        for values in expected
    ]


@pytest.mark.slow
def test_shares_are_measured_at_the_points_of_the_curves_and_sum_to_1() -> None:
    trainer = make_trainer(replace(TINY, steps=5, log_every=2), ("mae", "ssim"))
    steps = list(trainer.steps())
    assert [bool(step.shares) for step in steps] == [False, True, False, True, True]
    assert all(sum(s.shares.values()) == pytest.approx(1) for s in steps if s.shares)
    curves = Curves()
    for step in steps[:2]:
        curves.add(step)
    point = curves.point()
    assert {name: point[f"train/share/{name}"] for name in ("mae", "ssim")} == steps[1].shares
    alone = make_trainer(replace(TINY, log_every=1))
    assert not any(step.shares for step in alone.steps())


def test_weights_of_terms_enter_the_share() -> None:
    def first(weight: float) -> float:
        objective = build_objective(("mae", "mse"), None, {"mse": weight})
        config = replace(TINY, log_every=1)
        trainer = Trainer(build_network(config), objective, make_data(), config, CPU)
        return next(trainer.steps()).shares["mse"]

    plain, heavy = first(1.0), first(16.0)
    assert heavy / (1 - heavy) == pytest.approx(16 * plain / (1 - plain), rel=1e-5)


@pytest.mark.slow
def test_a_training_logs_its_shares_and_their_mean(store: Path) -> None:
    with own_run("mae+mse", "train") as run:
        trainer = make_trainer(replace(TINY, log_every=2), ("mae", "mse"))
        TrainingRun(run, trainer, print, lambda: False).train(lambda _: None)
    metrics = MlflowClient().get_run(run.run_id).data.metrics
    curve = MlflowClient().get_metric_history(run.run_id, "train/share/mae")
    assert [point.step for point in curve] == [2, 4, 6]
    mean = np.mean([point.value for point in curve])
    assert metrics["train/mean_share/mae"] == pytest.approx(mean, rel=1e-12)
    assert metrics["train/mean_share/mse"] == pytest.approx(1 - mean, rel=1e-6)


def test_shares_of_a_power_set_are_means_over_its_repeats(store: Path) -> None:
    parent = make_parent("mae,mse,ssim")
    set_tags(parent.info.run_id, {Tag.REPEATS: "2"})
    for repeat, share in ((0, 0.2), (1, 0.4), (2, 0.9)):  # the last is another command's
        before = "train/" if repeat else ""  # earlier versions had none
        metrics = {
            f"{before}mean_share/{k}": v for k, v in {"mse": 1 - share, "mae": share}.items()
        }
        make_child(parent, "mae+mse", metrics, repeat=str(repeat))
    make_child(parent, "mae", {"psnr": 20.0})
    make_child(parent, "mae+ssim", {"psnr": 20.0})  # of an earlier version
    found = combined_gradient_shares(load_power_set(), ["mae+ssim", "mae+mse", "mae"])
    assert list(found.index) == ["mae+ssim", "mae+mse"]
    assert found.loc["mae+mse"].to_dict() == pytest.approx({"mae": 0.3, "mse": 0.7})
    assert found.loc["mae+ssim"].isna().all()


def test_the_report_says_where_one_loss_rules() -> None:
    section = shares_section(Findings(shares=TABLE, unmeasured=1))
    assert section.sentences == [
        "In 2 of 3 combined losses one loss contributes 90 % of the gradient or more: mae+ssim "
        "(ssim 95 %), mse+ssim (ssim 93 %); of 1 more it is not known."
    ]
    assert list(section.plots) == ["Contribution of each loss to the gradient, mean over training"]


def test_nothing_is_said_of_runs_without_shares() -> None:
    assert shares_section(Findings()).is_empty


def test_a_large_power_set_has_a_plot_of_its_first_combined_losses() -> None:
    many = pd.DataFrame({"a": [0.5] * 99, "b": [0.5] * 99}, [f"x{n}" for n in range(99)])
    ((caption, svg),) = shares_section(Findings(shares=many)).plots.items()
    assert caption.endswith(f"the first {MOST_COMBINED} of 99")
    assert f"x{MOST_COMBINED - 1}" in texts(svg)
    assert f"x{MOST_COMBINED}" not in texts(svg)


def test_bars_are_named_hatched_and_coloured_by_loss() -> None:
    svg = share_plot(TABLE)
    assert svg == share_plot(TABLE)
    words = texts(svg)
    assert {"mae", "mse", "ssim", "mae+mse+ssim", "ssim 95%", "mae 40%", "ssim 20%"} <= set(words)
    assert "mae 5%" not in words, "no room"
    assert all(colour.lower() in svg for colour in SHADES[:3])
    assert SHADES[3].lower() not in svg
    assert svg.count("<pattern") == 2, "the first loss is plain"
    pairs = {(at % 8, (at + at // 8) % len(HATCHES)) for at in range(30)}
    assert len(pairs) == 30


@pytest.mark.slow
def test_the_page_of_a_ranking_shows_the_shares(store: Path) -> None:
    parent = make_parent("mae,mse")
    for name in ("mae", "mse"):
        make_child(parent, name, {"psnr": 20.0, "ssim": 0.5})
    make_child(
        parent, "mae+mse",
        {"psnr": 21.0, "ssim": 0.6, "mean_share/mae": 0.97, "mean_share/mse": 0.03},
    )  # fmt: skip
    report = rank_power_set(parent.info.run_id, "m")
    said = (
        "In 1 of 1 combined losses one loss contributes 90 % of the gradient or more: mae+mse "
        "(mae 97 %)."
    )
    assert said in report.notices
    page = Path(MlflowClient().download_artifacts(parent.info.run_id, "ranking/ranking.html"))
    assert "Contribution of each loss to the gradient" in page.read_text()
    assert "mae 97%" in page.read_text()
