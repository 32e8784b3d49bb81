"""What a training leaves in its run."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from mlflow import MlflowClient
from tracked import make_child, make_parent

from lfranker.tracking.runs import tracked
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import TrainingRun
from lfranker.training.numerics import SAFEGUARDS
from lfranker.training.trainer import DivergedError, Step, TrainConfig, Trainer


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
