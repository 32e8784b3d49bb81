"""Groups of fields: by the site on the specimen, and by the sample.

Fields of one site overlap or lie near each other, so that what is chosen on one of them is no news
on the other. What says which fields are of one site, in this order: the user's `sites.csv`, the
stage, what the images show, sub-folders. Where nothing does, each field is assumed to be a site of
its own, which `Site.source` says.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import dist
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet
from tqdm import tqdm

from lfranker.arrays import Floats
from lfranker.microscopes.reading import ScanMetadata, read_metadata
from lfranker.scans.overlap import detail_of, overlap

SAME_PIXELS = 1.1  # ratio of pixel sizes up to which fields are of one magnification
LEAST_FOLDERS = 4  # that are taken for sites; an interval over fewer says next to nothing
NOWHERE = (0.0, 0.0)  # m: what microscopes write whose stage has no motor, or was not read


class SiteSource(StrEnum):
    """Source of what is known of a field's site."""

    GIVEN = "sites.csv"
    STAGE = "stage position"
    IMAGES = "image overlap"  # with another field of the site
    FOLDER = "sub-folder"
    SIMULATED = "simulated"  # made as a field of its own
    ASSUMED = "assumed"  # nothing tells it: a site of its own


@dataclass(frozen=True)
class Site:
    """Site of a field: the name of its first field, or the user's, and what it was told by."""

    name: str
    source: SiteSource


Sites = dict[str, Site]  # by field


def stated_sites(metadata: Mapping[str, ScanMetadata], given: Mapping[str, str] | None) -> Sites:
    """Return the site of each field as far as it is written: by the user, stage or sub-folder.

    ``given``: the user's site of every field; None: there is no such table. Fields overlap where
    the stage was less than a field's width apart; several may be of one site via others.
    """
    if given is not None:
        return {field: Site(given[field], SiteSource.GIVEN) for field in metadata}
    known = positions(metadata)
    folders = _site_folders([field for field in metadata if field not in known])
    sources = dict.fromkeys(metadata, SiteSource.ASSUMED)
    sources |= dict.fromkeys(folders, SiteSource.FOLDER) | dict.fromkeys(known, SiteSource.STAGE)
    joined = DisjointSet(metadata)
    for field, other in itertools.combinations(known, 2):
        width = max(metadata[field].field_width or 0, metadata[other].field_width or 0)
        if dist(known[field], known[other]) < width:
            joined.merge(field, other)
    first: dict[str, str] = {}
    for field, folder in folders.items():
        joined.merge(field, first.setdefault(folder, field))
    return _named(joined, sources)


def positions(metadata: Mapping[str, ScanMetadata]) -> dict[str, tuple[float, float]]:
    """Return the stage position, m, of each field of which it and the field's width are known.

    A position that all fields share is the microscope's default, not a place, and so is 0, 0 where
    several have it.
    """
    known = {
        field: item.stage for field, item in metadata.items() if item.stage and item.field_width
    }
    times = Counter(known.values())
    defaults = {at for at, n in times.items() if n > 1 and (n == len(known) or at == NOWHERE)}
    return {field: at for field, at in known.items() if at not in defaults}


def join_overlapping(sites: Sites, thumbnails: Mapping[str, Floats]) -> Sites:
    """Return the sites with those joined of which images overlap.

    Fields are not compared where the user gave their sites, or the stage was apart.
    """
    told = {SiteSource.GIVEN, SiteSource.STAGE}
    if all(site.source in told for site in sites.values()):
        return sites
    details = {field: detail_of(thumbnails[field]) for field in sites}
    joined = DisjointSet(sites)
    first: dict[str, str] = {}
    for field, site in sites.items():
        joined.merge(field, first.setdefault(site.name, field))
    sources = {field: site.source for field, site in sites.items()}
    pairs = list(itertools.combinations(sites, 2))
    for field, other in tqdm(pairs, "comparing fields", leave=False, disable=None):
        pair = {sites[field].source, sites[other].source}
        if pair <= told or joined.connected(field, other):
            continue
        if overlap(details[field], details[other]):
            joined.merge(field, other)
            for name in (field, other):
                if sources[name] == SiteSource.ASSUMED:
                    sources[name] = SiteSource.IMAGES
    return _named(joined, sources)


def assume_apart(sites: Sites) -> Sites:
    """Return the sites of simulated fields, which are made apart from each other."""
    return {
        field: replace(site, source=SiteSource.SIMULATED)
        if site.source == SiteSource.ASSUMED
        else site
        for field, site in sites.items()
    }


def _site_folders(fields: Sequence[str]) -> dict[str, str]:
    """Return the sub-folder of each field that lies in one; none where they are too few."""
    folders = {field: Path(field).parent.as_posix() for field in fields}
    inside = {field: folder for field, folder in folders.items() if folder != "."}
    return inside if len(set(inside.values())) >= LEAST_FOLDERS else {}


def _named(joined: DisjointSet, sources: Mapping[str, SiteSource]) -> Sites:
    """Name each site after its first field."""
    order = {field: number for number, field in enumerate(sources)}
    return {
        field: Site(min(joined.subset(field), key=order.__getitem__), source)
        for field, source in sources.items()
    }


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
