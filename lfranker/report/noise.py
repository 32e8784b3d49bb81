"""Noises trained on, or networks, of a power set over losses and these: findings and section."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from lfranker.evaluation.criteria import ALL_METRICS
from lfranker.noise.components import components_of, same_noise
from lfranker.ranking.entrants import (
    Entrant,
    PairScores,
    compared,
    losses_of,
    noise_of,
    noises_in,
)
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.noise_effects import balanced, best_by_noise, lead, noise_means
from lfranker.report.findings import Findings, noisy_scores
from lfranker.report.html_page import Section
from lfranker.report.numbers import estimate, estimates
from lfranker.report.plots import attribution_plot, interval_plot
from lfranker.report.sentences import standing_sentence
from lfranker.report.tables import in_words, title_of
from lfranker.statistics.score_array import Cube, cube_of
from lfranker.text import listed


def find_noises(findings: Findings, pairs: PairScores, names: Sequence[str], seed: int) -> Findings:
    """Return the findings with what scores of fields tell of the noises that were trained on.

    ``names`` are those of all entrants that were to be trained; where they all have one noise,
    nothing is added.
    """
    noises = noises_in(names)
    if not noises or pairs.empty:
        return findings
    rows = pairs.table
    for metric, own in findings.evidence.items():
        whole = cube_of(rows[~rows["baseline"]], metric) if metric in rows else None
        if whole is not None:  # that there is too little is said of the entrants
            found = _compare(own, rows, whole, metric, noises, findings.margins[metric], seed)
            findings = findings.with_evidence(metric, found)
    return findings


def _compare(
    own: Evidence,
    rows: pd.DataFrame,
    whole: Cube,
    metric: str,
    noises: Sequence[str],
    margin: float,
    seed: int,
) -> Evidence:
    cube = balanced(whole)
    left = [] if cube is None else noises_in(cube.names)
    own = replace(own, noises_without=tuple(noise for noise in noises if noise not in left))
    if cube is None or len(left) < 2:
        return own
    best = best_by_noise(cube, seed)
    losses = tuple(dict.fromkeys(map(losses_of, cube.names)))
    always = set(best["best"]) | set(best["other_best"])
    return replace(
        own,
        noises=noise_means(cube, margin, seed),
        noise_losses=losses,
        best_by_noise=best.set_index("noise"),
        noise_lead=(
            lead(cube, next(iter(always)), seed) if len(always) == 1 and len(losses) > 1 else None
        ),
        component_effects=_components(rows, cube, metric, seed),
    )


def _components(rows: pd.DataFrame, cube: Cube, metric: str, seed: int) -> pd.DataFrame | None:
    """Estimate what each component of the noise adds, where noises are subsets of components.

    A network that is trained on no noise learns to leave an image as it is: the value of no
    component is that of the noisy input, and so is that of a correlation that filters nothing.
    """
    names = [name for name in cube.names if components_of(noise_of(name))]
    if len(noises_in(names)) < 2:
        return None
    own = Cube(tuple(names), cube.places, cube.scores[[cube.names.index(n) for n in names]])
    noisy = noisy_scores(rows, own, metric)
    effects = attributions(own, noisy, seed, parts=_components_of, same=same_noise)
    if effects.empty:
        return None
    return effects.rename(columns={"losses": "components"}).set_index(["kind", "components"])


def _components_of(entrant: Entrant) -> frozenset[str]:
    return components_of(entrant.noise)


def noise_section(findings: Findings) -> Section:
    """Say and draw what was found; nothing where all entrants were trained on one noise."""
    sentences: list[str] = []
    plots: dict[str, str] = {}
    kind = "noise"
    for metric, own in findings.evidence.items():
        if metric not in ALL_METRICS:  # people rate losses, not noises
            continue
        sentences += noise_sentences(metric, own, findings.margins.get(metric, 0.0))
        title, label = title_of(metric, unit=False), title_of(metric)
        kind = _kind(own) or kind
        if own.noises is not None:
            plots[f"{title} by {kind}, mean over the losses"] = interval_plot(own.noises, label)
        if own.component_effects is not None:
            caption = f"Mean effect on {title} of adding a component to the noise of the training"
            effects = own.component_effects.reset_index()
            plots[caption] = attribution_plot(
                effects.rename(columns={"components": "losses"}), label, "a component"
            )
    verb = "is best to train on" if kind == "noise" else "is best"
    return Section(f"Which {kind} {verb}?", sentences, plots)


def _kind(own: Evidence, plural: str = "") -> str:
    """Name what is compared: noises, networks or both."""
    found = [] if own.noises is None else list(map(str, own.noises.index))
    return compared([*found, *own.noises_without], plural)


def noise_sentences(metric: str, own: Evidence, margin: float) -> Iterator[str]:
    """Compare the noises in one metric."""
    title, unit = in_words(metric), ALL_METRICS[metric].unit
    if own.noises_without:
        yield (
            f"In {title}, {_kind(own, 's')} are compared without {listed(own.noises_without)}, "
            f"where no loss subset has all scores."
        )
    if own.noises is not None:
        yield from _means(own, own.noises, title, margin, unit)
    if own.best_by_noise is not None and len(own.noise_losses) > 1:
        yield interaction_sentence(metric, own, own.best_by_noise.reset_index())
    if own.component_effects is not None:
        each = estimates(own.component_effects.loc[["mean effect"]].droplevel(0), unit=unit)
        yield (
            f"Adding a component to the noise of the training changes {title}, mean over the "
            f"losses, by: {listed(each, 400)}."
        )


def _means(
    own: Evidence, table: pd.DataFrame, title: str, margin: float, unit: str
) -> Iterator[str]:
    losses = own.noise_losses
    many = f"mean over {len(losses):,} loss subsets" if len(losses) > 1 else f"of {losses[0]}"
    yield standing_sentence(f"{title} by {_kind(own)} ({many})", table, margin, unit)
    second = table.iloc[1]
    lead = estimate(second["below"], second["below_low"], second["below_high"], unit)
    best = table.index[0]
    yield f"The best {_kind(own)} in {title}, {best}, is ahead of {second.name} by {lead}."


def interaction_sentence(metric: str, own: Evidence, table: pd.DataFrame) -> str:
    """Say whether the best losses depend on the noise, from `best_by_noise`."""
    title, unit = in_words(metric), ALL_METRICS[metric].unit
    best = dict(zip(table["noise"], table["best"], strict=True))
    best |= dict(zip(table["other"], table["other_best"], strict=True))
    kind = compared(map(str, best))
    at = "on" if kind == "noise" else "with"
    if own.noise_lead is not None:
        ahead = own.noise_lead
        return (
            f"In {title}, {next(iter(best.values()))} has the highest mean {at} every {kind}; over "
            f"all of them it is ahead of the next, {ahead.other}, by "
            f"{estimate(ahead.value, ahead.low, ahead.high, unit)}."
        )
    differing = table[table["best"] != table["other_best"]]
    row = differing.sort_values("low", kind="stable").iloc[-1]
    conclusion = (
        f"the best losses depend on the {kind}"
        if row["low"] > 0
        else f"it is not shown that the best losses depend on the {kind}"
    )
    return (
        f"In {title}, the losses with the highest mean are, by {kind}: "
        f"{listed(f'{noise} {losses}' for noise, losses in best.items())}. {row['best']} is "
        f"further ahead of {row['other_best']} {at} {row['noise']} than {at} {row['other']}, by "
        f"{estimate(row['value'], row['low'], row['high'], unit)}, an interval for all such pairs "
        f"at once: {conclusion}."
    )
