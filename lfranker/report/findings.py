"""Findings of a ranking from scores of single fields, as tables, sentences and plots."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.evaluation.criteria import NOISY
from lfranker.losses.names import LOSS_ORDER
from lfranker.microscopes.scan_speed import speed_key
from lfranker.ranking.entrant import Entrant, losses_of, noises_in
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.hybrid_advantage import hybrid_advantage
from lfranker.ranking.leaderboard import Ranking
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.noise_effects import balanced, over_noises
from lfranker.ranking.pair_scores import PairScores
from lfranker.ranking.top_set import agreement, beats, effort, erratic, front, intervals
from lfranker.ranking.winner_stability import Stability, stability
from lfranker.report.decisions import regret_sentence, stability_sentence
from lfranker.report.plots import attribution_plot, interval_plot, rank_plot
from lfranker.report.sentences import (
    advantage_clause,
    top_set_sentence,
)
from lfranker.report.tables import title_of
from lfranker.statistics.score_array import LEAST_PLACES, Cube, cube_of
from lfranker.text import listed

MOST_COMPARED = 32  # entrants that are compared each with each


@dataclass
class Found:
    """Sentences, plots (caption -> SVG), the evidence by metric, and the tables beside it.

    noises: those of the sentences that compare noises, the first of which the note has too.
    samples: the ranking of each sample group.
    stability: how often each subset is the champion when sites and repeats are drawn again.
    agreement: Kendall's tau between metrics.
    shares: of each loss in the gradient of each hybrid.
    learning_rate: what came of trainings at other learning rates.
    raters, rater_agreement: the people who rated, and Krippendorff's alpha.
    search, search_trials: the weights that a search found against those that won; all it tried.
    """

    said: list[str] = field(default_factory=list)
    noises: list[str] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    samples: Mapping[str, Ranking] = field(default_factory=dict)
    stability: Stability | None = None
    agreement: pd.DataFrame | None = None
    shares: pd.DataFrame | None = None
    learning_rate: pd.DataFrame | None = None
    raters: pd.DataFrame | None = None
    rater_agreement: pd.DataFrame | None = None
    search: pd.DataFrame | None = None
    search_trials: pd.DataFrame | None = None

    def of(self, metric: str) -> Evidence:
        """Return the evidence on a metric; an empty one where there is none."""
        return self.evidence.get(metric, Evidence())

    @property
    def intervals(self) -> dict[str, pd.DataFrame]:
        """`Evidence.intervals` of every metric that has them."""
        tables = {metric: own.intervals for metric, own in self.evidence.items()}
        return {metric: table for metric, table in tables.items() if table is not None}

    @property
    def top_sets(self) -> dict[str, tuple[str, ...]]:
        """`Evidence.top_set` of every metric of which it is known."""
        return {metric: self.evidence[metric].top_set for metric in self.intervals}


def report_fields(
    pairs: PairScores,
    samples: Mapping[str, Ranking],
    equivalence: Mapping[str, float],
    names: Sequence[str],
    seed: int,
    order: Sequence[str] = LOSS_ORDER,
) -> Found:
    """All that is found; that nothing is, where no run has scores of its fields.

    ``names`` are those of all entrants that were to be trained;
    ``order`` decides ties. What losses add, and whether noisier scans want hybrids, are means over
    the noises where several are compared.
    """
    found, losses = Found(), list(dict.fromkeys(map(losses_of, names)))
    if left_out := _left_out(losses):
        found.said.append(left_out)
    if pairs.empty:
        found.said.append("No run has a table of scores by field: how sure this is cannot be said.")
        return found
    rows = pairs.table
    entrants = rows[~rows["baseline"]]
    _samples(found, samples)
    known = [metric for metric in equivalence if metric in rows]
    for metric in known:
        cube = cube_of(entrants, metric)
        if cube is None:
            found.said.append(_too_little(entrants, metric))
            found.evidence[metric] = Evidence()
            continue
        effects = _attribution(found, rows, cube, metric, losses, seed)
        own = _compare(found, cube, metric, equivalence[metric], seed)
        found.evidence[metric] = replace(own, effects=effects)
    _hybrids(found, rows, known, seed)
    found.stability = stability(entrants, seed, order)
    if found.stability is not None:
        found.said += [stability_sentence(found.stability), regret_sentence(found.stability)]
    _agreement(found, entrants, known)
    return found


def _left_out(losses: Sequence[str]) -> str:
    """Say what it means that subsets were not to be trained; nothing where all were."""
    every = 2 ** len({loss for name in losses for loss in Entrant.parse(name).losses}) - 1
    if not losses or len(losses) == every:
        return ""
    return (
        f"{every - len(losses):,} of {every:,} subsets were left out on purpose: what each loss "
        f"adds is a mean over the pairs of subsets that are there, without Shapley values."
    )


def _compare(found: Found, cube: Cube, metric: str, equivalence: float, seed: int) -> Evidence:
    label = title_of(metric)
    if len(cube.names) > MOST_COMPARED:
        first = f"the first {MOST_COMPARED} of {len(cube.names):,}"
        found.said.append(f"{label}: {first} are compared.")
        cube = cube.best(MOST_COMPARED)
    table = intervals(cube, equivalence, seed)
    needed = effort(cube, seed)
    found.said.append(top_set_sentence(metric, table, equivalence, needed, cube.title))
    found.plots[f"{label}: scores, {cube.title}"] = interval_plot(table, label)
    found.plots[f"{label}: ranks, {cube.title}"] = rank_plot(table, label)
    return Evidence(intervals=table, beats=beats(cube, seed), erratic=erratic(cube))


def _too_little(entrants: pd.DataFrame, metric: str) -> str:
    places = entrants["place"].nunique()
    return (
        f"{title_of(metric, unit=False)}: {places} places that {entrants['name'].nunique()} "
        f"entrants were all scored at are too few to say how sure this is; 2 entrants with "
        f"finite scores at {LEAST_PLACES} places are needed at least."
    )


def _samples(found: Found, samples: Mapping[str, Ranking]) -> None:
    found.samples = samples
    champions = (f"{sample}: {own.champion or 'none'}" for sample, own in samples.items())
    if samples:
        found.said.append(f"Champions by sample group: {listed(champions)}.")


def _attribution(
    found: Found, rows: pd.DataFrame, cube: Cube, metric: str, losses: Sequence[str], seed: int
) -> pd.DataFrame | None:
    """Tell and return what each loss adds; None where that cannot be said."""
    label, noises, whole = title_of(metric), len(noises_in(cube.names)), balanced(cube)
    kept = set() if whole is None else set(map(losses_of, whole.names))
    gone = [name for name in losses if name not in kept]
    effects = attributions(whole or cube, noisy_scores(rows, cube, metric), seed)
    if whole is None or effects.empty:
        if noises and gone:
            found.said.append(
                f"{label}: what each loss adds cannot be said: on some noise {listed(gone)} "
                f"failed, collapsed or lack scores, and what is left has no pairs without "
                f"and with a loss."
            )
        return None
    if gone:
        found.said.append(
            f"{label}: what each loss adds is without {listed(gone)}, which failed, collapsed or "
            f"lack scores{' on some noise' * bool(noises)}: mean effects over the pairs that are "
            f"left, no Shapley values."
        )
    over = f"mean over {noises} noises, " if noises else ""
    caption = f"{label}: what each loss adds, {over}{cube.title}"
    found.plots[caption] = attribution_plot(effects, label)
    return effects.set_index(["kind", "losses"])


def noisy_scores(rows: pd.DataFrame, cube: Cube, metric: str) -> NDArray[np.float64] | None:
    """Scores of the noisy input, (places, 1); None where it was not scored at all of them."""
    noisy = rows[rows["name"] == NOISY].groupby("place", sort=False)[metric].mean()
    values = noisy.reindex(list(cube.places)).to_numpy(float)[:, None]
    return values if np.isfinite(values).all() else None


def _hybrids(found: Found, rows: pd.DataFrame, metrics: Sequence[str], seed: int) -> None:
    entrants, speeds = over_noises(rows[~rows["baseline"]]), _noisiest_first(rows)
    said = []
    for metric in metrics:
        advantage = hybrid_advantage(entrants, metric, speeds, seed)
        if advantage is not None:
            found.evidence[metric] = replace(found.of(metric), hybrids=advantage)
            said.append(f"In {title_of(metric)} {advantage_clause(advantage)}.")
    if said:
        found.said.append(f"Do noisier scans want combined losses? {' '.join(said)}")


def _noisiest_first(rows: pd.DataFrame) -> list[str]:
    """Sort speeds by the noisy input's PSNR; where it was not scored, the fastest first."""
    noisy = rows[rows["name"] == NOISY]
    speeds = sorted(map(str, rows["speed"].unique()), key=speed_key)
    if "psnr" not in rows or noisy.empty:
        return speeds
    psnr = noisy.groupby("speed")["psnr"].mean().to_dict()
    return sorted(speeds, key=lambda speed: psnr.get(speed, np.inf))


def _agreement(found: Found, entrants: pd.DataFrame, known: Sequence[str]) -> None:
    metrics = [name for name in dict.fromkeys([*known, "keypoints"]) if name in entrants]
    if entrants["name"].nunique() < 2 or len(metrics) < 2:
        return
    found.agreement, w = agreement(entrants, metrics)
    found.said.extend(_agreed(front(entrants, metrics), w))


def _agreed(best: Sequence[str], w: Mapping[str, float]) -> Iterator[str]:
    yield f"Not beaten in every criterion at once (Pareto front): {listed(best)}."
    if w:
        speeds = ", ".join(f"{metric} {value:.2f}" for metric, value in w.items())
        yield f"Kendall's W of the scan speeds (1: all rank alike): {speeds}."
