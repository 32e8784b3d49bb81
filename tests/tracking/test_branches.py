"""Branches of a training in its run: made once, kept, and scored before the training is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
from lfranker.tracking.runs import list_files, log_settings, set_tags, tracked
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.scores import field_scores, field_scores_at, scores
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import (
    TrainingRun,
    branch_network,
    keep_branch,
    score_branch,
    score_with_branches,
)
from lfranker.training.trainer import DivergedError, Step, Trainer

CONFIG = replace(TINY, steps=20, checkpoint_seconds=1e9, depth="0,0,0,1,0,0,0")


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


def test_a_training_pauses_after_a_branch_and_goes_on_where_it_paused(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 steps: the branches of 2 and 4 leave after 1 and 3, and decay for one step each."""
    logged = list[str]()
    monkeypatch.setattr(training_run, "log_network", lambda run_id, *_: logged.append(run_id))
    run = tracked(make_child(make_parent("mae"), "mae", {}, outcome=""))
    config = replace(CONFIG, steps=8)
    made, notices = list[int](), list[str]()

    def train(until: int) -> str:
        trainer = make_trainer(config)
        return TrainingRun(run, trainer, notices.append, lambda: False, until=until).train(
            made.append
        )

    assert train(2) == "paused"
    assert (made, find_training(run.run_id).shorter) == ([1, 2], (2,))
    assert train(4) == "paused"
    assert (made, find_training(run.run_id).shorter) == ([1, 2, 3, 4, 5], (2, 4))
    assert logged == []
    assert MlflowClient().list_artifacts(run.run_id, "checkpoints")
    assert train(0) == "ok"
    assert made == list(range(1, config.total_steps + 1))
    assert notices == [f"resuming after step {step}" for step in (1, 3)]
    assert logged == [run.run_id]
    assert not MlflowClient().list_artifacts(run.run_id, "checkpoints"), "needed no more"


def test_a_branch_that_diverges_is_left_out_and_the_training_goes_on(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "log_network", lambda *_: "model")
    run = tracked(make_child(make_parent("mae"), "mae", {}, outcome=""))
    trainer = make_trainer(replace(CONFIG, steps=8))
    branch, notices = trainer.branch, list[str]()

    def branched(steps: int) -> Trainer:
        own = branch(steps)
        if steps == 2:
            own.load_state_dict(own.state_dict() | {"done": 0})
            monkeypatch.setattr(own, "steps", diverging)
        return own

    monkeypatch.setattr(trainer, "branch", branched)
    assert TrainingRun(run, trainer, notices.append, lambda: False).train(lambda _: None) == "ok"
    assert find_training(run.run_id).shorter == (4,)
    assert notices == ["a branch of 2 steps diverged, and is left out: no finite loss"]


def diverging() -> Iterator[Step]:
    raise DivergedError("no finite loss")
    yield


def test_a_branch_that_is_not_kept_has_no_scores(store: Path) -> None:
    scans = make_scans(store)
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    score_branch(run_id, 2, Brightness(1.0), scans, multiplied)
    assert list_files(run_id, "scores") == []


def test_a_branch_with_a_constant_output_is_noted(store: Path) -> None:
    scans = make_scans(store)
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    for steps, factor in ((2, 1.0), (4, 0.0)):
        keep_branch(run_id, steps, Brightness(factor))
        score_branch(run_id, steps, Brightness(1.0), scans, multiplied)
        assert find_training(run_id).collapsed_at == (0 if factor else steps)


def test_where_a_store_cannot_delete_the_checkpoints_stay_and_that_is_said(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "log_network", lambda *_: "model")
    run, notices = tracked(make_child(make_parent("mae"), "mae", {}, outcome="")), list[str]()

    def delete(folder: str) -> None:
        assert folder == "checkpoints"
        raise NotImplementedError

    repository = SimpleNamespace(delete_artifacts=delete)
    monkeypatch.setattr(training_run, "get_artifact_repository", lambda _: repository)
    trainer = make_trainer(replace(TINY, steps=1, depth="0,0,0,1,0,0,0"))
    TrainingRun(run, trainer, notices.append, lambda: False).train(lambda _: None)
    assert notices == ["this artifact store cannot delete: the checkpoints stay"]


def test_checkpoints_are_kept_where_that_is_asked_for(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "log_network", lambda *_: "model")
    run = tracked(make_child(make_parent("mae"), "mae", {}, outcome=""))
    trainer = make_trainer(replace(TINY, steps=1, depth="0,0,0,1,0,0,0"))
    training = TrainingRun(run, trainer, print, lambda: False, keep_checkpoints=True)
    training.train(lambda _: None)
    assert list_files(run.run_id, "checkpoints") == ["checkpoints/checkpoint-0.pt"]


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
    power_set = power_set_of(parent)
    found = field_scores_at(power_set, scans.id, field_scores(power_set, scans.id))
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
