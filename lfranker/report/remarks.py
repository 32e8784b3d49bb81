"""Remarks on a leaderboard, the gravest first, and caveats by the settings it was made with."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from lfranker.evaluation.criteria import NOISY, QUALITY, is_filter
from lfranker.evaluation.reference_free import REFERENCE_FREE
from lfranker.losses import PERCEPTUAL_RANDOM
from lfranker.ranking.entrants import Entrant, counted, loss_of
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.numbers import is_are
from lfranker.report.tables import in_words
from lfranker.scans.sites import SiteSource
from lfranker.text import listed
from lfranker.training.presets import PRESETS

OUTCOMES = {  # of one entrant and of several
    "failed": ("was not trained to the end", "were not trained to the end"),
    "incomplete": ("lacks a repeat", "lack repeats"),
    "stopped": (
        "was stopped early by the staged search",
        "were stopped early by the staged search",
    ),
    "diverged": ("diverged", "diverged"),
    "collapsed": ("collapsed to a nearly constant output", "collapsed to a nearly constant output"),
}


def remarks(ranking: Ranking) -> list[str]:
    """Return what is to be minded of a leaderboard beside its numbers."""
    return [*_absent(ranking), *_odd(ranking)]


def better_filters(ranking: Ranking) -> list[str]:
    """Name the baselines that are better than the champion, by their mean scores alone."""
    return list(_better_filters(ranking))


def _better_filters(ranking: Ranking) -> Iterator[str]:
    for metric, names in ranking.better_baselines.items():
        title = in_words(metric)
        others = [name for name in names if name != NOISY]
        if NOISY in names:
            yield (
                f"The champion, {ranking.champion}, has a lower {title} than the noisy input: in "
                f"{title} it is better not to denoise at all."
            )
        elif others:
            yield (
                f"No training is needed for the best {title}: {_named(others)} above the "
                f"champion, {ranking.champion}."
            )


def _named(baselines: Sequence[str]) -> str:
    if len(baselines) > 1:
        return f"{len(baselines)} baselines ({listed(baselines)}) are"
    kind = "filter" if is_filter(baselines[0]) else "network"
    return f"the {kind} {baselines[0]} is"


def _absent(ranking: Ranking) -> Iterator[str]:
    board = ranking.leaderboard
    entrants = board[~board["baseline"]]
    total = f"{len(entrants) + len(ranking.missing):,} {counted(entrants.index, 'subsets')}"
    if gone := len(ranking.missing):
        yield f"{gone:,} of {total} {is_are(gone)} not trained yet: {listed(ranking.missing)}."
    for outcome, rows in entrants[entrants["outcome"].ne("ok")].groupby("outcome"):
        one, several = OUTCOMES.get(str(outcome), (str(outcome), str(outcome)))
        words = one if len(rows) == 1 else several
        yield f"{len(rows):,} of {total} {words} and cannot win: {listed(rows.index)}."
    if ranking.gaps:
        gaps = [f"{name} ({listed(columns, 40)})" for name, columns in ranking.gaps.items()]
        have = "has" if len(gaps) == 1 else "have"
        yield f"{len(gaps):,} of {total} {have} no finite score in some criteria: {listed(gaps)}."
    worse_in = entrants["worse_than_noisy"].str.split(", ")
    for metric in QUALITY:
        worse = entrants.index[[metric in marked for marked in worse_in]]
        if len(worse):
            yield (
                f"{len(worse):,} of {total} {is_are(len(worse))} worse than the noisy input in "
                f"{in_words(metric)}: {listed(worse)}."
            )


def _odd(ranking: Ranking) -> Iterator[str]:
    board = ranking.leaderboard
    yield from _mixed_weights(board.index[~board["baseline"]], ranking.order)


def _mixed_weights(names: Iterable[str], order: Sequence[str]) -> Iterator[str]:
    parts = {part for name in names for part in Entrant.parse(name).losses}
    for loss in order:
        variants = sorted(part for part in parts if loss_of(part, order) == loss)
        if len(variants) > 1:
            yield f"Subsets are ranked together although weights differ: {listed(variants)}."


# Kendall's tau of the mean rank without clean scans; docs/results.md says how it was measured
AGREED = {"psnr": ".52", "psnr_fitted": ".70", "ssim": ".84"}


def is_estimated(ranking: Ranking) -> bool:
    """Return whether the scores are estimates, for want of clean scans to compare with."""
    return any(criterion.metric in REFERENCE_FREE for criterion in ranking.judged)


def reference_caveats(ranking: Ranking) -> Iterator[str]:
    """Say that there was no clean scan, and how far such rankings agreed with others."""
    if is_estimated(ranking):
        yield (
            f"These losses were ranked without clean scans, by estimates of how much of the noise "
            f"is removed and of the structure kept. Where there were slow scans to compare with "
            f"(twelve fields of one microscope, short trainings), the order by the mean rank that "
            f"decides agreed with that by SSIM with a Kendall's tau of {AGREED['ssim']}, and with "
            f"that by PSNR with one of {AGREED['psnr']}, after a fit of the brightness "
            f"{AGREED['psnr_fitted']}."
        )


def seen_caveats(
    noisy: Sequence[str], trained_on: Collection[str], *, estimated: bool, noise: str = ""
) -> Iterator[str]:
    """Say where noisy scans that are scored were trained on, too; both are known by their digests.

    No clean scan was seen: what such a score tells is how well these very scans are denoised.
    ``estimated``: scores are estimates, of networks that have not seen the noise of the scans.
    ``noise``: what was trained on, where noises are compared.
    """
    if seen := sum(digest in trained_on for digest in noisy):
        estimates = ", and the estimated scores of these may be too high" * estimated
        yield (
            f"{seen} of the {len(noisy)} noisy scans that are scored {is_are(seen)} among those "
            f"trained on{' with ' * bool(noise)}{noise}, without their clean ones: other scans may "
            f"be denoised less well{estimates}."
        )


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
    if steps := settings.get("network_steps"):
        each = [" ".join(item.split("=")) + " steps" for item in steps.split(",")]
        yield (
            f"Networks are compared at equal seconds of training: {listed(each)}, as the machine "
            f"measured them where the trainings were planned. Seconds of denoising are not equal."
        )
    if settings.get("initial_weights", "none") != "none":
        yield (
            "The networks started from given weights. On images unlike those that they were "
            "trained on now, they may be worse than these weights: all scores are of these scans."
        )
    if PERCEPTUAL_RANDOM in loss_set:
        yield (
            "The perceptual loss has a network with random weights, which is not the perceptual "
            "loss of the literature: `-P perceptual=imagenet` or a file of weights is."
        )


def shortcomings(settings: Mapping[str, str]) -> list[str]:
    """Say of networks why they tell too little of losses; none of those that were trained enough.

    `settings`: as of `caveats`. Where networks are compared, it is the least that counts.
    """
    steps = _steps_of_each(settings) or [int(settings.get("steps", LEAST.steps))]
    seen = min(steps) * int(settings.get("batch", LEAST.batch))
    wanted = round(ENOUGH * LEAST.steps * LEAST.batch)
    anew = settings.get("initial_weights", "none") == "none"  # else most was learnt before
    few, each = ("as few as ", "") if len(set(steps)) > 1 else ("", " each")
    channels = min((int(settings[s]) for s in ("dim", "width") if s in settings), default=LEAST.dim)
    return [
        *([f"saw {few}{seen:,} patches{each}, fewer than {wanted:,}"] * (anew and seen < wanted)),
        *([f"are {channels} channels wide, fewer than {LEAST.dim}"] * (channels < LEAST.dim)),
    ]


def _steps_of_each(settings: Mapping[str, str]) -> list[int]:
    """Return the steps of each network that is compared; [] where there is one alone."""
    told = settings.get("network_steps", "")
    return [int(item.partition("=")[2]) for item in told.split(",") if item]


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
