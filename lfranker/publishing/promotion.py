"""Rules on when a winner may take an alias from the version that holds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.criteria import ALL_METRICS, CHAMPION, Criterion, deciding_metrics
from lfranker.evaluation.scoring import of_noisy
from lfranker.ranking.contest import cross_fit
from lfranker.ranking.entrants import PairScores
from lfranker.report.decisions import not_better
from lfranker.scans.preparation import ScanSet
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import PowerSet, find_training
from lfranker.tracking.registry import Version, Winner, is_demonstration
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.scores import read_table

Rescore = Callable[[Version], None]  # a version's model on the scans that are ranked on


@dataclass(frozen=True)
class Gate:
    """Facts about the winners and how they are to be judged.

    rescore: scores the version that is in use on the same scans, where it was not yet; None where
        the scans are not at hand.
    """

    power_set: PowerSet
    pairs: PairScores
    scans: ScanSetId
    promote: str
    rescore: Rescore | None = None

    def refusal(self, winner: Winner, criterion: Criterion, holder: Version) -> str:
        """Return why the alias stays with its holder; empty where the winner takes it.

        A holder of the same power set gives way: that ranking has judged both. So does one that
        was ranked on simulated scans to one on real scans, and a demonstration to a longer
        training.
        """
        family = {run.run_id for run in self.power_set.members}
        if self.promote == "always" or holder.run_id in family:
            return ""
        if not self.scans.simulated and not holder.ranked_on_real_scans:
            return ""
        if is_demonstration(holder.run_id) and not is_demonstration(winner.run_id):
            return ""
        deciding = deciding_metrics(self.pairs.table)
        metrics = deciding if criterion == CHAMPION else (criterion.metric,)
        old, reason = self._rows_of_holder(holder, metrics)
        if self.pairs.of(winner.name, winner.repeat).empty or old is None:
            return reason or "the winner has no table of scores by field"
        entrants, seed = self.pairs.entrants, self.power_set.seed
        found = cross_fit(entrants, old, criterion, winner.repeat, seed, self.power_set.order)
        return "" if found.verdict.better else not_better(winner.name, found)

    def _rows_of_holder(
        self, holder: Version, metrics: Sequence[str]
    ) -> tuple[pd.DataFrame | None, str]:
        """Return its table of scores by today's versions of these metrics; or None and why."""
        try:
            run = find_training(holder.run_id)
        except ValueError as error:
            return None, f"the training run of that version is gone ({error})"
        compared = {name: ALL_METRICS[name] for name in metrics if name in ALL_METRICS}
        table = read_table(run, self.scans)
        if table is not None and not run.outdated(self.scans.digest, compared):
            return table, ""
        if self.rescore is None:
            return None, (
                f"that version was not scored on these scans: `mlflow run . -e evaluate "
                f"--env-manager local -P run={holder.run_id} -P scans=FOLDER` does it"
            )
        try:
            self.rescore(holder)
        except Exception as error:  # somebody else's model may fail in any way
            return None, f"that version could not be scored: {type(error).__name__}: {error}"
        return read_table(run, self.scans), ""


def score_version(version: Version, scans: ScanSet) -> None:
    """Score a version's model on the scans; the scores are kept with the run that trained it."""
    network = load_network(version.uri)
    score_run(version.run_id, of_noisy(partial(denoise, network)), scans)
