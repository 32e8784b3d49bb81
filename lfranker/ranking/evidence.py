"""The evidence on one metric: what scores of single fields tell of who is better by it."""

from dataclasses import dataclass

import pandas as pd

from lfranker.ranking.leads import Advantage
from lfranker.ranking.noise_effects import Lead
from lfranker.ranking.top_set import Effort
from lfranker.statistics.multiple_comparisons import EQUIVALENT, UNDECIDED, WORSE


@dataclass(frozen=True)
class Evidence:
    """Intervals and effects of one metric; None for what could not be computed.

    entrants, sites: how many there are scores of, and where; those that are compared may be fewer.
    intervals: a row per entrant, as of `top_set.intervals`.
    beats: the chance that the row's entrant is better than the column's (`top_set.beats`).
    erratic: entrants whose trainings scatter clearly more (`top_set.erratic`); None where that
        cannot be seen.
    effort: what it takes to show that the first entrant is better than another one.
    effects: what each loss adds (`loss_effects.attributions`), by `kind` and `losses`.
    effects_without: subsets of losses that the effects are without, since they lack scores.
    combined: how far combined losses are ahead of single ones, by scan speed.
    noises: a row per training noise, as of `noise_effects.noise_means`.
    noises_without: noises that are not compared, since no losses have all scores there.
    noise_losses: the subsets of losses over which the noises are compared.
    noise_lead: lead of the losses that are the best on every noise, where some are.
    best_by_noise: the best losses of each noise, as of `noise_effects.best_by_noise`.
    component_effects: what each component of the noise adds, by `kind` and `components`.
    """

    entrants: int = 0
    sites: int = 0
    intervals: pd.DataFrame | None = None
    beats: pd.DataFrame | None = None
    erratic: tuple[str, ...] | None = None
    effort: Effort | None = None
    effects: pd.DataFrame | None = None
    effects_without: tuple[str, ...] = ()
    combined: Advantage | None = None
    noises: pd.DataFrame | None = None
    noises_without: tuple[str, ...] = ()
    noise_losses: tuple[str, ...] = ()
    noise_lead: Lead | None = None
    best_by_noise: pd.DataFrame | None = None
    component_effects: pd.DataFrame | None = None

    @property
    def equivalent(self) -> tuple[str, ...]:
        """The entrants that are shown to be equivalent to the best; maybe not one."""
        return self._standing(EQUIVALENT)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The entrants that are shown neither to be equivalent to the best nor to be worse."""
        return self._standing(UNDECIDED)

    @property
    def worse(self) -> tuple[str, ...]:
        """The entrants that are shown to be worse than the best by more than does not matter."""
        return self._standing(WORSE)

    @property
    def top_set(self) -> tuple[str, ...]:
        """The entrants that cannot be shown to be worse than the best, best mean first."""
        return self._standing(EQUIVALENT, UNDECIDED)

    def _standing(self, *standings: str) -> tuple[str, ...]:
        if self.intervals is None:
            return ()
        standing = self.intervals["standing"]
        return tuple(map(str, standing.index[standing.isin(standings)]))
