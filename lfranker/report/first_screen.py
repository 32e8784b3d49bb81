"""The first screen of a ranking: the answer, how sure it is, and what must not be missed."""

from collections.abc import Sequence

import pandas as pd

from lfranker.evaluation.criteria import ALL_METRICS, NOISY, QUALITY
from lfranker.ranking.entrants import counted
from lfranker.ranking.leaderboard import Ranking
from lfranker.ranking.leads import BaselineLead
from lfranker.report.decisions import stability_clause
from lfranker.report.findings import Findings
from lfranker.report.html_page import Grid
from lfranker.report.learning_curves import verdict_sentence
from lfranker.report.numbers import estimate, is_are, joined
from lfranker.report.tables import in_words, title_of, writer
from lfranker.text import listed

MOST_CAVEATS = 3  # on the first screen; more are not read
MOST_SPEEDS = 6  # that are named


def answer(ranking: Ranking, findings: Findings) -> str:
    """The sentences for which all was done: what to train on, and how sure that is."""
    if ranking.champion is None:
        return "**No answer**: no subset has a finite score in every criterion that decides it."
    titles = dict.fromkeys(in_words(c.metric) for c in ranking.judged)
    speeds = dict.fromkeys(c.speed for c in ranking.judged if c.speed)
    names = ranking.leaderboard.index[~ranking.leaderboard["baseline"]]
    where = f" at {_few(list(speeds))}" if speeds else ""
    rank = f"the best mean rank, {ranking.champion_mean_rank:.2f}, over {joined(titles)}{where}"
    if ranking.tied:
        rank += (
            f", which it shares with {listed(ranking.tied)} (ties go to fewer losses, then by the "
            f"order of losses and noises)"
        )
    of = f"of {len(names):,} {counted(names)}"
    if gone := len(ranking.missing):
        of += f" that are trained ({gone:,} more {is_are(gone)} not yet)"
    able = ranking.leaderboard.loc[names]
    able = able[able["outcome"].eq("ok") & able[list(map(str, ranking.judged))].notna().all(axis=1)]
    if len(able) == 1 and not ranking.missing:
        brief = " Its network is too small or too briefly trained." * findings.too_short
        alone = "alone was trained" if len(names) == 1 else "alone has all scores that decide"
        return f"**{ranking.champion}** {alone}, so that no losses are compared.{brief}"
    chosen = (
        f"No advice yet, the networks are too small or too briefly trained: {of}, "
        f"**{ranking.champion}** has {rank}."
        if findings.too_short
        else f"Train on **{ranking.champion}**: {of} it has {rank}."
    )
    along = None if ranking.missing else findings.along
    length = "" if along is None else verdict_sentence(along)
    return " ".join(filter(None, [chosen, _how_sure(ranking.champion, findings), length]))


def _few(speeds: Sequence[str]) -> str:
    return joined(speeds) if len(speeds) <= MOST_SPEEDS else f"{len(speeds)} scan speeds"


def _how_sure(champion: str, findings: Findings) -> str:
    if findings.stability is None:
        return ""
    return f"It was {stability_clause(findings.stability, champion)}."


def against(ranking: Ranking, findings: Findings) -> Grid | None:
    """Where the champion stands against the noisy input and the best filter, by metric."""
    leads = findings.leads
    if ranking.champion is None or not leads:
        return None
    board, champion = ranking.leaderboard, ranking.champion
    rows = [
        [champion, *(_score(board, metric, champion) for metric in leads)],
        _row("the noisy input", [own.over_noisy for own in leads.values()]),
        _row("the best filter", [own.over_filter for own in leads.values()]),
        _row("the best network made elsewhere", [own.over_network for own in leads.values()]),
    ]
    shown = [row for row in rows if set(row[1:]) != {"-"}]
    return Grid(["Champion", *(title_of(metric) for metric in leads)], shown)


def _score(board: pd.DataFrame, metric: str, name: str) -> str:
    return writer(metric, board[metric])(float(board[metric][name]))


def _row(what: str, leads: Sequence[BaselineLead | None]) -> list[str]:
    """Write the leads over a kind of baselines, which is named in front where it is one in all."""
    names = {lead.baseline for lead in leads if lead is not None}
    same = len(names) == 1
    name = f", {min(names)}" if same and names != {NOISY} else ""
    return [f"difference to {what}{name}", *(_lead(lead, same) for lead in leads)]


def _lead(lead: BaselineLead | None, same: bool) -> str:
    """Write a lead, with the baseline where it is not the `same` in all metrics."""
    if lead is None:
        return "-"
    words = estimate(lead.value, lead.low, lead.high, signed=True)
    return words if same else f"{words}, {lead.baseline}"


def filter_caveats(findings: Findings) -> list[str]:
    """Name the criteria in which the champion has no better mean than doing without a network."""
    caveats = []
    for metric, own in findings.leads.items():
        if own.over_noisy is not None and own.over_noisy.value <= 0:
            caveats.append(_no_better(metric, own.over_noisy, "the noisy input"))
        elif own.over_filter is not None and own.over_filter.value <= 0:
            filter_ = f"the filter {own.over_filter.baseline}, which needs no training,"
            caveats.append(_no_better(metric, own.over_filter, filter_))
        elif own.over_network is not None and own.over_network.value <= 0:
            network = f"the network {own.over_network.baseline}, which was made elsewhere,"
            caveats.append(_no_better(metric, own.over_network, network))
    return caveats


def speed_caveats(ranking: Ranking) -> list[str]:
    """Name the scan speeds at which the noisy input itself has higher means than the champion.

    In metrics in which it has none over all speeds: of those `filter_caveats` tells.
    """
    board, champion = ranking.leaderboard, ranking.champion
    if champion is None or NOISY not in board.index:
        return []
    higher: dict[str, list[str]] = {}
    for criterion in ranking.judged:
        metric, column = criterion.metric, str(criterion)
        own, noisy = (float(board[column][name]) for name in (champion, NOISY))
        if not criterion.speed or metric not in QUALITY or not noisy > own:
            continue
        if metric in board and board[metric][NOISY] >= board[metric][champion]:
            continue
        write = writer(column, board[column])
        words = f"{in_words(metric)} ({write(noisy)}) than the champion ({write(own)})"
        higher.setdefault(criterion.speed, []).append(words)
    return [
        f"At {speed} the noisy input itself has a higher mean {joined(words)}."
        for speed, words in higher.items()
    ]


def _no_better(metric: str, lead: BaselineLead, other: str) -> str:
    title, unit = in_words(metric), ALL_METRICS[metric].unit
    by = estimate(-lead.value, -lead.high, -lead.low, unit)
    compared = (
        "is significantly better than the champion"
        if lead.high < 0
        else "has no lower mean than the champion, though the two are not significantly different"
    )
    return f"In {title}, {other} {compared}: the difference is {by}."


def split(caveats: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return those that the first screen has room for, and the others."""
    return list(caveats[:MOST_CAVEATS]), list(caveats[MOST_CAVEATS:])
