"""Scans of the same fields at several speeds: a folder in, registered pairs out.

`folder_layout` says what such a folder looks like, `scan_set` what becomes of it. Pairs are
registered once and read from the disk by everyone after that.
"""

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfranker.arrays import Floats
from lfranker.files import new_folder, require_space
from lfranker.images.folder_bars import folder_bars
from lfranker.images.image_file import Micrograph, read_image
from lfranker.images.white_level import white_levels
from lfranker.registration.register import Transform, register, warp
from lfranker.scans.field_matching import thumbnail
from lfranker.scans.flat_folder import ScanPlan
from lfranker.scans.folder_layout import (
    NO_TARGET,
    Files,
    choose_target,
    faster_than_target,
    match_fields,
    scan_plan,
)
from lfranker.scans.frames import frame_files
from lfranker.scans.scan_quality import defocus, saturation
from lfranker.scans.scan_set import (
    MANIFEST,
    Exclusion,
    Pair,
    Record,
    ScanSet,
    files_of,
    noting,
    pair_files,
    read_scans,
    write_manifest,
)
from lfranker.scans.site_table import read_site_table
from lfranker.scans.sites import (
    Sites,
    assume_apart,
    join_overlapping,
    read_all,
    samples,
    stated_sites,
)

__all__ = ["Pair", "ScanSet", "prepare_scans", "read_scans", "subset_of"]

MOST = 0.9  # of a frame; where the clean scan shows less of it, this is said
PREPARATION = 5  # raised whenever the stored pairs would differ: older sets are made again
CLEAN_BYTES, PAIR_BYTES = 4, 4 + 4 + 1  # a pixel, as stored: the clean scan; noisy, clean, mask
Reader = Callable[[Path], Micrograph]
SIMULATED = "simulated.json"  # a file in the folder: nothing in it comes from a microscope


def prepare_scans(
    folder: Path, target: str | None, cache: Path, white: int | None = None
) -> ScanSet:
    """Register all pairs of ``folder`` and store them in ``cache``; or reuse those that are there.

    A set lies in a sub-folder called by its digest: sets never replace each other. ``target`` is
    the sub-folder of clean scans; None is the slowest, where the names tell; NO_TARGET where none
    is clean: then all scans are kept as they are, and there is nothing to register. What has no
    counterpart, or does not match it, is left out with a notice. ``white`` is the gray value of
    full brightness in scans of 16 bits, noisy and clean alike; None: see `white_levels`. Raises
    ValueError when nothing is left, and on files that cannot be read.
    """
    plan, files, target, alone = _chosen(folder, target)
    simulated = (folder / SIMULATED).is_file()
    every = [path for scans in files.values() for path in scans.values()]
    levels = white_levels(every, white, alike=True)
    bars = folder_bars({path: levels.of(path) for path in every})

    def read(path: Path) -> Micrograph:
        return read_image(path, levels.of(path), bars.get(path))

    examined = _examine(files, target, simulated, read)
    shown = files[target] if target else _first_of_each(files)
    stated, sample = _grouped(folder, plan, shown, simulated)
    groups = [[field, *astuple(site), sample[field]] for field, site in stated.items()]
    known = [examined.digest, groups, plan.table, [str(item) for item in alone]]
    digest, out = _place(cache, known)
    present, why = _present(out, digest)
    if present is not None:
        return present
    _check_replaceable(out)
    require_space(cache, examined.size)
    with new_folder(out) as draft:
        sites = join_overlapping(stated, _thumbnails(shown, read))
        store = _store if target else _store_noisy
        records, refused, partial = store(files, target, sites, sample, draft, read)
        if not records:
            reasons = "; ".join(map(str, refused))
            raise ValueError(f"{folder}: no pair of scans is left: {reasons}")
        used = {record.speed for record in records}
        scans = ScanSet(
            folder=draft,
            target=target,
            speeds=tuple(speed for speed in files if speed in used),
            fields=tuple(dict.fromkeys(record.field for record in records)),
            simulated=simulated,
            digest=digest,
            plan=plan.table,
            warnings=(*levels.notices, *examined.warnings, *partial),
            excluded=(*alone, *refused),
            records=tuple(records),
            white=examined.white,
        )
        _finish(scans, out)
    made = read_scans(out)
    return noting(made, f"scans were prepared again: {why}") if why else made


