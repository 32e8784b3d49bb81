"""Selection bias of a win: the champion chosen on some fields and judged on others.

A subset that is best on the fields that chose it is flattered by them. Here the places are split
into random halves, again and again; the champion of one half is looked at on the other, where it
was not chosen. Fields of one place stay together, since they show the same specimen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CHAMPION_METRICS, Criterion
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.entrant import tie_key
from lfranker.scans.sites import halves

SPLITS = 500  # each used both ways round
LEAST_PLACES = 4  # two in each half
MOST_MISSING = 0.1  # of the places; more, and the entrant is the odd one out, not the places


@dataclass(frozen=True)
class Selection:
    """Outcome of choosing on one half of the places and looking at the other.

    won: share of the halves in which a subset was chosen, the most frequent first.
    regret: a row per criterion: `regret` (mean) and `regret_95` (95th percentile) by which the
        chosen one is below the best of the other half, and `random` for a subset drawn blindly;
        in the units of the criterion.
    """

    places: int
    won: pd.Series
    regret: pd.DataFrame


def cross_fit(
    scores: pd.DataFrame, seed: int, order: Sequence[str] = LOSS_ORDER
) -> Selection | None:
    """Choose and judge on different places, by the rule that finds the champion.

    ``scores`` has a row per entrant (`name`), field and speed, with `place` and the metrics;
    higher is better. None for fewer than 4 places or 2 entrants. An entrant without a finite
    score in over a tenth of the places is left out, and so is a place where another lacks one.
    """
    means = _by_place(scores)
    names = sorted(means.index.unique("name"), key=lambda name: tie_key(str(name), order))
    places = list(means.index.unique("place"))
    if len(places) < LEAST_PLACES or len(names) < 2:
        return None
    criteria = list(means.columns)
    cube = np.stack([means.xs(name, level="name").reindex(places).to_numpy() for name in names])
    chosen = np.zeros(len(names))
    regrets, blind = [], []
    rng = np.random.default_rng(seed)
    for _ in range(SPLITS):
        first, second = halves(len(places), rng)
        for here, there in ((first, second), (second, first)):
            winner = _champion(cube[:, here].mean(axis=1))
            judged = cube[:, there].mean(axis=1)
            below = judged.max(axis=0) - judged
            chosen[winner] += 1
            regrets.append(below[winner])
            blind.append(below.mean(axis=0))
    won = pd.Series(chosen / chosen.sum(), index=pd.Index(names, name="losses"), name="won")
    table = pd.DataFrame(
        {
            "regret": np.mean(regrets, axis=0),
            "regret_95": np.percentile(regrets, 95, axis=0),
            "random": np.mean(blind, axis=0),
        },
        index=pd.Index(criteria, name="criterion"),
    )
    frequent = won[won > 0].sort_values(ascending=False, kind="stable")
    return Selection(len(places), frequent, table)


def _by_place(scores: pd.DataFrame) -> pd.DataFrame:
    """(name, place) x criterion ("psnr/100ns"); places where a speed is missing are left out."""
    metrics = [metric for metric in CHAMPION_METRICS if metric in scores]
    wide = scores.pivot_table(
        index=["name", "place"], columns="speed", values=metrics, aggfunc="mean", dropna=False
    )
    wide.columns = pd.Index([str(Criterion(*map(str, column))) for column in wide.columns])
    wide = wide.where(np.isfinite(wide))
    whole = wide.notna().all(axis=1).unstack("place", fill_value=False)
    entrants = whole.index[whole.mean(axis=1) >= 1 - MOST_MISSING]
    common = whole.loc[entrants].all(axis=0)
    kept = wide.index.get_level_values("name").isin(entrants)
    return wide[kept & wide.index.get_level_values("place").isin(common.index[common])]


def _champion(means: Floats) -> int:
    """The entrant (first of equals) with the lowest mean rank over the criteria."""
    return int(np.argmin(rankdata(-means, axis=0).mean(axis=1)))
