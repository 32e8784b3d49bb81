"""Scores of single fields, and what only they can tell: luck, and winners by sample."""

import io
from collections.abc import Iterator, Sequence

import pandas as pd
from mlflow.entities import Run

from lfranker.evaluation.metrics import METRICS
from lfranker.losses.loss_names import LOSS_ORDER
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.tracking.fetching import read_texts
from lfranker.tracking.power_set import PowerSet, repeats_of, trainings
from lfranker.tracking.scores import baselines, scores

WORDS = ("field", "speed", "place", "sample")


def field_scores(power_set: PowerSet, digest: str, simulated: bool) -> pd.DataFrame:
    """A row per entrant or baseline, repeat, field and speed: scores, `baseline`, groups.

    Entrants are those that may win the ranking: expected, with all repeats, none of them failed,
    diverged or collapsed. Runs without a table of their own (logged by metrics alone) are
    missing; so may be all.
    """
    entrants = list(_entrants(power_set, digest))
    texts = read_texts([(run, _path(digest, simulated)) for _, _, run, _ in entrants])
    read = {at: _table(text) for at, text in enumerate(texts) if text is not None}
    if not read:
        return pd.DataFrame()
    rows = pd.concat(read, names=["entrant"]).reset_index("entrant")
    whose = pd.DataFrame(entrants, columns=["name", "repeat", "run", "baseline"])
    rows = rows.join(whose[["name", "repeat", "baseline"]], "entrant").reset_index(drop=True)
    metrics = [metric for metric in METRICS if metric in rows]
    return rows[["name", "repeat", "baseline", *WORDS, *metrics]]


def by_sample(rows: pd.DataFrame, order: Sequence[str] = LOSS_ORDER) -> dict[str, Ranking]:
    """A ranking for each sample group; none where there are not at least two.

    ``order`` decides ties.
    """
    if rows.empty or rows["sample"].nunique() < 2:
        return {}
    groups = rows.groupby("sample")
    return {str(sample): rank(_scores(group), order=order) for sample, group in groups}


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
    (text,) = read_texts([(run, _path(digest, simulated))])
    return None if text is None else _table(text)


def _path(digest: str, simulated: bool) -> str:
    return f"scores/{'synthetic' if simulated else 'scans'}-{digest[:8]}.csv"


def _table(text: str) -> pd.DataFrame:
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
