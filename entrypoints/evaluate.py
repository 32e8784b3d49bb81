"""Score trained models on scans, old or new."""

import sys
from functools import partial
from typing import Any

import click
from mlflow import MlflowClient
from mlflow.entities import Run

from entrypoints import options as o
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.scoring import of_noisy
from lfranker.experiment import inputs as preparation
from lfranker.experiment.settings import settings
from lfranker.processes import launched, terminate_as_interrupt
from lfranker.publishing.pictures import log_pictures
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import find_parent, find_run, gather, own_scores, trainings
from lfranker.tracking.runs import PARENT, TAG, own_run
from lfranker.tracking.score_logging import log_scans, score_baselines, score_run, scored


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
                _score_power_set(find_parent(None if parent == "latest" else parent), scans)
            elif run is not None:
                _score_alone(find_run(run), scans)
            elif model is not None:
                _score_model(model, scans)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"scored on {len(scans)} pairs of scans, digest {scans.digest[:8]}")


def _score_power_set(parent: Run, scans: ScanSet) -> None:
    log_scans(parent.info.run_id, scans)
    for training in trainings(gather(parent)).values():
        if training.data.tags.get(TAG + "model") and not scored(training, scans.digest):
            _score_training(training, scans)
    _score_baselines(parent, scans)
    log_pictures(MlflowClient().get_run(parent.info.run_id), scans)


def _score_alone(run: Run, scans: ScanSet) -> None:
    """One training; and the baselines, unless the power set that asks does that itself."""
    _score_training(run, scans)
    parent = run.data.tags.get(PARENT)
    if parent is not None and not launched():
        log_scans(parent, scans)
        _score_baselines(find_parent(parent), scans)


def _score_training(run: Run, scans: ScanSet) -> None:
    if TAG + "model" not in run.data.tags:
        raise ValueError(f"run {run.info.run_id} has no logged model to score")
    network = load_network(f"models:/{run.data.tags[TAG + 'model']}")
    result = score_run(run.info.run_id, of_noisy(partial(denoise, network)), scans)
    click.echo(f"{run.info.run_name}: {result}", err=True)


def _score_model(uri: str, scans: ScanSet) -> None:
    network = load_network(uri)
    with own_run(f"evaluate {uri}", "evaluate") as run:
        log_scans(run.info.run_id, scans)
        result = score_run(run.info.run_id, of_noisy(partial(denoise, network)), scans)
        _score_baselines(run, scans)
    click.echo(f"{uri}: {result}; run {run.info.run_id}")
    finished = MlflowClient().get_run(run.info.run_id)
    for name, value in own_scores(finished, scans.digest).items():
        click.echo(f"{name}: {value:.4f}")


def _score_baselines(parent: Run, scans: ScanSet) -> None:
    for said in score_baselines(parent, scans, {}):
        click.echo(f"baseline {said}", err=True)


if __name__ == "__main__":
    sys.exit(main())
