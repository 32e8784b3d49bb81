"""Trainings without clean images: the noisy scans that pairs are made of, and on which noise."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lfranker.datasets.clean_images import NoClean
from lfranker.datasets.noisy_scans import NoisyScan
from lfranker.images.image_file import page_count
from lfranker.noise.noise_config import FRAMES, OF_SCANS, RECORRUPTED
from lfranker.scans.folder_layout import NO_TARGET, choose_target, scan_plan, slower_than
from lfranker.scans.frames import Frames, frame_files, noisy_frames
from lfranker.scans.scan_set import MANIFEST, ScanSet, read_scans

SHOWN = 3  # names in a notice


def with_usual_noise(
    changes: Mapping[str, Any],
    clean: Path | NoClean | None,
    noisy: Path | None,
    scans: Path | None,
    target: str | None,
) -> dict[str, Any]:
    """Return changes of settings with the noise of trainings without clean images, if not given.

    That is two frames of each field where some were scanned more than once; else single ones with
    noise of their own, which gave much better networks than hidden pixels (docs/results.md).
    """
    folder = noisy or scans
    if not isinstance(clean, NoClean) or changes.get("noise") is not None or folder is None:
        return dict(changes)
    repeated = _holds_frames(folder, target, all_noisy=noisy is not None)
    return {**changes, "noise": FRAMES if repeated else RECORRUPTED}


def check_sources(
    mode: str,
    clean: Path | NoClean | None,
    noisy: Path | None,
    scans: Path | None,
    data: Path | None,
) -> None:
    """Raise ValueError where pairs of this noise cannot be made of what is given."""
    if data is not None:
        return
    if isinstance(clean, NoClean) and mode not in OF_SCANS:
        raise ValueError(
            f"noise {mode!r} is added to clean images, and --clean none says that there are none: "
            f"allowed without them are {', '.join(OF_SCANS)}"
        )
    if mode in OF_SCANS and noisy is None and scans is None:
        raise ValueError(
            f"noise {mode!r} is that of scans, which pairs are made of: give the folder of noisy "
            f"ones as --noisy, or --scans"
        )


def target_among(scans: Path, target: str | None) -> str | None:
    """Return the speed of the clean scans of a folder; None where it has noisy ones alone."""
    if target == NO_TARGET:
        return None
    speeds = frame_files(scans)
    if target is None and len(speeds) < 2:
        return None
    return choose_target(scan_plan(scans).files, target) if len(speeds) > 1 else target


def _holds_frames(folder: Path, target: str | None, *, all_noisy: bool) -> bool:
    if (folder / MANIFEST).exists():  # prepared scans, which are first frames
        return False
    clean, found = None if all_noisy else target_among(folder, target), frame_files(folder)
    left_out = [clean, *slower_than(clean, list(found))] if clean is not None else []
    return any(
        len(files) > 1 or page_count(files[0]) > 1
        for speed, fields in found.items()
        if speed not in left_out
        for files in fields.values()
    )


def training_scans(
    mode: str, folder: Path, target: str | None, white: int | None, *, all_noisy: bool
) -> tuple[list[NoisyScan], list[str]]:
    """Return the scans that pairs of this noise are made of, and what the user should know.

    ``all_noisy``: there are no clean scans among those of the folder, whatever the target. Raises
    ValueError where no pair can be made.
    """
    if (folder / MANIFEST).exists():
        frames = _prepared(read_scans(folder))
    else:
        left_out = None if all_noisy else target_among(folder, target)
        frames = noisy_frames(folder, left_out, white)
    notices = _counted(frames)
    made = [item for own in frames for item in (_pairs(own) if mode == FRAMES else _singles(own))]
    if mode == FRAMES:
        notices += _left_out(frames)
    if not made:
        raise ValueError(
            f"noise {FRAMES!r} needs fields with two frames or more that show the same, and "
            f"{folder} has none: noise {RECORRUPTED!r} takes single ones"
        )
    return made, notices


def _counted(frames: Sequence[Frames]) -> list[str]:
    """Say what was converted in reading scans: how many, not which."""
    texts = Counter[str]()
    for own in frames:
        fronts = tuple({f"{file.name}: " for file in own.files})
        for notice in own.notices:
            front = next((each for each in fronts if notice.startswith(each)), "")
            texts[notice.removeprefix(front)] += 1
    return [f"{count} noisy scans: {text}" for text, count in texts.items()]


def _pairs(own: Frames) -> list[NoisyScan]:
    return [
        NoisyScan(
            f"{own.speed}/{own.field}#{number}", own.speed, frame, str(own.files[0]), own.white,
            own.field, target, covered,
        )
        for number, (frame, target, covered) in enumerate(own.pairs(), 1)
    ]  # fmt: skip


def _singles(own: Frames) -> list[NoisyScan]:
    return [
        NoisyScan(
            f"{own.speed}/{own.field}" + (f"#{number}" if len(own.scans) > 1 else ""),
            own.speed, scan, str(file), own.white, own.field,
        )
        for number, (scan, file) in enumerate(zip(own.scans, own.files, strict=True), 1)
    ]  # fmt: skip


def _left_out(frames: tuple[Frames, ...]) -> list[str]:
    single = [own.field for own in frames if len(own.scans) == 1]
    notices = [
        f"{own.field} at {own.speed}: {own.unmatched} of {len(own.scans)} frames left out, they "
        f"cannot be put onto the first"
        for own in frames
        if own.unmatched
    ]
    if single:
        named = ", ".join(single[:SHOWN]) + " ..." * (len(single) > SHOWN)
        notices.append(f"{len(single)} scans left out, they have no second frame: {named}")
    return notices


def _prepared(scans: ScanSet) -> tuple[Frames, ...]:
    return tuple(
        Frames(
            record.field, record.speed, (scans.read(record).noisy,),
            (scans.folder / record.files,),
        )
        for record in scans.records
    )  # fmt: skip
