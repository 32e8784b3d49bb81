"""Sentences on the numbers of `ranking/`: each claims what its numbers show, and no more.

What intervals are about is said once, by `scope_sentence`.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.ranking.entrants import counted
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leads import (
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
from lfranker.report.findings import Agreement, Findings, Scope
from lfranker.report.numbers import (
    estimate,
    estimates,
    is_are,
    joined,
    named,
    number,
    percent,
    share,
)
from lfranker.report.tables import in_words
from lfranker.statistics.multiple_comparisons import EQUIVALENT, UNDECIDED, WORSE
from lfranker.statistics.score_array import LEAST_SITES
from lfranker.text import listed

NOTHING_KNOWN = "No run has a table of scores by field: how sure this ranking is cannot be said."


def scope_sentence(scope: Scope | None) -> str:
    """Say what all intervals are about."""
    if scope is None:
        return NOTHING_KNOWN
    sites = f"{scope.sites} site{'s' * (scope.sites != 1)}"
    if scope.repeats == 1:
        return (
            f"Intervals (95 %, each by itself) are over {sites}. Each subset was trained once, so "
            f"that they are about these trained models, not about the losses: trained again, the "
            f"same losses may rank otherwise. `-P repeats=3` shows by how much."
        )
    images = (
        "each with training images of its own."
        if scope.vary_data
        else "always with the same training images: with others the losses may rank otherwise."
    )
    return (
        f"Intervals (95 %, each by itself) are over {sites} and {scope.repeats} repeats of each "
        f"training, so that they are about the losses, not about single trained models. The "
        f"repeats were made {images}"
    )


def standing_sentence(title: str, table: pd.DataFrame, margin: float, unit: str = "") -> str:
    """Count and name the rows that are equivalent to the best, undecided and worse.

    ``table`` has a `standing` for each row, as that of `top_set.intervals`.
    """
    rows = {s: list(map(str, own.index)) for s, own in table.groupby("standing")}
    same, unsure, worse = (rows.get(s, []) for s in (EQUIVALENT, UNDECIDED, WORSE))
    size = f"{margin:g} {unit}".rstrip()
    if len(same) == 1 and worse and not unsure:
        others = "the other one is" if len(worse) == 1 else f"the other {len(worse)} are"
        return f"In {title}, {same[0]} is shown to be the best: {others} worse by more than {size}."
    within = f"within {size}"
    return (
        f"In {title}, {len(same)} of {len(table)} {is_are(len(same))} shown to be equivalent to "
        f"the best {within}{named(same)}, {len(unsure)} {is_are(len(unsure))} undecided"
        f"{named(unsure)} and {len(worse)} {is_are(len(worse))} shown to be worse."
    )


def comparison_sentences(metric: str, own: Evidence, margin: float) -> Iterator[str]:
    """Compare the entrants in one metric."""
    title, unit = in_words(metric), ALL_METRICS[metric].unit
    if own.intervals is None:
        subsets = "1 subset was" if own.entrants == 1 else f"{own.entrants} subsets were"
        sites = "1 site" if own.sites == 1 else f"{own.sites} sites"
        yield (
            f"In {title}, {subsets} scored at {sites}, which is too little to compare them: it "
            f"takes 2 subsets with finite scores at {LEAST_SITES} sites."
        )
        return
    table = own.intervals
    if own.entrants > len(table):
        first = f"the {len(table)} with the highest mean {title}"
        yield f"Of {own.entrants:,} {counted(table.index, 'subsets')}, {first} are compared."
    yield standing_sentence(title, table, margin, unit)
    best = table.iloc[0]
    yield (
        f"{table.index[0]} has the highest mean {title}; the probability that it is truly the best "
        f"of these {len(table)} in {title} alone is {share(float(best['chance_of_best']))}."
    )
    if own.erratic:
        yield (
            f"In {title}, the trainings of {listed(own.erratic)} scatter clearly more than those "
            f"of the other subsets; intervals allow for it."
        )
    # an effort goes by ranks, all compared with all, which may leave open what is shown to be worse
    if own.effort is None or table["standing"].get(own.effort.other) == WORSE:
        return
    if text := _effort(str(table.index[0]), own.effort, unit, margin):
        yield text


def _effort(best: str, effort: Effort, unit: str, margin: float) -> str:
    ways = [
        f"{low:,}{f' to {high:,}' * (high > low)} {what}"
        for what, ends in (("sites", effort.fields), ("repeats", effort.repeats))
        if ends is not None
        for low, high in [ends]
    ]
    if not ways:
        return ""
    return (
        f"It is open whether {best} is better than {effort.other}. If it is so by "
        f"{number(effort.gap, unit)}{', which is less than the margin' * (effort.gap < margin)}, "
        f"{' or '.join(ways)} in all would show it with 80 % power."
    )


def effect_sentences(metric: str, own: Evidence) -> Iterator[str]:
    """Say what each loss adds to others in one metric."""
    title, unit = in_words(metric), ALL_METRICS[metric].unit
    without = listed(own.effects_without)
    if own.effects is None:
        if own.effects_without:
            yield (
                f"What each loss adds to {title} cannot be said: {without} failed, collapsed or "
                f"lack scores, and the others have no pairs of subsets without and with a loss."
            )
        return
    each = estimates(own.effects.loc[["mean effect"]].droplevel(0), unit=unit)
    yield f"Adding a loss to others changes {title} on average by: {listed(each, 400)}."
    if own.effects_without:
        yield (
            f"In {title}, {without} failed, collapsed or lack scores; the means are over the pairs "
            f"of subsets that are left."
        )


def left_out_sentence(findings: Findings) -> str:
    """Say what it means that subsets were not to be trained; nothing where all were."""
    left_out = findings.all_subsets - findings.subsets
    if not left_out:
        return ""
    return (
        f"{left_out:,} of {findings.all_subsets:,} subsets were left out on purpose: what each "
        f"loss adds is a mean over the pairs of subsets that are there, without Shapley values."
    )


ADVANTAGES = {
    MORE: "noisier scans want combined losses more",
    LESS: "noisier scans want combined losses less",
    ALIKE: "the two are not significantly different",
    SHRINKS: "differences merely shrink or change sign, from which nothing follows",
    ONE_SPEED: "one scan speed does not show whether noisier scans want them more",
}


def advantage_sentences(metric: str, advantage: Advantage) -> Iterator[str]:
    """Say how far combined losses are ahead at the noisiest and the cleanest speed, and why."""
    title, unit = in_words(metric), ALL_METRICS[metric].unit
    table = advantage.table
    leads = dict(zip(table.index, table.to_numpy(np.float64).tolist(), strict=True))
    words = {
        name: estimate(value, low, high, unit, signed=True)
        for name, (value, low, high) in leads.items()
    }
    speeds = [str(name) for name in leads if name != BETWEEN]
    ahead = joined(f"{words[speed]} at {speed}" for speed in dict.fromkeys((speeds[0], speeds[-1])))
    between = f"; the difference is {words[BETWEEN]}" if BETWEEN in leads else ""
    yield (
        f"In {title}, combined losses differ from single ones on average by {ahead}{between}: "
        f"{ADVANTAGES[advantage.verdict]}."
    )
    yield from _composition(advantage, title, unit)


def _composition(advantage: Advantage, title: str, unit: str) -> Iterator[str]:
    """Say what losses add by themselves, and that they are not in as many of either."""
    table = advantage.composition.dropna(subset=["value"])
    counts = table[["in_combined", "in_single"]].to_numpy(np.float64).tolist()
    where = [
        f"in {several:.0f} of {advantage.combined} combined and {single:.0f} of "
        f"{advantage.single} single ones"
        for several, single in counts
    ]
    each = estimates(table, unit=unit)
    start = f"What each loss adds by itself to {title} at {advantage.table.index[0]}"
    if len(set(where)) == 1:
        yield f"{start}: {listed(each, 400)}; each is {where[0]}."
    elif each:
        own = (f"{effect}, which is {there}" for effect, there in zip(each, where, strict=True))
        yield f"{start}: {listed(own, 500)}."
    if advantage.own is not None:
        value, low, high = advantage.own
        lead = estimate(value, low, high, unit, signed=True)
        yield (
            f"Less what each loss adds by itself, the lead of combined losses in {title} is {lead} "
            f"at {advantage.table.index[0]}; a negative lead means that they are behind."
        )


def agreement_sentences(agreement: Agreement) -> Iterator[str]:
    """Say how far criteria and speeds agree, and which entrants none dominates."""
    tau = agreement.tau
    pairs = [
        f"{in_words(a)} and {in_words(b)} {tau[b][a]:.2f}"
        for at, a in enumerate(tau.columns)
        for b in tau.columns[at + 1 :]
        if np.isfinite(tau[b][a])
    ]
    if pairs:
        yield (
            f"Kendall's tau between the orders by two criteria (1: the same order, 0: unrelated, "
            f"-1: reversed): {listed(pairs, 300)}."
        )
    if agreement.w:
        speeds = listed(f"{in_words(m)} {value:.2f}" for m, value in agreement.w.items())
        yield (
            f"Kendall's W between the scan speeds (1: all rank alike; of unrelated orders about 1 "
            f"over the number of speeds): {speeds}."
        )
    yield (
        f"On the Pareto front, where no other subset is better in one criterion without being "
        f"worse in another: {listed(agreement.front)}."
    )


def sample_sentence(champions: Mapping[str, str | None]) -> str:
    """Name the champion of each sample group."""
    each = listed(f"{sample}: {name or 'none'}" for sample, name in champions.items())
    return f"Champions by sample group: {each}."


def search_sentence(outcome: Outcome) -> str:
    """Tell what came of a search for better weights."""
    tried = f"Of {outcome.tried} weightings tried for {outcome.name}"
    if outcome.weights is None:
        return f"{tried} the one that won the ranking did best."
    table = outcome.comparison
    chosen = ", ".join(f"{loss}={weight:g}" for loss, weight in outcome.weights.items())
    differences = estimates(
        table.rename(index=lambda metric: in_words(str(metric))), ("difference", "low", "high")
    )
    if not differences:
        return f"{tried}, {chosen} did best; too little is known to compare it at other sites."
    better, worse = bool((table["low"] > 0).any()), bool((table["high"] < 0).any())
    compared = {
        (True, False): "better than",
        (False, True): "worse than",
        (True, True): "better in some criteria and worse in others than",
        (False, False): "not significantly different from",
    }[better, worse]
    trained = "one training each" if outcome.repeats == 1 else f"{outcome.repeats} repeats"
    biased = "" if outcome.unseen else ", by which the new one was chosen"
    return (
        f"{tried}, {chosen} did best at the sites of the search. At the other sites it is "
        f"{compared} the weighting that won ({trained}{biased}): {'; '.join(differences)}."
    )


def share_sentence(shares: pd.DataFrame, unmeasured: int, most: float) -> str:
    """Name the combined losses in which one loss has more than ``most`` of the gradient."""
    largest, strongest = shares.max(axis="columns"), shares.idxmax(axis="columns")
    ruled = [
        f"{name} ({loss} {percent(part)})"
        for name, loss, part in zip(shares.index, strongest, largest, strict=True)
        if part > most
    ]
    unknown = f"; of {unmeasured:,} more it is not known" if unmeasured else ""
    return (
        f"In {len(ruled)} of {len(shares)} combined losses one loss contributes "
        f"{percent(most)} of the gradient or more{': ' * bool(ruled)}{listed(ruled)}{unknown}."
    )
