"""Noisy scans of fields, of each all frames that there are: what needs no clean scan.

A folder holds one sub-folder per scan speed, or scans of one speed: named by the exposure that its
files say, or "scan". Frames of a field are scans of it at one speed: files of one name in folders
frame1, frame2 and so on, within that of the speed or in its place; or the pages of a TIFF.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.images.folder_bars import folder_bars
from lfranker.images.image_file import Micrograph, read_pages
from lfranker.images.white_level import white_levels
from lfranker.microscopes.reading import read_metadata
from lfranker.microscopes.scan_speed import exposure_name
from lfranker.registration.register import register, warp
from lfranker.scans.folder_layout import (
    FrameFiles,
    check_speed,
    frames_by_folder,
    frames_in,
    scan_plan,
    slower_than,
)

UNNAMED = "scan"  # the speed where neither folder nor file says one

Mask = NDArray[np.bool_]
FramePair = tuple[Image, Image, Mask]  # a frame; another one on its grid, and where that covers it


@dataclass(frozen=True, eq=False)
class Frames:
    """All frames of one field at one speed, in their order."""

    field: str
    speed: str
    scans: tuple[Image, ...]  # as they were taken
    files: tuple[Path, ...]  # of each frame
    white: int | None = None  # gray value of full brightness of files of 16 bits
    notices: tuple[str, ...] = ()  # what was converted in reading them

    @cached_property
    def on_first(self) -> tuple[FramePair, ...]:
        """The first frame with each other that shows the same field, registered onto it.

        Empty where there is one frame, or where no other can be put onto it.
        """
        return tuple(pair for scan in self.scans[1:] if (pair := _pair(self.scans[0], scan)))

    @property
    def images(self) -> tuple[Image, ...]:
        """The first frame as it was taken, and the others on its grid: see `mask`."""
        return (self.scans[0], *(other for _, other, _ in self.on_first))

    @property
    def unmatched(self) -> int:
        """How many frames cannot be put onto the first."""
        return len(self.scans) - len(self.images)

    @property
    def mask(self) -> Mask:
        """Where all of `images` show the specimen."""
        everywhere = np.ones(self.scans[0].shape, np.bool_)
        return np.logical_and.reduce([everywhere, *(covered for _, _, covered in self.on_first)])

    def pairs(self) -> list[FramePair]:
        """Each other frame with the first, in either direction.

        The frame that comes first in a pair is as it was taken, with the noise of a scan.
        """
        back = [_pair(scan, self.scans[0]) for scan in self.scans[1:]]
        return [*self.on_first, *(pair for pair in back if pair)]


def _pair(frame: Image, other: Image) -> FramePair | None:
    try:
        transform = register(frame, other)
    except ValueError:  # `unmatched` counts them
        return None
    return (frame, *warp(other, transform, frame.shape))


def noisy_frames(
    folder: Path, target: str | None = None, white: int | None = None
) -> tuple[Frames, ...]:
    """Read all noisy scans of ``folder``, by speed, fast to slow, and by field.

    ``target`` is the speed of the clean scans, which are left out; None: there are none. ``white``
    is the gray value of full brightness in scans of 16 bits; None: see `white_levels`. Raises
    ValueError where no noisy scan is there, and on files that cannot be read.
    """
    found = frame_files(folder)
    if target is not None and target not in found:
        raise ValueError(f"target {target!r} is not one of the scan speeds {', '.join(found)}")
    every = [path for fields in found.values() for files in fields.values() for path in files]
    levels = white_levels(every, white, alike=True)
    bars = folder_bars({path: levels.of(path) for path in every})

    def read(path: Path) -> list[Micrograph]:
        return read_pages(path, levels.of(path), bars.get(path))

    left_out = {target, *slower_than(target, list(found))} if target is not None else set()
    made = tuple(
        replace(_frames(field, speed, files, read), white=levels.of(files[0]))
        for speed, fields in found.items()
        if speed not in left_out
        for field, files in sorted(fields.items())
    )
    if not made:
        raise ValueError(f"{folder}: no noisy scans, only those of the target {target!r} or slower")
    return made


def frame_files(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Return the files of each field's frames, in their order, by speed, fast to slow, and field.

    Raises ValueError where there are none, or where they are no scans of known speeds.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder of scans")
    if speeds := frames_by_folder(folder):
        order = _order(folder, list(speeds))
        return {speed: _in_order(speeds[speed]) for speed in order}
    fields = frames_in(folder)
    files = [path for frames in fields.values() for path in frames.values()]
    if not files:
        raise ValueError(f"{folder}: no images of noisy scans")
    names = dict.fromkeys(exposure_name(read_metadata(path)) or UNNAMED for path in files)
    if len(names) == 1:
        (speed,) = names
        check_speed(speed, folder)
        return {speed: _in_order(fields)}
    plan = scan_plan(folder).files  # a flat folder of several speeds
    return {speed: {field: [path] for field, path in own.items()} for speed, own in plan.items()}


def _order(folder: Path, speeds: list[str]) -> list[str]:
    return list(scan_plan(folder).files) if len(speeds) > 1 else speeds


def _in_order(fields: FrameFiles) -> dict[str, list[Path]]:
    return {field: [frames[n] for n in sorted(frames)] for field, frames in fields.items()}


def _frames(
    field: str, speed: str, files: Sequence[Path], read: Callable[[Path], list[Micrograph]]
) -> Frames:
    pages = [(path, page) for path in files for page in read(path)]
    return Frames(
        field,
        speed,
        tuple(page.image for _, page in pages),
        tuple(path for path, _ in pages),
        notices=tuple(notice for _, page in pages for notice in page.notices),
    )
