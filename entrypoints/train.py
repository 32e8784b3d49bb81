"""Train one network on one subset of the losses, and score it."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import click
import torch
from tqdm import tqdm

from entrypoints import options as o
from lfranker.arrays import Image
from lfranker.datasets.synthesis import SynthConfig
from lfranker.denoiser.tiling import denoise
from lfranker.experiment import inputs as preparation
from lfranker.losses import parse_subset, subset_name
from lfranker.processes import orphaned, stop_between_steps
from lfranker.scans.preparation import Pair
from lfranker.tracking.runs import TrackedRun, log_settings, own_run, set_tags
from lfranker.tracking.score_logging import log_dataset, log_scans, score_run
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import TrainingRun, report_progress
from lfranker.training.trainer import TrainConfig, Trainer, build_network, load_initial


@click.command(context_settings={"show_default": True})
@click.option("--losses", default="mae+ssim", help="The subset, e.g. mae or mae+ssim.")
@o.combine(o.preset_option, o.data_option, o.clean_option, o.scans_option, o.target_option)
@o.combine(o.perceptual_option, o.init_option, o.device_option, o.seed_option)
@click.option("--repeat", type=click.IntRange(0), default=0, help="Which of the paired repeats.")
@o.combine(o.loss_weights_option, o.keep_option, o.cache_option)
@o.settings_options(TrainConfig, SynthConfig)
def main(losses: str, **asked: Any) -> None:
    """Train one network on a subset of the losses, in one MLflow run, and score it on scans."""
    try:
        subset = parse_subset(losses)
        inputs = preparation.inputs(subset, asked)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    name = subset_name(subset, perceptual=inputs.label)
    with stop_between_steps() as asked_to_stop, own_run(name, "train") as run:
        outcome = _train(run, name, subset, inputs, asked["keep_checkpoints"], asked_to_stop)
    click.echo(f"{name}: {outcome}; run {run.run_id}")


def _train(
    run: TrackedRun,
    name: str,
    subset: tuple[str, ...],
    inputs: preparation.Inputs,
    keep_checkpoints: bool,
    asked_to_stop: Callable[[], bool],
) -> str:
    config, say = inputs.settings.train, partial(click.echo, err=True)
    torch.set_num_threads(config.threads)
    network = build_network(config)
    if inputs.init is not None:
        load_initial(network, inputs.init)
    objective = inputs.objective(subset)
    trainer = Trainer(network, objective, inputs.data, config, inputs.device)
    log_settings(
        run.run_id, {**asdict(config), "losses": name, **inputs.facts, **inputs.weights_logged()}
    )
    set_tags(run.run_id, {Tag.LOSSES: name, Tag.REPEAT: str(config.repeat)})
    if "perceptual" in subset:
        set_tags(run.run_id, {Tag.PERCEPTUAL: inputs.facts["perceptual"]})
    log_dataset(inputs.data, "training")
    training = TrainingRun(run, trainer, say, asked_to_stop, keep_checkpoints)
    with tqdm(total=config.steps, desc=name, unit="step", disable=None) as bar:

        def on_step(done: int) -> None:
            bar.update(done - bar.n)
            report_progress(done)

        outcome = training.train(on_step)
    if outcome != "ok":
        return outcome
    log_scans(run.run_id, inputs.scans)

    def denoiser(pair: Pair) -> Image:
        if asked_to_stop() or orphaned():
            raise KeyboardInterrupt("stopped while scoring; the model is logged")
        return denoise(trainer.ema, pair.noisy)

    return score_run(run.run_id, denoiser, inputs.scans)


if __name__ == "__main__":
    sys.exit(main())
