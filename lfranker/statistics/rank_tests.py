"""Tests of whether models differ, by their ranks within fields (Demsar 2006, JMLR 7, 1-30).

Blocks are places, with repeats and scan speeds averaged first, so that no field counts twice.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scikit_posthocs import posthoc_nemenyi_friedman, posthoc_wilcoxon
from scipy.stats import friedmanchisquare, rankdata

LEVEL = 0.05


@dataclass(frozen=True)
class Significance:
    """P-values, and the mean rank of each entrant over the blocks (1 is best).

    friedman: of all entrants being alike; nan for fewer than 3 entrants, which it cannot judge.
    nemenyi, wilcoxon: of every two; the second is Holm-corrected. Both (entrants, entrants).
    """

    blocks: int
    mean_ranks: pd.Series
    friedman: float
    nemenyi: pd.DataFrame
    wilcoxon: pd.DataFrame


def significance(names: list[str], scores: NDArray[np.float64]) -> Significance:
    """Test ``scores`` (entrants, blocks), higher is better, at least 2 x 3 and finite."""
    if scores.ndim != 2 or scores.shape[0] < 2 or scores.shape[1] < 3:
        raise ValueError(
            f"scores of shape {scores.shape}: at least 2 entrants x 3 blocks are needed"
        )
    blocks = pd.DataFrame(scores.T, columns=names)
    ranks = rankdata(-scores, axis=0).mean(axis=1)
    long = blocks.melt(var_name="name", value_name="score")
    return Significance(
        blocks=scores.shape[1],
        mean_ranks=pd.Series(ranks, index=names, name="mean_rank"),
        friedman=_friedman(scores),
        nemenyi=posthoc_nemenyi_friedman(blocks),
        wilcoxon=posthoc_wilcoxon(
            long, "score", "name", zero_method="zsplit", p_adjust="holm", sort=False
        ),
    )


def _friedman(scores: NDArray[np.float64]) -> float:
    if len(scores) < 3:
        return float("nan")
    if np.all(scores == scores[0]):
        return 1.0  # nothing but ties, of which the statistic is 0 / 0
    return float(friedmanchisquare(*scores).pvalue)
