"""Fit the noise of a microscope to its scans: see `profile` for the model.

Pixels come from `residuals`. Intervals are those of a bootstrap over places: fields of one
place are drawn together.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from lfranker.arrays import Floats, Image
from lfranker.noise.profile import LAGS, Estimate
from lfranker.noise.residuals import Sums, blind_residuals, pair_residuals, pooled, sums_of
from lfranker.scans.scan_set import Pair

DRAWS = 400  # of the bootstrap: standard errors to 4 %
ROUNDS = 5  # of reweighting; the second changes gamma by less than 0.1 %
BANDS = 8  # that a lone place is cut into, so that there is something to draw
MISFIT = 0.03  # relative, of a variance however many its pixels: no detector is quite linear
LEAST_SITES = 2  # of a bin: a single one says nothing of how much places differ
LEAST_IN_ALL = 2000  # pixels used: gamma is then uncertain by some 10 %
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Measured:
    """Sums over one site, or a band of a lone one; gain and offset of the site's pairs (n, 2)."""

    sums: Sums
    brightness: Floats
    lone: bool = False


@dataclass(frozen=True, eq=False)
class Fit:
    estimates: Mapping[str, Estimate]  # of `profile`, and lag4
    signal: Floats  # (n,) mean brightness of each bin
    variance: Floats  # measured there
    half: Floats  # of its 95 % interval's width
    places: int  # that were drawn from
    pixels: int
    lone: bool = False  # its places are bands of the one that there is


def measure_pairs(pairs: Iterable[Pair]) -> list[Measured]:
    """One for each place, or for bands of the frame where there is only one place."""
    by_place: dict[str, list[list[Sums]]] = {}
    brightness: dict[str, list[tuple[float, float]]] = {}
    for pair in pairs:
        residuals, gain, offset = pair_residuals(pair)
        place = pair.place or pair.field
        bands = [sums_of(residuals, rows) for rows in _bands(len(pair.noisy))]
        by_place.setdefault(place, []).append(bands)
        brightness.setdefault(place, []).append((gain, offset))
    return _by_place(list(by_place.values()), [np.array(b) for b in brightness.values()])


def measure_scans(scans: Iterable[Image]) -> list[Measured]:
    """Measure noisy scans without clean ones, each a site of its own."""
    every = []
    for scan in scans:
        residuals = blind_residuals(scan)
        every.append([[sums_of(residuals, rows) for rows in _bands(len(scan))]])
    return _by_place(every, [np.empty((0, 2))] * len(every))


def fit_noise(measured: Sequence[Measured], seed: int = 0) -> Fit:
    """All estimates with their intervals: value +- Student's t times the bootstrap's deviation.

    Gain and offset are means over pairs, lag_y is lag 1 along y; both only where there are pairs.
    The interval of gain and offset is NaN where there is one place.
    ValueError where too few pixels are left.
    """
    parts = [item.sums for item in measured]
    once = np.ones(len(parts))
    whole = pooled(parts, once)
    if whole.pixels.sum() < LEAST_IN_ALL or len(parts) < 2:
        raise ValueError(
            f"{whole.pixels.sum():.0f} px are flat and not saturated, at least {LEAST_IN_ALL} are "
            "needed to fit the noise: give more or larger scans"
        )
    in_places = np.stack([part.pixels > 0 for part in parts]).sum(axis=0)
    kept = np.asarray(in_places >= min(LEAST_SITES, len(parts)))
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(parts), once / len(parts), DRAWS)
    useful = np.stack([part.pixels[kept].sum() for part in parts])
    draws = draws[draws @ useful > 0]  # scans of which no pixel is used say nothing
    values, variance = _values(measured, once, kept)
    drawn = [_values(measured, times, kept) for times in draws]
    factor = _student(len(parts))
    estimates = {
        name: _interval(value, factor * float(np.std([v[name] for v, _ in drawn])), name)
        for name, value in values.items()
    }
    for name in {"gain", "offset"} & set(values):
        if measured[0].lone:  # its bands share them: how much sites differ is not known
            estimates[name] = Estimate(values[name], np.nan, np.nan)
    wide = factor * np.nanstd([each for _, each in drawn], axis=0)
    signal = whole.brightness[kept] / whole.pixels[kept]
    pixels = int(whole.pixels.sum())
    return Fit(estimates, signal, variance, wide, len(parts), pixels, measured[0].lone)


