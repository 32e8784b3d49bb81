"""Do noisier scans want hybrid losses? The paper's conclusion as a test.

At each scan speed the mean score of all hybrids (two losses or more) less that of all single
losses, and that at the noisiest speed less that at the cleanest. Means, since the best of eleven
hybrids is ahead of the best of four single losses by their numbers alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.cubes import Cube, cube_of
from lfranker.uncertainty import Chance, mean_squares, score_interval

BETWEEN = "noisiest less cleanest"


@dataclass(frozen=True)
class Advantage:
    """How far hybrids are ahead of single losses: `value`, `low`, `high` by speed, and BETWEEN.

    The rows are the scan speeds, the noisiest first; BETWEEN is there where there are two or more.
    """

    table: pd.DataFrame
    title: str  # what the intervals are about

    def __str__(self) -> str:
        speeds = [str(name) for name in self.table.index if name != BETWEEN]
        ahead = " and ".join(f"{_of(self.table, s)} at {s}" for s in dict.fromkeys(_ends(speeds)))
        said = f"hybrids are ahead of single losses by {ahead} ({self.title})"
        if BETWEEN not in self.table.index:
            return f"{said}; one scan speed does not tell whether noisier scans want them"
        _, low, high = _numbers(self.table, BETWEEN)
        found = "noisier scans want hybrids more" if low > 0 else "they want them less"
        if low <= 0 <= high:
            found = "it is not told from none"
        return f"{said}; the difference is {_of(self.table, BETWEEN)}: {found}"


def hybrid_advantage(
    rows: pd.DataFrame, metric: str, speeds: Sequence[str], seed: int
) -> Advantage | None:
    """From rows as `cubes.cube_of` takes them; ``speeds`` are given the noisiest first.

    None where at no speed there are single losses and hybrids at 3 places.
    """
    contrasts: dict[str, Cube] = {}
    for speed in speeds:
        cube = cube_of(rows[rows["speed"] == speed], metric)
        if cube is not None and len({"+" in name for name in cube.names}) == 2:
            contrasts[speed] = cube
    if not contrasts:
        return None
    found = {speed: _interval(_contrast(cube), seed) for speed, cube in contrasts.items()}
    first, last = _ends(list(contrasts))
    common = [p for p in contrasts[first].places if p in contrasts[last].places]
    if first != last and len(common) > 1:
        ends = (_contrast(_at(contrasts[speed], common)) for speed in (first, last))
        found[BETWEEN] = _interval(np.subtract(*ends), seed)
    table = pd.DataFrame(found, index=["value", "low", "high"]).T
    return Advantage(table, contrasts[first].title)


def _contrast(cube: Cube) -> NDArray[np.float64]:
    """(places, repeats): the mean of the hybrids less that of the single losses."""
    hybrid = np.array(["+" in name for name in cube.names])
    return np.asarray(cube.scores[hybrid].mean(axis=0) - cube.scores[~hybrid].mean(axis=0))


def _at(cube: Cube, places: Sequence[str]) -> Cube:
    where = [cube.places.index(place) for place in places]
    return Cube(cube.names, tuple(places), cube.scores[:, where])


def _interval(cells: NDArray[np.float64], seed: int) -> tuple[float, float, float]:
    squares = mean_squares(cells[None])
    interval = score_interval(0, squares, Chance(squares.fields, squares.repeats, seed))
    return float(squares.mean[0]), interval.low, interval.high


def _ends(speeds: list[str]) -> tuple[str, str]:
    return speeds[0], speeds[-1]


def _of(table: pd.DataFrame, row: str) -> str:
    value, low, high = _numbers(table, row)
    return f"{value:.2g} ({low:.2g} to {high:.2g})"


def _numbers(table: pd.DataFrame, row: str) -> tuple[float, float, float]:
    value, low, high = table.loc[[row], ["value", "low", "high"]].to_numpy(np.float64)[0]
    return float(value), float(low), float(high)
