"""Make a dataset of noisy/clean patches."""

import sys
from pathlib import Path
from typing import Any

import click

from entrypoints import options as o
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.options import changed, flat, only
from lfranker.planning.inputs import InputConfig, training_images
from lfranker.planning.noisy_scans import with_usual_noise
from lfranker.planning.settings import preset_settings
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.tracking.runs import log_settings, own_run
from lfranker.tracking.score_logging import log_dataset


@o.command
@o.field_option(InputConfig, "clean")
@o.field_option(InputConfig, "noisy")
@o.field_option(InputConfig, "scans", help="Folder of scans whose noisy ones are learned from.")
@o.field_option(InputConfig, "target")
@o.field_option(InputConfig, "white")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="dataset",
              help="Folder to make; it holds nothing else.")  # fmt: skip
@o.preset_option
@o.seed_option
@click.option("--workers", type=click.IntRange(0), default=0,
              help="Threads; 0: one per processor. The data do not depend on it.")  # fmt: skip
@o.dataset_options
def main(out: Path, preset: str, seed: int, workers: int, **given: Any) -> None:
    """Turn clean images (or simulated scenes) into noisy/clean patches by Eq. 1 of the paper."""
    try:
        sources = (given[name] for name in ("clean", "noisy", "scans", "target"))
        changes = with_usual_noise(only(given, DatasetConfig), *sources)
        chosen = preset_settings(preset, seed, **changes)
        inputs = changed(InputConfig(), only(given, InputConfig))
        images, notices = training_images(chosen, inputs)
        with terminate_as_interrupt(), own_run(f"synth {out.name}", "synth") as run:
            data = synthesise(images, out, chosen.dataset, workers or None)
            log_settings(run.run_id, {**flat(chosen.dataset), "dataset": data.digest})
            log_dataset(data, "training")
        for notice in (*notices, *data.notices):
            click.echo(f"note: {notice}", err=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(
        f"{out}: {len(data.train)} training and {len(data.validation)} validation patches of "
        f"{chosen.dataset.patch} px; digest {data.digest[:16]}"
    )


if __name__ == "__main__":
    sys.exit(main())
