"""Cross-fit of a winner: judged against the model in use on sites that did not choose it.

A winner is flattered by the sites that chose it. So the sites are split into halves; each half
chooses a winner by the rule that chose the one of all sites, and that is compared with the model in
use on the other half. Of 3 to 15 challengers that equal the model in use, 1 to 5 % are found to be
better (3 to 24 sites, one to three metrics); judged where they were chosen it is 15 to 28 %. More
parts than two would use the sites better, but the judgements then depend on each other: with each
site judged by all others it is 13 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import Criterion
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.contest import contest_of
from lfranker.scans.sites import halves
from lfranker.statistics.superiority import Verdict, judge

KEYS = ["place", "field", "speed"]


@dataclass(frozen=True)
class CrossFit:
    """Verdict on the winners of the halves, against the model in use; chosen: their names."""

    verdict: Verdict
    chosen: tuple[str, ...] = ()


def cross_fit(
    rows: pd.DataFrame,
    old: pd.DataFrame,
    criterion: Criterion,
    repeat: int,
    seed: int,
    order: Sequence[str] = LOSS_ORDER,
) -> CrossFit:
    """Judge whom each half of the sites chooses by the criterion, on the other half.

    ``rows`` as in `contest.contest_of`; all repeats choose, the models of one ``repeat`` are
    judged. ``old``: scores of the model in use by `place`, `field` and `speed` of the same scans.
    Judged are the metrics that decide the criterion, at its speed or over all.
    """
    contest = contest_of(rows, criterion, order)
    if contest is None:
        return CrossFit(Verdict({}, (criterion.metric,)))
    known = set(map(str, old["place"])) if "place" in old else set()
    common = np.array([at for at, site in enumerate(contest.sites) if site in known], dtype=int)
    metrics = tuple(dict.fromkeys(Criterion.parse(name).metric for name in contest.criteria))
    if len(common) < 2:
        return CrossFit(Verdict({}, metrics))
    parts: list[pd.DataFrame] = []
    chosen: list[str] = []
    one, other = (common[half] for half in halves(len(common), np.random.default_rng(seed)))
    for judging in (one, other):
        name = contest.names[contest.winner(without=list(judging))]
        own = rows[(rows["name"] == name) & (rows["repeat"] == repeat)]
        parts.append(own[own["place"].isin([contest.sites[at] for at in judging])])
        chosen.append(name)
    new = pd.concat(parts)
    if criterion.speed:
        new = new[new["speed"] == criterion.speed]
    differences = {metric: _differences(new, old, metric) for metric in metrics}
    return CrossFit(judge(differences), tuple(dict.fromkeys(chosen)))


def _differences(new: pd.DataFrame, old: pd.DataFrame, metric: str) -> Floats:
    """New less old at each site, (sites,): means over its fields and speeds that both have."""
    if not {metric} <= set(new) & set(old):
        return np.empty(0)
    one, other = (table.groupby(KEYS)[metric].mean() for table in (new, old))
    both = (one - other).replace([np.inf, -np.inf], np.nan).dropna()
    return both.groupby(level="place").mean().to_numpy(np.float64)
