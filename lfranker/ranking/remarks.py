"""Remarks for a reader of a ranking beside its numbers, as sentences of bounded length."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from lfranker.ranking.entrant import Entrant, loss_of
from lfranker.text import listed


def notes(
    board: pd.DataFrame,
    usable: pd.DataFrame,
    rivals: list[str],
    missing: Sequence[str],
    order: Sequence[str],
) -> Iterator[str]:
    """Sentences about a leaderboard, the gravest first.

    `board` is a `Ranking.leaderboard`; `usable` holds the criteria of its rows, higher being
    better, nan where a row may not win; `rivals` are the champion and those of its mean rank.
    """
    entrants = board[~board["baseline"]]
    if not rivals:
        yield "no champion: no entrant has a finite score in every criterion that decides it"
    if missing:
        yield f"missing ({len(missing):,}): {listed(missing)}"
    for outcome, rows in entrants[entrants["outcome"].ne("ok")].groupby("outcome"):
        yield f"{outcome} ({len(rows):,}), cannot win: {listed(rows.index)}"
    yield from _gaps(usable.loc[entrants.index[entrants["outcome"].eq("ok")]])
    for metric in ("psnr", "ssim"):
        worse = entrants.index[entrants["worse_than_noisy"].str.contains(metric)]
        if len(worse):
            yield f"worse than the noisy input in {metric} ({len(worse):,}): {listed(worse)}"
    yield from _mixed_weights(entrants.index, order)
    if rivals:
        yield from _doubts(usable.loc[board.index[board["baseline"]]], usable.loc[rivals])


def _gaps(usable: pd.DataFrame) -> Iterator[str]:
    gaps = usable.isna()
    partial = [
        f"{name} ({listed(usable.columns[gap], 40)})" for name, gap in gaps.iterrows() if gap.any()
    ]
    if partial:
        yield f"without a finite score ({len(partial):,}): {listed(partial)}"


def _mixed_weights(names: Iterable[str], order: Sequence[str]) -> Iterator[str]:
    parts = {part for name in names for part in Entrant.parse(name).losses}
    for loss in order:
        variants = sorted(part for part in parts if loss_of(part, order) == loss)
        if len(variants) > 1:
            yield f"ranked together though their weights differ: {listed(variants)}"


def _doubts(baselines: pd.DataFrame, rivals: pd.DataFrame) -> Iterator[str]:
    """Name who ties with the champion, and which baselines are better."""
    champion = rivals.index[0]
    if len(rivals) > 1:
        yield f"{champion} is the champion by its losses alone; tied: {listed(rivals.index[1:])}"
    for metric in ("psnr", "ssim"):
        if metric in rivals:
            values = baselines[metric].sort_values(ascending=False)
            better = values.index[values > rivals[metric].iloc[0]]
            if len(better):
                yield f"better than {champion} in {metric}: baseline {listed(better)}"
