"""Data bars of the files of a folder: one instrument draws them alike, and the majority decides.

A bar that is hard to see in one picture (JPEG, a specimen as black as the bar) is found by that of
the others. A bar that only few files have stays cropped in those: SmartSEM can leave it out.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.images.data_bar import Bars, bars_of, has_background
from lfranker.images.image_file import read_gray
from lfranker.microscopes.reading import read_metadata

FEWEST = 3  # files of which there is a majority
Kind = tuple[str | None, tuple[int, ...]]  # vendor and size


@dataclass(frozen=True)
class _Found:
    bars: Bars
    kind: Kind


def folder_bars(white: Mapping[Path, int | None]) -> Mapping[Path, Bars]:
    """Return the bars of files, for `read_image`, where their metadata state none.

    ``white``: the files with their gray values of full brightness; None: what the file says.

    Files of one vendor and size have the bars of most of them, each of the others with a notice,
    unless its picture is plainly specimen there. Files that cannot be read are left out: reading
    them again tells why.
    """
    found: dict[Path, _Found] = {}
    for path, level in white.items():
        try:
            metadata = read_metadata(path)
            if metadata.data_bar is None:
                gray, colour, _ = read_gray(path, level)
                kind = metadata.vendor, gray.shape
                found[path] = _Found(bars_of(gray, colour, None), kind)
        except (ValueError, OSError, MemoryError):
            continue
    files: dict[Kind, list[Path]] = defaultdict(list)
    for path, item in found.items():
        files[item.kind].append(path)
    bars = {path: item.bars for path, item in found.items()}
    for members in files.values():
        bars |= _agreed({path: bars[path] for path in members}, white)
    return bars


def _agreed(bars: Mapping[Path, Bars], white: Mapping[Path, int | None]) -> dict[Path, Bars]:
    """Return the bars of files of one kind after the majority has decided."""
    most, count = Counter(bars.values()).most_common(1)[0]
    others = [path for path, own in bars.items() if own != most]
    if len(bars) < FEWEST or 2 * count <= len(bars):
        return dict(bars)
    said = f"of {count} of {len(bars)} files of its kind"
    agreed = dict(bars)
    for path in others:
        own = bars[path]
        if most == Bars() or not _can_have(read_gray(path, white[path])[0], most):
            notice = f"data bar unlike that {said}, taken as this file shows it"
        else:
            own, notice = most, f"data bar not found as in others, taken from that {said}"
        agreed[path] = Bars(own.top, own.bottom, notice)
    return agreed


def _can_have(gray: Image, bars: Bars) -> bool:
    """Return whether the picture has a background where the bars would be."""
    parts: list[NDArray[np.float32]] = [gray[: bars.top], gray[gray.shape[0] - bars.bottom :]]
    return all(has_background(part) for part in parts if len(part))
