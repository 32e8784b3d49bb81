"""Agreement of criteria: between metrics, between scan speeds, and where none dominates."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from lfranker.arrays import Floats


def kendall_tau(scores: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau-b of every two columns over the entrants (rows) that both have.

    1: the same order, 0: none in common, -1: reversed. NaN where a column has one value only.
    ``scores`` are better when higher.
    """
    columns = list(scores.columns)
    values = [
        [float(kendalltau(scores[a], scores[b], nan_policy="omit").statistic) for b in columns]
        for a in columns
    ]
    return pd.DataFrame(values, index=columns, columns=columns)


def kendall_tau_of(one: Floats, other: Floats) -> Floats:
    """Kendall's tau-b of the last axes of two arrays (..., entrants), for all others at once.

    NaN where one of them has one value only.
    """
    first, second = np.triu_indices(one.shape[-1], 1)
    signs = np.sign(one[..., first] - one[..., second])
    others = np.sign(other[..., first] - other[..., second])
    size = np.sqrt((signs**2).sum(axis=-1) * (others**2).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray((signs * others).sum(axis=-1) / size)


def kendall_w(scores: pd.DataFrame) -> float:
    """Kendall's coefficient of concordance of the columns (Kendall & Babington Smith 1939).

    1: every column ranks the entrants (rows) alike, 0: not at all; corrected for ties. NaN for
    fewer than 2 entrants or columns, or where all entrants tie. Rows with a gap are left out.
    """
    whole = scores.dropna().to_numpy(np.float64)
    entrants, judges = whole.shape
    if entrants < 2 or judges < 2:
        return float("nan")
    ranks = rankdata(whole, axis=0)
    spread = float(np.sum((ranks.sum(axis=1) - judges * (entrants + 1) / 2) ** 2))
    ties = 0.0
    for column in ranks.T:
        counts = np.unique(column, return_counts=True)[1].astype(np.float64)
        ties += float(np.sum(counts**3 - counts))
    largest = judges**2 * (entrants**3 - entrants) - judges * ties
    return 12 * spread / largest if largest > 0 else float("nan")


def pareto_front(scores: pd.DataFrame) -> list[str]:
    """Entrants (rows) that no other one beats in a column without losing to it in another.

    Rows with a gap are on no front; of equals all are.
    """
    whole = scores.dropna()
    values = whole.to_numpy(np.float64)
    beaten = [
        bool(np.any(np.all(values >= own, axis=1) & np.any(values > own, axis=1))) for own in values
    ]
    return [str(name) for name, lost in zip(whole.index, beaten, strict=True) if not lost]


def krippendorff_alpha(ratings: NDArray[np.float64]) -> float:
    """Agreement of raters (rows) on items (columns) in ratings with an order, NaN where not rated.

    1: all say the same, 0: as by chance, below: they contradict each other. Krippendorff 2011
    (Computing Krippendorff's Alpha-Reliability), ordinal: two ratings are as far apart as there
    are ratings between them. NaN where no item has two raters, or all ratings are equal.
    """
    values = np.unique(ratings[np.isfinite(ratings)])
    counts = (ratings[:, :, None] == values).sum(axis=0).astype(np.float64)  # (items, values)
    raters = counts.sum(axis=1)
    counts, raters = counts[raters > 1], raters[raters > 1]
    total = counts.sum(axis=0)  # (values,)
    weighted = counts / (raters - 1)[:, None]
    pairs = weighted.T @ counts - np.diag(weighted.sum(axis=0))  # coincidences, (values, values)
    middle = np.cumsum(total) - total / 2
    apart = (middle[:, None] - middle) ** 2
    expected = float(np.sum(np.outer(total, total) * apart))
    seen = float(np.sum(pairs * apart)) * (float(total.sum()) - 1)
    return 1 - seen / expected if expected > 0 else float("nan")
