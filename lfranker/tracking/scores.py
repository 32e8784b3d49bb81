"""The scores of a power set as one table, with what came of every training."""

import pandas as pd
from mlflow.entities import Run

from lfranker.ranking.leaderboard import VISUAL
from lfranker.tracking.power_set import (
    OUTCOME,
    SCORE,
    PowerSet,
    expected,
    own_scores,
    repeats_of,
    trainings,
)
from lfranker.tracking.runs import TAG

COSTS = ("seconds_per_step", "seconds_per_megapixel")
WORST_FIRST = ("failed", "incomplete", "diverged", "collapsed", "ok")


def scores(power_set: PowerSet, digest: str) -> pd.DataFrame:
    """A row per subset (means over repeats) and per baseline, as `ranking.rank` takes it.

    Scores are those on the scan set with this digest. Repeats that the power set did not ask for
    (another command with the same settings did) are left out; a subset without all of those that
    it asked for is "incomplete".

    Beside the metrics: `outcome`, `baseline`, COSTS, `run_id`, `repeat`, `model` (of the
    first repeat) and `perceptual` (digest of the perceptual weights).
    """
    parent = power_set.parent
    wanted, found = set(expected(parent)), trainings(power_set)
    repeats = repeats_of(parent) or max((repeat + 1 for _, repeat in found), default=0)
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(name for name, _ in sorted(found, key=lambda key: key[1])):
        if not wanted or name in wanted:
            runs = [found.get((name, repeat)) for repeat in range(repeats)]
            rows += [row_of(name, run, digest) for run in runs if run is not None]
            if None in runs and any(runs):
                rows.append({"name": name, "outcome": "incomplete", "baseline": False})
    for name, run in baselines(power_set, digest).items():
        rows.append(row_of(name, run, digest) | {"baseline": True})
    table = pd.DataFrame(rows)
    if table.empty:
        raise ValueError(f"power set {parent.info.run_id} has no children to rank")
    return _over_repeats(table)


def baselines(power_set: PowerSet, digest: str) -> dict[str, Run]:
    """The baselines that were scored on these scans to the end; the newest of each name."""
    found: dict[str, Run] = {}
    for run in power_set.children:
        name = run.data.tags.get(TAG + "baseline")
        if name and run.info.status == "FINISHED" and own_scores(run, digest):
            found.setdefault(name, run)
    return found


def outcome_on(run: Run, scans: str) -> str:
    """What came of a training, judged by its outputs on the scan set with this digest."""
    tags = run.data.tags
    if run.info.status != "FINISHED":
        return "failed"
    general = tags.get(OUTCOME, "ok")
    return general if general == "diverged" else tags.get(f"{OUTCOME}.{scans[:8]}", general)


def row_of(name: str, run: Run, digest: str) -> dict[str, object]:
    """What is known of one run, with its scores on the scan set with this digest."""
    tags = run.data.tags
    return {
        "name": name,
        "outcome": outcome_on(run, digest),
        "baseline": False,
        "run_id": run.info.run_id,
        "repeat": int(tags.get(TAG + "repeat", 0)),
        "model": tags.get(TAG + "model", ""),
        "perceptual": tags.get(TAG + "perceptual", ""),
        **{name: run.data.metrics.get(name, float("nan")) for name in COSTS},
        **own_scores(run, digest),
    }


def _over_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    numbers = [c for c in rows.columns if SCORE.fullmatch(c) or c in COSTS]
    grouped = rows.groupby("name", sort=False)
    table = grouped.first()
    # one missing repeat makes the mean missing: a mean over the lucky ones would not compare
    for column in numbers:
        rated = column.partition("/")[0] == VISUAL  # of which people have seen one repeat only
        table[column] = grouped[column].mean(skipna=rated)
    table["outcome"] = grouped["outcome"].agg(lambda column: min(column, key=WORST_FIRST.index))
    return table
