"""Groups of fields: by the place on the specimen, and by the sample.

Fields of one place overlap, so that what is chosen on one of them is no news on the other.
"""

import itertools
from collections.abc import Mapping
from math import dist
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from lfranker.microscopes.reading import ScanMetadata, read_metadata

SAME_PIXELS = 1.1  # ratio of pixel sizes up to which fields are of one magnification


def places(metadata: Mapping[str, ScanMetadata]) -> dict[str, str]:
    """Each field's place: the name of the first field with which it overlaps, at times via others.

    Fields overlap where the stage was less than a field's width apart. One without a stage
    position is a place of its own.
    """
    joined = DisjointSet(metadata)
    known = [(name, said) for name, said in metadata.items() if said.stage and said.field_width]
    for number, (name, said) in enumerate(known):
        for other, theirs in known[:number]:
            width = max(said.field_width or 0, theirs.field_width or 0)
            if dist(said.stage or (), theirs.stage or ()) < width:
                joined.merge(name, other)
    first = {name: min(joined.subset(name), key=list(metadata).index) for name in metadata}
    return {name: str(place) for name, place in first.items()}


def samples(metadata: Mapping[str, ScanMetadata]) -> dict[str, str]:
    """Each field's sample group: its sub-folder; without any, its pixel size where these differ.

    "" for all where neither tells them apart.
    """
    folders = {name: Path(name).parent.as_posix() for name in metadata}
    if len(set(folders.values())) > 1:
        return {name: "other" if folder == "." else folder for name, folder in folders.items()}
    sizes = sorted({said.pixel_size for said in metadata.values() if said.pixel_size})
    steps = [size for last, size in itertools.pairwise(sizes) if size > last * SAME_PIXELS]
    if not steps or any(not said.pixel_size for said in metadata.values()):
        return dict.fromkeys(metadata, "")
    starts = [sizes[0], *steps]
    return {
        name: f"{max(s for s in starts if s <= (said.pixel_size or 0)) * 1e9:.3g} nm pixels"
        for name, said in metadata.items()
    }


def halves(count: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of ``count`` sites drawn into two halves; the second has an odd one."""
    drawn = rng.permutation(count)
    return drawn[: count // 2], drawn[count // 2 :]


def read_all(files: Mapping[str, Path]) -> dict[str, ScanMetadata]:
    """Read the metadata of every field's file."""
    return {field: read_metadata(path) for field, path in files.items()}
