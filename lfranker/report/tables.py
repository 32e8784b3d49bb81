"""A ranking as tables: the paper's Tables II to V, and a leaderboard; CSV, Markdown and LaTeX.

Every table has a row per entrant, then the baselines, and a column `outcome` ("baseline" for those)
that `to_markdown` writes behind the name. Tables hold full precision; digits are cut in Markdown.
LaTeX needs the package booktabs.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import (
    ALL_METRICS,
    CLEAN,
    DIRECTIONS,
    VISUAL,
    Criterion,
    criteria_of,
)
from lfranker.ranking.entrants import counted, tie_key
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.html_page import Grid
from lfranker.statistics.multiple_comparisons import EQUIVALENT, UNDECIDED, WORSE

TITLES: Mapping[str, str] = {
    **{name: metric.title for name, metric in ALL_METRICS.items()},
    VISUAL: "Visual rating",
    "mean_rank": "Mean rank",
    "weighted": "Weighted score",
    "seconds_per_step": "Cost per step",
    "seconds_per_megapixel": "Denoising",
    "worse_than_noisy": "Worse than noisy in",
    "wins": "Wins",
}
UNITS: Mapping[str, str] = {
    **{name: metric.unit for name, metric in ALL_METRICS.items() if metric.unit},
    "seconds_per_step": "s",
    "seconds_per_megapixel": "s/MP",
}
DIGITS: Mapping[str, int] = {
    **{name: metric.digits for name, metric in ALL_METRICS.items()},
    VISUAL: 2,
    "mean_rank": 2,
    "weighted": 3,
}
REPORTED = [name for name, metric in ALL_METRICS.items() if not metric.ranked]
COSTS = ("mean_rank", "seconds_per_step")  # lower is better


def tables(ranking: Ranking) -> dict[str, pd.DataFrame]:
    """The leaderboard, and the tables of the paper by its numbering, in the order of the subsets.

    table2: PSNR and SSIM over all speeds; table3: at each speed; table4: keypoints at each speed;
    table5: the entrants that win a column, and what they win. Those of which no score is there are
    left out.
    """
    board = ranking.leaderboard
    criteria = criteria_of(board, ranking.directions)
    overall = [criterion.metric for criterion in criteria if not criterion.speed]
    speeds = {
        m: [str(c) for c in criteria if c.metric == m and c.speed] for m in ranking.directions
    }
    quality = [metric for metric in ("psnr", "ssim") if metric in overall]
    by_subset = board.loc[_by_subset(board, ranking.order)]
    winning = by_subset.assign(wins=[_won(ranking, str(name)) for name in by_subset.index])
    winning = winning[winning["baseline"] | winning["wins"].ne("")]
    cost = ["seconds_per_step", "seconds_per_megapixel"]
    columns = ["mean_rank", "weighted", *overall, *REPORTED, *cost, "worse_than_noisy"]
    papers = {
        "table2": _table(by_subset, quality),
        "table3": _table(by_subset, [column for m in quality for column in speeds[m]]),
        "table4": _table(by_subset, speeds.get("keypoints") or ["keypoints"]),
    }
    return {
        "leaderboard": _table(board, columns),
        **{name: table for name, table in papers.items() if len(table.columns) > 1},
        "table5": _table(winning, [*map(str, criteria), "wins"]),
    }


def to_markdown(
    table: pd.DataFrame,
    caption: str,
    *,
    simulated: bool = False,
    directions: Mapping[str, bool] = DIRECTIONS,
    rows: Sequence[str] | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """A caption and a table, the best entrants of each column (all of equals) in bold.

    `simulated` scans put "Simulated" in front of the caption. `rows` shows these alone, without
    making any of them the best. Columns without any value are left out, and only entrants whose
    outcome is "ok" are ever bold. `links` are addresses by name.
    """
    grid, columns = formatted(table, directions, rows)
    shown = [str(name) for name in table.index if rows is None or name in rows]
    links = links or {}
    named = [
        f"[{row[0]}]({links[n]})" if n in links else row[0]
        for n, row in zip(shown, grid.rows, strict=True)
    ]
    sides = ["---", *("---:" if table[c].dtype.kind == "f" else "---" for c in columns)]
    title = f"**{'Simulated scans: ' * simulated}{caption}**"
    lines = (line([name, *row[1:]]) for name, row in zip(named, grid.rows, strict=True))
    return "\n".join([title, "", line(grid.heads), f"|{'|'.join(sides)}|", *lines, ""])


def formatted(
    table: pd.DataFrame,
    directions: Mapping[str, bool] = DIRECTIONS,
    rows: Sequence[str] | None = None,
) -> tuple[Grid, list[str]]:
    """The cells of `to_markdown` as text, and the columns that they stand for."""
    columns = [str(c) for c in table if c != "outcome" and any(map(_given, table[c]))]
    cells = {column: _column(table, column, directions) for column in columns}
    shown = set(table.index if rows is None else rows)
    lines = [
        [_named(str(name), table["outcome"].iloc[at]), *(cells[c][at] for c in columns)]
        for at, name in enumerate(table.index)
        if name in shown
    ]
    return Grid(["Losses", *map(title_of, columns)], lines), columns


def to_csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index_label="losses", lineterminator="\n"))


def _by_subset(board: pd.DataFrame, order: Sequence[str]) -> list[str]:
    names = board.index[~board["baseline"]]
    return [*sorted(names, key=lambda name: tie_key(name, order)), *board.index[board["baseline"]]]


def _table(board: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    table = board[[column for column in columns if column in board]].copy()
    table["outcome"] = board["outcome"].where(~board["baseline"], "baseline")
    return table


def _won(ranking: Ranking, name: str) -> str:
    return ", ".join(str(c) for c, winner in ranking.winners.items() if winner == name)


def _column(table: pd.DataFrame, column: str, directions: Mapping[str, bool]) -> list[str]:
    values = table[column]
    write = writer(column, values)
    texts = [write(value) if _given(value) else "-" for value in values]
    metric = Criterion.parse(column).metric
    if column not in (*COSTS, "weighted") and metric not in directions:
        return texts
    higher = column == "weighted" or directions.get(metric, False)
    able = values.where(table["outcome"].eq("ok") & np.isfinite(values))
    best = able.max() if higher else able.min()
    return [f"**{t}**" if value == best else t for t, value in zip(texts, able, strict=True)]


def writer(column: str, values: pd.Series) -> Callable[[float | str], str]:
    if values.dtype.kind != "f":
        return str
    metric = Criterion.parse(column).metric
    if metric == "keypoints":
        whole = all(float(value).is_integer() for value in values if _given(value))
        return lambda value: f"{value:.{0 if whole else 1}f}"
    return lambda value: f"{value:.{DIGITS[metric]}f}" if metric in DIGITS else f"{value:.3g}"


def _given(value: float | str) -> bool:
    return math.isfinite(value) if isinstance(value, float) else value != ""


def title_of(column: str, *, unit: bool = True) -> str:
    """A heading: "psnr/spd2" -> "PSNR spd2 (dB)"."""
    of = Criterion.parse(column)
    title = f"{TITLES.get(of.metric, of.metric)} {of.speed}".strip()
    return f"{title} ({UNITS[of.metric]})" if unit and of.metric in UNITS else title


def in_words(column: str) -> str:
    """A heading within a sentence, without unit: "PSNR spd2", "repeatability"."""
    title = title_of(column, unit=False)
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _named(name: str, outcome: str) -> str:
    return name if outcome == "ok" else f"{name} ({outcome})"


def line(cells: Sequence[str]) -> str:
    escaped = [" ".join(cell.replace("|", r"\|").split()) for cell in cells]
    return "| " + " | ".join(escaped) + " |"


FIRST, MOST_ROWS = 16, 40  # entrants in the first table, and in any other one


MARKS = {EQUIVALENT: " \N{BLACK CIRCLE}", UNDECIDED: " \N{CIRCLE WITH LEFT HALF BLACK}", WORSE: ""}


def standings(ranking: Ranking, intervals: Mapping[str, pd.DataFrame]) -> Grid:
    """Mean rank and scores over all speeds of the FIRST entrants, and of all baselines.

    ``intervals`` are tables of `top_set.intervals` by metric: the entrants in it have their
    interval behind the score, and a mark for how they stand to the best subset.
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
            f"In brackets: 95 % intervals of each score by itself. Marks rest on differences at "
            f"the same sites, so that scores with overlapping brackets may differ all the same. "
            f"Compared with the truly best subset of its column, which need not be the one with "
            f"the highest mean, a subset is"
            f"{MARKS[EQUIVALENT]} shown to be equivalent,{MARKS[UNDECIDED]} undecided, or, without "
            f"a mark, shown to be worse."
        )
    notes.append(_best_baselines(ranking, board))
    return Grid(grid.heads, rows, " ".join(filter(None, notes)))


