"""Rankings along training: would another number of steps choose other losses?

Some losses learn fast and others go further, so that a ranking holds of one length of training.
Here the same trainings are ranked as if they had been planned for a quarter and for half of their
steps, and a power law through the three says what four times the steps may bring.

The shorter lengths also tell which trainings need not go on. Rankings at short lengths mislead, so
that none is stopped for its rank. It is stopped where, in every criterion, even an optimistic view
of its learning curve is worse than a pessimistic view of the leader's by more than what matters.
Optimistic: each doubling of the steps to come brings as much as the last one did, although gains
shrink as a rule. Pessimistic: the leader gains nothing more, and where it has lost by the last
doubling it loses as much again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.entrants import PairScores, tie_key
from lfranker.statistics.concordance import kendall_tau_of
from lfranker.statistics.intervals import Chance, difference_interval, mean_squares
from lfranker.statistics.rank_agreement import tau_interval
from lfranker.statistics.resampling import resampled_means

LEAST_SITES = 3
RESAMPLES = 1000
FURTHER = 4  # times the steps, that the power law is followed to
SLOWEST, FASTEST = 0.1, 2.0  # exponents of the power law that are thought possible


class Verdict(StrEnum):
    """Verdict of half of the steps on the champion of all of them.

    SETTLED: they choose the same losses, or losses that are equivalent in every metric, over all
        scan speeds.
    CHANGING: they choose losses that are significantly worse in some metric and better in none.
    UNDECIDED: they choose other losses, and neither of these is shown.
    """

    SETTLED = "settled"
    CHANGING = "still changing"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class AlongTraining:
    """Rankings of the same trainings at several lengths.

    lengths: numbers of steps, the shortest first; the last is the whole training.
    champions: the entrant with the lowest mean rank at each length.
    mean_ranks: entrants (rows) by length, over all criteria that decide the champion.
    tau: Kendall's tau between a shorter length and the whole, by (`steps`, `metric`): `value`,
        `low`, `high` (95 %), of the mean scores over the scan speeds.
    scores: by metric, the mean scores over the scan speeds, entrants by length.
    forecasts: by metric, what the power law says of FURTHER times the steps: `value`, `low`,
        `high` (95 %) and `exponent` (median) for each entrant. Empty without three lengths, and
        without a metric whose gains do not shrink (`slows_down`): no power law fits them.
    later: share of the resamples in which the power laws make an entrant the champion at FURTHER
        times the steps, the most frequent first; empty where a metric has no forecast.
    repeats: repeats of each training; with 1 all holds of these trained models alone.
    """

    lengths: tuple[int, ...]
    champions: tuple[str, ...]
    verdict: Verdict
    mean_ranks: pd.DataFrame
    tau: pd.DataFrame
    scores: Mapping[str, pd.DataFrame]
    forecasts: Mapping[str, pd.DataFrame]
    later: pd.Series
    repeats: int


@dataclass(frozen=True)
class ScoresByLength:
    """Scores (lengths, criteria, entrants, sites, repeats); `fields`: how many a site has."""

    scores: Floats
    lengths: tuple[int, ...]
    metrics: tuple[str, ...]  # of each criterion, which is a metric at one scan speed
    names: tuple[str, ...]
    fields: Floats

    def over_speeds(self) -> dict[str, Floats]:
        """Return the means over the scan speeds, (lengths, entrants, sites, repeats), by metric."""
        of = np.array(self.metrics)
        return {
            metric: self.scores[:, of == metric].mean(axis=1)
            for metric in dict.fromkeys(self.metrics)
        }

    def over_sites(self, scores: Floats) -> Floats:
        """Return means (...) of scores (..., sites, repeats), a site counting by its fields."""
        return np.asarray(scores.mean(axis=-1) @ (self.fields / self.fields.sum()))


def along_training(
    by_length: Mapping[int, PairScores],
    equivalence: Mapping[str, float],
    seed: int,
    order: Sequence[str] = LOSS_ORDER,
) -> AlongTraining | None:
    """Rank the entrants at every length, by the rule that finds the champion.

    ``by_length``: scores of the same trainings after so many steps, each as if it had been planned
    for them; ``equivalence``: differences that do not matter, by metric. None for fewer than 2
    lengths, 2 entrants or LEAST_SITES sites that all lengths have.
    """
    array = line_up(by_length, order)
    if array is None:
        return None
    means = array.over_sites(array.scores)
    ranks = _mean_ranks(means)
    champions = [int(np.argmin(own)) for own in ranks]
    draws = resampled_means(array.scores, array.fields, RESAMPLES, seed)
    forecasts, later = _forecasts(array, means, draws)
    index = pd.Index(array.names, name="losses")
    columns = pd.Index(array.lengths, name="steps")
    return AlongTraining(
        lengths=array.lengths,
        champions=tuple(array.names[at] for at in champions),
        verdict=_verdict(array, champions[-2], champions[-1], equivalence, seed),
        mean_ranks=pd.DataFrame(ranks.T, index=index, columns=columns),
        tau=_tau(array, seed),
        scores={
            metric: pd.DataFrame(own.T, index=index, columns=columns)
            for metric, own in _by_metric(array, means).items()
        },
        forecasts=forecasts,
        later=later,
        repeats=array.scores.shape[-1],
    )


def line_up(by_length: Mapping[int, PairScores], order: Sequence[str]) -> ScoresByLength | None:
    """Line up what all lengths have: entrants, sites and repeats without a gap.

    Of the lengths, those from which doubling leads to the longest. None for fewer than 2 of these,
    2 entrants or LEAST_SITES sites.
    """
    tables = {
        steps: own.table[~own.table["baseline"].astype(bool)]
        for steps, own in ((steps, by_length[steps]) for steps in doubling(by_length))
    }
    metrics = [m for m in CHAMPION_METRICS if all(m in table for table in tables.values())]
    if len(tables) < 2 or not metrics or any(table.empty for table in tables.values()):
        return None
    long = pd.concat(tables, names=["steps"]).reset_index("steps")
    by_site = long.groupby(["name", "steps", "speed", "place", "repeat"])[metrics].mean()
    index = cast(pd.MultiIndex, by_site.index)
    levels = index.levels
    values = np.full((*map(len, levels), len(metrics)), np.nan)
    values[tuple(index.codes)] = by_site
    there = ~np.isnan(values).all(axis=0)  # (lengths, speeds, sites, repeats, metrics)
    whole = (np.isfinite(values) | ~there).all(axis=(1, 2, 3, 4, 5))
    speeds, repeats = there.any(axis=(0, 2, 3, 4)), there.any(axis=(0, 1, 2, 4))
    sites = there[:, speeds][:, :, :, repeats].all(axis=(0, 1, 3, 4))
    if whole.sum() < 2 or sites.sum() < LEAST_SITES:
        return None
    names = sorted(map(str, levels[0][whole]), key=lambda name: tie_key(name, order))
    values = values[levels[0].get_indexer(pd.Index(names))][:, :, speeds][:, :, :, sites][
        :, :, :, :, repeats
    ]
    scores = values.transpose(1, 5, 2, 0, 3, 4)  # lengths, metrics, speeds, names, sites, repeats
    counts = long[long["steps"] == max(tables)].groupby("place")["field"].nunique()
    return ScoresByLength(
        scores.reshape(len(tables), -1, *scores.shape[3:]),
        tuple(tables),
        tuple(metric for metric in metrics for _ in range(speeds.sum())),
        tuple(names),
        np.asarray(counts.loc[levels[3][sites]], np.float64),
    )


def doubling(lengths: Iterable[int]) -> list[int]:
    """Return the longest, its half, the half of that and so on, as far as they are there.

    Halves are rounded to a step. The shortest comes first.
    """
    found = list[int]()
    for steps in sorted(lengths, reverse=True):
        if not found or abs(2 * steps - found[0]) <= 1:
            found.insert(0, steps)
    return found


def _mean_ranks(means: Floats) -> Floats:
    """(..., entrants) of the means (..., criteria, entrants): 1 is best."""
    return np.asarray(rankdata(-means, axis=-1).mean(axis=-2))


def _by_metric(array: ScoresByLength, means: Floats) -> dict[str, Floats]:
    """Means over the scan speeds, (..., entrants), of means (..., criteria, entrants)."""
    of = np.array(array.metrics)
    return {
        metric: means[..., of == metric, :].mean(axis=-2) for metric in dict.fromkeys(of.tolist())
    }


def _verdict(
    array: ScoresByLength, half: int, end: int, equivalence: Mapping[str, float], seed: int
) -> Verdict:
    """Compare the champion of half of the steps with that of all, by their scores after all.

    The champion of all was chosen by these scores, which flatters it: what is called significant
    allows for every entrant that it might have been, and for every metric (Bonferroni). Intervals
    are of the mean over sites, all alike, whereas champions are found by means over fields.
    """
    if half == end:
        return Verdict.SETTLED
    equivalent, worse, better = True, False, False
    of = np.array(array.metrics)
    metrics = list(dict.fromkeys(of.tolist()))
    level = 0.05 / (len(array.names) - 1) / len(metrics)
    for metric in metrics:
        squares = mean_squares(array.scores[-1][of == metric].mean(axis=0))
        chance, margin = Chance(squares, seed), equivalence.get(metric, 0.0)
        within = difference_interval(half, end, squares, chance, 0.90)  # two one-sided tests, 5 %
        apart = difference_interval(half, end, squares, chance, 1 - level)
        equivalent &= -margin <= within.low and within.high <= margin
        worse |= apart.high < 0
        better |= apart.low > 0
    if equivalent:
        return Verdict.SETTLED
    return Verdict.CHANGING if worse and not better else Verdict.UNDECIDED


def _tau(array: ScoresByLength, seed: int) -> pd.DataFrame:
    """Agreement of each shorter length with the whole, in every metric."""
    rows: dict[tuple[int, str], dict[str, float]] = {}
    for metric, scores in array.over_speeds().items():
        means = array.over_sites(scores)
        for at, steps in enumerate(array.lengths[:-1]):
            ends = tau_interval(scores[[at, -1]], array.fields, seed)
            value = float(kendall_tau_of(means[at], means[-1]))
            rows[steps, metric] = {"value": value, "low": ends.low, "high": ends.high}
    return pd.DataFrame(rows).T.rename_axis(["steps", "metric"])


def _forecasts(
    array: ScoresByLength, means: Floats, draws: Floats
) -> tuple[dict[str, pd.DataFrame], pd.Series]:
    """Follow the power laws to FURTHER times the steps, in every resample."""
    nothing = pd.Series(dtype=np.float64)
    if len(array.lengths) < 3:
        return {}, nothing
    criteria, _ = extrapolated(np.moveaxis(draws[:, -3:], 1, -1))
    champions = np.argmin(_mean_ranks(criteria), axis=-1)
    shares = pd.Series(
        np.bincount(champions, minlength=len(array.names)) / len(champions),
        index=pd.Index(array.names, name="losses"),
        name="share",
    )
    tables = {}
    own, drawn = _by_metric(array, means), _by_metric(array, draws)
    for metric, values in own.items():
        if not slows_down(np.moveaxis(values[-3:], 0, -1)):
            continue
        value, _ = extrapolated(np.moveaxis(values[-3:], 0, -1))
        further, exponents = extrapolated(np.moveaxis(drawn[metric][:, -3:], 1, -1))
        low, high = np.quantile(further, [0.025, 0.975], axis=0)
        tables[metric] = pd.DataFrame(
            {"value": value, "low": low, "high": high, "exponent": np.median(exponents, axis=0)},
            index=shares.index,
        )
    later = shares[shares > 0].sort_values(ascending=False, kind="stable")
    return tables, later if len(tables) == len(own) else nothing


def slows_down(scores: Floats) -> bool:
    """Return whether the second doubling of the steps moves the scores less than the first did.

    Less than 2^-SLOWEST = 0.93 times as much, that is: then there is such a power law.

    ``scores`` (entrants, 3). Both are taken over all entrants, as root mean squares. A power law
    whose gains do not shrink leads anywhere: early in training, scores may even speed up.
    """
    first, last = (np.diff(scores, axis=-1)[..., at] for at in (0, 1))
    return bool((last**2).sum() < (2.0**-SLOWEST) ** 2 * (first**2).sum())


def extrapolated(scores: Floats) -> tuple[Floats, Floats]:
    """Scores at FURTHER = 4 times the steps, and exponents c, of y(s) = a - b s^-c.

    ``scores`` (..., entrants, 3) are those at lengths of which each is twice the one before. Then
    the gains shrink by q = 2^-c from one doubling to the next, and two doublings more bring
    d (q + q^2) with d the last gain. Each entrant's q is drawn towards that of all entrants
    (least squares, with the weight of one typical entrant), and kept to the exponents SLOWEST to
    FASTEST: three points determine a power law but hardly measure it.
    """
    first, last = np.diff(scores, axis=-1)[..., 0], np.diff(scores, axis=-1)[..., 1]
    slow, fast = 2.0**-SLOWEST, 2.0**-FASTEST
    squares, products = first**2, first * last
    all_squares, all_products = (a.sum(axis=-1, keepdims=True) for a in (squares, products))
    shared = np.clip(_ratio(all_products, all_squares, slow), fast, slow)
    weight = np.median(squares, axis=-1, keepdims=True)
    ratio = np.clip(_ratio(products + weight * shared, squares + weight, shared), fast, slow)
    return scores[..., -1] + last * (ratio + ratio**2), -np.log2(ratio)


def _ratio(above: Floats, below: Floats, otherwise: Floats | float) -> Floats:
    """Return above / below, and ``otherwise`` where below is 0."""
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1), otherwise))


LEVEL = 0.05  # chance of stopping what would have come up to the best, for each entrant


@dataclass(frozen=True)
class Stop:
    """An entrant that need not go on, and why.

    after: steps that the trainings which were compared are planned for.
    leaders: the entrant with the best mean so far, by metric.
    behind: how far it would stay behind at the least, by metric.
    """

    after: int
    leaders: Mapping[str, str]
    behind: Mapping[str, float]


def to_stop(
    by_length: Mapping[int, PairScores],
    steps: int,
    equivalence: Mapping[str, float],
    seed: int,
    order: Sequence[str] = LOSS_ORDER,
) -> dict[str, Stop]:
    """Return the entrants whose trainings of ``steps`` steps need not go on.

    ``by_length``: scores of trainings of so many steps each, two lengths or more;
    ``equivalence``: differences that do not matter, by metric. Each metric is judged at LEVEL over
    the entrants that might lead, and all of them must agree (an intersection-union test). Empty
    where too little is known: see `line_up`.
    """
    array = line_up(by_length, order)
    if array is None:
        return {}
    before, now = array.lengths[-2:]
    doublings = np.log2(steps / now) / np.log2(now / before)
    level = LEVEL / (len(array.names) - 1)
    behind: list[dict[str, float]] = [{} for _ in array.names]
    leaders: dict[str, str] = {}
    for metric, scores in array.over_speeds().items():
        leader = int(np.argmax(array.over_sites(scores[-1])))
        leaders[metric] = array.names[leader]
        gains = doublings * (scores[-1] - scores[-2])
        rises = (array.over_sites(gains) > 0)[:, None, None]
        optimistic = scores[-1] + np.where(rises, gains, 0.0)
        pessimistic = scores[-1] + np.where(rises, 0.0, gains)
        for own, low in zip(
            behind, _least(pessimistic[leader], optimistic, level, seed), strict=True
        ):
            own[metric] = low
        behind[leader][metric] = 0.0
    return {
        name: Stop(now, leaders, own)
        for name, own in zip(array.names, behind, strict=True)
        if all(low > equivalence.get(metric, 0.0) for metric, low in own.items())
    }


def _least(leader: Floats, others: Floats, level: float, seed: int) -> list[float]:
    """Return how much better the leader, (sites, repeats), is than each of the others at least."""
    squares = mean_squares(np.concatenate([leader[None], others]))
    chance = Chance(squares, seed)
    return [
        difference_interval(0, 1 + at, squares, chance, 1 - 2 * level).low
        for at in range(len(others))
    ]
