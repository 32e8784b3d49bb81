"""Contests: the scores that decide a winner, so that it can be decided again on part of them.

The champion is decided here by the rule of `leaderboard.rank`: the lowest mean rank over all
criteria, the first of equals. With one criterion that is the highest mean.

A winner is flattered by the sites that chose it. To judge it against the model in use, the sites
are split into halves (cross-fit); each half chooses a winner by the rule that chose the one of all
sites, and that is compared with the model in use on the other half. Of 3 to 15 challengers that
equal the model in use, 1 to 5 % are found to be better (3 to 24 sites, one to three metrics);
judged where they were chosen it is 15 to 28 %. More parts than two would use the sites better, but
the judgements then depend on each other: with each site judged by all others it is 13 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CHAMPION, CHAMPION_METRICS, Criterion
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.entrants import tie_key
from lfranker.scans.sites import halves
from lfranker.statistics.superiority import Verdict, judge

MOST_MISSING = 0.1  # of the sites; more, and the entrant is the odd one out, not the sites
AT_ONCE = 1_000_000  # means held in memory


@dataclass(frozen=True)
class Contest:
    """Finite scores of entrants, (names, sites, repeats, criteria), higher is better.

    names: the first of equals wins; fields: how many there are of each site, (sites,).
    """

    names: tuple[str, ...]
    sites: tuple[str, ...]
    criteria: tuple[str, ...]
    scores: Floats
    fields: Floats

    def __post_init__(self) -> None:
        if not np.isfinite(self.scores).all():
            raise ValueError("scores of a contest must be finite")

    @property
    def repeats(self) -> int:
        return self.scores.shape[2]

    def means(self, sites: Floats, repeats: Floats) -> Iterator[Floats]:
        """Yield means (draws, names, criteria) in which sites and repeats count so often.

        ``sites`` (draws, sites) and ``repeats`` (draws, repeats) are counts; no row is all 0. The
        draws come in parts, for the sake of memory.
        """
        parts = max(1, len(sites) * self.scores.size // len(self.sites) // AT_ONCE)
        split = zip(np.array_split(sites, parts), np.array_split(repeats, parts), strict=True)
        yield from (self._means(*part) for part in split)

    def _means(self, sites: Floats, repeats: Floats) -> Floats:
        weights = sites * self.fields
        sums = np.einsum("dr,dmrc->dmc", repeats, np.tensordot(weights, self.scores, (1, 1)))
        counts = weights.sum(axis=1) * repeats.sum(axis=1)
        # what is the same but for the order of its sums is a tie
        return np.round(sums / counts[:, None, None], 10)

    def winners(self, sites: Floats, repeats: Floats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return who wins, and whether others have the same mean rank, (draws,) each.

        Sites and repeats count so often as in `means`.
        """
        ranks = [_mean_ranks(own) for own in self.means(sites, repeats)]
        first = [np.argmin(own, axis=1) for own in ranks]
        least = [own == own.min(axis=1, keepdims=True) for own in ranks]  # of sums of halves
        return np.concatenate(first), np.concatenate([own.sum(axis=1) > 1 for own in least])

    def winner(self, without: Sequence[int] = ()) -> int:
        """Return who wins by all repeats on all sites but some."""
        counts = np.ones((1, len(self.sites)))
        counts[:, list(without)] = 0
        winners, _ = self.winners(counts, np.ones((1, self.repeats)))
        return int(winners[0])


def _mean_ranks(means: Floats) -> Floats:
    return np.asarray(rankdata(-means, axis=1).mean(axis=2))


def contest_of(
    rows: pd.DataFrame, criterion: Criterion = CHAMPION, order: Sequence[str] = LOSS_ORDER
) -> Contest | None:
    """Collect what decides a criterion from a row per entrant, repeat, field and speed.

    ``rows`` have `name`, `repeat`, `field`, `place` (the site), `speed` and the metrics, higher is
    better; ``order`` decides ties. An entrant without finite scores in over a tenth of the sites
    is left out, and so is a site where another one lacks a score. None where nothing is left.
    """
    champion = criterion == CHAMPION
    metrics = [m for m in (CHAMPION_METRICS if champion else [criterion.metric]) if m in rows]
    if criterion.speed:
        rows = rows[rows["speed"] == criterion.speed]
    if rows.empty or not metrics:
        return None
    keys = ["name", "place", "repeat"]
    wide = rows.pivot_table(metrics, keys, "speed", dropna=False, sort=False)
    wide = wide.where(np.isfinite(wide)).dropna(axis=1, how="all")
    if not champion:
        wide = wide.mean(axis=1, skipna=False).to_frame(str(criterion))
    else:
        wide.columns = pd.Index([str(Criterion(*map(str, column))) for column in wide.columns])
    names = sorted(wide.index.unique("name"), key=lambda name: tie_key(str(name), order))
    repeats = list(wide.index.unique("repeat"))
    there = wide.notna().all(axis=1).unstack("repeat").eq(True)
    whole = there.reindex(columns=repeats).all(axis=1).unstack("place").eq(True).loc[names]
    kept = whole.index[whole.mean(axis=1) >= 1 - MOST_MISSING]
    sites = list(whole.columns[whole.loc[kept].all(axis=0)])
    if kept.empty or not sites:
        return None
    fields = rows.groupby("place")["field"].nunique()
    index = pd.MultiIndex.from_product([kept, sites, repeats], names=keys)
    scores = wide.reindex(index).to_numpy(np.float64)
    return Contest(
        tuple(map(str, kept)),
        tuple(map(str, sites)),
        tuple(map(str, wide.columns)),
        scores.reshape(len(kept), len(sites), len(repeats), -1),
        np.asarray(fields.reindex(sites), np.float64),
    )


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
