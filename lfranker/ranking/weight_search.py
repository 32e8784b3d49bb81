"""Better weights for the losses that won: a search on some sites, judged on the others.

The search sees half of the sites. What it finds is compared with the weights that won on the other
half, by the statistics that compare subsets: a search among many weights flatters what it chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import TPESampler

from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.scans.sites import halves
from lfranker.statistics.intervals import Chance, difference_interval, mean_squares
from lfranker.statistics.score_array import LEAST_SITES, cube_of

LARGEST = 30.0  # weight of a loss relative to the first one's 1; the smallest is its inverse
BLIND = 5  # weights drawn at random before the search has something to go by

ATTEMPTS = 20  # at weights that are new, for each that is wanted

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Trial:
    """Weights that were tried, and the means that came of it (higher is better); None: nothing."""

    weights: Weights
    values: Mapping[str, float] | None


@dataclass(frozen=True)
class Outcome:
    """Outcome of a search: the weights that did best, and how they compare with those that won.

    comparison: of `compare`; empty where those that won did best, or too little is known.
    repeats: those that it is about; unseen: the search has not chosen by any of them.
    """

    name: str  # the subset
    tried: int
    weights: Weights | None  # None: those that won
    comparison: pd.DataFrame
    repeats: int = 0
    unseen: bool = False


def split_sites(sites: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Return the sites to search on and to judge on, as many each (one more to judge on if odd).

    Raises ValueError where there are too few.
    """
    known = sorted(set(sites))
    if len(known) < 2 * LEAST_SITES:
        raise ValueError(
            f"refine: scans of {len(known)} sites are too few to search on some and judge on "
            f"others; {2 * LEAST_SITES} are needed"
        )
    searched, judged = halves(len(known), np.random.default_rng(seed))
    return [known[at] for at in sorted(searched)], [known[at] for at in sorted(judged)]


def means(rows: pd.DataFrame, sites: Sequence[str]) -> dict[str, float] | None:
    """Means of one training's scores at ``sites`` by metric: over the speeds' means.

    None where one is not finite.
    """
    there = rows[rows["place"].isin(list(sites))]
    metrics = [metric for metric in CHAMPION_METRICS if metric in there]
    speeds = [group[metrics].to_numpy(np.float64) for _, group in there.groupby("speed")]
    mean = np.mean([values.mean(axis=0) for values in speeds], axis=0)
    found = dict(zip(metrics, mean.tolist(), strict=True)) if speeds else {}
    return found if found and np.isfinite(list(found.values())).all() else None


def propose(tried: Sequence[Trial], losses: Sequence[str], seed: int, count: int) -> list[Weights]:
    """The next ``count`` weights to try, each to 3 digits; the first loss keeps the weight 1.

    Multi-objective tree-structured Parzen estimator (Ozaki et al. 2022, 10.1613/jair.1.13188), in
    the logarithm of the weights. They depend on what was tried and on ``seed`` alone, so that a
    search that was stopped goes on as it would have. None is among those tried, so there may be
    fewer. Raises ValueError for a single loss.
    """
    if len(losses) < 2:
        raise ValueError(f"refine: {'+'.join(losses)} is a single loss, there is nothing to weigh")
    space: dict[str, BaseDistribution] = {
        loss: FloatDistribution(1 / LARGEST, LARGEST, log=True) for loss in losses[1:]
    }
    metrics = next((list(trial.values) for trial in tried if trial.values), ["psnr"])
    sampler = TPESampler(n_startup_trials=BLIND, multivariate=True, seed=seed + len(tried))
    study = optuna.create_study(directions=["maximize"] * len(metrics), sampler=sampler)
    study.add_trials([_known(trial, metrics, space) for trial in tried])
    known = [_relative(trial.weights) for trial in tried]
    new: list[Weights] = []
    for _ in range(ATTEMPTS * count):
        asked = study.ask(space).params
        weights = {losses[0]: 1.0} | {k: float(f"{v:.3g}") for k, v in asked.items()}
        if len(new) < count and weights not in [*known, *new]:
            new.append(weights)
    return new


def best(tried: Sequence[Trial]) -> int:
    """Return which has the best mean rank over the criteria, the first of equals."""
    table = pd.DataFrame([trial.values or {} for trial in tried])
    ranks = table.rank(ascending=False, na_option="bottom").mean(axis=1)
    return int(np.argmin(ranks.where(table.notna().all(axis=1), np.inf)))


def compare(new: pd.DataFrame, old: pd.DataFrame, sites: Sequence[str], seed: int) -> pd.DataFrame:
    """Lead of the new weights over the old ones at ``sites``, by criterion.

    ``new`` and ``old`` have a row per `repeat`, field and speed, with `place` and the metrics.
    Columns `difference`, `low`, `high`; no row where too little is known.
    """
    rows = pd.concat([new.assign(name="new"), old.assign(name="old")])
    rows = rows[rows["place"].isin(list(sites))]
    found = {}
    for metric in (m for m in CHAMPION_METRICS if {m} <= set(new) & set(old)):
        cube = cube_of(rows, metric)
        if cube is not None:
            squares = mean_squares(cube.scores)
            first, second = cube.names.index("new"), cube.names.index("old")
            interval = difference_interval(first, second, squares, Chance(squares, seed))
            difference = float(squares.mean[first] - squares.mean[second])
            found[metric] = (difference, interval.low, interval.high)
    return pd.DataFrame.from_dict(found, orient="index", columns=["difference", "low", "high"])


def _known(
    trial: Trial, metrics: Sequence[str], space: dict[str, BaseDistribution]
) -> optuna.trial.FrozenTrial:
    relative, low, high = _relative(trial.weights), 1 / LARGEST, LARGEST
    params = {loss: min(max(relative[loss], low), high) for loss in space}
    if trial.values is None:
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.FAIL, params=params, distributions=space
        )
    values = [trial.values[metric] for metric in metrics]
    return optuna.trial.create_trial(values=values, params=params, distributions=space)


def _relative(weights: Weights) -> dict[str, float]:
    """The same in proportion, the first being 1."""
    first = next(iter(weights.values()))
    return {loss: weight / first for loss, weight in weights.items()}
