"""Displacement of one image from another, measured in blocks by phase correlation."""

from collections.abc import Sequence

import numpy as np
from skimage.registration import phase_cross_correlation

from lfranker.arrays import Floats, Image, hann_window

UPSAMPLING = 20  # 1/20 px steps of the correlation peak
CAUCHY = 2.385  # robust standard deviations; 95 % efficient where all is normal


def displacement(steady: Image, moving: Image) -> Floats:
    """(y, x) at which ``moving`` shows what ``steady`` shows at 0, in px; 0 without structure.

    Without the normalisation of phase correlation, which lets noise dominate.
    """
    window = hann_window(steady.shape)
    weighed = [(image - np.average(image, weights=window)) * window for image in (steady, moving)]
    if not all(np.any(image) for image in weighed):
        return np.zeros(2)
    shift, _, _ = phase_cross_correlation(*weighed, upsample_factor=UPSAMPLING, normalization=None)
    return -np.asarray(shift, np.float64)


def match_blocks(
    steady: Image, moving: Image, size: Sequence[int], starts: Sequence[Sequence[int]]
) -> tuple[Floats, Floats]:
    """Centres (rows, columns, 2), px from the centre of the frame, and displacements of blocks.

    ``starts`` are the first rows and the first columns of the blocks, each of ``size``.
    """
    at = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).astype(np.float64)
    moved = np.zeros_like(at)
    for row, top in enumerate(starts[0]):
        for column, left in enumerate(starts[1]):
            block = np.s_[top : top + size[0], left : left + size[1]]
            moved[row, column] = displacement(steady[block], moving[block])
    return at + (np.array(size) - steady.shape) / 2, moved


def spread(length: int, block: int, count: int) -> list[int]:
    """Starts of ``count`` blocks, evenly from the first to the last place."""
    return [int(start) for start in np.linspace(0, length - block, count)]


def transformable(length: int) -> int:
    """A multiple of 8 up to ``length``: prime lengths, such as 509, take FFTs 3 times as long."""
    return length // 8 * 8 or length


def robust_lines(terms: Floats, values: Floats) -> Floats:
    """Least squares reweighted by Cauchy's function (Holland & Welsch 1977).

    A block without structure, or with a repeated one, may be off by pixels. The first term is the
    constant; one that does not vary beside it cannot be told from it and is 0.
    """
    varying = np.ptp(terms, axis=0) > 0
    varying[0] = True
    terms = terms * varying
    weights = np.ones(len(values))
    for _ in range(20):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
        answer = np.asarray(solution, np.float64)
        weights = cauchy_weights(values - terms @ answer)
    return answer


def cauchy_weights(residuals: Floats) -> Floats:
    """1 at the fit, 1/2 at 2.4 robust standard deviations from it."""
    return np.asarray(1 / (1 + (residuals / (CAUCHY * robust_deviation(residuals))) ** 2))


def robust_deviation(residuals: Floats) -> float:
    """Deviation from the median, as for a normal distribution; at least half a measurement step."""
    return max(1.4826 * float(np.median(np.abs(residuals))), 0.5 / UPSAMPLING)
