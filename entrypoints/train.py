"""Train one network on one subset of the losses, and score it."""

import sys
from functools import partial
from typing import Any

import click

from entrypoints import options as o
from lfranker.child_runs.console import Console
from lfranker.child_runs.single_training import TrainingConfig, run_training
from lfranker.options import changed, only
from lfranker.planning.inputs import InputConfig
from lfranker.planning.noisy_scans import with_usual_noise
from lfranker.planning.settings import preset_settings
from lfranker.training.config import TrainConfig


@o.command
@o.field_option(TrainingConfig, "losses")
@o.preset_option
@o.field_options(InputConfig)
@o.seed_option
@o.field_option(TrainConfig, "repeat")
@o.field_option(TrainingConfig, "keep_checkpoints")
@o.settings_options
def main(preset: str, seed: int, repeat: int, **given: Any) -> None:
    """Train one network on a subset of the losses, in one MLflow run, and score it on scans."""
    console = Console(click.echo, partial(click.echo, err=True))
    try:
        changes = {**only(given, *o.SETTINGS), "repeat": repeat}
        sources = (given[name] for name in ("clean", "noisy", "scans", "target"))
        changes = with_usual_noise(changes, *sources)
        chosen = preset_settings(preset, seed, given["data"], **changes)
        inputs = changed(InputConfig(), only(given, InputConfig))
        run_training(
            TrainingConfig(chosen, given["losses"], inputs, given["keep_checkpoints"]), console
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
