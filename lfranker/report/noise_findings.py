"""Findings on noises, of a power set over losses and noises."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from lfranker.noise.components import components_of, same_noise
from lfranker.ranking.entrant import Entrant, losses_of, noise_of, noises_in
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.noise_effects import balanced, best_by_noise, lead, noise_means
from lfranker.ranking.pair_scores import PairScores
from lfranker.report.findings import Findings, noisy_scores
from lfranker.statistics.score_array import Cube, cube_of


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
