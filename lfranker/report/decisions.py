"""Sentences on decisions: which losses are chosen, and how firmly the data choose them."""

import numpy as np

from lfranker.evaluation.criteria import ALL_METRICS, Criterion
from lfranker.ranking.contest import CrossFit
from lfranker.ranking.learning_rate_check import DEPENDS, HOLDS, RateCheck
from lfranker.ranking.winner_stability import Stability, Undistinguished
from lfranker.report.numbers import in_100, joined, number, percent
from lfranker.report.tables import in_words
from lfranker.statistics.score_array import LEAST_SITES
from lfranker.text import listed

LEAST_TIED = 0.005  # a smaller share of draws that were ties is not said
HALF = 0.5  # a champion chosen less often has rivals that must be named


def stability_clause(stability: Stability, champion: str | None = None) -> str:
    """Say how often a champion is chosen again, and who else where that is seldom.

    ``champion``: that of the ranking; None: that of the stability's own scores.
    """
    chosen = champion or stability.champion
    share = stability.share_of(chosen)
    clause = f"chosen in {in_100(share)} re-samplings of {_drawn(stability)}"
    if (tied := stability.tied.get(chosen, 0.0)) >= LEAST_TIED:
        number = in_100(tied).partition(" ")[0]
        clause += f", {number} of them ties decided by rule, not by scores"
    others = [name for name in stability.in_question if name != chosen]
    if share >= HALF or not others:
        return clause
    named = (f"{name} ({in_100(stability.share_of(name))})" for name in others)
    return f"{clause}, so that other losses remain in question: {listed(named, 200)}"


def _drawn(stability: Stability) -> str:
    if stability.repeats == 1:
        return f"{stability.sites} sites"
    return f"{stability.sites} sites and {stability.repeats} repeats"


def stability_sentence(stability: Stability) -> str:
    """Say what was drawn again, what each time decided, and who was chosen how often."""
    shares = (f"{name} {percent(share)}" for name, share in stability.shares.items())
    once = "" if stability.repeats > 1 else ", with the trained models as they are"
    return (
        f"The champion was decided again in {stability.resamples:,} re-samplings of "
        f"{_drawn(stability)}{once}, each time by all {len(stability.criteria)} criteria. Chosen "
        f"were: {listed(shares, 160)}. These shares tell how stable the choice is; they are no "
        f"probabilities of being the best."
    )


def regret_sentence(stability: Stability) -> str:
    """Say by how much the chosen one is below the best of the sites that did not choose it."""
    table = stability.regret
    metrics = [Criterion.parse(str(name)).metric for name in table.index]
    means = table[["regret", "random"]].groupby(np.array(metrics), sort=False).mean()
    rows = [
        f"{number(chosen, ALL_METRICS[metric].unit)} in {in_words(metric)} "
        f"(a subset drawn at random: "
        f"{number(blind, ALL_METRICS[metric].unit)})"
        for metric, (chosen, blind) in zip(
            dict.fromkeys(metrics), means.to_numpy(np.float64).tolist(), strict=True
        )
    ]
    return (
        f"At the sites that were not drawn, the chosen subset was on average below the best one "
        f"there by {'; '.join(rows)}."
    )


def undistinguished_sentence(found: Undistinguished, champion: str) -> str:
    """Say in which criteria no two subsets differ, and whether the champion hangs on them."""
    titles = joined(map(in_words, found.metrics))
    said = f"In {titles} no two subsets are shown to be different, so that "
    if found.champion is None:
        return f"{said}the mean rank may have nothing but chance in it."
    said += f"{'its' if len(found.metrics) == 1 else 'their'} part of the mean rank may be chance"
    without = f"without {'it' if len(found.metrics) == 1 else 'them'}"
    if found.champion == champion:
        return f"{said}; {without}, {champion} is the champion too."
    new, old = (float(found.mean_ranks["without"][name]) for name in (found.champion, champion))
    if f"{new:.2f}" == f"{old:.2f}":
        both = f"{found.champion} and {champion}"
        return f"{said}; {without}, {both} have the same mean rank, {new:.2f}."
    return (
        f"{said}; {without}, the champion is {found.champion} "
        f"(mean rank {new:.2f}) instead of {champion} ({old:.2f})."
    )


def not_better(winner: str, found: CrossFit) -> str:
    """Say why a winner does not take the place of the model in use."""
    intervals = found.verdict.intervals
    told = [f"{m} {interval.low:+.3g} to {interval.high:+.3g}" for m, interval in intervals.items()]
    others = [name for name in found.chosen if name != winner]
    whom = f"{winner} (half of the sites chose {listed(others)})" if others else winner
    said = f"{whom} is not shown to be better on sites that did not choose it"
    if told:
        said += f"; differences (95 %, all together): {', '.join(told)}"
    if found.verdict.unjudged:
        unjudged = " and ".join(found.verdict.unjudged)
        said += f"; {unjudged} cannot be judged: fewer than {LEAST_SITES} sites have it of both"
    return said


def learning_rate_sentence(check: RateCheck) -> str:
    """Say whether the winner depends on the learning rate, and what was seen."""
    others = {factor: name for factor, name in check.winners.items() if factor != 1}
    seen = "; ".join(
        f"at {factor:g} times the rate {name or 'none'} has the best mean rank"
        for factor, name in others.items()
    )
    factors = " and ".join(f"{factor:g}" for factor in others)
    times = "once" if check.repeats < 2 else f"{check.repeats} times"
    said = (
        f"{len(check.mean_ranks)} subsets were trained {times} at {factors} times the learning "
        f"rate too. At the rate as it is {check.winner} has the best mean rank of them; {seen}."
    )
    if check.verdict == DEPENDS:
        why = "; ".join(
            f"at {factor:g} times the rate "
            + (f"{name} is significantly better" if name else f"{check.winner} fails")
            for factor, name in check.beaten_by.items()
        )
        return f"{said} The winner depends on the learning rate: {why}."
    if check.verdict == HOLDS:
        return (
            f"{said} The winner does not depend on the learning rate: at none of them another one "
            f"can be better by more than the margin."
        )
    if check.repeats < 2:
        return (
            f"{said} Whether the winner depends on the learning rate one cannot tell from one "
            f"training each, which differ by their seeds as well: `-P repeats=3` can show it."
        )
    return f"{said} Whether the winner depends on the learning rate one cannot tell."
