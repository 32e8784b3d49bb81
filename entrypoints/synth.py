"""Make a dataset of noisy/clean patches."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from entrypoints import options as o
from lfranker.datasets.synthesis import SynthConfig, synthesise
from lfranker.experiment import inputs as preparation
from lfranker.experiment.settings import settings
from lfranker.tracking.runs import log_settings, own_run
from lfranker.tracking.score_logging import log_dataset


@click.command()
@o.clean_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="dataset",
              show_default=True, help="Folder to make; it holds nothing else.")  # fmt: skip
@o.combine(o.preset_option, o.seed_option)
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True,
              help="Processes; 0: one per processor. The data do not depend on it.")  # fmt: skip
@o.settings_options(SynthConfig)
def main(clean: Path | None, out: Path, preset: str, seed: int, workers: int, **asked: Any) -> None:
    """Turn clean images (or simulated scenes) into noisy/clean patches by Eq. 1 of the paper."""
    try:
        chosen = settings(preset, seed, asked)
        images, notices = preparation.clean_images(chosen, clean)
        with own_run("synth", "synth") as run:
            data = synthesise(images, out, chosen.synth, workers or None)
            log_settings(run.run_id, {**asdict(chosen.synth), "data": data.digest})
            log_dataset(data, "training")
        for notice in (*notices, *data.notices):
            click.echo(f"note: {notice}", err=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(
        f"{out}: {len(data.train)} training and {len(data.validation)} validation patches of "
        f"{chosen.synth.patch} px; digest {data.digest[:16]}"
    )


if __name__ == "__main__":
    sys.exit(main())
