"""Fields and speeds of the files in a folder of scans.

The folder holds one sub-folder per scan speed or dwell time ("100ns", "spd2"); files that are
called alike in two of them, suffix aside, show the same field of view. One sub-folder, the target,
is taken as clean. Where a speed was scanned several times, its folder has "frame1", "frame2" and so
on; the first frame is the scan of a field that is scored.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from lfranker.folders import is_hidden, was_perhaps_folder
from lfranker.images.image_file import image_files
from lfranker.microscopes.scan_speed import by_speed, equal_speeds, known_order
from lfranker.scans.flat_folder import ScanPlan, group_scans, order_by_exposure
from lfranker.scans.scan_set import Exclusion
from lfranker.text import printable

Files = dict[str, dict[str, Path]]  # speed, fast to slow -> field -> file
FrameFiles = dict[str, dict[int, Path]]  # field -> number of the frame -> file

NAME = re.compile(r"[\w.\-: ]+")  # of a speed: scores are logged as psnr/NAME
LONGEST_SPEED = 100  # characters
FRAME = re.compile(r"frame[ _-]?(\d+)", re.IGNORECASE)  # a folder of repeated scans
NO_TARGET = "none"  # in place of the target: none of the scans is clean


def scan_plan(folder: Path) -> ScanPlan:
    """All scans of ``folder``: by its sub-folders, or a flat folder by what the files say."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder of scans")
    files = {speed: _first_frames(fields) for speed, fields in frames_by_folder(folder).items()}
    if not files and (flat := [path for path in image_files(folder) if path.parent == folder]):
        return group_scans(flat)
    if lone := folders_in(folder)[1]:
        raise ValueError(
            f"{folder}: {', '.join(lone)} are frames of one scan speed; to compare with clean "
            f"scans put them into a sub-folder of that speed, beside one of the clean scans"
        )
    if len(files) < 2:
        found = f"the sub-folder {next(iter(files))} alone" if files else "no sub-folder"
        raise ValueError(
            f"{folder}: found images in {found}; at least two sub-folders are needed, one per scan "
            f"speed, or --target {NO_TARGET} where none of the scans is clean"
        )
    order = None if known_order(list(files)) else order_by_exposure(files)
    return ScanPlan({speed: files[speed] for speed in order or files}, ())


def frames_by_folder(folder: Path) -> dict[str, FrameFiles]:
    """All scans by speed, fast to slow; none where they are frames of one speed that is not named.

    A field is called by its path below the speed, without suffix and without its frame.
    """
    files: dict[str, FrameFiles] = {}
    names, lone = folders_in(folder)
    for speed in by_speed(names):
        if fields := frames_in(folder / speed):
            check_speed(speed, folder / speed)
            files[speed] = fields
    if files and lone:
        raise ValueError(
            f"{folder}: {lone[0]} lies beside folders of scan speeds, {', '.join(files)}: put the "
            f"frames into the folder of their speed"
        )
    return files


