"""Sentences on the numbers of `ranking/` and `statistics/`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lfranker.evaluation.metrics import METRICS
from lfranker.ranking.hybrid_advantage import (
    ALIKE,
    BETWEEN,
    LESS,
    MORE,
    ONE_SPEED,
    SHRINKS,
    Advantage,
)
from lfranker.ranking.top_set import Effort
from lfranker.ranking.weight_search import Outcome
from lfranker.statistics.multiple_comparisons import EQUIVALENT, UNDECIDED, WORSE
from lfranker.text import listed


def estimate(value: float, low: float, high: float) -> str:
    """Write a number with the ends of its interval."""
    return f"{value:.2g} ({low:.2g} to {high:.2g})"


def top_set_sentence(
    metric: str, table: pd.DataFrame, equivalence: float, effort: Effort | None, about: str
) -> str:
    """Which entrants are equivalent and undecided, and what it takes to tell two apart.

    ``table`` is of `top_set.intervals`; ``about`` says what it holds of.
    """
    said = (
        f"{counts(METRICS[metric].title, table, equivalence, METRICS[metric].unit)} ({about}). "
        f"{table.index[0]} is the best with a chance of {table['chance_of_best'].iloc[0]:.0%}"
    )
    return f"{said}{'' if effort is None else _takes(effort)}."


def counts(title: str, table: pd.DataFrame, equivalence: float, unit: str = "") -> str:
    """Count and name by `standing` how the rows of a table compare with the best."""
    names = {s: list(map(str, own.index)) for s, own in table.groupby("standing")}
    same, open_, worse = (names.get(s, []) for s in (EQUIVALENT, UNDECIDED, WORSE))
    within = f"within {equivalence:g} {unit}".rstrip()
    return (
        f"In {title}, of {len(table)}, {len(same)} are shown to be equivalent to the best "
        f"{within}{_named(same)}, {len(open_)} are undecided{_named(open_)}, and {len(worse)} are "
        f"shown to be worse"
    )


def _named(names: Sequence[str]) -> str:
    return f" ({listed(names)})" if names else ""


def _takes(effort: Effort) -> str:
    ways = [
        f"about {_span(*ends)} {what}"
        for what, ends in (("fields", effort.fields), ("repeats", effort.repeats))
        if ends is not None
    ]
    if not ways:
        return ""
    return (
        f"; to tell it from {effort.other}, some {effort.gap:.2g} behind, takes {' or '.join(ways)}"
    )


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def advantage_clause(advantage: Advantage) -> str:
    """Say how far combined losses are ahead at the noisiest and the cleanest speed, and why."""
    rows = dict(zip(advantage.table.index, advantage.table.to_numpy(np.float64), strict=True))
    speeds = [str(name) for name in rows if name != BETWEEN]
    ends = dict.fromkeys((speeds[0], speeds[-1]))
    ahead = " and ".join(f"{estimate(*rows[speed])} at {speed}" for speed in ends)
    said = f"combined losses are ahead of single ones by {ahead} ({advantage.title})"
    if BETWEEN in rows:
        said += f"; the difference is {estimate(*rows[BETWEEN])}"
    return f"{said}: {ADVANTAGES[advantage.verdict]}. {_composition(advantage)}"


ADVANTAGES = {
    MORE: "noisier scans want combined losses more",
    LESS: "noisier scans want combined losses less",
    ALIKE: "the two are not significantly different",
    SHRINKS: "differences merely shrink or change sign, from which nothing follows",
    ONE_SPEED: "one scan speed does not show whether noisier scans want them more",
}


def _composition(advantage: Advantage) -> str:
    """Say what losses add by themselves, and that they are not in as many of either."""
    rows = advantage.composition[["value", "low", "high", "in_combined", "in_single"]]
    each = (
        f"{loss} adds {estimate(value, low, high)} and is in {several:.0f} of {advantage.combined} "
        f"combined and {single:.0f} of {advantage.single} single ones"
        for loss, (value, low, high, several, single) in zip(
            rows.index, rows.to_numpy(np.float64).tolist(), strict=True
        )
        if np.isfinite(value)
    )
    said = f"By itself, at the noisiest speed, {listed(each, 500)}"
    if advantage.own is None:
        return said
    return f"{said}; without this the lead of combined losses is {estimate(*advantage.own)}"


def search_sentence(outcome: Outcome) -> str:
    """Tell what came of a search for better weights."""
    if outcome.weights is None:
        return f"Of {outcome.tried} weights tried for {outcome.name} those that won did best."
    found = outcome.comparison
    chosen = ", ".join(f"{loss}={weight:g}" for loss, weight in outcome.weights.items())
    told = "; ".join(
        f"{metric} {row.difference:+.3g} ({row.low:+.3g} to {row.high:+.3g})"
        for metric, row in zip(found.index, found.itertuples(), strict=True)
    )
    better, worse = bool((found["low"] > 0).any()), bool((found["high"] < 0).any())
    compared = {
        (True, False): "better than",
        (False, True): "worse than",
        (True, True): "better in some criteria and worse in others than",
        (False, False): "not told apart from",
    }[better, worse]
    about = "of these trained models" if outcome.repeats == 1 else f"over {outcome.repeats} repeats"
    about += "" if outcome.unseen else ", of which the new one is the luckiest of many"
    return (
        f"Of {outcome.tried} weights tried for {outcome.name}, {chosen} did best where they were "
        f"searched on; on the places that the search has not seen it is {compared} the weights "
        f"that won, {about}: {told or 'too little is known to say'}."
    )
