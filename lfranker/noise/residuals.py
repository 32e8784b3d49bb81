"""The noise in a scan, pixel by pixel, and the sums over it from which its model is fitted.

Sums are additive: those of several fields are those of all their pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from lfranker.arrays import Floats, Image
from lfranker.scans.scan_set import Pair

Mask = NDArray[np.bool_]

SMOOTHING = 2.0  # px, of the clean scan where it stands for the signal
BLIND_SMOOTHING = 4.0  # px, of a noisy scan for the same purpose
SLOW = 32.0  # px; brightness that differs between two scans over more than this is no noise
BORDER = 8  # px of the frame that are not used
BINS = 25  # of the signal, over full scale
CLIPPED = 0.002  # share of pixels at an end of the scale from which a bin is not used: 0.3 % of var
FLAT = 0.3  # share of the pixels, those of the lowest gradient: there misregistration does not show
LEAST_PIXELS = 200  # of a bin in a scan
FAR_LAGS = 4
BLOCK = 8  # px; runs of pixels along a line, every other one used: apart, noise is independent
APART = 3  # lines; ``blind_residuals`` of lines that far from each other share no line


@dataclass(frozen=True, eq=False)
class Residuals:
    """Products of ``first`` and ``second`` have the covariances of the noise as their mean."""

    first: Floats  # (h, w)
    second: Floats
    signal: Floats  # brightness of the noisy scan without noise as the clean one has it
    noisy: Floats  # the mean over pixels of like signal is their brightness, linear or not
    used: Mask


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over pixels used: by bin (BINS,), by lag (FAR_LAGS,), lags 1, 2, ... px."""

    pixels: Floats  # by bin
    brightness: Floats
    squares: Floats
    along: Floats  # products at each lag along x
    along_squares: Floats  # of the same pixels, at lag 0
    across: Floats  # the same along y
    across_squares: Floats
    line: Floats  # (2,): products of distant pixels of one line less those of two lines; counts


def pair_residuals(pair: Pair) -> tuple[Residuals, float, float]:
    """Residuals of a registered pair; and gain and offset: noisy = gain x clean + offset.

    ``first`` is noisy less clean scan, ``second`` noisy less smoothed clean scan: in their product
    the clean scan's own noise enters by a fiftieth, the weight of the smoothing at its centre, and
    what smoothing takes from the structure only together with what misregistration leaves.
    """
    noisy, clean = (image.astype(np.float64) for image in (pair.noisy, pair.clean))
    smooth = gaussian_filter(clean, SMOOTHING)
    inside = _inside(pair.mask)
    usable = inside & _unclipped(pair.noisy, smooth, inside)
    if not usable.any():
        raise ValueError(f"{pair.field} at {pair.speed}: no part that is not saturated")
    used = usable & _flat(smooth, usable)
    gain, offset = _brightness(noisy[used], clean[used], smooth[used])
    first, signal = noisy - gain * clean - offset, gain * smooth + offset
    weight = gaussian_filter(usable.astype(np.float64), SLOW)
    slow = gaussian_filter(np.where(usable, first, 0), SLOW) / np.maximum(weight, 1e-6)
    used &= _often(signal, used)
    first, second = (_levelled(each - slow, signal, used) for each in (first, noisy - signal))
    return Residuals(first, second, signal, noisy, used), gain, offset


def blind_residuals(noisy: Image) -> Residuals:
    """Residuals of a noisy scan alone: second differences along y, where noise is uncorrelated.

    (a - 2 b + c) / sqrt(6) of three lines has the variance of the noise, and its autocorrelation
    along x; planes cancel. Structure that bends from line to line adds to it.
    """
    lines = noisy.astype(np.float64)
    second = np.zeros(lines.shape)
    second[1:-1] = (lines[:-2] - 2 * lines[1:-1] + lines[2:]) / np.sqrt(6)
    signal = gaussian_filter(lines, BLIND_SMOOTHING)
    inside = _inside(np.ones(noisy.shape, np.bool_))
    usable = inside & _unclipped(noisy, signal, inside)
    used = usable & _flat(signal, usable)
    return Residuals(second, second, signal, lines, used & _often(signal, used))


def _brightness(noisy: Floats, clean: Floats, smooth: Floats) -> tuple[float, float]:
    """Gain and offset by an instrument, the smoothed clean scan.

    Neither what smoothing takes from the contrast nor the clean scan's noise enters, as it would
    in a regression on either.
    """
    instrument = smooth - smooth.mean()
    spread = float((instrument * clean).sum())
    gain = float((instrument * noisy).sum()) / spread if spread > 0 else 1.0
    return gain, float(noisy.mean() - gain * clean.mean())