def subset_of(scans: ScanSet, fields: Collection[str], cache: Path) -> ScanSet:
    """Return the set of some of the fields, stored in ``cache``; or the one that is there.

    Its pairs are the same, pixel for pixel.
    """
    records = tuple(record for record in scans.records if record.field in fields)
    kept = tuple(field for field in scans.fields if field in fields)
    digest, out = _place(cache, [scans.digest, kept])
    present, _ = _present(out, digest)
    if present is not None:
        return present
    _check_replaceable(out)
    files = files_of(records)
    require_space(cache, sum((scans.folder / name).stat().st_size for name in files))
    with new_folder(out) as draft:
        for name in files:
            shutil.copyfile(scans.folder / name, draft / name)
        used = {record.speed for record in records}
        own = replace(
            scans,
            folder=draft,
            speeds=tuple(speed for speed in scans.speeds if speed in used),
            fields=kept,
            digest=digest,
            plan=(),
            warnings=(),
            excluded=(),
            records=records,
        )
        _finish(own, out)
    return read_scans(out)


def _place(cache: Path, known: Sequence[object]) -> tuple[str, Path]:
    """Return the digest of a set, by all that makes it what it is, and its folder."""
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    return digest, cache / digest[:16]


def _finish(draft: ScanSet, out: Path) -> None:
    """Complete a draft, which takes the place of ``out`` when it is renamed."""
    write_manifest(draft)
    if out.exists():
        shutil.rmtree(out)


def _chosen(folder: Path, target: str | None) -> tuple[ScanPlan, Files, str, tuple[Exclusion, ...]]:
    """Return the plan of a folder, its files, the target ("": none), and scans without partner."""
    if target == NO_TARGET:
        fields = frame_files(folder)
        first = {
            speed: {field: own[0] for field, own in all_frames.items()}
            for speed, all_frames in fields.items()
        }
        return ScanPlan(first, ()), first, "", ()
    plan = scan_plan(folder)
    target = choose_target(plan.files, target)
    faster, slower = faster_than_target(plan.files, target)
    try:
        files, alone = match_fields(faster, target)
    except ValueError as error:
        left_out = ", ".join(dict.fromkeys(item.speed for item in slower))
        more = f"; {left_out} left out, slower than the target" if left_out else ""
        raise ValueError(f"{error}{more}") from error
    return plan, files, target, (*slower, *alone)


def _first_of_each(files: Files) -> dict[str, Path]:
    """Return a scan of each field, that of the slowest speed."""
    return {field: path for scans in files.values() for field, path in scans.items()}


def _grouped(
    folder: Path, plan: ScanPlan, shown: Mapping[str, Path], simulated: bool
) -> tuple[Sites, dict[str, str]]:
    """Return the sites that are stated, and the samples, of the fields that are ``shown``."""
    metadata = read_all(shown)
    all_fields = {field for scans in plan.files.values() for field in scans}
    stated = stated_sites(metadata, read_site_table(folder, shown, all_fields))
    return assume_apart(stated) if simulated else stated, samples(metadata)


@dataclass(frozen=True)
class _Examined:
    digest: str  # of the scans
    warnings: tuple[str, ...]  # what was converted in reading them, and which are saturated
    white: tuple[int, ...]  # gray values of full brightness
    size: int  # bytes of all pairs as they are stored


def _examine(files: Files, target: str, simulated: bool, read: Reader) -> _Examined:
    """Read all scans once.

    A saturated scan is scored all the same: what it has lost, it has lost for all entrants.
    """
    digest = hashlib.sha256(json.dumps([PREPARATION, target, simulated]).encode())
    conversions: Counter[str] = Counter()
    saturated: list[str] = []
    white: set[int] = set()
    size = 0
    for speed, scans in sorted(files.items()):
        for field, path in sorted(scans.items()):
            scan = read(path)
            white.add(scan.maximum)
            image = scan.image
            digest.update(json.dumps([speed, field, image.shape]).encode())
            digest.update(image.tobytes())
            size += image.size * (CLEAN_BYTES if speed == target else PAIR_BYTES)
            conversions.update(text.removeprefix(f"{path.name}: ") for text in scan.notices)
            if reason := saturation(image):
                saturated.append(f"{field} at {speed}: {reason}")
    converted = (f"{n} scans: {text}" for text, n in conversions.items())
    told = (*converted, *saturated)
    return _Examined(digest.hexdigest(), told, tuple(sorted(white)), size)


