"""Marks of a ranking on its runs, for MLflow's own pages: note, tags and mean rank."""

from collections.abc import Iterator, Sequence
from math import isfinite
from urllib.parse import quote

from lfranker.publishing.winners import won_by
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.findings import Found
from lfranker.report.note import COMPARED, REPORT, note
from lfranker.tracking.power_set import PowerSet
from lfranker.tracking.runs import Mark, TrackedRun, set_tags, write_marks
from lfranker.tracking.tags import WON, Tag, winner_of

MARKED = 50  # subsets: marking all runs of a thousand takes longer than ranking them


def write_note(
    power_set: PowerSet,
    ranking: Ranking,
    simulated: bool,
    found: Found,
    doubts: Sequence[str],
) -> None:
    """The ranking as the parent's note, with links to the children, and the winners as its tags."""
    content = note(
        ranking,
        simulated=simulated,
        caveats=doubts,
        founded=[sentence for sentence in found.said if sentence not in found.noises],
        noises=found.noises,
        links=_links(power_set),
    )
    tags = {winner_of(str(criterion)): name for criterion, name in ranking.winners.items()}
    set_tags(
        power_set.run_id, {**tags, Tag.CHAMPION: ranking.champion or "none", Tag.NOTE: content}
    )


def mark_children(power_set: PowerSet, ranking: Ranking) -> None:
    """Mean rank as a metric and what was won as the tag `winner`, so that the UI sorts by them.

    On the runs of the best MARKED subsets, of winners, and of those that are marked already. What
    is there is not written again.
    """
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
        found.setdefault(name, address(run))
    for baseline in power_set.baselines:
        found.setdefault(baseline.name, address(baseline))
    own = address(power_set)
    return found | {REPORT: f"{own}/artifacts/ranking/{REPORT}", COMPARED: _compared(power_set)}


def _compared(power_set: PowerSet) -> str:
    """The table of all runs that were ranked, the best first, as charts beside each other."""
    own = f"tags.`{Tag.POWERSET}` = '{power_set.key}'"
    if power_set.noises:  # whose trainings have keys of their own, and there is no OR
        own = f"tags.`{Tag.PARENT}` = '{power_set.run_id}'"
    asked = f"{own} AND metrics.mean_rank > 0"
    view = "&orderByKey=metrics.%60mean_rank%60&orderByAsc=true&compareRunsMode=CHART"
    return (
        f"#/experiments/{power_set.experiment_id}/runs?searchFilter={quote(asked, safe='')}{view}"
    )


def address(run: TrackedRun) -> str:
    """Return the address of a run's page within MLflow's pages, from whichever of them."""
    return f"#/experiments/{run.experiment_id}/runs/{run.run_id}"
