"""The page of a ranking, put together from what the server knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import pandas as pd

from lfranker.evaluation.criteria import NOISY, VISUAL
from lfranker.losses import PERCEPTUAL_RANDOM
from lfranker.publishing.pictures import logged_glance, logged_pictures
from lfranker.ranking.entrants import PairScores, compared, counted, losses_of
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.findings import Findings
from lfranker.report.first_screen import against, answer, split
from lfranker.report.html_page import Grid, Page, Section, to_html
from lfranker.report.plots import standing_plot
from lfranker.report.sentences import scope_sentence
from lfranker.report.tables import FIRST, first_names, shortened, standings, title_of
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.pages import how_to_open
from lfranker.tracking.power_set import PowerSet

PACKAGES = ("lfranker", "mlflow", "torch", "numpy", "scikit-image", "scipy")


@dataclass(frozen=True)
class Results:
    """A ranking with all that was found beside it.

    sections: what the findings say; captioned: the ranking's tables by caption; caveats: what is
    to be minded, the gravest first.
    """

    power_set: PowerSet
    board: pd.DataFrame  # of `tracking.scores.scores`
    ranking: Ranking
    pairs: PairScores
    findings: Findings
    sections: Sequence[Section]
    captioned: Mapping[str, pd.DataFrame]
    caveats: Sequence[str]
    notices: Sequence[str]  # on registered models
    scans: ScanSetId


def page_of(results: Results) -> str:
    """HTML of the whole ranking."""
    ranking, findings, power_set = results.ranking, results.findings, results.power_set
    kind = "Simulated scans: " if results.scans.simulated else ""
    first, later = split(results.caveats)
    page = Page(
        title=f"{kind}{power_set.title or 'power set'}",
        answer=answer(ranking, findings),
        scope=scope_sentence(findings.scope),
        caveats=first,
        against=against(ranking, findings),
        strip=logged_glance(power_set.run_id, results.scans),
        plot=_plot(ranking, findings),
        standings=standings(ranking, findings.intervals),
        sections=[
            Section("What else should be kept in mind?", [*later, *results.notices]),
            *results.sections,
            Section(
                "What do the denoised scans look like?",
                pictures=logged_pictures(power_set.run_id, results.scans),
            ),
            Section("What are all the scores?", grids=_tables(results, kind)),
            Section("What was run?", grids={"": _facts(results)}),
            Section("What is missing?", missing(results)),
        ],
    )
    return to_html(page)


def _plot(ranking: Ranking, findings: Findings) -> tuple[str, str] | None:
    """Draw the intervals of the first entrants in all metrics that decide the champion."""
    judged = dict.fromkeys(criterion.metric for criterion in ranking.judged)
    shown = {
        metric: findings.intervals[metric] for metric in judged if metric in findings.intervals
    }
    entrants = ranking.leaderboard.index[~ranking.leaderboard["baseline"]]
    names = [name for name in first_names(ranking, FIRST) if name in entrants]
    if not shown:
        return None
    filters = {
        title_of(metric): own.over_filter.mean
        for metric, own in findings.leads.items()
        if own.over_filter is not None
    }
    tables = {title_of(metric): table for metric, table in shown.items()}
    margins = {title_of(metric): findings.margins[metric] for metric in shown}
    caption = (
        "Mean scores less that of the best subset, with 95 % intervals; by mean rank. Dark and "
        "filled: shown to be equivalent to the best, within the margin (gray band). Light and half "
        "filled: undecided. Gray and empty: shown to be worse. Bars are single intervals; colours "
        "hold of all subsets together, which takes more, so that a bar outside of the band may be "
        "undecided. Dashed: the best filter, if near."
    )
    return caption, standing_plot(tables, names, margins, filters)


def _tables(results: Results, kind: str) -> dict[str, Grid]:
    return {
        kind + name: shortened(results.ranking, table) for name, table in results.captioned.items()
    }


def missing(results: Results) -> list[str]:
    """List what this ranking does without, and how to get it."""
    ranking, board = results.ranking, results.board
    entrants, baselines = (board[board["baseline"].eq(side)] for side in (False, True))
    no_model = list(entrants.index[entrants["model"].fillna("").eq("")])
    names = list(map(str, entrants.index))
    subsets, noises = counted(names, "subsets"), results.power_set.noises
    lacking = {
        f"Trainings of {len(ranking.missing):,} {subsets}: run the same power set again.": bool(
            ranking.missing
        ),
        "Repeats, without which nothing is said of the losses themselves: `-P repeats=3`.": (
            results.power_set.repeats_seen < 2
        ),
        "Scores of single fields, without which nothing is said of how sure this is.": (
            results.pairs.empty
        ),
        f"Logged models of {len(no_model):,} {subsets}, which cannot be registered.": bool(
            no_model
        ),
        "Baselines to compare with, the noisy input among them.": NOISY not in baselines.index,
        "A check whether the winner depends on the learning rate: "
        "`-P check_learning_rate=true`.": not results.power_set.learning_rates and not noises,
        "People's eyes: `rate -P contact_sheet=FOLDER` writes blinded pictures to rate.": (
            VISUAL not in board
        ),
        "ImageNet's weights in the perceptual loss: random ones are in their place.": any(
            PERCEPTUAL_RANDOM in name for name in names
        ),
        "Real scans: these are simulated.": results.scans.simulated,
    }
    return [sentence for sentence, lacks in lacking.items() if lacks]


def _facts(results: Results) -> Grid:
    """Versions, settings, data and what it cost."""
    power_set = results.power_set
    wanted, noises = power_set.expected, power_set.noises
    found = power_set.trainings.items()
    runs = [
        run
        for (name, repeat), run in found
        if (not wanted or name in wanted) and repeat < power_set.repeats_seen and not run.unfinished
    ]
    subsets = set(map(losses_of, wanted))
    every = 2 ** max(1, len(power_set.loss_set)) - 1
    kind = compared(noises)
    each = f"combination of subset, {kind}" if " and " in kind else f"pair of subset and {kind}"
    each = each if kind else "subset"
    starts, ends = ([run.period[at] for run in runs if run.period] for at in (0, 1))
    hours = (max(ends, default=0) - min(starts, default=0)) / 3.6e6
    facts = {
        **{f"{name} version": version(name) for name in PACKAGES},
        "power set run": power_set.run_id,
        "its page in MLflow": how_to_open(power_set.run_id),
        "losses": ",".join(power_set.loss_set),
        **({compared(noises, "s"): ", ".join(noises)} if noises else {}),
        "subsets": f"{len(subsets):,} of {every:,}, {power_set.rule}".rstrip(", "),
        "trainings": f"{len(runs):,}, {power_set.repeats_seen} of each {each}",
        "hours from the first start to the last end": f"{hours:.2f}",
        "scans": f"{results.scans.digest} ({'simulated' if results.scans.simulated else 'real'})",
        **{name: value for name, value in sorted(power_set.settings.items()) if "/" not in name},
    }
    return Grid(("Setting", "Value"), list(facts.items()), words=True)
