"""Names of scores among MLflow's metrics.

MLflow's charts stand in sections, one for all names that are alike up to their last slash, in the
order of the alphabet: keypoints, psnr, repeatability and ssim; then scores on other scans; then the
curves of training; then what is not ranked but only reported.
"""

from collections.abc import Mapping

from lfranker.evaluation.criteria import Criterion, scored
from lfranker.evaluation.metrics import METRICS

UNRANKED = "unranked/"
OTHER_SCANS = "tested on "  # and the first digits of their digest


def metric_name(score: str) -> str:
    """Return MLflow's name of a score: `psnr/spd2`, but `unranked/frc/spd2`."""
    metric = METRICS.get(Criterion.parse(score).metric)
    return UNRANKED + score if metric and not metric.ranked else score


def front(digest: str) -> str:
    """Return what the scores on scans other than the run's first have in front of their names."""
    return f"{OTHER_SCANS}{digest[:8]}/"


def scores_in(metrics: Mapping[str, float], other: str = "") -> dict[str, float]:
    """Return the scores among a run's metrics under their plain names, as tables have them.

    ``other``: digest of the scans where they are not the run's first. Names of earlier versions,
    `frc` and `1a2b3c4d.psnr`, are read too; today's names count where a run has both.
    """
    fronts = (f"{other[:8]}.", front(other)) if other else ("",)
    found: dict[str, float] = {}
    for before in fronts:
        own = {k.removeprefix(before): v for k, v in metrics.items() if k.startswith(before)}
        found |= {name: own[name] for name in scored(own)}
        unranked = {k.removeprefix(UNRANKED): v for k, v in own.items() if k.startswith(UNRANKED)}
        found |= {name: unranked[name] for name in scored(unranked)}
    return found
