"""What a ranking leaves on the runs, for MLflow's own pages: note, tags and mean rank."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.utils.time import get_current_time_millis

from lfranker.publishing.winners import won_by
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.findings import Found
from lfranker.report.note import COMPARED, REPORT, note
from lfranker.tracking.power_set import PowerSet, key_of, trainings
from lfranker.tracking.runs import NOTE, PARENT, TAG, set_tags

WRITERS = 8  # at a time
MARKED = 50  # subsets: marking all runs of a thousand takes longer than ranking them

Marks = tuple[str, list[Metric], list[RunTag]]


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
    tags = {f"{TAG}winner.{criterion}": name for criterion, name in ranking.winners.items()}
    tags |= {TAG + "champion": ranking.champion or "none", NOTE: content}
    set_tags(power_set.parent.info.run_id, tags)


def mark_children(power_set: PowerSet, ranking: Ranking) -> None:
    """Mean rank as a metric and what was won as the tag `winner`, so that the UI sorts by them.

    On the runs of the best MARKED subsets, of winners, and of those that are marked already. What
    is there is not written again.
    """

    def write(marks: Marks) -> None:
        run_id, metrics, tags = marks
        MlflowClient().log_batch(run_id, metrics=metrics, tags=tags, synchronous=True)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, _marks(power_set, ranking)))


def _marks(power_set: PowerSet, ranking: Ranking) -> Iterator[Marks]:
    won, now = won_by(ranking), get_current_time_millis()
    board = ranking.leaderboard
    ranks = board["mean_rank"].astype(float).to_dict()
    chosen = {*board.index[~board["baseline"]][:MARKED], *won}
    for (name, _), run in trainings(power_set).items():
        mean_rank = ranks.get(name, float("nan"))
        known = run.data.metrics.get("mean_rank")
        if known is None and name not in chosen:
            continue
        changed = isfinite(mean_rank) and mean_rank != known
        metrics = [Metric("mean_rank", mean_rank, now, 0)] if changed else []
        words = ", ".join(won.get(name, [])) if name in ranks else ""
        tags = [RunTag("winner", words)] if words != run.data.tags.get("winner", "") else []
        if metrics or tags:
            yield run.info.run_id, metrics, tags


def _links(power_set: PowerSet) -> dict[str, str]:
    """Name -> address of its run within MLflow's pages; of repeats that of the first."""
    found = dict[str, str]()
    for (name, _), run in sorted(trainings(power_set).items(), key=lambda item: item[0][1]):
        found.setdefault(name, address(run))
    for run in power_set.children:
        if baseline := run.data.tags.get(TAG + "baseline"):
            found.setdefault(baseline, address(run))
    own = address(power_set.parent)
    return found | {REPORT: f"{own}/artifacts/ranking/{REPORT}", COMPARED: _compared(power_set)}


def _compared(power_set: PowerSet) -> str:
    """The table of all runs that were ranked, the best first, as charts beside each other."""
    own = f"tags.`{TAG}powerset` = '{key_of(power_set.parent)}'"
    if power_set.noises:  # whose trainings have keys of their own, and there is no OR
        own = f"tags.`{PARENT}` = '{power_set.parent.info.run_id}'"
    asked = f"{own} AND metrics.mean_rank > 0"
    view = "&orderByKey=metrics.%60mean_rank%60&orderByAsc=true&compareRunsMode=CHART"
    experiment = power_set.parent.info.experiment_id
    return f"#/experiments/{experiment}/runs?searchFilter={quote(asked, safe='')}{view}"


def address(run: Run) -> str:
    """Of a run's page within MLflow's pages, from whichever of them."""
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
