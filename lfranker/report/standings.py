"""The table that comes first on the page of a ranking, and how many rows its tables have."""

from collections.abc import Mapping

import pandas as pd

from lfranker.ranking.entrant import counted
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.html_page import Grid
from lfranker.report.tables import formatted, tables, writer

FIRST, MOST = 16, 40  # entrants in the first table, and in any other one
TOP = "\N{BLACK CIRCLE}"


def standings(ranking: Ranking, intervals: Mapping[str, pd.DataFrame], about: str) -> Grid:
    """Mean rank and scores over all speeds of the FIRST entrants, and of all baselines.

    ``intervals`` are tables of `evidence.intervals` by metric: the entrants in it have their
    interval behind the score, and those of the top set TOP; ``about`` is what they hold of.
    """
    whole = tables(ranking)["leaderboard"]
    chosen = ["mean_rank", *ranking.directions, "outcome"]
    board = whole[[column for column in chosen if column in whole]]
    names = first_names(ranking, FIRST)
    grid, columns = formatted(board, ranking.directions, names)
    rows = []
    for name, (head, *cells) in zip(names, grid.rows, strict=True):
        pairs = zip(columns, cells, strict=True)
        rows.append([head, *(_cell(text, name, column, intervals) for column, text in pairs)])
    notes = [_cut(ranking, FIRST)]
    if intervals:
        notes.append(
            f"In brackets 95 % intervals {about}; {TOP} may be as good as the best of its column."
        )
    return Grid(grid.heads, rows, " ".join(filter(None, notes)))


def shortened(ranking: Ranking, table: pd.DataFrame) -> Grid:
    """One of `leaderboards.tables` as text: the MOST first entrants, all winners and baselines."""
    rows = [*first_names(ranking, MOST), *ranking.winners.values()]
    grid, _ = formatted(table, ranking.directions, rows)
    return Grid(grid.heads, grid.rows, _cut(ranking, MOST) if len(grid.rows) < len(table) else "")


def first_names(ranking: Ranking, most: int) -> list[str]:
    """The `most` best entrants, the best first, and all baselines."""
    board = ranking.leaderboard
    sides = board.index[~board["baseline"]][:most], board.index[board["baseline"]]
    return [str(name) for side in sides for name in side]


def _cut(ranking: Ranking, most: int) -> str:
    board = ranking.leaderboard
    entrants = board.index[~board["baseline"]]
    if len(entrants) <= most:
        return ""
    kind = counted(entrants, "subsets")
    return f"The best {most} of {len(entrants):,} {kind}; the CSV files beside this page have all."


def _cell(text: str, name: str, column: str, intervals: Mapping[str, pd.DataFrame]) -> str:
    table = intervals.get(column)
    if table is None or name not in table.index:
        return text
    found, write = table.loc[[name]].to_dict("records")[0], writer(column, table["low"])
    marked = f" {TOP}" if found["top"] else ""
    return f"{text} ({write(found['low'])} to {write(found['high'])}){marked}"
