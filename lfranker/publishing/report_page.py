"""The page of a ranking, put together from what the server knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import NOISY, VISUAL, criteria_of
from lfranker.losses import PERCEPTUAL_RANDOM
from lfranker.publishing.pictures import logged_pictures
from lfranker.ranking.entrant import counted, losses_of
from lfranker.ranking.leaderboard import Ranking
from lfranker.ranking.pair_scores import PairScores
from lfranker.report.findings import Found
from lfranker.report.html_page import Page, to_html
from lfranker.report.note import answer
from lfranker.report.plots import heat_map, pareto_plot
from lfranker.report.tables import MOST_ROWS, shortened, standings, title_of
from lfranker.scans.scan_set import ScanSetId
from lfranker.statistics.concordance import pareto_front
from lfranker.statistics.score_array import about
from lfranker.tracking.power_set import PowerSet

PACKAGES = ("lfranker", "mlflow", "torch", "numpy", "scikit-image", "scipy")


@dataclass(frozen=True)
class Results:
    """A ranking with all that was found beside it; `captioned` are its tables by caption."""

    power_set: PowerSet
    board: pd.DataFrame  # of `tracking.scores.scores`
    ranking: Ranking
    pairs: PairScores
    found: Found
    captioned: Mapping[str, pd.DataFrame]
    caveats: tuple[str, ...]
    scans: ScanSetId


def page_of(results: Results) -> str:
    """HTML of the whole ranking."""
    ranking, found, power_set = results.ranking, results.found, results.power_set
    entrants = int((~ranking.leaderboard["baseline"]).sum())
    kind = "Synthetic scans: " if results.scans.simulated else ""
    page = Page(
        title=f"{kind}{power_set.title or 'power set'}",
        answer=answer(ranking, entrants),
        caveats=[*results.caveats, *ranking.notes],
        standings=standings(ranking, found.intervals, about(power_set.repeats_seen)),
        evidence=found.said,
        grids={kind + name: shortened(ranking, table) for name, table in results.captioned.items()},
        plots={**_overview(ranking), **found.plots},
        pictures=logged_pictures(power_set.run_id, results.scans),
        facts=_facts(results),
        missing=missing(results),
    )
    return to_html(page)


def missing(results: Results) -> list[str]:
    """List what this ranking does without, and how to get it."""
    ranking, board = results.ranking, results.board
    entrants, baselines = (board[board["baseline"].eq(side)] for side in (False, True))
    no_model = list(entrants.index[entrants["model"].fillna("").eq("")])
    names = list(map(str, entrants.index))
    subsets, noises = counted(names, "subsets"), results.power_set.noises
    lacking = {
        f"trainings of {len(ranking.missing):,} {subsets}: run the same power set again": bool(
            ranking.missing
        ),
        "repeats, without which nothing is said of the losses themselves: `-P repeats=3`": (
            results.power_set.repeats_seen < 2
        ),
        "scores of single fields, without which nothing is said of how sure this is": (
            results.pairs.empty
        ),
        f"logged models of {len(no_model):,} {subsets}, which cannot be registered": bool(no_model),
        "baselines to compare with, the noisy input among them": NOISY not in baselines.index,
        "a check whether the winner depends on the learning rate: `-P check_learning_rate=true`": (
            not results.power_set.learning_rates and not noises
        ),
        "people's eyes: `rate -P contact_sheet=FOLDER` writes blinded pictures to rate": (
            VISUAL not in board
        ),
        "ImageNet's weights in the perceptual loss: random ones are in their place": any(
            PERCEPTUAL_RANDOM in name for name in names
        ),
        "real scans: these are simulated": results.scans.simulated,
    }
    return [sentence for sentence, lacks in lacking.items() if lacks]


def _facts(results: Results) -> dict[str, str]:
    """Versions, settings, data and what it cost."""
    power_set = results.power_set
    wanted, noises = power_set.expected, power_set.noises
    found = power_set.trainings.items()
    runs = [run for (name, _), run in found if not wanted or name in wanted]
    subsets = set(map(losses_of, wanted))
    every = 2 ** max(1, len(power_set.loss_set)) - 1
    each = "pair of subset and noise" if noises else "subset"
    hours = sum(run.milliseconds for run in runs) / 3.6e6
    return {
        **{f"{name} version": version(name) for name in PACKAGES},
        "power set run": power_set.run_id,
        "losses": ",".join(power_set.loss_set),
        **({"noises": ", ".join(noises)} if noises else {}),
        "subsets": f"{len(subsets):,} of {every:,}, {power_set.rule}".rstrip(", "),
        "trainings": f"{len(runs):,}, {power_set.repeats_seen} of each {each}",
        "hours of training and scoring, all together": f"{hours:.2f}",
        "scans": f"{results.scans.digest} ({'simulated' if results.scans.simulated else 'real'})",
        **{name: value for name, value in sorted(power_set.settings.items()) if "/" not in name},
    }


def _overview(ranking: Ranking) -> dict[str, str]:
    board = ranking.leaderboard[~ranking.leaderboard["baseline"]]
    criteria = list(ranking.winners)
    speeds = {c.speed for c in criteria_of(board) if c.metric == "psnr" and c.speed}
    if len(speeds) == 1:  # over all speeds and at the only one are the same
        criteria = [criterion for criterion in criteria if not criterion.speed]
    ranks = board[[criterion.rank_column for criterion in criteria]].iloc[:MOST_ROWS]
    ranks.columns = pd.Index([title_of(str(c), unit=False) for c in criteria])
    plots = {"Ranks by criterion (1 is best)": heat_map(ranks)} if criteria else {}
    if {"psnr", "ssim"} <= set(board):
        finite = board.loc[board["outcome"].eq("ok"), ["psnr", "ssim"]]
        finite = finite.replace([np.inf, -np.inf], np.nan).dropna()
        shown = ranking.leaderboard.loc[[*finite.index, *_baselines(ranking)]]
        labels = title_of("psnr"), title_of("ssim")
        front = pareto_front(finite)
        plots["PSNR against SSIM"] = pareto_plot(shown, "psnr", "ssim", front, labels)
    return plots


def _baselines(ranking: Ranking) -> list[str]:
    """Names without the noisy input, which lies so far off that all others would be one dot."""
    board = ranking.leaderboard
    shown = board.index[board["baseline"] & board["psnr"].notna()]
    return [str(name) for name in shown if name != NOISY]
