"""Score trained models on scans, old or new."""

import sys
from functools import partial
from pathlib import Path

import click

from entrypoints import options as o
from lfranker.child_runs.console import Console
from lfranker.child_runs.scoring import score_model, score_power_set, score_training
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.planning.inputs import InputConfig
from lfranker.planning.inputs import scans as prepare
from lfranker.planning.published_drunet import published_drunet, require_tunable
from lfranker.planning.settings import preset_settings
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.tracking.runs import name_given_run
from lfranker.training.devices import device_of


@o.command
@click.option("--parent", type=o.Parsed(str, "none"),
              help="Score all models of this power set (a run ID, or latest).")  # fmt: skip
@click.option("--run", type=o.Parsed(str, "none"), help="Score the model of this training run.")
@click.option("--model", type=o.Parsed(o.model_address, "none"),
              help="Score this model, e.g. models:/lfranker@champion, or bundled.")  # fmt: skip
@o.trust_code_option
@o.field_option(InputConfig, "scans")
@o.field_option(InputConfig, "target")
@o.field_option(InputConfig, "white")
@o.preset_option
@o.seed_option
@o.field_option(InputConfig, "cache")
@o.field_option(PowerSetConfig, "drunet")
def main(
    parent: str | None, run: str | None, model: str | None, trust_code: bool, scans: Path | None,
    target: str | None, white: int | None, preset: str, seed: int, cache: Path,
    drunet: Path | None,
) -> None:  # fmt: skip
    """Score models on scans: PSNR, SSIM and matched keypoints at each scan speed.

    Scores of a run or power set are kept with it by the digest of the scans: another set of scans
    never overwrites them. Rank a power set on these scans with
    `mlflow run . -e rank --env-manager local -P parent=ID -P scans=DIGEST`. A model's scores are a
    run of their own, with those of the filters that it has to beat as its children.
    """
    if sum(choice is not None for choice in (parent, run, model)) != 1:
        raise click.UsageError("give exactly one of --parent, --run and --model")
    if model is None:  # whose scores are a run of their own
        scored = f"power set {parent}" if parent else f"run {run}"
        where = scans.name if scans else "simulated scans"
        name_given_run(f"evaluate {scored} on {where}", "evaluate")
    console = Console(click.echo, partial(click.echo, err=True))
    try:
        tuned = published_drunet(drunet, device_of("auto"))
        chosen = preset_settings(preset, seed)
        prepared = prepare(chosen, scans, target, cache.resolve(), white=white)
        require_tunable(drunet, prepared)
        for notice in prepared.notices:
            click.echo(f"note: {notice}", err=True)
        with terminate_as_interrupt():
            if parent is not None:
                score_power_set(None if parent == "latest" else parent, prepared, console, tuned)
            elif run is not None:
                score_training(run, prepared, console, tuned)
            elif model is not None:
                score_model(model, prepared, console, trust_code, tuned)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"scored on {len(prepared)} pairs of scans, digest {prepared.digest[:8]}")


if __name__ == "__main__":
    sys.exit(main())
