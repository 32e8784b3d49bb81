"""Denoise a file or a folder with a registered model."""

import os
import sys
from collections import defaultdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import click
import torch
from tqdm import tqdm

from entrypoints import options as o
from lfranker.denoiser.denoise_files import Done, Work, denoise_file, denoise_files
from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.folders import real
from lfranker.images.image_file import READ, SUFFIXES, image_files
from lfranker.images.white_level import white_levels
from lfranker.microscopes.reading import read_metadata
from lfranker.planning.inputs import InputConfig
from lfranker.processes.jobs import available_cores
from lfranker.text import printable
from lfranker.tracking.models import load_likeness, load_network, load_onnx
from lfranker.tracking.registry import Choice, choose_model, named_model
from lfranker.tracking.runs import name_given_run
from lfranker.tracking.store import check_server

MOST_JOBS = 4
RANKED = [name for name, metric in ALL_METRICS.items() if metric.ranked]


@o.local_command
@click.option("--input", "source", required=True, type=o.Parsed(o.existing),
              help="An image, or a folder of images.")  # fmt: skip
@click.option("--output", "target", required=True, type=click.Path(path_type=Path),
              help="The file, or folder, to write; folders keep their structure.")  # fmt: skip
@click.option("--model", type=o.Parsed(o.model_address, "auto"),
              help="models:/NAME@ALIAS, models:/NAME/VERSION, a model's folder, or bundled: the "
              "network that comes with lfranker. Left out: the winner at the scan speed that the "
              "file names; bundled where no power set was ranked on real scans.")  # fmt: skip
@click.option("--criterion", default="psnr", type=click.Choice(RANKED),
              help="What the winner at a scan speed has to be best in.")  # fmt: skip
@o.model_name_option
@o.field_option(InputConfig, "white")
@o.trust_code_option
@click.option("--engine", default="auto", type=click.Choice(["auto", "torch", "onnx"]),
              help="What computes. onnx: ONNX Runtime, with the model's network.onnx; "
              "auto: torch.")  # fmt: skip
@o.yes_no_option("--overwrite", "Replace files that exist.")
@click.option("--jobs", type=o.Parsed(o.at_least_one, "auto"),
              help="Files denoised at a time.")  # fmt: skip
