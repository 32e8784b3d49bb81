"""synth: clean images -> stored pairs of noisy and clean patches.

What a dataset is, and how a stored one is read, is in ``patch_dataset``.
"""

import json
import math
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lfranker.datasets.clean_images import (
    CleanImage,
    draw_images,
    sha256_of_pixels,
    split,
)
from lfranker.datasets.noisy_scans import NoisyScan, measured, split_scans
from lfranker.datasets.patch_dataset import (
    MANIFEST,
    SCHEMA,
    DamagedDatasetError,
    Dataset,
    DatasetConfig,
    digest_of,
    read_dataset,
)
from lfranker.datasets.patch_sampling import Source, by_group, draw_pair, make_source
from lfranker.files import new_folder, require_space, reserve
from lfranker.images.white_level import FULL
from lfranker.noise.noise_config import OF_SCANS
from lfranker.processes.jobs import available_cores

CHUNK = 32  # patches of one task
FILES = frozenset({MANIFEST, "noisy.npy", "clean.npy"})


def synthesise(
    images: Sequence[CleanImage], out: Path, config: DatasetConfig, workers: int | None = None
) -> Dataset:
    """Make the dataset in ``out``, or return the one that the same request made there before.

    Bit-identical for every number of ``workers`` (threads; default: this process's cores; 0 or 1:
    none): pair k has a generator of its own. ``out`` appears complete or not at all. ValueError
    where it holds something else or is damaged, or where no image has a usable patch.
    """
    request = request_of(images, config)
    if out.exists() and any(out.iterdir()):
        try:
            present = read_dataset(out, verify=True)
        except DamagedDatasetError as error:
            raise DamagedDatasetError(f"{error}; choose another folder") from error
        if present.manifest["request"] != request:
            raise DamagedDatasetError(
                f"{out}: holds a dataset of another request; choose another folder"
            )
        return present
    groups, notices = _groups(images, config)
    counts = config.counts
    speeds = [[group[0].group for group in side] for side in groups]
    manifest = {
        "schema": SCHEMA,
        "request": request,
        "counts": dict(zip(("training", "validation"), counts, strict=True)),
        "notices": notices,
    }
    if config.noise.mode in OF_SCANS:  # pair k is of speed k, counted around
        manifest["speeds"] = dict(zip(("training", "validation"), speeds, strict=True))
    try:
        with new_folder(out) as draft:
            _write_pairs(draft, groups, counts, config, workers)
            manifest["digest"] = digest_of(draft, request)
            (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    except FileExistsError:  # another process was faster
        if read_dataset(out).digest != manifest["digest"]:
            raise
    return read_dataset(out)


def remade(
    images: Sequence[CleanImage], out: Path, config: DatasetConfig, why: ValueError
) -> Dataset:
    """Make the dataset in ``out`` in place of the damaged one there, and note ``why``.

    Raises ``why`` where the folder holds anything else, which is then somebody's.
    """
    if not out.is_dir() or {path.name for path in out.iterdir()} - FILES:
        raise why
    shutil.rmtree(out)
    made = synthesise(images, out, config)
    return replace(made, remade=f"the dataset was made again: {why.__cause__ or why}")


def request_of(images: Sequence[CleanImage], config: DatasetConfig) -> dict[str, Any]:
    """Return what determines a dataset, as its manifest has it: equal for equal datasets."""
    request = {"parameters": config.determining(), "sources": _describe(images, config)}
    scans = _scans(images, config)
    if scans and (noises := measured(scans, config.noise)):
        request["measured"] = {speed: noise.stored() for speed, noise in noises.items()}
    as_read: dict[str, Any] = json.loads(json.dumps(request))  # tuples are lists there
    return as_read


def _groups(
    images: Sequence[CleanImage], config: DatasetConfig
) -> tuple[list[list[list[Source]]], list[str]]:
    """Sources by group, for training and validation; and notices of images that give none."""
    training, validation = _split(images, config)
    if config.image_draw:
        training = draw_images(training, config.seed, config.image_draw)
    sides = [_sources(side, config) for side in (training, validation)]
    groups = [by_group(sources) for sources, _ in sides]
    notices = [notice for _, left_out in sides for notice in left_out]
    if not groups[0] or (config.validation > 0 and not groups[1]):
        which = "training" if not groups[0] else "validation"
        raise ValueError(
            f"no clean image is left for {which}: {'; '.join(notices) or 'none given'}; give more "
            f"or larger images, a smaller patch (now {config.patch}) or another validation share "
            f"(now {config.validation:g})"
        )
    return groups, notices


def _describe(images: Sequence[CleanImage], config: DatasetConfig) -> list[dict[str, Any]]:
    """Describe each image, without its path; its pixels are identified by their digest.

    Full brightness is told where it is not that of the file's type; others keep their names.
    """
    training, validation = _split(images, config)
    used, held_out = ({image.name for image in side} for side in (training, validation))

    def side_of(name: str) -> str:
        if len(images) == 1 or name not in used | held_out:
            return "both"  # it was cut in two
        return "training" if name in used else "validation"

    return [
        {
            "name": image.name,
            "group": image.group,
            "size": list(image.image.shape),
            "sha256": image.sha256,
            "side": side_of(image.name),
            **({"white": image.white} if image.white not in (None, FULL) else {}),
            **_target(image),
        }
        for image in images
    ]


def _target(image: CleanImage) -> dict[str, str]:
    """Return the digest of the frame that a noisy scan is to become, where that is another."""
    if not isinstance(image, NoisyScan) or image.target is None:
        return {}
    return {"target": sha256_of_pixels(image.target)}


def _split(
    images: Sequence[CleanImage], config: DatasetConfig
) -> tuple[Sequence[CleanImage], Sequence[CleanImage]]:
    if scans := _scans(images, config):
        return split_scans(scans, config.validation, config.seed)
    return split(images, config.validation, config.seed)


def _scans(images: Sequence[CleanImage], config: DatasetConfig) -> list[NoisyScan]:
    """Return the images where they are noisy scans. Raises ValueError where the noise is of others.

    It says so, where scans come without clean images, by which noise they would need them.
    """
    scans = [image for image in images if isinstance(image, NoisyScan)]
    mode = config.noise.mode
    if scans and mode not in OF_SCANS:
        raise ValueError(
            f"noise {mode!r} is added to clean images, and there are none: allowed without them "
            f"are {', '.join(OF_SCANS)}"
        )
    if len(scans) < len(images) and mode in OF_SCANS:
        raise ValueError(f"noise {mode!r} is of noisy scans: no pair is made of clean images")
    return scans


def _sources(images: Sequence[CleanImage], config: DatasetConfig) -> tuple[list[Source], list[str]]:
    made = [make_source(image, config.patch, config.minimum_contrast) for image in images]
    return (
        [source for source in made if isinstance(source, Source)],
        list(dict.fromkeys(notice for notice in made if isinstance(notice, str))),
    )


def _write_pairs(
    folder: Path,
    groups: Sequence[Sequence[Sequence[Source]]],
    counts: tuple[int, int],
    config: DatasetConfig,
    workers: int | None,
) -> None:
    """Fill both arrays. Threads suffice: numpy draws and computes without the interpreter lock."""
    total, shape = sum(counts), (sum(counts), config.patch, config.patch)
    require_space(folder.parent, 2 * math.prod(shape))
    noisy, clean = (_reserved(folder / f"{name}.npy", shape) for name in ("noisy", "clean"))

    def fill(start: int) -> int:
        stop = min(start + CHUNK, total)
        for k in range(start, stop):
            validation = k >= counts[0]  # whose patches are the same in every draw of images
            stream = (config.seed, k) if validation else (config.seed, k, config.image_draw)
            rng = np.random.default_rng(stream)  # a draw of 0 at its end changes nothing
            own = groups[validation]
            if config.noise.mode in OF_SCANS:
                own = [own[k % len(own)]]
            noisy[k], clean[k] = draw_pair(own, config.patch, config.noise, rng)
        return stop - start

    threads = available_cores() if workers is None else max(workers, 1)
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    try:
        with tqdm(total=total, desc="synth", unit="patch", disable=None) as bar:
            for done in (pool.map if pool else map)(fill, range(0, total, CHUNK)):
                bar.update(done)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)
    noisy.flush()
    clean.flush()


def _reserved(path: Path, shape: tuple[int, int, int]) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """Return a memory-mapped uint8 array of zeros whose space on the disk is reserved."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        reserve(file, math.prod(shape))
    return np.lib.format.open_memmap(path, "r+")
