"""Branches of a training in its run: made once, kept, and scored before the training is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from prepared import make_scans
from torch import Tensor, nn
from tracked import make_child, make_parent, power_set_of
from trained import TINY, make_trainer

from lfranker.arrays import Image
from lfranker.evaluation.scoring import Denoiser
from lfranker.scans.preparation import Pair
from lfranker.tracking import training_run
from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import log_settings, set_tags, tracked
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.scores import field_scores_at, scores
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import (
    TrainingRun,
    branch_network,
    keep_branch,
    score_with_branches,
)

CONFIG = replace(TINY, steps=20, checkpoint_seconds=1e9)


class Brightness(nn.Module):
    """A network of one number, by which it multiplies."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def multiplied(network: nn.Module) -> Denoiser:
    def denoise(pair: Pair) -> Image:
        return pair.noisy * network.get_parameter("factor").item()

    return denoise


@pytest.mark.slow
def test_branches_are_made_once_also_where_one_is_stopped(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "log_network", lambda *_: "model")
    run = tracked(make_child(make_parent("mae"), "mae", {}, outcome=""))
    made = list[int]()

    def train(stops: Callable[[], bool]) -> TrainingRun:
        own = TrainingRun(run, make_trainer(CONFIG), lambda _: None, stops)
        assert own.train(made.append) == "ok"
        return own

    # 5 steps and 10 leave after 4 and 8 and decay for 1 and 2; the eleventh is a decaying one
    with pytest.raises(KeyboardInterrupt, match="step 9"):
        train(lambda: made[-1] == 10)
    assert find_training(run.run_id).shorter == (5,)
    first = MlflowClient().list_artifacts(run.run_id, "branches")
    whole = train(lambda: False)
    assert made == list(range(1, CONFIG.total_steps + 1)), "no step is redone or left out"
    assert find_training(run.run_id).shorter == (5, 10)
    assert [item.path for item in first] == ["branches/steps-5.safetensors"]
    kept = {n: branch_network(run.run_id, n, whole.trainer.ema) for n in (5, 10)}
    for steps, network in {**kept, 20: whole.trainer.ema}.items():
        alone = make_trainer(replace(CONFIG, steps=steps, shorter=False))
        for _ in alone.steps():
            pass
        for name, value in alone.ema.state_dict().items():
            assert torch.equal(value, network.state_dict()[name]), (steps, name)


def test_a_checkpoint_from_before_a_branch_does_not_make_it_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "log_network", lambda *_: "model")
    run = tracked(make_child(make_parent("mae"), "mae", {}, outcome=""))
    keep_branch(run.run_id, 10, make_trainer().network)
    made, kept = list[int](), dict[int, nn.Module]()

    def keep(run_id: str, steps: int, network: nn.Module) -> None:
        kept[steps] = network

    monkeypatch.setattr(training_run, "keep_branch", keep)
    own = TrainingRun(run, make_trainer(CONFIG), lambda _: None, lambda: False)
    assert own.train(made.append) == "ok"
    assert list(kept) == [5]
    assert made[-1] == CONFIG.total_steps
    alone = make_trainer(replace(CONFIG, steps=5, shorter=False))
    for _ in alone.steps():
        pass
    for name, value in alone.ema.state_dict().items():
        assert torch.equal(value, kept[5].state_dict()[name]), name


def test_a_training_is_scored_after_its_branches_and_its_own_scores_stay_the_last(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, scans = make_parent("mae"), make_scans(store)
    log_settings(parent.info.run_id, {"steps": 1000})
    run_id = make_child(parent, "mae", {}).info.run_id
    log_settings(run_id, {"steps": 1000})
    for steps, factor in ((500, 0.9), (250, 0.5)):
        keep_branch(run_id, steps, Brightness(factor))
    order = list[tuple[int, ...]]()

    def after(*arguments: object) -> str:
        order.append(find_training(run_id).shorter)
        assert f"at-{250}" in str(MlflowClient().list_artifacts(run_id, "scores"))
        return score_run(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training_run, "score_run", after)
    assert score_with_branches(run_id, Brightness(1.0), scans, multiplied) == "ok"
    assert order == [(250, 500)]
    found = field_scores_at(power_set_of(parent), scans.id)
    assert list(found) == [250, 500, 1000]
    means = {steps: own.table["psnr"].mean() for steps, own in found.items()}
    assert means[250] < means[500] < means[1000]
    curve = MlflowClient().get_metric_history(run_id, "steps/psnr")
    assert {p.step: p.value for p in curve} == pytest.approx(means, rel=1e-12)
    last = MlflowClient().get_run(run_id).data.metrics
    assert last["psnr"] == pytest.approx(means[1000])
    assert "steps/psnr" not in scores(power_set_of(parent), scans.digest)


def test_scores_by_steps_on_other_scans_have_their_own_names(store: Path) -> None:
    parent, scans = make_parent("mae"), make_scans(store, "f" * 16)
    run_id = make_child(parent, "mae", {}).info.run_id
    log_settings(run_id, {"steps": 4})
    keep_branch(run_id, 2, Brightness(0.5))
    score_with_branches(run_id, Brightness(1.0), scans, multiplied)
    names = {name for name in MlflowClient().get_run(run_id).data.metrics if "steps/" in name}
    assert names == {
        f"tested on ffffffff/steps/{metric}" for metric in ("psnr", "ssim", "repeatability")
    }


def test_a_training_without_branches_has_no_points_by_steps(store: Path) -> None:
    parent, scans = make_parent("mae"), make_scans(store)
    run_id = make_child(parent, "mae", {}).info.run_id
    score_with_branches(run_id, Brightness(1.0), scans, multiplied)
    assert not [n for n in MlflowClient().get_run(run_id).data.metrics if "steps/" in n]
    set_tags(run_id, {Tag.SHORTER: ""})
    assert find_training(run_id).shorter == ()