def main(
    source: Path, target: Path, model: str | None, criterion: str, model_name: str,
    trust_code: bool, white: int | None, engine: str, overwrite: bool, jobs: int | None,
) -> None:  # fmt: skip
    """Denoise SEM images; bit depth, data bar and all tags of a TIFF stay as they are.

    Tag 65350 of a TIFF tells by which model it was denoised. Files that cannot be read are named
    and skipped; the exit code is then 1.
    """
    if not _is_folder(model) or "MLFLOW_RUN_ID" in os.environ:
        check_server()
    name_given_run("denoise", "denoise")
    files = _files(source, target)
    _check_free(files, overwrite)
    try:
        chosen = {
            before: named_model(model)
            if model
            else choose_model(model_name, criterion, read_metadata(before))
            for before, _ in files
        }
        at_once = jobs or _jobs(len(files))
        threads = max(1, available_cores() // at_once)
        read = partial(load_network, trust_code=trust_code)
        load = cache(partial(load_onnx, threads=threads) if engine == "onnx" else read)
        networks = {choice.uri: load(choice.uri) for choice in chosen.values()}
        trained_on = {uri: load_likeness(uri) for uri in networks}
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _tell(chosen)
    models = dict.fromkeys(choice.uri for choice in chosen.values())
    name_given_run(f"denoise {printable(source.name)} with {', '.join(models)}", "denoise")
    levels = white_levels([before for before, _ in files], white)
    for notice in levels.notices:
        click.echo(f"note: {notice}", err=True)
    work = [
        Work(
            before,
            after,
            networks[chosen[before].uri],
            _said(chosen[before]),
            levels.of(before),
            trained_on=trained_on[chosen[before].uri],
        )
        for before, after in files
    ]
    failed = _denoise(work, at_once)
    where = printable(str(target.resolve()))
    into = f"{len(work) - failed} of {len(work)} images denoised into {where}"
    click.echo(f"{into}; {failed} failed" if failed else into)
    if failed:
        sys.exit(1)


def _is_folder(model: str | None) -> bool:
    """Return whether a model is on this machine, and no server is needed to find it."""
    return model is not None and Path(model).is_dir()


def _jobs(files: int) -> int:
    """One on a GPU; else a core each, but few, since each holds an image and a tile in memory."""
    return 1 if torch.cuda.is_available() else min(files, available_cores(), MOST_JOBS)


def _files(source: Path, target: Path) -> list[tuple[Path, Path]]:
    if source.is_file():
        if target.is_dir():
            target = target / source.name
        if target.suffix.lower() not in SUFFIXES:
            raise _refused(
                target,
                f"no folder that is there, to write {source.name} into, nor the name of an image; "
                f"allowed suffixes: {READ}",
            )
        return [(source, target)]
    files, inside = image_files(source, any_name=True), real(target)
    if inside == real(source):
        raise _refused(target, "is the folder of the scans, which stay there")
    # what was denoised before is no scan
    files = [file for file in files if not _lies_in(inside, file.parent, source)]
    if not files:
        raise click.UsageError(
            f"--input {printable(str(source))}: no images in it; read are {READ}"
        )
    return [(file, target / file.relative_to(source)) for file in files]


def _lies_in(inside: Path, folder: Path, source: Path) -> bool:
    """Return whether ``inside`` is ``folder`` or one between it and ``source``, links resolved."""
    between = (folder, *folder.parents)
    return inside in map(real, between[: between.index(source)])


def _check_free(files: list[tuple[Path, Path]], overwrite: bool) -> None:
    """Raise UsageError where files cannot be written, before any work is done for them."""
    for folder in dict.fromkeys(after.absolute().parent for _, after in files):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise _refused(folder, f"{there} is no folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise _refused(folder, f"{there} cannot be written to")
    existing = [(before, after) for before, after in files if after.exists()]
    scans = {real(before) for before, _ in files}
    for _, after in existing:
        if real(after) in scans:
            raise _refused(after, "is a scan itself, which stays as it is")
    if existing and not overwrite:
        one, count = printable(str(existing[0][1])), len(existing)
        found = f"{one} exists" if count == 1 else f"{count} files exist, such as {one}"
        raise click.UsageError(f"{found}; allowed: another --output, or --overwrite")


def _refused(target: Path, why: str) -> click.UsageError:
    return click.UsageError(printable(f"--output {target}: {why}"))


def _tell(chosen: dict[Path, Choice]) -> None:
    """Tell which model is taken for how many files, and why."""
    names: dict[Choice, list[str]] = defaultdict(list)
    for path, choice in chosen.items():
        names[choice].append(path.name)
    for choice, files in names.items():
        whose = files[0] if len(files) == 1 else f"{len(files)} files"
        click.echo(f"{printable(whose)}: {choice.model}, {choice.reason}", err=True)
        if choice.caution:
            click.echo(f"note: {choice.uri} is {choice.caution}", err=True)


def _said(choice: Choice) -> str:
    return f"Denoised by lfranker {version('lfranker')} with {choice.model}."


def _denoise(work: list[Work], jobs: int) -> int:
    """Denoise and count failures. A single file shows its tiles, several show files."""
    if len(work) == 1:
        with tqdm(desc="denoise", unit="tile", disable=None) as bar:

            def on_tile(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                return _report(Done(work[0], denoise_file(work[0], on_tile), None))
            except (ValueError, OSError) as error:
                return _report(Done(work[0], (), error))
    torch.set_num_threads(max(1, available_cores() // jobs))
    done = denoise_files(work, jobs)
    return sum(map(_report, tqdm(done, "denoise", len(work), unit="image", disable=None)))


def _report(done: Done) -> int:
    for notice in done.notices:
        click.echo(f"note: {printable(notice)}", err=True)
    if done.error is None:
        return 0
    click.echo(f"skipped: {printable(str(done.error))}", err=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
