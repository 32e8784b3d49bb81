"""Score trained models on scans, old or new."""

import sys
from functools import partial
from typing import Any

import click

from entrypoints import options as o
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.scoring import of_noisy
from lfranker.experiment import inputs as preparation
from lfranker.experiment.settings import settings
from lfranker.processes import launched, terminate_as_interrupt
from lfranker.publishing.pictures import log_pictures
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, Training, find_training, load_power_set
from lfranker.tracking.runs import TrackedRun, own_run
from lfranker.tracking.score_logging import log_scans, score_baselines, score_run


@click.command()
@o.word_option("--parent", "none", str, "Score all models of this power set (a run ID, or latest).")
@o.word_option("--run", "none", str, "Score the model of this training run.")
@o.word_option("--model", "none", str, "Score this model, e.g. models:/lfranker@champion.")
@o.combine(o.scans_option, o.target_option, o.preset_option, o.seed_option, o.cache_option)
def main(parent: str | None, run: str | None, model: str | None, **asked: Any) -> None:
    """Score models on scans: PSNR, SSIM and matched keypoints at each scan speed.

    Scores of a run or power set are kept with it by the digest of the scans: another set of scans
    never overwrites them. Rank a power set on these scans with
    `mlflow run . -e rank -P parent=ID -P scans=DIGEST`. A model's scores are a run of their own,
    with those of the filters that it has to beat as its children.
    """
    if sum(choice is not None for choice in (parent, run, model)) != 1:
        raise click.UsageError("give exactly one of --parent, --run and --model")
    try:
        chosen = settings(asked["preset"], asked["seed"], {})
        cache = asked["cache"].resolve()
        scans = preparation.scans(chosen, asked["scans"], asked["target"], cache)
        for notice in scans.notices:
            click.echo(f"note: {notice}", err=True)
        with terminate_as_interrupt():
            if parent is not None:
                _score_power_set(load_power_set(None if parent == "latest" else parent), scans)
            elif run is not None:
                _score_alone(find_training(run), scans)
            elif model is not None:
                _score_model(model, scans)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"scored on {len(scans)} pairs of scans, digest {scans.digest[:8]}")


def _score_power_set(power_set: PowerSet, scans: ScanSet) -> None:
    log_scans(power_set.run_id, scans)
    for training in power_set.trainings.values():
        if training.model and not training.is_scored(scans.digest):
            _score_training(training, scans)
    _score_baselines(power_set, power_set.key, scans)
    log_pictures(load_power_set(power_set.run_id), scans)


def _score_alone(training: Training, scans: ScanSet) -> None:
    """One training; and the baselines, unless the power set that asks does that itself."""
    _score_training(training, scans)
    if training.parent_id and not launched():
        power_set = load_power_set(training.parent_id)
        log_scans(power_set.run_id, scans)
        _score_baselines(power_set, power_set.key, scans)


def _score_training(training: Training, scans: ScanSet) -> None:
    if not training.model:
        raise ValueError(f"run {training.run_id} has no logged model to score")
    network = load_network(f"models:/{training.model}")
    result = score_run(training.run_id, of_noisy(partial(denoise, network)), scans)
    click.echo(f"{training.title}: {result}", err=True)


def _score_model(uri: str, scans: ScanSet) -> None:
    network = load_network(uri)
    with own_run(f"evaluate {uri}", "evaluate") as run:
        log_scans(run.run_id, scans)
        result = score_run(run.run_id, of_noisy(partial(denoise, network)), scans)
        _score_baselines(run, run.run_id, scans)
    click.echo(f"{uri}: {result}; run {run.run_id}")
    for name, value in find_training(run.run_id).scores(scans.digest).items():
        click.echo(f"{name}: {value:.4f}")


def _score_baselines(parent: TrackedRun, key: str, scans: ScanSet) -> None:
    for said in score_baselines(parent, key, scans, {}):
        click.echo(f"baseline {said}", err=True)


if __name__ == "__main__":
    sys.exit(main())
