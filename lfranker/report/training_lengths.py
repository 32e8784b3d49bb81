"""What rankings along training say: would other numbers of steps choose other losses?"""

import pandas as pd

from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.ranking.along_training import FURTHER, AlongTraining, Verdict
from lfranker.report.findings import Findings
from lfranker.report.numbers import percent
from lfranker.report.tables import in_words
from lfranker.text import listed


def verdict_sentence(along: AlongTraining) -> str:
    """Say whether half of the steps choose the same losses: part of the answer."""
    half, whole = (f"{steps:,}" for steps in along.lengths[-2:])
    before, now = along.champions[-2:]
    if along.verdict == Verdict.SETTLED and before == now:
        return (
            f"Settled so far: trainings of half the steps ({half}) have the same champion, which "
            f"does not show that longer ones would."
        )
    chose = f"the champion of trainings of half the steps ({half}) is {before}"
    if along.verdict == Verdict.SETTLED:
        return f"Settled so far: {chose}, which after {whole} steps is equivalent to {now}."
    if along.verdict == Verdict.CHANGING:
        return (
            f"Still changing: {chose}, which after {whole} steps is significantly worse than {now}."
        )
    return (
        f"Not shown to be settled: {chose}, which after {whole} steps is not shown to be "
        f"equivalent to {now}, nor to be worse without being better in another criterion."
    )


def length_sentences(along: AlongTraining) -> list[str]:
    """Name the champion at each length, how far the rankings agree, and what may come later."""
    champions = (
        f"{name} after {steps:,}"
        for steps, name in zip(along.lengths, along.champions, strict=True)
    )
    said = [
        f"The best mean rank of trainings planned for so many steps has: {listed(champions, 400)}.",
        _agreement(along),
    ]
    if not along.later.empty:
        said.append(_later(along))
    elif len(along.lengths) > 2:
        said.append(_no_forecast(along))
    return said


def stop_sentences(findings: Findings) -> list[str]:
    """Say what a staged search stopped, by which rule, and what that spared."""
    count, subsets = len(findings.stops), findings.subsets
    was = "was" if count == 1 else "were"
    return [
        f"The search was staged: {count:,} of {subsets:,} subsets {was} stopped before the "
        f"training was over, which spared {percent(findings.saved)} of the steps of an exhaustive "
        f"search.",
        "A subset was stopped where in every criterion it would stay behind the best by more than "
        "the difference that does not matter, even if each doubling of the steps to come brought "
        "it as much as the last one did and the best gained nothing (95 % confidence for each "
        "subset); or where the output of a repeat was nearly constant.",
        "What was stopped has no rank and no place among the equivalent ones; what each loss adds "
        "cannot be said of pairs in which it would stand.",
    ]


def _agreement(along: AlongTraining) -> str:
    half, whole = along.lengths[-2:]
    taus = (
        f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f}) in {in_words(str(metric))}"
        for metric, row in along.tau.loc[half].iterrows()
    )
    return (
        f"Kendall's tau between the rankings after {half:,} and {whole:,} steps is "
        f"{listed(taus, 400)}; 1 is the same order, 0 none in common, -1 the reverse; in brackets "
        f"95 % intervals."
    )


def _later(along: AlongTraining) -> str:
    steps = FURTHER * along.lengths[-1]
    shares = (f"{name} in {percent(share)}" for name, share in along.later.items())
    drawn = "sites and repeats" if along.repeats > 1 else "sites"
    return (
        f"If the power laws through these lengths hold, the best mean rank after {steps:,} steps "
        f"is that of {listed(shares, 200)} of the re-samplings of {drawn}. This is an "
        f"extrapolation to {FURTHER} times the steps, not a measurement."
    )


def _no_forecast(along: AlongTraining) -> str:
    speeding = listed((in_words(m) for m in along.scores if m not in along.forecasts), 200)
    return (
        f"What longer training brings cannot be extrapolated: in {speeding} the last doubling of "
        f"the steps moved the scores about as much as the one before, or more."
    )


def length_table(along: AlongTraining, metric: str) -> pd.DataFrame:
    """Scores at each length as text, and what the power law says of FURTHER times the steps."""
    digits = ALL_METRICS[metric].digits
    table = along.scores[metric].map(lambda value: f"{value:.{digits}f}")
    table.columns = pd.Index([f"{steps:,} steps" for steps in along.lengths])
    if metric in along.forecasts:
        rows = along.forecasts[metric].itertuples()
        table[f"{FURTHER * along.lengths[-1]:,} steps, extrapolated"] = [
            f"{row.value:.{digits}f} ({row.low:.{digits}f} to {row.high:.{digits}f})"
            for row in rows
        ]
    order = along.mean_ranks[along.lengths[-1]].sort_values(kind="stable").index
    return table.loc[order]