def folders_in(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of sub-folders that may be speeds, and of those that are frames.

    Raises ValueError on a link that may have been one, and leads nowhere now.
    """
    for path in sorted(folder.iterdir()):
        if was_perhaps_folder(path) and not is_hidden(path):
            raise ValueError(
                f"{printable(str(path))}: a link to what is not there; if it is not needed, "
                f"remove it"
            )
    names = [p.name for p in folder.iterdir() if p.is_dir() and not is_hidden(p)]
    frames = [name for name in names if FRAME.fullmatch(name)]
    return [name for name in names if name not in frames], sorted(frames)


def frames_in(folder: Path) -> FrameFiles:
    """Return the frames of each field in the folder of a speed, by their number; 0: it has none."""
    fields: FrameFiles = {}
    for path in image_files(folder):
        relative = path.relative_to(folder).with_suffix("")
        numbers = [found[1] for part in relative.parts[:-1] if (found := FRAME.fullmatch(part))]
        kept = [part for part in relative.parts[:-1] if not FRAME.fullmatch(part)]
        field, number = "/".join([*kept, relative.name]), int(numbers[-1]) if numbers else 0
        frames = fields.setdefault(field, {})
        if number in frames:
            raise ValueError(f"{path} and {frames[number].name}: two scans of one field")
        frames[number] = path
    return fields


def _first_frames(fields: FrameFiles) -> dict[str, Path]:
    return {field: frames[min(frames)] for field, frames in fields.items()}


def check_speed(speed: str, folder: Path) -> None:
    """Raise ValueError where a folder cannot be called so as a scan speed."""
    if not NAME.fullmatch(speed) or len(speed) > LONGEST_SPEED:
        raise ValueError(
            f"{printable(str(folder))}: a scan speed cannot be called {printable(speed)!r}; "
            f"allowed are letters, digits, space and _ - . :, {LONGEST_SPEED} of them at most "
            f"(scores are kept by this name)"
        )


def choose_target(files: Files, target: str | None) -> str:
    """``target`` if there is such a speed; for None the slowest, where names or files tell."""
    if target is None:
        return _slowest(files)
    if target not in files:
        raise ValueError(f"target {target!r} is not one of the scan speeds {', '.join(files)}")
    return target


def _slowest(files: Files) -> str:
    names = list(files)
    order, said = names if known_order(names) else order_by_exposure(files), ", ".join(names)
    if order is None:
        raise ValueError(
            f"which of the scan speeds {said} is the clean one is told neither by their names "
            f"(such as 100ns and 30us, or spd3 and spd8) nor by the exposure in the "
            f"files: give it, target=NAME"
        )
    if any(equal_speeds(order[-1], other) for other in order[:-1]):
        raise ValueError(
            f"which of the scan speeds {said} is the clean one cannot be told, as two are "
            f"equally slow: give it, target=NAME"
        )
    return order[-1]


def slower_than(target: str, names: Sequence[str]) -> list[str]:
    """Return which speeds are slower than the target, as their names say; none without an order."""
    if not known_order([target, *names]):
        return []
    order = by_speed([*dict.fromkeys([target, *names])])
    return [name for name in order[order.index(target) + 1 :] if not equal_speeds(name, target)]


def faster_than_target(files: Files, target: str) -> tuple[Files, tuple[Exclusion, ...]]:
    """Return the files without speeds slower than the target, by their names; and what is left out.

    A slow scan cannot be scored against a faster one, which has more noise. Raises ValueError where
    all others are slower.
    """
    names = list(files)
    slower = slower_than(target, names)
    if len(slower) == len(names) - 1:
        raise ValueError(
            f"target {target!r} is faster than all other scans ({', '.join(slower)}), by its name: "
            f"the clean scans are the slow ones, target={slower[-1]}; if {target} is a mean of "
            f"many scans, put it into a folder of another name, such as mean"
        )
    reason = f"slower than the target {target}, by its name"
    left_out = tuple(Exclusion(field, name, reason) for name in slower for field in files[name])
    return {name: scans for name, scans in files.items() if name not in slower}, left_out


def match_fields(files: Files, target: str) -> tuple[Files, tuple[Exclusion, ...]]:
    """The fields that have a clean and a noisy scan; and the scans that have no counterpart."""
    fields = sorted({field for scans in files.values() for field in scans})
    common = [
        field
        for field in fields
        if field in files[target] and sum(field in scans for scans in files.values()) > 1
    ]
    if not common:
        others = [speed for speed in files if speed != target]
        named = ", ".join(others)
        raise ValueError(f"no file in {named} is called like one in the target {target!r}")
    noisy = " or ".join(speed for speed in files if speed != target)
    alone = tuple(
        Exclusion(field, speed, f"no scan at {noisy if speed == target else target}")
        for field in fields
        if field not in common
        for speed, scans in files.items()
        if field in scans
    )
    matched = {
        speed: {field: scans[field] for field in common if field in scans}
        for speed, scans in files.items()
    }
    return matched, alone
