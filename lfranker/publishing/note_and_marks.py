"""Marks of a ranking on its runs, for MLflow's own pages: note, tags and mean rank."""

from collections.abc import Iterator, Sequence
from math import isfinite

from lfranker.evaluation.criteria import Criterion
from lfranker.publishing.winners import won_by
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.findings import Findings
from lfranker.report.html_page import Section
from lfranker.report.note import COMPARED, REPORT, TABLE, note
from lfranker.tracking.pages import CHARTS, page_of, save_view, view_page
from lfranker.tracking.pages import TABLE as TABLE_VIEW
from lfranker.tracking.power_set import PowerSet
from lfranker.tracking.runs import Mark, drop_tags, set_tags, write_marks
from lfranker.tracking.tags import WINNER, WON, Tag, winner_of

MARKED = 50  # subsets: marking all runs of a thousand takes longer than ranking them


def write_note(
    power_set: PowerSet,
    ranking: Ranking,
    simulated: bool,
    findings: Findings,
    caveats: Sequence[str],
    sections: Sequence[Section],
    notices: Sequence[str],
) -> None:
    """The ranking as the parent's note, with links to the children, and the winners as its tags."""
    content = note(
        ranking,
        findings,
        simulated=simulated,
        caveats=caveats,
        sections=sections,
        notices=notices,
        links=_links(power_set),
    )
    tags = _winners(ranking)
    drop_tags(power_set.run_id, WINNER, tags)
    set_tags(
        power_set.run_id, {**tags, Tag.CHAMPION: ranking.champion or "none", Tag.NOTE: content}
    )


def _winners(ranking: Ranking) -> dict[str, str]:
    """Who wins over all speeds in what decides; MLflow shows tags before the note, so no more."""
    over_all = {Criterion(criterion.metric) for criterion in ranking.judged}
    won = {criterion: name for criterion, name in ranking.winners.items() if criterion in over_all}
    return {winner_of(str(criterion)): name for criterion, name in won.items()}


def mark_children(power_set: PowerSet, ranking: Ranking) -> None:
    """Mean rank as a metric and what was won as the tag `winner`, so that the UI sorts by them.

    On the runs of the best MARKED subsets, of winners, and of those that are marked already. What
    is there is not written again.
    """
    save_view(power_set)
    write_marks(_marks(power_set, ranking))


def _marks(power_set: PowerSet, ranking: Ranking) -> Iterator[Mark]:
    won = won_by(ranking)
    board = ranking.leaderboard
    ranks = board["mean_rank"].astype(float).to_dict()
    chosen = {*board.index[~board["baseline"]][:MARKED], *won}
    for (name, _), run in power_set.trainings.items():
        mean_rank = ranks.get(name, float("nan"))
        known = run.metrics.get("mean_rank")
        if known is None and name not in chosen:
            continue
        changed = isfinite(mean_rank) and mean_rank != known
        metrics = {"mean_rank": mean_rank} if changed else {}
        words = ", ".join(map(str, won.get(name, []))) if name in ranks else ""
        tags = {WON: words} if words != run.won else {}
        if metrics or tags:
            yield Mark(run.run_id, metrics, tags)


def _links(power_set: PowerSet) -> dict[str, str]:
    """Name -> address of its run within MLflow's pages; of repeats that of the first."""
    found = dict[str, str]()
    for (name, _), run in sorted(power_set.trainings.items(), key=lambda item: item[0][1]):
        found.setdefault(name, page_of(run))
    for baseline in power_set.baselines:
        found.setdefault(baseline.name, page_of(baseline))
    pages = {
        REPORT: page_of(power_set, f"/artifacts/ranking/{REPORT}"),
        TABLE: view_page(power_set, TABLE_VIEW),
        COMPARED: view_page(power_set, CHARTS),
    }
    return found | pages
