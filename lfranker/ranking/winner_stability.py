"""Stability of a champion: how often it is chosen when sites and repeats are drawn again.

A subset that is best on the sites and repeats that chose it is flattered by them. Here both are
drawn with replacement, independently of each other, and the champion is decided again each time by
all of its criteria (a bootstrap of crossed effects: Owen 2007, 10.1214/07-AOAS122). Fields of one
site are drawn together, since they show the same specimen. Drawn is one fewer than there are, so
that the spread of a mean over 2 repeats is not halved (Rao & Wu 1988,
10.1080/01621459.1988.10478591).

Shares say how firmly the data choose, not how probable it is that a subset is truly the best: of
equal ones the luckiest has a share well above that of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.arrays import Floats
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.contest import Contest, contest_of
from lfranker.ranking.entrants import tie_key
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import Ranking
from lfranker.statistics.score_array import LEAST_SITES

RESAMPLES = 1000
MOST = 0.9  # of the draws, which the subsets in question share


@dataclass(frozen=True)
class Stability:
    """Champions of so many draws of the sites and of the repeats.

    criteria: those that decide, in every draw.
    shares: of the draws in which a subset was chosen, the most frequent first.
    champion: that of all sites and repeats together.
    regret: a row per criterion: `regret` (mean) and `regret_95` (95th percentile) by which the
        chosen one is below the best of the sites that were not drawn, and `random` for a subset
        drawn blindly; in the units of the criterion.
    tied: share of the draws, by name, in which a subset was chosen as the first of several that
        shared the lowest mean rank.
    """

    sites: int
    repeats: int
    resamples: int
    criteria: tuple[str, ...]
    shares: pd.Series
    champion: str
    regret: pd.DataFrame
    tied: Mapping[str, float] = field(default_factory=dict)

    def share_of(self, name: str | None) -> float:
        """Return the share of the draws in which it was chosen."""
        return float(self.shares.get(name, 0.0))

    @property
    def in_question(self) -> tuple[str, ...]:
        """The fewest subsets that together were chosen in MOST of the draws."""
        count = int(np.searchsorted(self.shares.cumsum().to_numpy(), MOST - 1e-9)) + 1
        return tuple(map(str, self.shares.index[:count]))


def stability(
    scores: pd.DataFrame, seed: int, order: Sequence[str] = LOSS_ORDER
) -> Stability | None:
    """Draw sites and repeats again, and decide the champion by the rule that found it.

    ``scores`` as in `contest.contest_of`. None for fewer than 3 sites or 2 entrants.
    """
    contest = contest_of(scores, order=order)
    if contest is None or len(contest.sites) < LEAST_SITES or len(contest.names) < 2:
        return None
    return stability_of(contest, seed)


def stability_of(contest: Contest, seed: int) -> Stability:
    """Draw the sites and repeats of a contest again, RESAMPLES times."""
    rng = np.random.default_rng(seed)
    sites, repeats = (_drawn(n, rng) for n in (len(contest.sites), contest.repeats))
    winners, tied = contest.winners(sites, repeats)
    won = np.bincount(winners, minlength=len(contest.names)) / RESAMPLES
    shared = np.bincount(winners[tied], minlength=len(contest.names)) / RESAMPLES
    shares = pd.Series(won, index=pd.Index(contest.names, name="losses"), name="share")
    return Stability(
        sites=len(contest.sites),
        repeats=contest.repeats,
        resamples=RESAMPLES,
        criteria=contest.criteria,
        shares=shares[shares > 0].sort_values(ascending=False, kind="stable"),
        champion=contest.names[contest.winner()],
        regret=_regret(contest, sites, winners),
        tied=dict(zip(contest.names, shared.tolist(), strict=True)),
    )


def _drawn(count: int, rng: np.random.Generator) -> Floats:
    """How often each of ``count`` is drawn, (draws, count)."""
    if count == 1:
        return np.ones((RESAMPLES, 1))
    return rng.multinomial(count - 1, np.full(count, 1 / count), RESAMPLES).astype(float)


def _regret(contest: Contest, sites: Floats, winners: NDArray[np.intp]) -> pd.DataFrame:
    """Means of all repeats on the sites that were not drawn."""
    left = (sites == 0).astype(float)
    means = np.concatenate(list(contest.means(left, np.ones((len(left), contest.repeats)))))
    below = means.max(axis=1, keepdims=True) - means
    chosen = below[np.arange(len(winners)), winners]
    return pd.DataFrame(
        {
            "regret": chosen.mean(axis=0),
            "regret_95": np.percentile(chosen, 95, axis=0),
            "random": below.mean(axis=(0, 1)),
        },
        index=pd.Index(contest.criteria, name="criterion"),
    )


@dataclass(frozen=True)
class Undistinguished:
    """The ranking with and without the metrics in which no two subsets are told apart.

    metrics: these, among those that decide the champion.
    mean_ranks: a row per subset that may be champion, the best of all criteria first: `all`, and
        `without` them, which is nan where no criterion is left.
    champion: the one without them; None where no criterion is left.
    """

    metrics: tuple[str, ...]
    mean_ranks: pd.DataFrame
    champion: str | None


def without_undistinguished(
    ranking: Ranking, evidence: Mapping[str, Evidence]
) -> Undistinguished | None:
    """Rank again without the metrics that add noise only; None where each tells some apart.

    A metric tells none apart where each subset may have any rank, by `Evidence.intervals` (95 %,
    all pairs together). A metric without evidence stays.
    """
    judged = {criterion.metric for criterion in ranking.judged}
    dropped = tuple(metric for metric, own in evidence.items() if metric in judged and _noise(own))
    if not dropped or ranking.champion is None:
        return None
    board = ranking.leaderboard
    finite = np.isfinite(board[list(map(str, ranking.judged))].to_numpy(np.float64)).all(axis=1)
    fit = board[~board["baseline"] & board["outcome"].eq("ok") & finite]
    kept = [c.rank_column for c in ranking.judged if c.metric not in dropped]
    without = fit[kept].mean(axis=1)
    ranks = pd.DataFrame({"all": fit["mean_rank"], "without": without}).rename_axis("losses")
    if not kept:
        return Undistinguished(dropped, ranks, None)
    equals = map(str, without.index[without.eq(without.min())])
    champion = min(equals, key=lambda name: tie_key(name, ranking.order))
    return Undistinguished(dropped, ranks, champion)


def _noise(evidence: Evidence) -> bool:
    table = evidence.intervals
    if table is None:
        return False
    return bool(table["best_rank"].eq(1).all() and table["worst_rank"].eq(len(table)).all())
