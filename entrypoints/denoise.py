"""Denoise a file or a folder with a registered model."""

import sys
from pathlib import Path

import click
import numpy as np
from torch import nn
from tqdm import tqdm

from entrypoints import options as o
from lfranker.images import SUFFIXES, image_files, read_image, write_image
from lfranker.inference import denoise
from lfranker.tracking.models import load_network


@click.command()
@click.option("--input", "source", required=True, type=click.Path(exists=True, path_type=Path),
              help="An image, or a folder of images.")  # fmt: skip
@click.option("--output", "target", required=True, type=click.Path(path_type=Path),
              help="The file, or folder, to write; folders keep their structure.")  # fmt: skip
@click.option("--model", default="models:/lfranker@champion", show_default=True,
              help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model's folder.")  # fmt: skip
@o.yes_no_option("--overwrite", "Replace files that exist.")
def main(source: Path, target: Path, model: str, overwrite: bool) -> None:
    """Denoise SEM images; bit depth and format stay, a data bar is copied unchanged.

    Files that cannot be read are named and skipped; the exit code is then 1.
    """
    work = _plan(source, target)
    existing = [str(after) for _, after in work if after.exists()]
    if existing and not overwrite:
        raise click.UsageError(
            f"{existing[0]} exists ({len(existing)} such files); allowed: another --output, "
            f"or --overwrite"
        )
    try:
        network = load_network(model)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    failed = 0
    for before, after in tqdm(work, desc="denoise", unit="image", disable=None):
        try:
            _denoise_file(network, before, after)
        except (ValueError, OSError) as error:
            failed += 1
            click.echo(f"skipped: {error}", err=True)
    click.echo(f"{len(work) - failed} of {len(work)} images denoised with {model} into {target}")
    if failed:
        sys.exit(1)


def _plan(source: Path, target: Path) -> list[tuple[Path, Path]]:
    if source.is_file():
        if target.is_dir():
            target = target / source.name
        if target.suffix.lower() not in SUFFIXES:
            raise click.UsageError(f"--output {target}: allowed suffixes: {sorted(SUFFIXES)}")
        return [(source, target)]
    files = image_files(source)
    if not files:
        raise click.UsageError(f"--input {source}: no images in it; read are {sorted(SUFFIXES)}")
    return [(file, target / file.relative_to(source)) for file in files]


def _denoise_file(network: nn.Module, before: Path, after: Path) -> None:
    micrograph = read_image(before)
    for notice in micrograph.notices:
        click.echo(f"note: {notice}", err=True)
    pixels = np.array(micrograph.pixels)
    pixels[micrograph.content] = denoise(network, micrograph.image)
    after.parent.mkdir(parents=True, exist_ok=True)
    write_image(after, pixels, micrograph.dtype, micrograph.maximum)


if __name__ == "__main__":
    sys.exit(main())
