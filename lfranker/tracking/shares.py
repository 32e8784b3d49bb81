"""The shares of the losses in the gradient, as the trainings of a power set logged them."""

from collections.abc import Sequence

import pandas as pd

from lfranker.ranking.entrant import is_hybrid
from lfranker.ranking.leaderboard import tie_key
from lfranker.tracking.power_set import PowerSet, repeats_of, trainings
from lfranker.tracking.training_run import MEAN_SHARE


def hybrid_shares(power_set: PowerSet, names: Sequence[str]) -> pd.DataFrame:
    """As `gradient_shares.report_shares` takes them: those of ``names`` that are hybrids.

    Means over the repeats that logged them; runs of earlier versions did not.
    """
    hybrids = [name for name in names if is_hybrid(name)]
    repeats = repeats_of(power_set.parent)
    rows = [
        {"name": name, **_shares(run.data.metrics)}
        for (name, repeat), run in trainings(power_set).items()
        if name in hybrids and (not repeats or repeat < repeats)
    ]
    if not rows:
        return pd.DataFrame(index=pd.Index(hybrids, dtype=str))
    table = pd.DataFrame(rows).groupby("name").mean().reindex(hybrids)
    losses = sorted((str(name) for name in table.columns), key=tie_key)
    return table[losses]


def _shares(metrics: dict[str, float]) -> dict[str, float]:
    return {k.removeprefix(MEAN_SHARE): v for k, v in metrics.items() if k.startswith(MEAN_SHARE)}