def _best_baselines(ranking: Ranking, board: pd.DataFrame) -> str:
    """Name the columns in which a baseline is better than every subset."""
    side = board["outcome"].eq("baseline")
    better = []
    for metric, higher in ranking.directions.items():
        if metric not in board:
            continue
        values = board[metric].where(np.isfinite(board[metric])) * (1 if higher else -1)
        filters = values[side].drop(CLEAN, errors="ignore")
        if filters.max() > values[board["outcome"].eq("ok")].max():
            better.append(f"{in_words(metric)} ({filters.idxmax()})")
    return f"A baseline is better than every subset in {', '.join(better)}." if better else ""


def shortened(ranking: Ranking, table: pd.DataFrame) -> Grid:
    """One of `tables` as text: the MOST_ROWS first entrants, all winners and baselines."""
    rows = [*first_names(ranking, MOST_ROWS), *ranking.winners.values()]
    grid, _ = formatted(table, ranking.directions, rows)
    cut = _cut(ranking, MOST_ROWS) if len(grid.rows) < len(table) else ""
    return Grid(grid.heads, grid.rows, cut)


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
    found, write = table.loc[[name]].to_dict("records")[0], writer(column, table["mean"])
    marked = MARKS[found["standing"]]
    ends = [found["low"], found["high"]]
    known = f" ({' to '.join(map(write, ends))})" if all(map(math.isfinite, ends)) else ""
    return f"{text}{known}{marked}"


SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}


def to_latex(grids: Mapping[str, Grid]) -> str:
    r"""A floating table for each caption; `**bold**` cells are `\textbf`."""
    return "\n\n".join(_latex_table(caption, grid) for caption, grid in grids.items()) + "\n"


def _latex_table(caption: str, grid: Grid) -> str:
    columns = "l" + "r" * (len(grid.heads) - 1)
    return "\n".join(
        (
            r"\begin{table}",
            rf"  \caption{{{_text(caption)}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            _row(grid.heads),
            r"    \midrule",
            *map(_row, grid.rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        )
    )


def _row(cells: Sequence[str]) -> str:
    return "    " + " & ".join(map(_text, cells)) + r" \\"


def _text(words: str) -> str:
    bold = re.fullmatch(r"\*\*(.+)\*\*", words)
    if bold:
        return rf"\textbf{{{_text(bold[1])}}}"
    return "".join(SPECIAL.get(sign, sign) for sign in words)
