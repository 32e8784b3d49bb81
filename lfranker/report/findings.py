"""Findings of a ranking: the numbers that stand beside its scores, computed from single fields.

What they say, and how they are drawn, is in `sections.py` and the modules that it names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CHAMPION_METRICS, NOISY, limits_of
from lfranker.losses.names import LOSS_ORDER
from lfranker.microscopes.scan_speed import speed_key
from lfranker.ranking.along_training import AlongTraining, Stop
from lfranker.ranking.entrants import Entrant, PairScores, losses_of
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import Ranking
from lfranker.ranking.leads import (
    Advantage,
    Leads,
    baseline_leads,
    baseline_scores,
    combined_advantage,
)
from lfranker.ranking.learning_rate_check import RateCheck
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.noise_effects import balanced, over_noises
from lfranker.ranking.own_scans import ScanCurve
from lfranker.ranking.top_set import agreement, beats, effort, erratic, front, intervals
from lfranker.ranking.weight_search import Outcome
from lfranker.ranking.winner_stability import (
    Stability,
    Undistinguished,
    stability,
    without_undistinguished,
)
from lfranker.statistics.score_array import Cube, cube_of

MOST_COMPARED = 32  # entrants that are compared each with each


@dataclass(frozen=True)
class Scope:
    """Scope of all intervals: how much was measured, and what was the same in all of it."""

    sites: int
    repeats: int
    vary_data: bool = False  # each repeat had another draw of training images


@dataclass(frozen=True)
class Agreement:
    """Agreement of the criteria on the entrants.

    tau: Kendall's tau between every two metrics; w: Kendall's W of the scan speeds, by metric;
    front: the entrants that no other one beats in every metric.
    """

    tau: pd.DataFrame
    w: Mapping[str, float]
    front: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """Numbers beside the scores; None or empty where there is nothing to compute them from.

    subsets, all_subsets: how many were to be trained, and how many their losses have.
    margins: the difference that does not matter, by metric.
    evidence: by metric, those without enough scores as well.
    leads: of the champion over the noisy input and over the best filter, by metric.
    samples: the ranking of each sample group.
    shares: of each loss in the gradient of each combined loss; unmeasured: combined losses without.
    raters, rater_agreement: the people who rated, and Krippendorff's alpha.
    search, search_trials: what a search for weights came to, and all that it tried.
    """

    scope: Scope | None = None
    subsets: int = 0
    all_subsets: int = 0
    margins: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    leads: Mapping[str, Leads] = field(default_factory=dict)
    samples: Mapping[str, Ranking] = field(default_factory=dict)
    stability: Stability | None = None  # how often each is the champion of a re-sampling
    undistinguished: Undistinguished | None = None  # criteria that tell no subsets apart
    along: AlongTraining | None = None  # rankings at several lengths of the training
    too_short: bool = False  # the trainings are too short, or the networks too small, for advice
    agreement: Agreement | None = None
    shares: pd.DataFrame | None = None
    unmeasured: int = 0
    learning_rate: RateCheck | None = None  # trainings at other learning rates
    raters: pd.DataFrame | None = None
    rater_agreement: pd.DataFrame | None = None
    stops: Mapping[str, Stop] = field(default_factory=dict)  # entrants that were stopped early
    saved: float = 0.0  # share of the steps that this saved
    own_scans: ScanCurve | None = None  # trainings with slow scans among the images
    search: Outcome | None = None
    search_trials: pd.DataFrame | None = None

    def of(self, metric: str) -> Evidence:
        """Return the evidence on a metric; an empty one where there is none."""
        return self.evidence.get(metric, Evidence())

    def with_evidence(self, metric: str, own: Evidence) -> "Findings":
        """Return these findings with other evidence on a metric."""
        return replace(self, evidence={**self.evidence, metric: own})

    @property
    def intervals(self) -> dict[str, pd.DataFrame]:
        """`Evidence.intervals` of every metric that has them."""
        tables = {metric: own.intervals for metric, own in self.evidence.items()}
        return {metric: table for metric, table in tables.items() if table is not None}

    @property
    def top_sets(self) -> dict[str, tuple[str, ...]]:
        """`Evidence.top_set` of every metric of which it is known."""
        return {metric: self.evidence[metric].top_set for metric in self.intervals}


def find(
    pairs: PairScores,
    ranking: Ranking,
    samples: Mapping[str, Ranking],
    equivalence: Mapping[str, float],
    names: Sequence[str],
    seed: int,
    order: Sequence[str] = LOSS_ORDER,
) -> Findings:
    """Compute what scores of fields tell; little where no run has any.

    ``equivalence``: differences that do not matter, by metric; ``names``: all entrants that were to
    be trained; ``order`` decides ties. What losses add, and whether noisier scans want combined
    losses, are means over the noises where several are compared.
    """
    losses = list(dict.fromkeys(map(losses_of, names)))
    parts = {loss for name in losses for loss in Entrant.parse(name).losses}
    findings = Findings(
        subsets=len(losses), all_subsets=2 ** len(parts) - 1 if losses else 0, margins=equivalence
    )
    if pairs.empty:
        return findings
    rows = pairs.table
    entrants = rows[~rows["baseline"]]
    known = [metric for metric in equivalence if metric in rows]
    judged = [metric for metric in CHAMPION_METRICS if metric in rows]
    champion = ranking.champion
    leads = baseline_leads(rows, champion, judged, seed) if champion else {}
    evidence = {
        metric: _evidence(rows, metric, equivalence[metric], losses, seed) for metric in known
    }
    return replace(
        findings,
        scope=Scope(entrants["place"].nunique(), entrants["repeat"].nunique()),
        evidence=evidence,
        leads=leads,
        samples=samples,
        stability=stability(entrants, seed, order),
        undistinguished=without_undistinguished(ranking, evidence),
        agreement=_agreement(entrants, known),
    )


def _evidence(
    rows: pd.DataFrame, metric: str, equivalence: float, losses: Sequence[str], seed: int
) -> Evidence:
    entrants = rows[~rows["baseline"]]
    own = Evidence(entrants=entrants["name"].nunique(), sites=entrants["place"].nunique())
    own = replace(own, combined=_combined_advantage(rows, metric, seed))
    whole = cube_of(entrants, metric)
    if whole is None:
        return own
    effects, without = _effects(rows, whole, metric, losses, seed)
    cube = whole.best(MOST_COMPARED) if len(whole.names) > MOST_COMPARED else whole
    return replace(
        own,
        sites=len(cube.places),
        intervals=intervals(cube, equivalence, seed, limits_of(metric)),
        beats=beats(cube, seed),
        erratic=erratic(cube),
        effort=effort(cube, seed),
        effects=effects,
        effects_without=without,
    )


def _effects(
    rows: pd.DataFrame, cube: Cube, metric: str, losses: Sequence[str], seed: int
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Return what each loss adds, None where that is not known; and the subsets left out of it."""
    whole = balanced(cube)
    kept = set() if whole is None else set(map(losses_of, whole.names))
    without = tuple(name for name in losses if name not in kept)
    if whole is None:
        return None, without
    effects = attributions(whole, noisy_scores(rows, whole, metric), seed)
    return (None if effects.empty else effects.set_index(["kind", "losses"])), without


