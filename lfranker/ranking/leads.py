"""Leads: of a network over doing without it, and of combined losses over single ones.

A network is compared with the noisy input and with the best filter.

Do noisier scans want combined losses? This is the paper's conclusion as a test: at each scan speed
the mean score of all combined losses (two or more) less that of all single losses, and that at the
noisiest speed less that at the cleanest. Means, since the best of eleven combined losses is ahead
of the best of four single ones by their numbers alone. All differences may merely shrink on noisy
scans, so that combined losses that are behind are less behind there: nothing is concluded unless
they are really ahead at the noisiest speed.

A loss that is good by itself makes combined losses look good, since it is in more of them: each
loss's own effect stands beside, with the numbers of those that it is in, and so does the lead that
is left after what single losses add (least squares on which losses there are, and on whether there
are several).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CLEAN, NOISY, is_filter
from lfranker.ranking.entrants import Entrant, is_combined, tie_key
from lfranker.ranking.loss_effects import contrasts
from lfranker.statistics.intervals import (
    Chance,
    contrast_interval,
    contrast_intervals,
    mean_squares,
    score_interval,
)
from lfranker.statistics.score_array import LEAST_SITES, Cube, cube_of


@dataclass(frozen=True)
class BaselineLead:
    """By how much an entrant's mean score is above a baseline's, at the same sites."""

    baseline: str
    mean: float  # the baseline's
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Leads:
    """Leads of one entrant in one metric; None over what was not scored at all sites."""

    over_noisy: BaselineLead | None
    over_filter: BaselineLead | None  # over the filter with the highest mean score
    over_network: BaselineLead | None = None  # over the best of the networks made elsewhere


def baseline_leads(
    rows: pd.DataFrame, name: str, metrics: Iterable[str], seed: int
) -> dict[str, Leads]:
    """Return the leads of the entrant ``name`` by metric, from rows as in `PairScores.table`.

    Intervals (95 %) are over sites and, where there are several, over the entrant's repeats;
    baselines have no seed variance. A metric in which too little is known is left out.
    """
    entrants, baselines = rows[~rows["baseline"]], rows[rows["baseline"]]
    others = [str(b) for b in baselines["name"].unique() if b not in (NOISY, CLEAN)]
    filters = [name for name in others if is_filter(name)]
    networks = [name for name in others if not is_filter(name)]
    leads = {}
    for metric in metrics:
        cube = cube_of(entrants, metric, least=1)
        if cube is None or name not in cube.names:
            continue
        scores = {b: baseline_scores(baselines, cube, metric, b) for b in (NOISY, *others)}
        noisy = _lead(cube, name, [NOISY], scores, seed)
        best_filter = _lead(cube, name, filters, scores, seed)
        network = _lead(cube, name, networks, scores, seed)
        if noisy or best_filter or network:
            leads[metric] = Leads(noisy, best_filter, network)
    return leads


def baseline_scores(rows: pd.DataFrame, cube: Cube, metric: str, name: str) -> Floats | None:
    """Scores of a baseline at the sites of the cube, (sites,); None where one is missing.

    They are means over the scan speeds of the means over a site's fields, as in `cube_of`.
    """
    own = rows[rows["name"] == name]
    by_speed = own.pivot_table(index="place", columns="speed", values=metric, dropna=False)
    values = by_speed.mean(axis=1, skipna=False).reindex(list(cube.places)).to_numpy(np.float64)
    return values if values.size and np.isfinite(values).all() else None


def _lead(
    cube: Cube, name: str, baselines: Sequence[str], scores: dict[str, Floats | None], seed: int
) -> BaselineLead | None:
    """Compare with the highest of the baselines that have all scores."""
    means = {b: float(own.mean()) for b in baselines if (own := scores[b]) is not None}
    if not means:
        return None
    baseline = max(means, key=lambda b: means[b])
    ahead = cube.scores[[cube.names.index(name)]] - np.asarray(scores[baseline])[None, :, None]
    squares = mean_squares(ahead)
    interval = score_interval(0, squares, Chance(squares, seed))
    return BaselineLead(
        baseline, means[baseline], float(squares.mean[0]), interval.low, interval.high
    )


BETWEEN = "noisiest less cleanest"
MORE, LESS, ALIKE, SHRINKS, ONE_SPEED = "more", "less", "alike", "shrinks", "one speed"  # verdicts


@dataclass(frozen=True)
class Advantage:
    """Lead of combined losses over single ones: `value`, `low`, `high` by speed, and BETWEEN.

    table: its rows are the scan speeds, the noisiest first; BETWEEN where there are two or more.
    composition: a row per loss: `value`, `low`, `high` of its mean effect at the noisiest speed,
        nan where it has none, and in how many subsets it is, `in_combined` and `in_single`.
    combined, single: how many there are.
    own: the lead at the noisiest speed (value, low, high) without what each loss adds by itself;
        None where the subsets do not tell these apart.
    """

    table: pd.DataFrame
    composition: pd.DataFrame
    combined: int
    single: int
    own: tuple[float, float, float] | None

    @property
    def verdict(self) -> str:
        """MORE or LESS, which noisier scans want of combined losses; else why it is open."""
        if BETWEEN not in self.table.index:
            return ONE_SPEED
        _, low, high = self.table.loc[BETWEEN].to_numpy(np.float64)
        _, noisy_low, noisy_high = self.table.iloc[0].to_numpy(np.float64)
        if low <= 0 <= high:
            return ALIKE
        if low > 0 and noisy_low > 0:
            return MORE
        return LESS if high < 0 and noisy_high < 0 else SHRINKS


def combined_advantage(
    rows: pd.DataFrame, metric: str, speeds: Sequence[str], seed: int
) -> Advantage | None:
    """Estimate it from rows as in `score_array.cube_of`; ``speeds`` have the noisiest first.

    None where at no speed there are single and combined losses at 3 sites.
    """
    cubes: dict[str, Cube] = {}
    for speed in speeds:
        cube = cube_of(rows[rows["speed"] == speed], metric)
        if cube is not None and len(set(map(is_combined, cube.names))) == 2:
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
    noisiest = cubes[first]
    several = int(_combined(noisiest).sum())
    composition, own = _composition(noisiest, seed)
    single = len(noisiest.names) - several
    return Advantage(table, composition, several, single, own)


def _combined(cube: Cube) -> NDArray[np.bool_]:
    return np.array([is_combined(name) for name in cube.names])


def _composition(cube: Cube, seed: int) -> tuple[pd.DataFrame, tuple[float, float, float] | None]:
    """Return the table of the losses, and the lead without their own effects."""
    combined, members = _combined(cube), [set(Entrant.parse(name).losses) for name in cube.names]
    losses = sorted(set().union(*members), key=tie_key)
    there = np.array([[loss in own for loss in losses] for own in members], dtype=float)
    squares = mean_squares(cube.scores)
    chance = Chance(squares, seed)
    effects = contrasts({frozenset(own): [at] for at, own in enumerate(members)}, len(members))
    rows = dict.fromkeys(losses, (np.nan, np.nan, np.nan))
    if effects:
        intervals = contrast_intervals(np.stack(list(effects.values())), squares, chance)
        for (loss, row), interval in zip(effects.items(), intervals, strict=True):
            rows[loss] = squares.value(row), interval.low, interval.high
    table = pd.DataFrame(rows, index=["value", "low", "high"]).T.rename_axis("loss")
    table["in_combined"] = there[combined].sum(axis=0).astype(int)
    table["in_single"] = there[~combined].sum(axis=0).astype(int)
    design = np.column_stack([np.ones(len(members)), there, combined])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return table, None
    own = np.linalg.pinv(design)[-1]
    interval = contrast_interval(own, squares, chance)
    return table, (squares.value(own), interval.low, interval.high)


def _less(first: Cube, last: Cube) -> Cube | None:
    """Scores of the first less those of the last, of what both have; None where that is little."""
    names = tuple(name for name in first.names if name in last.names)
    places = tuple(place for place in first.places if place in last.places)
    if len(places) < LEAST_SITES or len(set(map(is_combined, names))) < 2:
        return None
    one, other = (
        cube.scores[[cube.names.index(name) for name in names]][
            :, [cube.places.index(place) for place in places]
        ]
        for cube in (first, last)
    )
    return Cube(names, places, one - other)


def _interval(cube: Cube, seed: int) -> tuple[float, float, float]:
    """Interval of the mean of the combined losses less that of the single ones."""
    combined = _combined(cube)
    coefficients = combined / combined.sum() - ~combined / (~combined).sum()
    squares = mean_squares(cube.scores)
    # a mean over many, as the effects of losses are, whose luck it may share
    subsets = {frozenset(Entrant.parse(name).losses): [at] for at, name in enumerate(cube.names)}
    beside = contrasts(subsets, len(cube.names)).values()
    every = np.stack([coefficients, *beside])
    interval = contrast_intervals(every, squares, Chance(squares, seed))[0]
    return squares.value(coefficients), interval.low, interval.high
