"""What scores of single fields tell of a ranking, as tables, sentences and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from mlflow.entities import Run

from lfranker.evidence import (
    EQUIVALENCE,
    Cube,
    agreement,
    attributions,
    compared,
    cube_of,
    front,
    intervals,
    sentence,
)
from lfranker.leaderboards import tables, title_of, to_csv
from lfranker.plots import attribution_plot, critical_difference_plot, interval_plot, rank_plot
from lfranker.ranking import NOISY, Ranking
from lfranker.ranking_notes import listed
from lfranker.selection import cross_fit
from lfranker.tracking.queries import settings_of

MOST = 60  # entrants that are compared each with each


@dataclass(frozen=True)
class Found:
    """Sentences, tables (file name -> CSV) and plots (caption -> SVG)."""

    said: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, str] = field(default_factory=dict)


def report_fields(parent: Run, rows: pd.DataFrame, samples: Mapping[str, Ranking]) -> Found:
    """All that is found; nothing where no run has scores of its fields."""
    if rows.empty:
        return Found()
    seed = int(settings_of(parent).get("seed", 0))
    entrants = rows[~rows["baseline"]]
    texts, said = _samples(samples)
    plots: dict[str, str] = {}
    for metric, equivalence in EQUIVALENCE.items():
        cube = cube_of(entrants, metric) if metric in rows else None
        if cube is None:
            continue
        if (effects := _attribution(rows, cube, metric, seed)) is not None:
            texts[f"attribution-{metric}.csv"] = effects.to_csv(index=False)
        if len(cube.names) > MOST:
            said.append(
                f"{title_of(metric)}: the first {MOST} of {len(cube.names):,} are compared."
            )
            cube = cube.best(MOST)
        label = title_of(metric)
        table = intervals(cube, equivalence, seed)
        texts[f"intervals-{metric}.csv"] = table.to_csv()
        tests = compared(cube)
        texts[f"nemenyi-{metric}.csv"] = tests.nemenyi.to_csv()
        texts[f"wilcoxon-{metric}.csv"] = tests.wilcoxon.to_csv()
        said.append(f"{sentence(metric, cube, equivalence, seed)} {tests}")
        plots[f"{label}: scores, {cube.title}"] = interval_plot(table, label)
        plots[f"{label}: ranks, {cube.title}"] = rank_plot(table, label)
        if len(cube.names) > 2:
            plots[f"{label}: critical differences"] = critical_difference_plot(tests, label)
        if effects is not None:
            plots[f"{label}: what each loss adds, {cube.title}"] = attribution_plot(effects, label)
    selection = cross_fit(entrants, seed)
    if selection is not None:
        said.append(str(selection))
        texts["selection.csv"] = selection.won.to_csv()
        texts["regret.csv"] = selection.regret.to_csv()
    more, sentences = _agreement(entrants)
    return Found([*said, *sentences], texts | more, plots)


def _samples(samples: Mapping[str, Ranking]) -> tuple[dict[str, str], list[str]]:
    texts = {}
    for sample, own in samples.items():
        name = "".join(c if c.isalnum() or c in "-_ " else "-" for c in sample)
        texts[f"samples/{name}.csv"] = to_csv(tables(own)["leaderboard"])
    champions = (f"{sample}: {own.champion or 'none'}" for sample, own in samples.items())
    return texts, [f"Champions by sample group: {listed(champions)}."] if samples else []


def _attribution(rows: pd.DataFrame, cube: Cube, metric: str, seed: int) -> pd.DataFrame | None:
    """None where a subset has no part in it or the noisy input was not scored."""
    noisy = rows[rows["name"] == NOISY].groupby("place", sort=False)[metric].mean()
    losses = {loss for name in cube.names for loss in name.split("+")}
    whole = len(cube.names) == 2 ** len(losses) - 1 and set(cube.places) <= set(noisy.index)
    if not whole or not np.isfinite(noisy[list(cube.places)]).all():
        return None
    return attributions(cube, noisy[list(cube.places)].to_numpy(float)[:, None], seed)


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
