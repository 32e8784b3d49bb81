"""One number from several criteria: the weighted score that stands beside the mean rank."""

from collections.abc import Mapping

import pandas as pd


def weighted_score(scores: pd.DataFrame, weights: Mapping[str, float]) -> pd.Series:
    """For each row the weighted mean of its criteria, each scaled to 0 (worst row) to 1 (best).

    ``scores`` are better when higher; ``weights`` name columns, and those that are not there do
    not count. NaN for a row with a gap, and for all where no weight is left; a column without
    differences counts as 1. Unlike the mean rank it knows how far apart rows are, and depends on
    how bad the worst of them is.
    """
    used = {name: weight for name, weight in weights.items() if weight and name in scores}
    columns = scores[list(used)]
    spread = columns.max() - columns.min()
    scaled = (columns - columns.min()) / spread.where(spread > 0)
    scaled.loc[:, ~(spread > 0)] = 1.0
    parts = scaled.where(columns.notna()).mul(pd.Series(used, dtype=float))
    total = sum(used.values()) or float("nan")
    return parts.sum(axis=1, skipna=False) / total
