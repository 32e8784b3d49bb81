"""One training in one run: curves, checkpoints, the final model, its branches, what came of it.

Branches are the shorter trainings that leave a training on its way; their weights and scores are
kept in its run. A branch leaves with the whole state and decays early: its weights are those that a
training planned for so many steps would have come to.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from torch import nn

from lfranker.denoiser.likeness import MOST_PATCHES, Likeness, likeness_of
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.evaluation.reference_free import noise_by_speed
from lfranker.evaluation.scoring import Denoiser, metrics_of, outcome, score, summarise
from lfranker.files import write_text
from lfranker.images.image_strips import strip
from lfranker.processes.jobs import PROGRESS_VARIABLE, orphaned
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.models import log_network, save_weights
from lfranker.tracking.power_set import parse_member, parse_shorter, search, settings_of
from lfranker.tracking.runs import (
    TrackedRun,
    download,
    get_run,
    leave_to_other,
    log_file,
    log_metrics,
    log_texts,
    set_tags,
)
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.scores import score_file
from lfranker.tracking.tags import Tag
from lfranker.training.batches import to_batch
from lfranker.training.checkpoints import newest_checkpoint, save_checkpoint
from lfranker.training.config import leaves_at
from lfranker.training.curves import MEAN_SHARE, SHARE, Curves, validate
from lfranker.training.initial_weights import read_weights
from lfranker.training.numerics import SAFEGUARDS
from lfranker.training.trainer import DivergedError, Trainer

CHECKPOINTS = "checkpoints"
CURVE = "train/loss"  # of the objective; the others stand beside it
PICTURED_PATCHES = 3

Notice = Callable[[str], None]


@dataclass
class TrainingRun:
    """A trainer, the run that records it, and how it talks to people."""

    run: TrackedRun
    trainer: Trainer
    notice: Notice
    asked_to_stop: Callable[[], bool]
    keep_checkpoints: bool = False
    until: int = 0  # pause once the branch of so many steps is trained; 0: train to the end
    slot: int = 0
    branch: Trainer | None = None  # that is under way
    begun: dict[str, Any] = field(default_factory=dict)  # state of a branch that was under way
    saved: float = field(default_factory=time.monotonic)  # when the last checkpoint was

    def resume(self) -> None:
        """Go on from the newest checkpoint among the run's artifacts, if there is one."""
        if not MlflowClient().list_artifacts(self._id, CHECKPOINTS):
            return  # a new run; a store that fails to answer is an error, not a new run
        with TemporaryDirectory() as folder:
            found = MlflowClient().download_artifacts(self._id, CHECKPOINTS, folder)
            state = newest_checkpoint(Path(found), self.notice)
        if state is not None:
            self.trainer.load_state_dict(state)
            self.begun = state.get("branch", {})
            self.notice(f"resuming after step {self.trainer.done}")

    def train(self, on_step: Callable[[int], None]) -> str:
        """Train to the end and log the model; returns "ok", "diverged" or "paused".

        When asked to stop it does so between two steps, leaves a checkpoint of the last one and
        raises KeyboardInterrupt.
        """
        self.resume()
        try:
            self._loop(on_step)
        except DivergedError as error:
            tags = {
                Tag.OUTCOME: "diverged",
                Tag.SAFEGUARDS: str(SAFEGUARDS),
                Tag.REASON: str(error),
            }
            set_tags(self._id, tags)
            self.notice(f"diverged: {error}")
            return "diverged"
        if self._pauses:
            return "paused"
        self._finish()
        return "ok"

    @property
    def _id(self) -> str:
        return self.run.run_id

    def _loop(self, on_step: Callable[[int], None]) -> None:
        trainer, config = self.trainer, self.trainer.config
        self._train_branches(on_step)
        if self._pauses:
            return
        logged = MlflowClient().get_metric_history(self._id, CURVE)
        last_logged = max((metric.step for metric in logged), default=0)
        curves = Curves()
        for step in trainer.steps():
            curves.add(step)
            if config.logs(step.index):
                point = curves.point() | validate(trainer.ema, trainer.data, trainer.device)
                # MLflow appends: steps redone after a kill are already there
                if step.index > last_logged:
                    leave_to_other(self._id)
                    log_metrics(self._id, point, step.index)
            self._between_steps(on_step)
            self._train_branches(on_step)
            if self._pauses:
                self._checkpoint()
                return

    @property
    def _pauses(self) -> bool:
        return self.until > 0 and self.trainer.done >= leaves_at(self.until)

    def _between_steps(self, on_step: Callable[[int], None]) -> None:
        """Say how far it is, keep a checkpoint where it is time, and stop where asked to."""
        on_step(self._steps_made())
        if time.monotonic() - self.saved > self.trainer.config.checkpoint_seconds:
            self._checkpoint()
            self.saved = time.monotonic()
        if self.asked_to_stop() or orphaned():
            self._checkpoint()
            raise KeyboardInterrupt(f"stopped after step {(self.branch or self.trainer).done}")

    def _steps_made(self) -> int:
        """Count the steps of the training and of its branches."""
        done = self.trainer.done
        under_way = self.branch.done - done if self.branch else 0
        return self.trainer.config.steps_made(done) + under_way

    def _train_branches(self, on_step: Callable[[int], None]) -> None:
        """Train the branches that leave here and are not kept yet, and keep their weights."""
        here = [s for s in self.trainer.config.branches if leaves_at(s) == self.trainer.done]
        for steps in [s for s in here if s not in kept_branches(self._id)]:
            self.branch = self.trainer.branch(steps)
            if self.begun.get("steps") == steps:
                self.branch.load_state_dict(self.begun)
            try:
                for _ in self.branch.steps():
                    self._between_steps(on_step)
            except DivergedError as error:
                self.notice(f"a branch of {steps} steps diverged, and is left out: {error}")
            else:
                keep_branch(self._id, steps, self.branch.ema)
            self.branch, self.begun = None, {}

    def _checkpoint(self) -> None:
        leave_to_other(self._id)
        state = self.trainer.state_dict()
        if self.branch:
            state["branch"] = self.branch.state_dict() | {"steps": self.branch.config.steps}
        with TemporaryDirectory() as folder:
            path = save_checkpoint(state, Path(folder), self.slot)
            MlflowClient().log_artifact(self._id, str(path), CHECKPOINTS)
        self.slot += 1

    def _finish(self) -> None:
        leave_to_other(self._id)
        trainer, config = self.trainer, self.trainer.config
        means = {MEAN_SHARE + name: self._mean(SHARE + name) for name in trainer.objective.terms}
        summary = {
            "seconds_per_step": self._mean("train/seconds_per_step") or 0.0,
            "clipped_share": trainer.clipped / max(1, trainer.done),
            "restored": float(trainer.restored),
            **{name: value for name, value in means.items() if value is not None},
        }
        log_metrics(self._id, summary)
        self._picture()
        # last: a run that has a model needs no more training
        log_network(self._id, trainer.ema, config.network_settings, _trained_on(trainer))
        if self.keep_checkpoints:
            self._checkpoint()
        else:
            self._drop_checkpoints()

    def _mean(self, metric: str) -> float | None:
        """Mean of all points of a curve, before a resumption too; None where there are none."""
        points = MlflowClient().get_metric_history(self._id, metric)
        return fmean(point.value for point in points) if points else None

    def _picture(self) -> None:
        """Noisy | denoised | clean of the first validation patches."""
        data = self.trainer.data
        for number, index in enumerate(data.validation[:PICTURED_PATCHES]):
            noisy = to_batch(data.noisy[index : index + 1]).numpy()[0, 0]
            clean = to_batch(data.clean[index : index + 1]).numpy()[0, 0]
            denoised = denoise(self.trainer.ema, noisy)
            picture = strip({"noisy": noisy, "denoised": denoised, "clean": clean})
            MlflowClient().log_image(
                self._id, picture, key=f"validation/{number}", step=self.trainer.done
            )

    def _drop_checkpoints(self) -> None:
        try:
            get_artifact_repository(self.run.artifact_uri).delete_artifacts(CHECKPOINTS)
        except NotImplementedError:
            self.notice("this artifact store cannot delete: the checkpoints stay")


