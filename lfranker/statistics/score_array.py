"""Scores of single fields after single repeats, as arrays that statistics can take.

Fields of one place count as one, and a score is the mean over the scan speeds, so that what
belongs together stays together.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEAST_SITES = 3


@dataclass(frozen=True)
class Cube:
    """Scores (entrants, places, repeats) of one metric, whole."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    scores: NDArray[np.float64]

    def best(self, count: int) -> "Cube":
        """The entrants with the highest means, best first."""
        order = np.argsort(-self.scores.mean(axis=(1, 2)), kind="stable")[:count]
        names = tuple(self.names[int(at)] for at in order)
        return Cube(names, self.places, self.scores[order])


def cube_of(rows: pd.DataFrame, metric: str, least: int = 2) -> Cube | None:
    """Build a cube from a row per `name`, `place`, `speed`, `repeat`, less entrants with a gap.

    None for fewer than ``least`` entrants, or fewer than 3 places.
    """
    keys = ["place", "repeat", "speed"]
    wide = rows.pivot_table(index="name", columns=keys, values=metric, dropna=False, sort=False)
    wide = wide.loc[:, wide.notna().any()]
    gaps = wide.index[~np.isfinite(wide.to_numpy(np.float64)).all(axis=1)]
    cells = wide.drop(index=gaps).T.groupby(level=["place", "repeat"], sort=False).mean().T
    whole = pd.Series(cells.columns.get_level_values("place")).value_counts(sort=False)
    repeats = int(whole.max()) if len(whole) else 0
    places = list(whole.index[whole == repeats])
    if len(cells) < least or len(places) < LEAST_SITES:
        return None
    values = np.stack([cells[place].to_numpy(np.float64) for place in places], axis=1)
    return Cube(tuple(map(str, cells.index)), tuple(map(str, places)), values)
