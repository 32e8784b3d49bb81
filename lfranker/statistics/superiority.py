"""Superiority of a new model over the one in use, beyond what chance would give."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from lfranker.arrays import Floats
from lfranker.statistics.intervals import Interval
from lfranker.statistics.score_array import LEAST_SITES

ERROR = 0.05  # of all intervals together


@dataclass(frozen=True)
class Verdict:
    """Differences of a new model less the old one, by metric; higher is better.

    intervals: 95 % for all of them together; unjudged: metrics without enough sites.
    """

    intervals: Mapping[str, Interval]
    unjudged: tuple[str, ...] = ()

    @property
    def better(self) -> bool:
        """True where it is shown to be better in some metric, and worse in none."""
        intervals = self.intervals.values()
        worse = any(interval.high < 0 for interval in intervals)
        return not self.unjudged and not worse and any(interval.low > 0 for interval in intervals)


def judge(differences: Mapping[str, Floats]) -> Verdict:
    """Judge by the differences at each site, (sites,), in each metric; those not finite are left.

    Student's t over sites, at a confidence that shares the error between the metrics (Bonferroni).
    A metric with fewer than 3 sites cannot be judged, and then nothing is shown to be better.
    """
    level = ERROR / max(len(differences), 1)
    intervals, unjudged = dict[str, Interval](), []
    for metric, every in differences.items():
        values = every[np.isfinite(every)]
        if len(values) < LEAST_SITES:
            unjudged.append(metric)
            continue
        error = values.std(ddof=1) / np.sqrt(len(values))
        half = float(t.ppf(1 - level / 2, len(values) - 1) * error)
        mean = float(values.mean())
        intervals[metric] = Interval(mean - half, mean + half)
    return Verdict(intervals, tuple(unjudged))
