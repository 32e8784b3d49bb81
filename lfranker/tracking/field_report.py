"""What scores of single fields tell of a ranking, as tables of its run and as sentences."""

from collections.abc import Mapping

import pandas as pd
from mlflow.entities import Run

from lfranker.evidence import (
    EQUIVALENCE,
    Cube,
    agreement,
    attributions,
    cube_of,
    front,
    intervals,
    sentence,
)
from lfranker.leaderboards import tables, to_csv
from lfranker.ranking import NOISY, Ranking
from lfranker.ranking_notes import listed
from lfranker.selection import cross_fit
from lfranker.tracking.queries import settings_of
from lfranker.tracking.scoring import log_texts


def report_fields(
    parent: Run, folder: str, rows: pd.DataFrame, samples: Mapping[str, Ranking]
) -> list[str]:
    """Log the tables and return the sentences; nothing where no run has scores of its fields."""
    if rows.empty:
        return []
    seed = int(settings_of(parent).get("seed", 0))
    entrants = rows[~rows["baseline"]]
    texts, said = _samples(samples)
    for metric, equivalence in EQUIVALENCE.items():
        cube = cube_of(entrants, metric) if metric in rows else None
        if cube is not None:
            texts[f"intervals-{metric}.csv"] = intervals(cube, equivalence, seed).to_csv()
            texts |= _attribution(rows, cube, metric, seed)
            said.append(sentence(metric, cube, equivalence, seed))
    selection = cross_fit(entrants, seed)
    if selection is not None:
        said.append(str(selection))
        texts["selection.csv"] = selection.won.to_csv()
        texts["regret.csv"] = selection.regret.to_csv()
    more, sentences = _agreement(entrants)
    texts |= more
    log_texts(parent.info.run_id, {f"{folder}/{name}": text for name, text in texts.items()})
    return [*said, *sentences]


def _samples(samples: Mapping[str, Ranking]) -> tuple[dict[str, str], list[str]]:
    texts = {}
    for sample, own in samples.items():
        name = "".join(c if c.isalnum() or c in "-_ " else "-" for c in sample)
        texts[f"samples/{name}.csv"] = to_csv(tables(own)["leaderboard"])
    champions = (f"{sample}: {own.champion or 'none'}" for sample, own in samples.items())
    return texts, [f"Champions by sample group: {listed(champions)}."] if samples else []


def _attribution(rows: pd.DataFrame, cube: Cube, metric: str, seed: int) -> dict[str, str]:
    """Effects of each loss; nothing where a subset is missing or the noisy input was not scored."""
    noisy = rows[rows["name"] == NOISY].groupby("place", sort=False)[metric].mean()
    if len(noisy) < len(cube.places) or not set(cube.places) <= set(noisy.index):
        return {}
    try:
        table = attributions(cube, noisy[list(cube.places)].to_numpy(float)[:, None], seed)
    except ValueError as error:
        return {f"attribution-{metric}.txt": f"not computed: {error}\n"}
    return {f"attribution-{metric}.csv": table.to_csv(index=False)}


def _agreement(entrants: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    metrics = [name for name in (*EQUIVALENCE, "keypoints") if name in entrants]
    if entrants["name"].nunique() < 2 or len(metrics) < 2:
        return {}, []
    tau, w = agreement(entrants, metrics)
    best = front(entrants, metrics)
    said = f"Not beaten in every criterion at once (Pareto front): {listed(best)}."
    speeds = "".join(f"{metric} {value:.2f}, " for metric, value in w.items()).removesuffix(", ")
    concord = [f"Kendall's W of the scan speeds (1: all rank alike): {speeds}."] if w else []
    return {"agreement.csv": tau.to_csv()}, [said, *concord]
