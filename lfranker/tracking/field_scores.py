"""Scores of single fields, and what only they can tell: luck, and winners by sample."""

import io
from collections.abc import Iterator

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lfranker.metrics import METRICS
from lfranker.ranking import Ranking, rank
from lfranker.tracking.queries import children, own_scores, repeats_of, trainings
from lfranker.tracking.runs import TAG

WORDS = ("field", "speed", "place", "sample")


def field_scores(parent: Run, digest: str, simulated: bool) -> pd.DataFrame:
    """A row per entrant or baseline, field and speed: means over repeats, `baseline`, groups.

    Runs without a table of their own (logged by metrics alone) are missing; so may be all.
    """
    kind = "synthetic" if simulated else "scans"
    path = f"scores/{kind}-{digest[:8]}.csv"
    tables = [
        table.assign(name=name, baseline=baseline)
        for name, run, baseline in _entrants(parent, digest)
        if (table := _read(run, path)) is not None
    ]
    if not tables:
        return pd.DataFrame()
    rows = pd.concat(tables, ignore_index=True)
    keys = ["name", "baseline", *WORDS]
    metrics = [metric for metric in METRICS if metric in rows]
    return rows.groupby(keys, sort=False)[metrics].mean().reset_index()


def by_sample(rows: pd.DataFrame) -> dict[str, Ranking]:
    """A ranking for each sample group; none where there are not at least two."""
    if rows.empty or rows["sample"].nunique() < 2:
        return {}
    return {str(sample): rank(_scores(group)) for sample, group in rows.groupby("sample")}


def _entrants(parent: Run, digest: str) -> Iterator[tuple[str, Run, bool]]:
    repeats = repeats_of(parent)
    for (name, repeat), run in trainings(parent).items():
        if own_scores(run, digest) and (not repeats or repeat < repeats):
            yield name, run, False
    for run in children(parent):
        if TAG + "baseline" in run.data.tags and own_scores(run, digest):
            yield run.data.tags[TAG + "baseline"], run, True


def _read(run: Run, path: str) -> pd.DataFrame | None:
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{path}")
    except (MlflowException, OSError):
        return None
    table = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(WORDS, str))
    return table.assign(**{name: "" for name in WORDS if name not in table}).fillna(
        dict.fromkeys(WORDS, "")
    )


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over fields per speed, as `ranking.rank` takes them."""
    metrics = [metric for metric in METRICS if metric in rows]
    means = rows.pivot_table(index="name", columns="speed", values=metrics, dropna=False)
    means.columns = pd.Index(["/".join(map(str, column)) for column in means.columns])
    return means.assign(baseline=rows.groupby("name")["baseline"].first())
