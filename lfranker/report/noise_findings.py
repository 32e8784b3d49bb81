"""Findings on noises from a power set over losses and noises: sentences, tables and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from lfranker.evaluation.metrics import METRICS
from lfranker.noise.components import components_of, same_noise
from lfranker.ranking.entrant import Entrant, losses_of, noise_of, noises_in
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.noise_effects import (
    balanced,
    best_by_noise,
    lead,
    noise_means,
)
from lfranker.ranking.pair_scores import PairScores
from lfranker.report.findings import Found, noisy_scores
from lfranker.report.plots import attribution_plot, interval_plot
from lfranker.report.sentences import counts, estimate
from lfranker.report.tables import title_of
from lfranker.statistics.score_array import Cube, cube_of
from lfranker.text import listed


def report_noises(
    found: Found,
    pairs: PairScores,
    equivalence: Mapping[str, float],
    names: Sequence[str],
    seed: int,
) -> None:
    """Add what is found; nothing where all entrants were trained on one noise.

    ``names`` are those of all entrants that were to be trained.
    """
    noises = noises_in(names)
    if not noises or pairs.empty:
        return
    rows = pairs.table
    entrants, before = rows[~rows["baseline"]], len(found.said)
    for metric in (metric for metric in equivalence if metric in rows):
        whole = cube_of(entrants, metric)
        if whole is None:  # that there is too little is said of the entrants
            continue
        cube = balanced(whole)
        left = [] if cube is None else noises_in(cube.names)
        if gone := [noise for noise in noises if noise not in left]:
            found.said.append(
                f"{title_of(metric, unit=False)}: noises are compared without {listed(gone)}, "
                f"where no loss subset has all scores."
            )
        if cube is not None and len(left) > 1:
            _compare(found, cube, metric, equivalence[metric], seed)
            _components(found, rows, cube, metric, seed)
    found.noises += found.said[before:]


def _compare(found: Found, cube: Cube, metric: str, equivalence: float, seed: int) -> None:
    means, best = noise_means(cube, equivalence, seed), best_by_noise(cube, seed)
    found.evidence[metric] = replace(
        found.of(metric), noises=means, best_by_noise=best.set_index("noise")
    )
    found.said.append(noise_sentence(metric, means, equivalence, cube))
    if len(cube.names) > len(means):  # more than one loss subset
        found.said.append(interaction_sentence(metric, best, cube, seed))
    label = title_of(metric)
    caption = f"{label}: noises, mean over the losses, {cube.title}"
    found.plots[caption] = interval_plot(means, label)


def noise_sentence(metric: str, table: pd.DataFrame, equivalence: float, cube: Cube) -> str:
    """Name the noises that may be the best, from `noise_means`."""
    first, second = table.iloc[0], table.iloc[1]
    losses = list(dict.fromkeys(map(losses_of, cube.names)))
    many = f"mean over the {len(losses):,} loss subsets" if len(losses) > 1 else losses[0]
    title, unit = METRICS[metric].title, METRICS[metric].unit
    said = counts(f"{title}, {many} trained on each of the noises", table, equivalence, unit)
    return (
        f"{said} ({cube.title}). {first.name} is ahead of "
        f"{second.name} by {estimate(second['below'], second['below_low'], second['below_high'])}."
    )


def interaction_sentence(metric: str, table: pd.DataFrame, cube: Cube, seed: int) -> str:
    """Say whether the best losses depend on the noise, from `best_by_noise`."""
    title = METRICS[metric].title
    best = dict(zip(table["noise"], table["best"], strict=True))
    best |= dict(zip(table["other"], table["other_best"], strict=True))
    if len(set(best.values())) == 1:
        losses = next(iter(best.values()))
        ahead = lead(cube, losses, seed)
        return (
            f"In {title} {losses} is the best on every noise, ahead of {ahead.other}, the next "
            f"over all of them, by {estimate(ahead.value, ahead.low, ahead.high)} ({cube.title})."
        )
    differing = table[table["best"] != table["other_best"]]
    row = differing.sort_values("low", kind="stable").iloc[-1]
    told = "the best losses depend on the noise" if row["low"] > 0 else (
        "that the best losses depend on the noise is not told from luck"
    )  # fmt: skip
    return (
        f"In {title} the best by noise: {listed(f'{n} {loss}' for n, loss in best.items())}. "
        f"{row['best']} is further ahead of {row['other_best']} on {row['noise']} than on "
        f"{row['other']}, by {estimate(row['value'], row['low'], row['high'])}, for all such pairs "
        f"at once ({cube.title}): {told}."
    )


def _components(found: Found, rows: pd.DataFrame, cube: Cube, metric: str, seed: int) -> None:
    """Add what each component of the noise adds, where noises are subsets of components.

    A network that is trained on no noise learns to leave an image as it is: the value of no
    component is that of the noisy input, and so is that of a correlation that filters nothing.
    """
    names = [name for name in cube.names if components_of(noise_of(name))]
    if len(noises_in(names)) < 2:
        return
    own = Cube(tuple(names), cube.places, cube.scores[[cube.names.index(n) for n in names]])
    noisy = noisy_scores(rows, own, metric)
    effects = attributions(own, noisy, seed, parts=_components_of, same=same_noise)
    if effects.empty:
        return
    label = title_of(metric)
    table = effects.rename(columns={"losses": "components"}).set_index(["kind", "components"])
    found.evidence[metric] = replace(found.of(metric), component_effects=table)
    caption = f"{label}: what each component of the noise adds, mean over the losses, {own.title}"
    found.plots[caption] = attribution_plot(effects, label, "a component of the training's noise")
    mean = effects[effects["kind"] == "mean effect"]
    each = (
        f"{row.losses} {row.value:+.2g} ({row.low:.2g} to {row.high:.2g})"
        for row in mean.itertuples()
    )
    found.said.append(
        f"What a component of the noise adds to the others in {label}, mean over the losses: "
        f"{listed(each, 400)} ({own.title})."
    )


def _components_of(entrant: Entrant) -> frozenset[str]:
    return components_of(entrant.noise)