def _values(
    measured: Sequence[Measured], times: Floats, kept: NDArray[np.bool_]
) -> tuple[dict[str, float], Floats]:
    """Every parameter, and the variance in each bin kept (NaN where none was drawn)."""
    sums = pooled([item.sums for item in measured], times)
    pixels = sums.pixels[kept]
    with np.errstate(invalid="ignore", divide="ignore"):
        signal, variance = sums.brightness[kept] / pixels, sums.squares[kept] / pixels
    line = max(float(sums.line[0] / sums.line[1]), 0.0) if sums.line[1] else 0.0
    gamma, constant = _line_fit(signal, variance, pixels)
    constant -= line
    values = {"gamma": gamma, "sigma": max(constant, 0.0) ** 0.5, "line_offset": line**0.5}
    # what a constant below 0 says: brightness begins above 0. One constant cannot tell more
    values["black"] = max(-constant / gamma, 0.0) if gamma > 0 else 0.0
    # the offset of a line is the same at all lags along it
    shared = line / float(sums.squares.sum() / sums.pixels.sum())
    along = (sums.along / sums.along_squares - shared) / (1 - shared)
    values |= dict(zip((*LAGS, "lag4"), map(float, along), strict=True))
    brightness = [
        (n, *pair) for n, item in zip(times, measured, strict=True) for pair in item.brightness
    ]
    if brightness:
        weights, gains, offsets = np.array(brightness).T
        values["lag_y"] = float(sums.across[0] / sums.across_squares[0]) / (1 - shared)
        values["gain"] = float(np.average(gains, weights=weights))
        values["offset"] = float(np.average(offsets, weights=weights))
    return values, variance


def _line_fit(signal: Floats, variance: Floats, pixels: Floats) -> tuple[float, float]:
    """Slope and constant, weighted: a variance v of n pixels has one of 2 v^2 / n, and a misfit."""
    there = pixels > 0
    signal, variance, pixels = signal[there], variance[there], pixels[there]
    expected = np.full(len(signal), max(float(np.average(variance, weights=pixels)), 1e-12))
    for _ in range(ROUNDS):
        weights = 1 / (expected * np.sqrt(2 / pixels + MISFIT**2))
        columns = np.stack([signal, np.ones(len(signal))], axis=1) * weights[:, None]
        slope, constant = np.linalg.lstsq(columns, variance * weights, rcond=None)[0]
        expected = np.maximum(slope * signal + constant, 0.1 * expected)
    return float(slope), float(constant)


def _by_place(every: list[list[list[Sums]]], brightness: list[Floats]) -> list[Measured]:
    """``every``: of each place and field the bands."""
    if len(every) == 1:
        bands = zip(*every[0], strict=True)
        return [Measured(pooled(band, [1.0] * len(band)), brightness[0], True) for band in bands]
    joined = [[band for field in place for band in field] for place in every]
    return [
        Measured(pooled(bands, [1.0] * len(bands)), pairs)
        for bands, pairs in zip(joined, brightness, strict=True)
    ]


def _bands(rows: int) -> list[slice]:
    edges = np.linspace(0, rows, BANDS + 1).astype(int)
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _student(places: int) -> float:
    """Factor of the interval, corrected for the bootstrap's deviation, low by sqrt(1 - 1/n)."""
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, places - 1))
    return quantile * (places / (places - 1)) ** 0.5


def _interval(value: float, wide: float, name: str) -> Estimate:
    low = value - wide
    if name in ("gamma", "sigma", "black", "line_offset"):
        low = max(low, 1e-3 * value)  # none of them is negative, and gamma not 0
    return Estimate(value, float(low), float(value + wide))
