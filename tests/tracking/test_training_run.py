"""What a training leaves in its run, and how it goes on from there."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from tracked import make_child, make_parent
from trained import TINY, make_trainer

from lfranker.arrays import Image
from lfranker.denoiser.tiling import denoise
from lfranker.images.image_strips import strip
from lfranker.processes.jobs import PROGRESS_VARIABLE
from lfranker.tracking import training_run
from lfranker.tracking.models import load_network
from lfranker.tracking.runs import list_files, tracked
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import (
    TrainingRun,
    report_alive,
    report_progress,
    steps_logged,
)
from lfranker.training import trainer as trainer_module
from lfranker.training.config import TrainConfig
from lfranker.training.numerics import SAFEGUARDS
from lfranker.training.trainer import MEDIAN_WINDOW, DivergedError, Step, Trainer


def diverging() -> Iterator[Step]:
    raise DivergedError("no finite loss at step 1")
    yield


def test_a_training_that_diverges_says_with_which_safeguards(store: Path) -> None:
    run = make_child(make_parent("mae"), "mae", {}, outcome="")
    trainer = cast("Trainer", SimpleNamespace(config=TrainConfig(), done=0, steps=diverging))
    assert (
        TrainingRun(tracked(run), trainer, str, lambda: False).train(lambda _: None) == "diverged"
    )
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags[Tag.OUTCOME] == "diverged"
    assert tags[Tag.SAFEGUARDS] == str(SAFEGUARDS)


CLIPPING = replace(
    TINY, batch=1, depth="0,0,0,1,0,0,0", clip_factor=1.1, learning_rate=1e-3, log_every=1000,
    shorter=False,
)  # fmt: skip


def check_pictures(pictured: list[Mapping[str, Image]], whole: Trainer) -> None:
    """The validation patches are shown as they are stored, and as the averaged weights see them."""
    data = whole.data
    for panels, index in zip(pictured, data.validation, strict=True):
        np.testing.assert_allclose(panels["noisy"], data.noisy[index] / 255, atol=1e-6)
        np.testing.assert_allclose(panels["clean"], data.clean[index] / 255, atol=1e-6)
        np.testing.assert_array_equal(panels["denoised"], denoise(whole.ema, panels["noisy"]))


def check_weights(last: Trainer, whole: Trainer, logged: Mapping[str, torch.Tensor]) -> None:
    """Both trainings have the same weights to the bit, and the averaged ones are logged."""
    raw, averaged = last.network.state_dict(), whole.ema.state_dict()
    assert all(torch.equal(raw[k], v) for k, v in whole.network.state_dict().items())
    assert all(torch.equal(logged[k], v) for k, v in averaged.items())
    assert not all(torch.equal(averaged[k], v) for k, v in raw.items())


@pytest.mark.parametrize(
    ("window", "early", "stops", "steps"),
    [
        (40, 20, (30, 55), 70),  # the second is where more norms were seen than are kept
        pytest.param(MEDIAN_WINDOW, 100, (130, 255), 280, marks=pytest.mark.slow),
    ],
)
def test_the_newer_of_two_checkpoints_goes_on_to_the_bit_with_clipping_in_play(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    window: int,
    early: int,
    stops: tuple[int, int],
    steps: int,
) -> None:
    monkeypatch.setattr(trainer_module, "MEDIAN_WINDOW", window)
    pictured = list[Mapping[str, Image]]()

    def drawn(panels: Mapping[str, Image]) -> object:
        pictured.append(panels)
        return strip(panels)

    monkeypatch.setattr(training_run, "strip", drawn)
    config = replace(CLIPPING, steps=steps)
    whole = make_trainer(config)
    straight = list(whole.steps())
    assert 0.05 < whole.clipped / whole.done < 0.95
    assert any(step.clipped for step in straight[stops[1] :])

    run = make_child(make_parent("mae"), "mae", {}, outcome="")
    notices: list[str] = []

    def training(stop: int) -> tuple[TrainingRun, Callable[[int], None]]:
        """A process that is asked to stop at a step, and leaves a checkpoint at an early one."""
        trainer = make_trainer(config)
        own = TrainingRun(tracked(run), trainer, notices.append, lambda: trainer.done == stop)

        def on_step(step: int) -> None:
            if step == early:
                own.saved = -inf

        return own, on_step

    for stop in stops:
        stopped, on_step = training(stop)
        with pytest.raises(KeyboardInterrupt):
            stopped.train(on_step)
        assert len(MlflowClient().list_artifacts(run.info.run_id, "checkpoints")) == 2
    last, on_step = training(0)
    assert last.train(on_step) == "ok"
    # the newest lay in the second of the two files, then in the first
    assert notices == [f"resuming after step {stop}" for stop in stops]

    assert list(last.trainer.norms) == list(whole.norms)
    assert (last.trainer.done, last.trainer.clipped) == (whole.done, whole.clipped)
    found = MlflowClient().get_run(run.info.run_id).data
    assert found.metrics["clipped_share"] == whole.clipped / steps
    logged = load_network(f"models:/{found.tags[Tag.MODEL]}").state_dict()
    check_weights(last.trainer, whole, logged)
    check_pictures(pictured, whole)
    names = [name.partition("+") for name in list_files(run.info.run_id, "images")]
    keys = [f"images/validation~{number}" for number in range(len(pictured))]
    assert sorted({key for key, _, _ in names}) == keys
    assert {rest.partition("+")[0] for _, _, rest in names} == {"step"}
    assert {rest.split("+")[1] for _, _, rest in names} == {str(steps)}


def test_how_far_it_is_is_told_where_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "logs" / "run.steps"
    monkeypatch.delenv(PROGRESS_VARIABLE, raising=False)
    report_progress(7)
    report_alive()
    monkeypatch.setenv(PROGRESS_VARIABLE, str(file))
    report_alive()
    assert file.read_text() == ""
    report_progress(12)
    os.utime(file, (0, 0))
    report_alive()
    assert file.stat().st_mtime > 0
    assert file.read_text() == "12"


def test_how_far_trainings_are_is_read_from_the_curves_of_those_that_run(store: Path) -> None:
    parent, found = make_parent("mae"), dict[str, str]()
    for name, status in (("mae", "RUNNING"), ("mse", "FINISHED"), ("ssim", "RUNNING")):
        run = make_child(parent, name, {})
        MlflowClient().log_metric(run.info.run_id, "train/loss", 0.5, step=40)
        MlflowClient().log_metric(run.info.run_id, "train/loss", 0.4, step=60)
        MlflowClient().log_metric(run.info.run_id, "val/psnr", 20.0, step=99)
        MlflowClient().update_run(run.info.run_id, status=status)
        found[name] = run.info.run_id
    experiment = parent.info.experiment_id
    assert steps_logged(experiment, [found["mae"], found["mse"]]) == {found["mae"]: 60}


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_nothing_more_is_written_into_a_run_that_another_job_has(
    store: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """It is looked for before each point of the curves, and before the model."""
    run = make_child(make_parent("mae"), "mae", {}, outcome="")
    left = [True] * looks

    def look(run_id: str) -> None:
        assert run_id == run.info.run_id
        if not left:
            raise KeyboardInterrupt
        left.pop()

    monkeypatch.setattr(training_run, "leave_to_other", look)
    trainer = make_trainer(replace(CLIPPING, steps=4, log_every=2))
    with pytest.raises(KeyboardInterrupt):
        TrainingRun(tracked(run), trainer, str, lambda: False).train(lambda _: None)
    points = MlflowClient().get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in points] == [2, 4][:looks]
    found = MlflowClient().get_run(run.info.run_id).data
    assert Tag.MODEL not in found.tags
    assert "clipped_share" not in found.metrics
