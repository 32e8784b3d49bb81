"""The page of a ranking, put together from what the server knows."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd
from mlflow.entities import Run

from lfranker.agreement import pareto_front
from lfranker.leaderboards import answer, formatted, title_of
from lfranker.plots import heat_map, pareto_plot
from lfranker.ranking import NOISY, Ranking
from lfranker.report import Page, to_html
from lfranker.tracking.field_report import Found
from lfranker.tracking.queries import settings_of

PACKAGES = ("lfranker", "mlflow", "torch")
MOST_ROWS = 40  # of a heat map


def page_of(
    parent: Run,
    ranking: Ranking,
    found: Found,
    captioned: Mapping[str, pd.DataFrame],
    caveats: Sequence[str],
    simulated: bool,
) -> str:
    """HTML of the whole ranking; `captioned` are its tables by their captions."""
    entrants = int((~ranking.leaderboard["baseline"]).sum())
    kind = "Synthetic scans: " if simulated else ""
    page = Page(
        title=f"{kind}{parent.info.run_name or 'power set'}",
        answer=answer(ranking, entrants),
        caveats=[*caveats, *ranking.notes],
        evidence=found.said,
        grids={kind + name: formatted(table)[0] for name, table in captioned.items()},
        plots={**_overview(ranking), **found.plots},
        facts={
            **{f"{name} version": version(name) for name in PACKAGES},
            "power set run": parent.info.run_id,
            **dict(sorted(settings_of(parent).items())),
        },
    )
    return to_html(page)


def _overview(ranking: Ranking) -> dict[str, str]:
    board = ranking.leaderboard[~ranking.leaderboard["baseline"]]
    speeds = {c.partition("/")[2] for c in map(str, board) if c.startswith("psnr/")}
    columns = [column for column in board if str(column).startswith("rank/")]
    if len(speeds) == 1:  # over all speeds and at the only one are the same
        columns = [column for column in columns if str(column).count("/") == 1]
    ranks = (
        board[columns]
        .iloc[:MOST_ROWS]
        .rename(columns=lambda column: title_of(str(column).removeprefix("rank/"), unit=False))
    )
    plots = {"Ranks by criterion (1 is best)": heat_map(ranks)} if columns else {}
    if {"psnr", "ssim"} <= set(board):
        finite = board.loc[board["outcome"].eq("ok"), ["psnr", "ssim"]]
        finite = finite.replace([np.inf, -np.inf], np.nan).dropna()
        shown = ranking.leaderboard.loc[[*finite.index, *_baselines(ranking)]]
        labels = title_of("psnr"), title_of("ssim")
        front = pareto_front(finite)
        plots["PSNR against SSIM"] = pareto_plot(shown, "psnr", "ssim", front, labels)
    return plots


def _baselines(ranking: Ranking) -> list[str]:
    """Without the noisy input, which lies so far off that all others would be one dot."""
    board = ranking.leaderboard
    shown = board.index[board["baseline"] & board["psnr"].notna()]
    return [str(name) for name in shown if name != NOISY]
