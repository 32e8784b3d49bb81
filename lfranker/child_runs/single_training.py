"""One training in one run, from its inputs to its scores."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.child_runs.console import QUIET, Console
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.scoring import Denoiser
from lfranker.losses import parse_subset, subset_name
from lfranker.options import option
from lfranker.planning.inputs import InputConfig, Inputs, inputs
from lfranker.planning.settings import Settings
from lfranker.processes.jobs import orphaned
from lfranker.processes.signals import stop_between_steps
from lfranker.scans.preparation import Pair
from lfranker.tracking.runs import TrackedRun, log_settings, own_run, set_tags
from lfranker.tracking.score_logging import log_dataset, log_scans
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import (
    TrainingRun,
    report_alive,
    report_progress,
    score_branch,
    score_with_branches,
)
from lfranker.training.devices import device_of
from lfranker.training.initial_weights import load_initial
from lfranker.training.memory import refuse_too_large
from lfranker.training.trainer import Trainer, build_network


@dataclass(frozen=True)
class TrainingConfig:
    """One training: its settings, the subset of the losses, and what it takes its inputs from."""

    settings: Settings
    losses: tuple[str, ...] = option(
        ("mae", "ssim"), "The subset, e.g. mae or mae+ssim.", parse=parse_subset
    )
    inputs: InputConfig = field(default_factory=InputConfig)
    keep_checkpoints: bool = option(False, "Keep checkpoints of finished trainings.")
    until: int = 0  # pause once the branch of so many steps is scored; 0: train to the end


def run_training(config: TrainingConfig, console: Console = QUIET) -> str:
    """Train and score; say what came of it, and return it.

    That is "ok", "collapsed", "diverged", or "paused" where the config says `until`. Raises
    ValueError naming an option, before the run begins.
    """
    settings = config.settings
    refuse_too_large(settings.train, settings.dataset.patch, device_of(config.inputs.device), 1)
    prepared = inputs(config.losses, settings, config.inputs)
    name = subset_name(config.losses, perceptual=prepared.label)
    with stop_between_steps() as asked_to_stop, own_run(name, "train") as run:
        outcome = _train(run, name, config, prepared, console, asked_to_stop)
    console.say(f"{name}: {outcome}; run {run.run_id}")
    return outcome


def _train(
    run: TrackedRun,
    name: str,
    config: TrainingConfig,
    prepared: Inputs,
    console: Console,
    asked_to_stop: Callable[[], bool],
) -> str:
    train, subset = prepared.settings.train, config.losses
    torch.set_num_threads(train.threads)
    network = build_network(train)
    if prepared.init is not None:
        load_initial(network, prepared.init)
    objective = prepared.objective(subset)
    trainer = Trainer(network, objective, prepared.data, train, prepared.device)
    logged = {**train.used, "losses": name, **prepared.facts_logged()}
    log_settings(run.run_id, {**logged, **prepared.weights_logged()})
    set_tags(run.run_id, {Tag.LOSSES: name, Tag.REPEAT: str(train.repeat)})
    if "perceptual" in subset:
        set_tags(run.run_id, {Tag.PERCEPTUAL: prepared.facts["perceptual"]})
    log_dataset(prepared.data, "training")
    training = TrainingRun(
        run, trainer, console.note, asked_to_stop, config.keep_checkpoints, config.until
    )
    with tqdm(total=train.total_steps, desc=name, unit="step", disable=None) as bar:

        def on_step(done: int) -> None:
            bar.update(done - bar.n)
            report_progress(done)

        outcome = training.train(on_step)
    if outcome == "diverged":
        return outcome
    log_scans(run.run_id, prepared.scans)

    def denoiser(network: nn.Module) -> Denoiser:
        def of_pair(pair: Pair) -> Image:
            if asked_to_stop() or orphaned():
                raise KeyboardInterrupt("stopped while scoring; the model is logged")
            return denoise(network, pair.noisy, on_tile=lambda *_: report_alive())

        return of_pair

    if outcome == "paused":
        score_branch(run.run_id, config.until, trainer.ema, prepared.scans, denoiser)
        return outcome
    return score_with_branches(run.run_id, trainer.ema, prepared.scans, denoiser)
