"""What would more bring? Sentences on rankings along training, and on slow scans of one's own."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.ranking.along_training import FURTHER, AlongTraining, Verdict
from lfranker.ranking.own_scans import ScanCurve
from lfranker.report.findings import Findings
from lfranker.report.html_page import Grid
from lfranker.report.numbers import estimate, joined, number, percent
from lfranker.report.tables import in_words
from lfranker.statistics.learning_curve import LEAST_DRAWS, LEAST_SITES, RATIOS, Forecast
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
        f"Not shown to be settled: {chose}; after {whole} steps it is open whether that or {now} "
        f"is better."
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
        f"95 % intervals of the tau of the true scores; the measured tau may lie at their end."
    )


def _later(along: AlongTraining) -> str:
    steps = FURTHER * along.lengths[-1]
    seen = {
        name: words for name, share in along.later.items() if (words := percent(share)) != "0 %"
    }
    shares = (f"{name} in {words}" for name, words in seen.items())
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


def scan_sentences(curve: ScanCurve) -> Iterator[str]:
    """Say what was trained, what slow scans bring, and what more of them would bring."""
    counts = joined(f"{count}" for count in curve.counts)
    if not curve.tables:
        yield (
            f"{curve.losses} was to be trained with {counts} own slow scans as well, but "
            f"{curve.draws} draws of them have scores after every number, at {curve.sites} sites: "
            f"it takes {LEAST_DRAWS} draws and {LEAST_SITES} sites to say what more would bring."
        )
        return
    yield (
        f"{curve.losses} was trained with {counts} own slow scans among the clean images as well, "
        f"drawn {curve.draws} times from different sites, and compared with the same training "
        f"without them on {curve.fields} fields of {curve.sites} other sites."
    )
    for metric in curve.tables:
        yield _forecast_sentence(curve, metric)
    yield (
        f"This is an extrapolation by power laws: each doubling of the number brings "
        f"{RATIOS[0]:.2g} to {RATIOS[-1]:.2g} times what the doubling before brought, and "
        f"{curve.counts[-1]} are not worse than {curve.counts[0]} by what matters. Intervals "
        f"(95 %) are over which scans were drawn, the trainings and the law; where they are of "
        f"fields like these, over sites too."
    )


def _forecast_sentence(curve: ScanCurve, metric: str) -> str:
    found, unit = curve.forecast(metric), ALL_METRICS[metric].unit
    title, most = in_words(metric), curve.counts[-1]
    if curve.is_told(metric):
        said = f"{curve.target} scans would bring about {_plus_minus(found, unit)} in {title}"
    else:
        said = (
            f"What {curve.target} scans would bring in {title} cannot be told within "
            f"{number(curve.tolerances[metric], unit)} from so few scans and draws: it may be "
            f"{_ends(found, unit)}"
        )
    table = curve.tables[metric]
    measured = float(table["measured"].loc[most])
    like = table.loc[curve.target, ["like_low", "like_high"]].to_numpy(np.float64).tolist()
    further = curve.further[metric]
    more = estimate(further.value, further.low, further.high, unit, signed=True)
    return (
        f"{said} at the fields scored, where {most} brought {number(measured, unit)}; at fields "
        f"like these it may be {_ends(Forecast(curve.target, found.value, *like), unit)}, and "
        f"there {curve.target} would bring {more} more than {most}."
    )


def _plus_minus(found: Forecast, unit: str) -> str:
    """Write "1.2 ± 0.3 dB", the half-width rounded up to the last digit that is shown."""
    places = max(0, 1 - int(np.floor(np.log10(max(found.half_width, 1e-9)))))
    half = np.ceil(found.half_width * 10**places - 1e-9) / 10**places
    return f"{found.value:.{places}f} ± {half:.{places}f} {unit}".rstrip()


def _ends(found: Forecast, unit: str) -> str:
    places = max(0, 1 - int(np.floor(np.log10(max(found.half_width, 1e-9)))))
    return f"{found.low:.{places}f} to {found.high:.{places}f} {unit}".rstrip()


def scan_table(curve: ScanCurve, metric: str) -> Grid:
    """Tabulate measured gains, and the law's at the fields scored and at all like them."""
    digits = ALL_METRICS[metric].digits
    rows = []
    for count, row in zip(
        curve.tables[metric].index, curve.tables[metric].to_numpy(np.float64).tolist(), strict=True
    ):
        measured, value, low, high, like_low, like_high = (f"{cell:+.{digits}f}" for cell in row)
        shown = "-" if np.isnan(row[0]) else measured
        these, like = f"{low} to {high}", f"{like_low} to {like_high}"
        rows.append([f"{count}", shown, value, these, like])
    heads = ["Scans", "measured", "by the law", "95 %, these fields", "95 %, fields like these"]
    return Grid(heads, rows)
