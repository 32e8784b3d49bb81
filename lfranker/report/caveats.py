"""Caveats of a ranking, judged by the settings that it was made with."""

from collections.abc import Iterator, Mapping

import pandas as pd

from lfranker.losses import PERCEPTUAL_RANDOM
from lfranker.scans.sites import SiteSource
from lfranker.training.presets import PRESETS

LEAST = PRESETS["small"].train  # the least effort that is meant as an answer
ENOUGH = 0.5  # of its patches


def caveats(settings: Mapping[str, str], loss_set: str) -> Iterator[str]:
    """Sentences to show wherever the ranking is.

    `settings`: parameters of the power set as they were used, in words; what is not among them is
    not judged. `loss_set`: the names of its losses.
    """
    if reasons := shortcomings(settings):
        yield (
            f"This ranking demonstrates the machinery: its networks {' and '.join(reasons)}, too "
            f"little to say which loss is best. Use `-P preset=small` or `paper` for that."
        )
    if PERCEPTUAL_RANDOM in loss_set:
        yield (
            "The perceptual loss has a network with random weights, which is not the perceptual "
            "loss of the literature: `-P perceptual=imagenet` or a file of weights is."
        )


def shortcomings(settings: Mapping[str, str]) -> list[str]:
    """Say of networks why they tell too little of losses; none of those that were trained enough.

    `settings`: as of `caveats`.
    """
    seen = int(settings.get("steps", LEAST.steps)) * int(settings.get("batch", LEAST.batch))
    wanted = round(ENOUGH * LEAST.steps * LEAST.batch)
    narrow = int(settings.get("dim", LEAST.dim)) < LEAST.dim
    return [
        *([f"saw {seen:,} patches each, fewer than {wanted:,}"] if seen < wanted else []),
        *([f"are {settings['dim']} channels wide, fewer than {LEAST.dim}"] if narrow else []),
    ]


def site_caveats(scans: pd.DataFrame) -> Iterator[str]:
    """Sentences on sites that are not known but assumed: the fewer sites, the wider the intervals.

    `scans`: `ScanSet.table()`, also as it is kept with a run; older ones, which do not tell what
    they know of sites, are not judged.
    """
    if "site_source" not in scans:
        return
    fields = scans.drop_duplicates("field")
    source = fields["site_source"]
    unknown = source.isin([SiteSource.ASSUMED, SiteSource.IMAGES, SiteSource.FOLDER])
    without = f"of {unknown.sum()} of the {len(fields)} fields" * bool((~unknown).any())
    start = f"No stage positions {without}".rstrip()
    alone = int((source == SiteSource.ASSUMED).sum())
    if alone > 1:
        apart = " whose images overlap with no other" * bool((source == SiteSource.IMAGES).any())
        yield (
            f"{start}: each of the {alone} fields{apart} is counted as a site of its own. Where "
            f"several lie together on the specimen, the intervals are too narrow: name their sites "
            f"in `sites.csv` (docs/data.md)."
        )
    if (in_folders := source == SiteSource.FOLDER).any():
        yield (
            f"{start}: the fields of one sub-folder are counted as one site, "
            f"{fields.loc[in_folders, 'place'].nunique()} in all. Where a sub-folder holds several "
            f"sites, the intervals are too wide: name them in `sites.csv` (docs/data.md)."
        )