def _trained_on(trainer: Trainer) -> Likeness | None:
    """Describe the noisy patches of a training."""
    data = trainer.data
    chosen = data.train[:: max(1, len(data.train) // MOST_PATCHES)]
    return likeness_of(to_batch(data.noisy[chosen])[:, 0].numpy(), trainer.ema)


def report_progress(step: int) -> None:
    """Tell the process that started this one how far it is; nobody else needs to know."""
    if name := os.environ.get(PROGRESS_VARIABLE):
        write_text(Path(name), str(step))


def report_alive() -> None:
    """Tell it that this one gets further, without another step: it scores."""
    if name := os.environ.get(PROGRESS_VARIABLE):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


FOLDER = "branches"  # among the artifacts
BY_STEPS = "steps/"  # in front of a metric whose step is the number of steps planned for


def kept_branches(run_id: str) -> tuple[int, ...]:
    """Return the steps of the branches whose weights are kept in the run, fewest first."""
    return parse_shorter(get_run(run_id).data.tags.get(Tag.SHORTER, ""))


def keep_branch(run_id: str, steps: int, network: nn.Module) -> None:
    """Keep the weights of a branch; the tag comes last, so that what it names is whole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / _name(steps)
        save_weights(network, path)
        log_file(run_id, path, FOLDER)
    kept = sorted({*kept_branches(run_id), steps})
    set_tags(run_id, {Tag.SHORTER: ",".join(map(str, kept))})


def branch_network(run_id: str, steps: int, like: nn.Module) -> nn.Module:
    """Return the network of a branch that is kept; `like` is a network of its shape."""
    network = deepcopy(like)
    with TemporaryDirectory() as folder:
        path = download(run_id, f"{FOLDER}/{_name(steps)}", Path(folder))
        network.load_state_dict(read_weights(path))
    return network


def score_with_branches(
    run_id: str, network: nn.Module, scans: ScanSet, denoiser: Callable[[nn.Module], Denoiser]
) -> str:
    """Score a training, whose network is `network`, and its branches; returns its own outcome.

    The branches come first: a training that has scores has those of its branches.
    """
    for steps in kept_branches(run_id):
        score_branch(run_id, steps, network, scans, denoiser)
    result = score_run(run_id, denoiser(network), scans)
    if kept_branches(run_id):
        run = get_run(run_id)
        means, steps = parse_member(run).scores(scans.digest), int(settings_of(run)["steps"])
        _log_by_steps(run_id, scans, means, steps)
    return result


def score_branch(
    run_id: str,
    steps: int,
    like: nn.Module,
    scans: ScanSet,
    denoiser: Callable[[nn.Module], Denoiser],
) -> None:
    """Score the branch of so many steps; `like` is a network of its shape.

    Nothing is done where the branch diverged: it is not kept.
    """
    if steps not in kept_branches(run_id):
        return
    metrics = metrics_of(scans)
    own = denoiser(branch_network(run_id, steps, like))
    table = score(own, scans, metrics, noise=noise_by_speed(scans))
    log_texts(run_id, {score_file(scans.id, steps): table.to_csv(index=False)})
    _log_by_steps(run_id, scans, summarise(table, metrics), steps)
    if outcome(table) == "collapsed":
        set_tags(run_id, {Tag.COLLAPSED: str(steps)})


def _log_by_steps(run_id: str, scans: ScanSet, means: Mapping[str, float], steps: int) -> None:
    """Log the scores that count as points of curves over the number of steps planned for."""
    prefix = parse_member(get_run(run_id)).prefix(scans.digest) + BY_STEPS
    counted = {prefix + metric: means[metric] for metric in CHAMPION_METRICS if metric in means}
    log_metrics(run_id, counted, steps)


def _name(steps: int) -> str:
    return f"steps-{steps}.safetensors"


def steps_logged(experiment: str, run_ids: Collection[str]) -> dict[str, int]:
    """Return the last step of the curves of those of the runs that are running, anywhere.

    One question for all of them, as the trainings log their curves anyway.
    """
    found: dict[str, int] = {}
    for run in search("attributes.status = 'RUNNING'", [experiment]):
        if run.info.run_id in run_ids:
            steps = {metric.key: int(metric.step) for metric in run.data.to_proto().metrics}
            found[run.info.run_id] = steps.get(CURVE, 0)
    return found
