"""Resampling of sites and repeats together, for what has no formula: ranks, champions, curves.

A score belongs to a site and to a repeat, and both are a sample. So sites and repeats are drawn
with replacement, each for itself (Owen 2007, 10.1214/07-AOAS122), and a cell counts as often as its
site times as often as its repeat. Of n, n - 1 are drawn: the variance of a mean of so many is the
usual estimate of that of the mean of all, while n draws give (n - 1) / n of it (Rao & Wu 1988,
10.1080/01621459.1988.10478591), which is half with two repeats.
"""

import numpy as np

from lfranker.arrays import Floats


def draw_counts(count: int, draws: int, rng: np.random.Generator) -> Floats:
    """Return how often each of ``count`` things is drawn, (draws, count); one alone stays."""
    if count == 1:
        return np.ones((draws, 1))
    return rng.multinomial(count - 1, np.full(count, 1 / count), size=draws).astype(np.float64)


def resampled_means(scores: Floats, weights: Floats, draws: int, seed: int) -> Floats:
    """Return means over sites and repeats, (draws, ...), of ``scores`` (..., sites, repeats).

    ``weights`` (sites,) are those of the sites in the mean, such as their numbers of fields. The
    same sites and repeats are drawn for all that stands before them.
    """
    rng = np.random.default_rng(seed)
    sites, repeats = scores.shape[-2:]
    by_site = draw_counts(sites, draws, rng) * weights
    by_repeat = draw_counts(repeats, draws, rng)
    by_site = by_site / by_site.sum(axis=1, keepdims=True)
    by_repeat = by_repeat / by_repeat.sum(axis=1, keepdims=True)
    flat = scores.reshape(-1, sites * repeats)
    cells = (by_site[:, :, None] * by_repeat[:, None, :]).reshape(draws, -1)
    return np.asarray(cells @ flat.T).reshape(draws, *scores.shape[:-2])
