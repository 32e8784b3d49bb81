"""Do noisier scans want hybrid losses? The paper's conclusion as a test.

At each scan speed the mean score of all hybrids (two losses or more) less that of all single
losses, and that at the noisiest speed less that at the cleanest. Means, since the best of eleven
hybrids is ahead of the best of four single losses by their numbers alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lfranker.ranking.entrant import Entrant, is_hybrid
from lfranker.ranking.loss_effects import contrasts
from lfranker.statistics.intervals import Chance, contrast_intervals, mean_squares
from lfranker.statistics.score_array import LEAST_PLACES, Cube, cube_of

BETWEEN = "noisiest less cleanest"


@dataclass(frozen=True)
class Advantage:
    """Lead of hybrids over single losses: `value`, `low`, `high` by speed, and BETWEEN.

    The rows are the scan speeds, the noisiest first; BETWEEN is there where there are two or more.
    """

    table: pd.DataFrame
    title: str  # what the intervals are about


def hybrid_advantage(
    rows: pd.DataFrame, metric: str, speeds: Sequence[str], seed: int
) -> Advantage | None:
    """Estimate it from rows as in `score_array.cube_of`; ``speeds`` have the noisiest first.

    None where at no speed there are single losses and hybrids at 3 places.
    """
    cubes: dict[str, Cube] = {}
    for speed in speeds:
        cube = cube_of(rows[rows["speed"] == speed], metric)
        if cube is not None and len(set(map(is_hybrid, cube.names))) == 2:
            cubes[speed] = cube
    if not cubes:
        return None
    found = {speed: _interval(cube, seed) for speed, cube in cubes.items()}
    measured = list(cubes)
    first, last = measured[0], measured[-1]
    if first != last:
        between = _less(cubes[first], cubes[last])
        if between is not None:
            found[BETWEEN] = _interval(between, seed)
    table = pd.DataFrame(found, index=["value", "low", "high"]).T
    return Advantage(table, cubes[first].title)


def _less(first: Cube, last: Cube) -> Cube | None:
    """Scores of the first less those of the last, of what both have; None where that is little."""
    names = tuple(name for name in first.names if name in last.names)
    places = tuple(place for place in first.places if place in last.places)
    if len(places) < LEAST_PLACES or len(set(map(is_hybrid, names))) < 2:
        return None
    one, other = (
        cube.scores[[cube.names.index(name) for name in names]][
            :, [cube.places.index(place) for place in places]
        ]
        for cube in (first, last)
    )
    return Cube(names, places, one - other)


def _interval(cube: Cube, seed: int) -> tuple[float, float, float]:
    """Interval of the mean of the hybrids less that of the single losses."""
    hybrid = np.array([is_hybrid(name) for name in cube.names])
    coefficients = hybrid / hybrid.sum() - ~hybrid / (~hybrid).sum()
    squares = mean_squares(cube.scores)
    # a mean over many, as the effects of losses are, whose luck it may share
    subsets = {frozenset(Entrant.parse(name).losses): [at] for at, name in enumerate(cube.names)}
    beside = contrasts(subsets, len(cube.names)).values()
    every = np.stack([coefficients, *beside])
    interval = contrast_intervals(every, squares, Chance(squares, seed))[0]
    return squares.value(coefficients), interval.low, interval.high
