"""Remarks on a leaderboard, as sentences of bounded length, the gravest first."""

from collections.abc import Iterable, Iterator, Sequence

from lfranker.evaluation.criteria import NOISY
from lfranker.ranking.entrant import Entrant, counted, loss_of
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.numbers import is_are
from lfranker.report.tables import in_words
from lfranker.text import listed

OUTCOMES = {  # of one entrant and of several
    "failed": ("was not trained to the end", "were not trained to the end"),
    "incomplete": ("lacks a repeat", "lack repeats"),
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
        filters = [name for name in names if name != NOISY]
        if NOISY in names:
            yield (
                f"The champion, {ranking.champion}, has a lower {title} than the noisy input: in "
                f"{title} it is better not to denoise at all."
            )
        elif filters:
            yield (
                f"No network is needed for the best {title}: {_filter(filters)} above the "
                f"champion, {ranking.champion}."
            )


def _filter(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"the filter {names[0]} is"
    return f"{len(names)} filters ({listed(names)}) are"


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
    for metric in ("psnr", "ssim"):
        worse = entrants.index[entrants["worse_than_noisy"].str.contains(metric)]
        if len(worse):
            yield (
                f"{len(worse):,} of {total} {is_are(len(worse))} worse than the noisy input in "
                f"{in_words(metric)}: {listed(worse)}."
            )


def _odd(ranking: Ranking) -> Iterator[str]:
    board = ranking.leaderboard
    yield from _mixed_weights(board.index[~board["baseline"]], ranking.order)
    if ranking.tied:
        yield (
            f"{ranking.champion} shares the lowest mean rank with {listed(ranking.tied)}; it is "
            f"the champion because it has fewer losses, or losses that come first in their order."
        )


def _mixed_weights(names: Iterable[str], order: Sequence[str]) -> Iterator[str]:
    parts = {part for name in names for part in Entrant.parse(name).losses}
    for loss in order:
        variants = sorted(part for part in parts if loss_of(part, order) == loss)
        if len(variants) > 1:
            yield f"Subsets are ranked together although weights differ: {listed(variants)}."