def _store(
    files: Files,
    target: str,
    sites: Sites,
    sample: Mapping[str, str],
    folder: Path,
    read: Reader,
) -> tuple[list[Record], list[Exclusion], list[str]]:
    """Register and save every pair; and the noisy scans whose pair does not match, or in part."""
    records, refused, partial = [], list[Exclusion](), list[str]()
    for number, field in enumerate(tqdm(files[target], "registering scans", disable=None)):
        original = read(files[target][field]).image
        original_file = f"{number:04d}-original.npy"
        _save(folder / original_file, original)
        for order, (speed, scans) in enumerate(files.items()):
            if speed == target or field not in scans:
                continue
            noisy = read(scans[field]).image
            if np.array_equal(noisy, original):
                refused.append(Exclusion(field, speed, "the same image as the clean scan"))
                continue
            try:
                transform = register(noisy, original)
            except ValueError as error:
                refused.append(Exclusion(field, speed, str(error)))
                continue
            clean, mask = warp(original, transform, noisy.shape)
            if reason := defocus(noisy, clean, mask):
                refused.append(Exclusion(field, speed, reason))
                continue
            if (share := float(mask.mean())) < MOST:
                partial.append(
                    f"{field} at {speed}: scored where the clean scan shows it, {share:.0%}"
                )
            name = f"{number:04d}-{order}"
            for file, array in zip(pair_files(name), (noisy, clean, mask), strict=True):
                _save(folder / file, array)
            site = sites[field]
            where = site.name, sample[field], str(site.source)
            records.append(Record(field, speed, transform, name, original_file, *where))
    return records, refused, partial


def _store_noisy(
    files: Files,
    target: str,
    sites: Sites,
    sample: Mapping[str, str],
    folder: Path,
    read: Reader,
) -> tuple[list[Record], list[Exclusion], list[str]]:
    """Save every scan as it is; none of them is clean."""
    records = []
    speeds = list(enumerate(files.items()))
    for number, field in enumerate(_first_of_each(files)):
        site = sites[field]
        where = site.name, sample[field], str(site.source)
        for order, (speed, scans) in speeds:
            if field not in scans:
                continue
            name = f"{number:04d}-{order}"
            _save(folder / pair_files(name)[0], read(scans[field]).image)
            records.append(Record(field, speed, Transform(), name, "", *where))
    return records, [], []


def _thumbnails(files: Mapping[str, Path], read: Reader) -> dict[str, Floats]:
    return {field: thumbnail(read(path).image) for field, path in files.items()}


def _save(path: Path, array: NDArray[np.generic]) -> None:
    stored = io.BytesIO()  # numpy itself does not say that a disk is full
    np.save(stored, array, allow_pickle=False)
    path.write_bytes(stored.getbuffer())


def _present(prepared: Path, digest: str) -> tuple[ScanSet | None, str]:
    """The set that is there already, or why it is not taken; "" where none is there."""
    if not prepared.exists():
        return None, ""
    try:
        scans = read_scans(prepared)
        if scans.digest != digest:
            return None, f"{prepared} holds others"
        if not scans.sha256:
            return None, f"{prepared} is of an earlier version, which kept no checksums"
        scans.verify()
    except (ValueError, OSError) as error:
        return None, str(error)
    return scans, ""


def _check_replaceable(out: Path) -> None:
    """Refuse to write over anything but an empty folder or an incomplete set."""
    if not out.exists():
        return
    foreign = [
        path
        for path in (out.iterdir() if out.is_dir() else [out])
        if path.name != MANIFEST and path.suffix != ".npy"
    ]
    if foreign:
        raise ValueError(f"{out}: would be replaced by prepared scans, but holds {foreign[0].name}")