def noisy_scores(rows: pd.DataFrame, cube: Cube, metric: str) -> Floats | None:
    """Scores of the noisy input, (places, 1); None where it was not scored at all of them."""
    scores = baseline_scores(rows, cube, metric, NOISY)
    return None if scores is None else scores[:, None]


def _combined_advantage(rows: pd.DataFrame, metric: str, seed: int) -> Advantage | None:
    entrants = over_noises(rows[~rows["baseline"]])
    return combined_advantage(entrants, metric, _noisiest_first(rows), seed)


def _noisiest_first(rows: pd.DataFrame) -> list[str]:
    """Sort speeds by the noisy input's PSNR; where it was not scored, the fastest first."""
    noisy = rows[rows["name"] == NOISY]
    speeds = sorted(map(str, rows["speed"].unique()), key=speed_key)
    if "psnr" not in rows or noisy.empty:
        return speeds
    psnr = noisy.groupby("speed")["psnr"].mean().to_dict()
    return sorted(speeds, key=lambda speed: psnr.get(speed, np.inf))


def _agreement(entrants: pd.DataFrame, known: Sequence[str]) -> Agreement | None:
    metrics = [name for name in dict.fromkeys([*known, "keypoints"]) if name in entrants]
    if entrants["name"].nunique() < 2 or len(metrics) < 2:
        return None
    tau, w = agreement(entrants, metrics)
    return Agreement(tau, w, tuple(front(entrants, metrics)))
