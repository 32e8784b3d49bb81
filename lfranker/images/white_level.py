"""Gray value of full brightness of 16-bit files, of which a detector often uses 12 bits.

What a file says of itself counts (`stated_bits`), and an option counts more. Where neither says
anything, all files that are read together do: a value above 4095 in one of them shows that more
than 12 bits are used in all.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfranker.images.decoding import decode_pages, is_wide
from lfranker.images.stated_bits import Levels
from lfranker.text import printable

FULL = 65535
USUAL = 4095  # of 12 bits, the most frequent in microscopes
WORTH_SAYING = 2**14  # a file of which no value reaches this uses less than a quarter of its range
SHOWN = 3  # names of files in a notice


@dataclass(frozen=True)
class WhiteLevels:
    """Gray value of full brightness by file, for files of 16 bits only; and what to tell of it."""

    by_file: Mapping[Path, int]
    notices: tuple[str, ...] = ()

    def of(self, path: Path) -> int | None:
        """Return that of a file, None for one of 8 bits."""
        return self.by_file.get(path)


def white_levels(
    files: Sequence[Path], white: int | None = None, *, alike: bool = False
) -> WhiteLevels:
    """Return the white levels of files that are read together.

    ``white`` is what the user gives for all of them. ``alike``: all of 16 bits get the same one,
    as noisy and clean scans of a field must. A file that cannot be read is passed by: reading it
    says why.
    """
    wide = {path: found for path in files if (found := _wide(path)) is not None}
    if white is not None or not wide:
        return WhiteLevels(dict.fromkeys(wide, white or FULL))
    silent = {path: file for path, file in wide.items() if not file.stated}
    common, notices = _of_silent(silent)
    levels = {path: file.full if file.stated else common for path, file in wide.items()}
    if alike and len(values := sorted(set(levels.values()))) > 1:
        said = " and ".join(map(str, values))
        notices.append(
            f"scans have full brightness at {said} by what the files say or show; all are divided "
            f"by {values[-1]}: give the white level if that is wrong (white=...)"
        )
        levels = dict.fromkeys(levels, values[-1])
    return WhiteLevels(levels, tuple(notices))


def _wide(path: Path) -> Levels | None:
    """Read the levels of a file of 16 bits; None for others."""
    try:
        if not is_wide(path):
            return None
        pages = decode_pages(path)
    except ValueError:
        return None
    wide = [page.levels for page in pages if page.samples.dtype == np.uint16]
    return max(wide, key=lambda levels: levels.brightest, default=None)


def _of_silent(files: Mapping[Path, Levels]) -> tuple[int, list[str]]:
    """Return full brightness of files that do not say it, by the brightest of all; and notices."""
    top = max((file.brightest for file in files.values()), default=FULL)
    count = (
        f"{len(files)} files" if len(files) > 1 else next((printable(p.name) for p in files), "")
    )
    if top in (2**10 - 1, 2**14 - 1):  # clipped there
        return top, [
            f"{count} of 16 bits: the largest value is {top}, so they are read as "
            f"{top.bit_length()} bits; if that is wrong, give white=65535"
        ]
    if top <= USUAL:
        ten = "; if they hold 10 bits, white=1023" if top < 2**10 else ""
        return USUAL, [
            f"{count} of 16 bits: the largest value is {top}, so they are read as 12 bits, with "
            f"full brightness at {USUAL}; if that is wrong, give white=65535{ten}"
        ]
    low = [path for path, file in files.items() if file.brightest < WORTH_SAYING]
    return FULL, [_low_range(low, files, top)] if low else []


def _low_range(low: Sequence[Path], files: Mapping[Path, Levels], top: int) -> str:
    most = max(files[path].brightest for path in low)
    names = _names(files)
    named = ", ".join(names[path] for path in low[:SHOWN]) + f" and {len(low) - SHOWN} more" * (
        len(low) > SHOWN
    )
    bits = 12 if most <= USUAL else 14
    others = "" if top == most else ", though others of these files use more"
    uses = "uses" if len(low) == 1 else "use"
    return (
        f"{named} {uses} {(most + 1) / (FULL + 1):.0%} of the range of 16 bits (no value above "
        f"{most}){others}: if {bits} bits are meant, give white={2**bits - 1}, and keep files of "
        "another depth in another folder"
    )


def _names(files: Collection[Path]) -> dict[Path, str]:
    """Return the files' names; with their folders where files of several are called alike."""
    if len({path.name for path in files}) == len(files):
        return {path: printable(path.name) for path in files}
    common = os.path.commonpath([path.absolute().parent for path in files])
    return {path: printable(os.path.relpath(path, common)) for path in files}
