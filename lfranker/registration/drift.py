"""Drift along the slow axis: displacements as a smooth function of the row.

A frame is scanned line by line, so whatever moves while it is taken (stage, specimen, beam)
displaces whole lines. It is measured in horizontal bands and smoothed by a penalised cubic
spline, whose stiffness is the one that predicts each band best from the others; that may be a
straight line. (Generalised cross-validation, SciPy's default, follows the noise of so few bands.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, make_smoothing_spline
from scipy.stats import trim_mean

from lfranker.arrays import Floats, Image
from lfranker.registration.block_matching import (
    HALF_STEP,
    compared_part,
    match_blocks,
    spread,
    transformable,
)
from lfranker.statistics.robust_fit import CAUCHY, cauchy_weights, robust_deviation, robust_lines

BAND = 32  # px; rows
BLOCKS = 5  # to a band, each a third as wide as the frame
TRIMMED = 0.2  # of the blocks on either side: one without structure counts for nothing
ENOUGH = 6  # bands; make_smoothing_spline needs 5; fewer get a line
PENALTIES = (1e9, *np.logspace(4, -1, 11))  # of the curvature, in bands^3; the first is a line

Knots = tuple[tuple[float, float, float], ...]  # row from the centre, drift along y and x; px


@dataclass(frozen=True)
class Bands:
    """Displacements in blocks of horizontal bands that do not overlap."""

    rows: Floats  # (bands,): px from the centre of the frame
    moved: Floats  # (bands, blocks, 2): y, x in px

    @property
    def middles(self) -> Floats:
        """(bands, 2): trimmed means of the blocks."""
        return np.asarray(trim_mean(self.moved, TRIMMED, axis=1))

    def __getitem__(self, chosen: slice) -> "Bands":
        return Bands(self.rows[chosen], self.moved[chosen])


def measure_bands(
    steady: Image, moving: Image, covered: NDArray[np.bool_], known: Knots = ()
) -> Bands:
    """Measure bands of ``moving``, warped by the ``known`` drift and nearly registered already.

    They lie where ``moving`` has ``covered`` the frame; a frame under 64 px has one.
    """
    rows, columns = compared_part(covered)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    size = min(BAND, height), transformable(-(-width // 3))
    starts = spread(rows, size[0], height // size[0]), spread(columns, size[1], BLOCKS)
    at, moved = match_blocks(steady, moving, size, starts)
    middles = at[:, 0, 0]
    return Bands(middles, moved + drift_at(known, middles)[:, None])


def fit_drift(bands: Bands) -> Knots:
    """The smooth drift about which the bands lie, at the bands; those far from it weigh little.

    A single band has none: what moves it moves the whole frame.
    """
    if len(bands.rows) < 2:
        return ()
    along_y, along_x = (_smooth(bands.rows, bands.middles[:, axis]) for axis in range(2))
    return tuple((float(row), along_y(row), along_x(row)) for row in bands.rows)


def drift_at(knots: Knots, rows: Floats) -> Floats:
    """Drift (n, 2) along y and x, px, of rows counted from the centre; 0 without knots.

    The natural cubic spline through the knots, straight beyond them.
    """
    if not knots:
        return np.zeros((len(rows), 2))
    table = np.array(knots)
    spline = CubicSpline(table[:, 0], table[:, 1:], bc_type="natural")
    within = np.clip(rows, table[0, 0], table[-1, 0])
    return np.asarray(spline(within) + spline(within, 1) * (rows - within)[:, None])


def held_out_residual(bands: Bands) -> float:
    """RMS, px, of odd bands' middle displacements about the drift fitted to even ones alone.

    The first band is even. NaN for fewer than 4 bands, two of either kind.
    """
    if len(bands.rows) < 4:
        return float("nan")
    odd = bands[1::2]
    off = odd.middles - drift_at(fit_drift(bands[::2]), odd.rows)
    return float(np.sqrt(np.mean(np.sum(off**2, axis=-1))))


def _smooth(rows: Floats, values: Floats) -> Callable[[float], float]:
    if len(rows) < ENOUGH:
        terms = np.stack([np.ones(len(rows)), rows], axis=1)
        line = robust_lines(terms, values, HALF_STEP)
        return lambda row: float(line[0] + line[1] * row)
    at = rows / BAND
    weights = np.ones(len(rows))
    for _ in range(2):  # once to see which bands are off, once without them
        off = np.array([predicted_by_others(at, values, weights, p) - values for p in PENALTIES])
        penalty, weights = _choose(off)
    spline = make_smoothing_spline(at, values, weights, penalty)
    return lambda row: float(spline(row / BAND))


def predicted_by_others(at: Floats, values: Floats, weights: Floats, penalty: float) -> Floats:
    """Each band as predicted by the others; the first and the last by a straight line from them.

    What a spline is fitted to depends linearly on the values, so one fit of all bands tells each
    prediction (Craven & Wahba 1979, doi:10.1007/BF01404567, lemma 3.2): that of the curve which
    is the best without the band, and has no curvature where there are no others. The fit misses
    the values by ``missed`` times the values (Green & Silverman 1994, section 2.3.3), which is
    the same as SciPy's, in a tenth of its time.
    """
    steps, count = np.diff(at), len(at) - 2
    first, middle = np.arange(count), np.arange(count) + 1
    bends = np.zeros((count, count + 2))  # second divided differences
    bends[first, first] = 1 / steps[:-1]
    bends[first, middle] = -1 / steps[:-1] - 1 / steps[1:]
    bends[first, middle + 1] = 1 / steps[1:]
    energy = np.diag((steps[:-1] + steps[1:]) / 3)
    energy += np.diag(steps[1:-1] / 6, 1) + np.diag(steps[1:-1] / 6, -1)
    weighed = bends / weights
    missed = penalty * weighed.T @ np.linalg.solve(energy + penalty * weighed @ bends.T, bends)
    return np.asarray(values - (missed @ values) / np.diagonal(missed))


def _choose(off: Floats) -> tuple[float, Floats]:
    """The penalty by the errors of prediction (penalties, bands), and Cauchy's weights of bands."""
    deviation = min(robust_deviation(errors, HALF_STEP) for errors in off)
    losses = np.log1p((off / (CAUCHY * deviation)) ** 2)
    best = int(np.argmin(losses.mean(axis=1)))
    return PENALTIES[best], cauchy_weights(off[best], HALF_STEP)
