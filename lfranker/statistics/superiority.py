"""Superiority of a new model over the one in use, beyond what chance would give."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lfranker.statistics.intervals import Chance, difference_interval, mean_squares
from lfranker.statistics.score_array import cube_of


@dataclass(frozen=True)
class Verdict:
    better: bool
    why: str


def judge(
    new: pd.DataFrame, old: pd.DataFrame, metrics: Sequence[str], speed: str | None, seed: int
) -> Verdict:
    """Judge it better if the interval of the difference is above 0 in some metric, below in none.

    Two single models are compared, each with a row per field (`place`, `speed` and the metrics,
    higher is better) of the same scans; at one ``speed``, or over all where it is None. Not better
    where fewer than 3 places have scores of both.
    """
    rows = pd.concat([new.assign(name="new", repeat=0), old.assign(name="old", repeat=0)])
    rows = rows if speed is None else rows[rows["speed"] == speed]
    found: dict[str, tuple[float, float]] = {}
    for metric in metrics:
        cube = cube_of(rows, metric) if {metric} <= set(new) & set(old) else None
        if cube is not None:
            squares = mean_squares(cube.scores)
            first, second = cube.names.index("new"), cube.names.index("old")
            interval = difference_interval(first, second, squares, Chance(squares, seed))
            found[metric] = interval.low, interval.high
    if not found:
        return Verdict(False, f"too few fields have {' and '.join(metrics)} of both")
    told = ", ".join(f"{name} {low:+.3g} to {high:+.3g}" for name, (low, high) in found.items())
    worse = any(high < 0 for _, high in found.values())
    better = any(low > 0 for low, _ in found.values()) and not worse
    return Verdict(better, f"differences (95 %): {told}")
