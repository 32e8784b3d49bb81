"""Scores of single fields, and what only they can tell: luck, and winners by sample."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from mlflow.exceptions import MlflowException

from lfranker.metrics import METRICS
from lfranker.ranking import Ranking, rank
from lfranker.tracking.boards import baselines, scores
from lfranker.tracking.queries import PowerSet, repeats_of, trainings

DOWNLOADS = 8  # at a time
WORDS = ("field", "speed", "place", "sample")


def field_scores(power_set: PowerSet, digest: str, simulated: bool) -> pd.DataFrame:
    """A row per entrant or baseline, repeat, field and speed: scores, `baseline`, groups.

    Entrants are those that may win the ranking: expected, with all repeats, none of them failed,
    diverged or collapsed. Runs without a table of their own (logged by metrics alone) are
    missing; so may be all.
    """
    entrants = list(_entrants(power_set, digest))
    with without_bars(), ThreadPoolExecutor(DOWNLOADS) as pool:
        read = list(pool.map(lambda e: read_table(e[2], digest, simulated), entrants))
    tables = [
        table.assign(name=name, repeat=repeat, baseline=baseline)
        for (name, repeat, _, baseline), table in zip(entrants, read, strict=True)
        if table is not None
    ]
    if not tables:
        return pd.DataFrame()
    rows = pd.concat(tables, ignore_index=True)
    metrics = [metric for metric in METRICS if metric in rows]
    return rows[["name", "repeat", "baseline", *WORDS, *metrics]]


def by_sample(rows: pd.DataFrame) -> dict[str, Ranking]:
    """A ranking for each sample group; none where there are not at least two."""
    if rows.empty or rows["sample"].nunique() < 2:
        return {}
    return {str(sample): rank(_scores(group)) for sample, group in rows.groupby("sample")}


@contextmanager
def without_bars() -> Iterator[None]:
    """MLflow shows a bar for each file that it fetches, a screenful for a power set."""
    shown = MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get_raw()
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    try:
        yield
    finally:
        if shown is None:
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.unset()
        else:
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(shown)


def _entrants(power_set: PowerSet, digest: str) -> Iterator[tuple[str, int, Run, bool]]:
    board = scores(power_set, digest)
    fit = set(board.index[board["outcome"].eq("ok") & ~board["baseline"].eq(True)])
    repeats = repeats_of(power_set.parent)
    for (name, repeat), run in trainings(power_set).items():
        if name in fit and (not repeats or repeat < repeats):
            yield name, repeat, run, False
    for name, run in baselines(power_set, digest).items():
        yield name, 0, run, True


def read_table(run: Run, digest: str, simulated: bool) -> pd.DataFrame | None:
    """The run's scores on these scans, a row per field and speed; None where it has none."""
    kind = "synthetic" if simulated else "scans"
    try:
        text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/scores/{kind}-{digest[:8]}.csv")
    except (MlflowException, OSError):
        return None
    table = pd.read_csv(
        io.StringIO(text),
        dtype=dict.fromkeys(WORDS, str),
        keep_default_na=False,
        na_values={metric: ["", "nan", "NaN"] for metric in METRICS},
    )
    return table.assign(**{name: "" for name in WORDS if name not in table})


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over fields per speed, as `ranking.rank` takes them."""
    metrics = [metric for metric in METRICS if metric in rows]
    long = rows.melt(["name", "speed"], metrics, "metric").groupby(["name", "metric", "speed"])
    means = pd.DataFrame({"mean": long["value"].agg(_whole_mean)})["mean"].unstack([1, 2])
    means.columns = pd.Index(["/".join(map(str, column)) for column in means.columns])
    return means.assign(baseline=rows.groupby("name")["baseline"].first())


def _whole_mean(values: pd.Series) -> float:
    """NaN where one is: a mean over the others would not compare."""
    return float(values.mean(skipna=False))