def sums_of(residuals: Residuals, rows: slice = slice(None)) -> Sums:
    """Sums over a band of rows."""
    first, second, used = residuals.first[rows], residuals.second[rows], residuals.used[rows]
    signal = residuals.signal[rows]
    bins = _bins(signal[used])
    squares = first * second
    weights = (np.ones(len(bins)), residuals.noisy[rows][used], squares[used])
    pixels, total, square = (
        np.bincount(bins, weight, BINS).astype(np.float64) for weight in weights
    )
    (along, along_squares), (across, across_squares) = (
        np.array([_products(first, second, squares, used, lag, axis) for lag in _LAGS]).T
        for axis in (1, 0)
    )
    line = _lines(np.where(used, first, 0), used)
    return Sums(pixels, total, square, along, along_squares, across, across_squares, line)


def pooled(parts: Sequence[Sums], times: Sequence[float] | Floats) -> Sums:
    """Each part so many times."""
    names = [item.name for item in fields(Sums)]
    stacked = {name: np.stack([getattr(part, name) for part in parts]) for name in names}
    return Sums(**{name: np.asarray(times) @ array for name, array in stacked.items()})


_LAGS = range(1, FAR_LAGS + 1)


def _products(
    first: Floats, second: Floats, squares: Floats, used: Mask, lag: int, axis: int
) -> tuple[float, float]:
    """Sum of products of pixels that far apart, in both orders, and of their squares."""
    here, there = [slice(None)] * 2, [slice(None)] * 2
    here[axis], there[axis] = slice(None, -lag), slice(lag, None)
    a, b = tuple(here), tuple(there)
    both = used[a] & used[b]
    products = first[a] * second[b] + second[a] * first[b]
    return float(products[both].sum() / 2), float((squares[a] + squares[b])[both].sum() / 2)


def _lines(residual: Floats, used: Mask) -> Floats:
    columns = residual.shape[1] // (2 * BLOCK) * 2 * BLOCK
    shape = len(residual), -1, 2, BLOCK
    sums, counts = (
        array[:, :columns].reshape(shape)[:, :, 0].sum(axis=-1, dtype=np.float64)
        for array in (residual, used)
    )
    within, within_count = (_distant(array, array) for array in (sums, counts))
    between, between_count = (_distant(array[APART:], array[:-APART]) for array in (sums, counts))
    if between_count == 0:
        return np.zeros(2)
    return np.array([within - between * within_count / between_count, within_count])


def _distant(a: Floats, b: Floats) -> float:
    """Sum of products of all blocks of a line in ``a`` with all others of the line in ``b``."""
    return float((a.sum(axis=1) * b.sum(axis=1)).sum() - (a * b).sum())


def _inside(mask: Mask) -> Mask:
    framed = np.zeros(mask.shape, np.bool_)
    framed[BORDER:-BORDER, BORDER:-BORDER] = True
    return framed & binary_erosion(mask, iterations=BORDER, border_value=1)


def _unclipped(noisy: Image, signal: Floats, inside: Mask) -> Mask:
    """Mask of pixels with a signal at which hardly any pixel is at an end of the scale."""
    bins = _bins(signal)
    clipped = ((noisy <= 0) | (noisy >= 1))[inside]
    lost = np.bincount(bins[inside], clipped, BINS)
    return np.asarray((lost <= CLIPPED * np.bincount(bins[inside], minlength=BINS))[bins])


def _often(signal: Floats, used: Mask) -> Mask:
    """Mask of pixels with a signal that enough pixels have."""
    bins = _bins(signal)
    return np.asarray((np.bincount(bins[used], minlength=BINS) >= LEAST_PIXELS)[bins])


def _levelled(residual: Floats, signal: Floats, used: Mask) -> Floats:
    """Subtract the mean at each signal, which gain and offset leave where brightness is not linear.

    Noise that is correlated as at 100 ns loses 1 % of its variance in a bin of LEAST_PIXELS.
    """
    bins = _bins(signal)
    counts = np.bincount(bins[used], minlength=BINS)
    means = np.bincount(bins[used], residual[used], BINS) / np.maximum(counts, 1)
    return np.asarray(residual - means[bins])


def _flat(smooth: Floats, usable: Mask) -> Mask:
    steepness = np.hypot(*np.gradient(smooth))
    return np.asarray(steepness <= np.quantile(steepness[usable], FLAT)) if usable.any() else usable


def _bins(signal: Floats) -> NDArray[np.intp]:
    return np.clip(np.floor(signal * BINS), 0, BINS - 1).astype(np.intp)
