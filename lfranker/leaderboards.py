"""A ranking as tables and text: the paper's Tables II to V, a leaderboard, the note in the UI.

Every table has a row per entrant, then the baselines, and a column `outcome` ("baseline" for those)
that `to_markdown` writes behind the name. Tables hold full precision; digits are cut in Markdown.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from lfranker.metrics import METRICS
from lfranker.ranking import DIRECTIONS, Ranking, criteria_of, tie_key
from lfranker.ranking_notes import listed
from lfranker.report import Grid

NOTE_LIMIT = 7_500  # characters; MLflow cuts a tag at 8,000
TITLES: Mapping[str, str] = {
    **{name: metric.title for name, metric in METRICS.items()},
    "mean_rank": "Mean rank",
    "seconds_per_step": "Cost per step",
    "seconds_per_megapixel": "Denoising",
    "worse_than_noisy": "Worse than noisy in",
    "wins": "Wins",
}
UNITS: Mapping[str, str] = {
    **{name: metric.unit for name, metric in METRICS.items() if metric.unit},
    "seconds_per_step": "s",
    "seconds_per_megapixel": "s/MP",
}
DIGITS: Mapping[str, int] = {
    **{name: metric.digits for name, metric in METRICS.items()},
    "mean_rank": 2,
}
REPORTED = [name for name, metric in METRICS.items() if not metric.ranked]
COSTS = ("mean_rank", "seconds_per_step")  # lower is better


def tables(ranking: Ranking) -> dict[str, pd.DataFrame]:
    """The leaderboard, and the tables of the paper by its numbering, in the order of the subsets.

    table2: PSNR and SSIM over all speeds; table3: at each speed; table4: keypoints at each speed;
    table5: the entrants that win a column, and what they win.
    """
    board = ranking.leaderboard
    criteria = criteria_of(board, ranking.directions)
    overall = [metric for metric in ranking.directions if metric in criteria]
    speeds = {m: [c for c in criteria if c.startswith(f"{m}/")] for m in ranking.directions}
    quality = [metric for metric in ("psnr", "ssim") if metric in overall]
    by_subset = board.loc[_by_subset(board, ranking.order)]
    winning = by_subset.assign(wins=[_won(ranking, str(name)) for name in by_subset.index])
    winning = winning[winning["baseline"] | winning["wins"].ne("")]
    cost = ["seconds_per_step", "seconds_per_megapixel"]
    return {
        "leaderboard": _table(board, ["mean_rank", *overall, *REPORTED, *cost, "worse_than_noisy"]),
        "table2": _table(by_subset, quality),
        "table3": _table(by_subset, [column for m in quality for column in speeds[m]]),
        "table4": _table(by_subset, speeds.get("keypoints") or ["keypoints"]),
        "table5": _table(winning, [*criteria, "wins"]),
    }


def to_markdown(
    table: pd.DataFrame,
    caption: str,
    *,
    simulated: bool = False,
    directions: Mapping[str, bool] = DIRECTIONS,
    rows: Sequence[str] | None = None,
) -> str:
    """A caption and a table, the best entrants of each column (all of equals) in bold.

    `simulated` scans put "Synthetic" in front of the caption. `rows` shows these alone, without
    making any of them the best. Columns without any value are left out, and only entrants whose
    outcome is "ok" are ever bold.
    """
    grid, columns = formatted(table, directions, rows)
    sides = ["---", *("---:" if table[c].dtype.kind == "f" else "---" for c in columns)]
    title = f"**{'Synthetic scans: ' * simulated}{caption}**"
    lines = map(_line, grid.rows)
    return "\n".join([title, "", _line(grid.heads), f"|{'|'.join(sides)}|", *lines, ""])


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


def note(
    ranking: Ranking,
    *,
    simulated: bool = False,
    caveats: Sequence[str] = (),
    founded: Sequence[str] = (),
) -> str:
    """The ranking on a page of Markdown, the answer first, within NOTE_LIMIT characters.

    `caveats` are sentences put right under the answer, `founded` those that say how sure it is,
    under the leaderboard. What does not fit is left out from the end,
    a whole section at a time, and its absence is said.
    """
    board = tables(ranking)["leaderboard"].drop(columns=REPORTED, errors="ignore")
    entrants, baselines = (board[board["outcome"].eq("baseline") == side] for side in (False, True))
    top = [*entrants.index[:5], *baselines.index[:8]]
    caption = f"The first {min(5, len(entrants))} of {len(entrants):,}, and the baselines"
    said = [*caveats, *(["These scans are synthetic: simulated, not measured."] * simulated)]
    sections = [
        answer(ranking, len(entrants)),
        "\n>\n".join(f"> {' '.join(sentence.split())}" for sentence in said),
        "\n".join(f"- {sentence}" for sentence in ranking.notes),
        to_markdown(board, caption, simulated=simulated, directions=ranking.directions, rows=top),
        "\n".join(["**How sure this is**", "", *(f"- {text}" for text in founded)] * bool(founded)),
        _winners(ranking, simulated),
    ]
    return _fit([section.rstrip() for section in sections if section])


def _fit(sections: Sequence[str]) -> str:
    rest = "\n\n(More is in the tables among the artifacts.)\n"
    text = sections[0][: NOTE_LIMIT - len(rest)]
    cut = False
    for section in sections[1:]:
        if len(text) + len(section) + 2 + len(rest) <= NOTE_LIMIT:
            text += f"\n\n{section}"
        else:
            cut = True
    return text + (rest if cut else "\n")


def answer(ranking: Ranking, entrants: int) -> str:
    """The sentence for which all was done."""
    if ranking.champion is None:
        return "**No answer**: no entrant has a finite score in every criterion that decides it."
    titles = dict.fromkeys(title_of(c.partition("/")[0], unit=False) for c in ranking.judged)
    speeds = dict.fromkeys(c.partition("/")[2] for c in ranking.judged if "/" in c)
    where = f" at {listed(speeds)}" if speeds else ""
    return (
        f"Train on **{ranking.champion}**: of {entrants:,} loss subsets it has the best mean rank, "
        f"{ranking.champion_mean_rank:.2f}, over {_and(list(titles))}{where}."
    )


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _winners(ranking: Ranking, simulated: bool) -> str:
    board = ranking.leaderboard
    lines = ["| Criterion | Winner | Score |", "|---|---|---:|"]
    for criterion, name in ranking.winners.items():
        write = _writer(criterion, board[criterion])
        lines.append(_line([title_of(criterion), name, write(board[criterion][name])]))
    return "\n".join([f"**{'Synthetic scans: ' * simulated}Winners**", "", *lines])


def _by_subset(board: pd.DataFrame, order: Sequence[str]) -> list[str]:
    names = board.index[~board["baseline"]]
    return [*sorted(names, key=lambda name: tie_key(name, order)), *board.index[board["baseline"]]]


def _table(board: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    table = board[[column for column in columns if column in board]].copy()
    table["outcome"] = board["outcome"].where(~board["baseline"], "baseline")
    return table


def _won(ranking: Ranking, name: str) -> str:
    return ", ".join(criterion for criterion, winner in ranking.winners.items() if winner == name)


def _column(table: pd.DataFrame, column: str, directions: Mapping[str, bool]) -> list[str]:
    values = table[column]
    write = _writer(column, values)
    texts = [write(value) if _given(value) else "-" for value in values]
    metric = column.partition("/")[0]
    if column not in COSTS and metric not in directions:
        return texts
    higher = directions.get(metric, False)
    able = values.where(table["outcome"].eq("ok") & np.isfinite(values))
    best = able.max() if higher else able.min()
    return [f"**{t}**" if value == best else t for t, value in zip(texts, able, strict=True)]


def _writer(column: str, values: pd.Series) -> Callable[[float | str], str]:
    if values.dtype.kind != "f":
        return str
    metric = column.partition("/")[0]
    if metric == "keypoints":
        whole = all(float(value).is_integer() for value in values if _given(value))
        return lambda value: f"{value:.{0 if whole else 1}f}"
    return lambda value: f"{value:.{DIGITS[metric]}f}" if metric in DIGITS else f"{value:.3g}"


def _given(value: float | str) -> bool:
    return math.isfinite(value) if isinstance(value, float) else value != ""


def title_of(column: str, *, unit: bool = True) -> str:
    """A heading: "psnr/spd2" -> "PSNR spd2 (dB)"."""
    metric, _, speed = column.partition("/")
    title = f"{TITLES.get(metric, metric)} {speed}".strip()
    return f"{title} ({UNITS[metric]})" if unit and metric in UNITS else title


def _named(name: str, outcome: str) -> str:
    return name if outcome == "ok" else f"{name} ({outcome})"


def _line(cells: Sequence[str]) -> str:
    escaped = [" ".join(cell.replace("|", r"\|").split()) for cell in cells]
    return "| " + " | ".join(escaped) + " |"
