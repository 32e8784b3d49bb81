"""Displacement of one image from another: in blocks by phase correlation, and by a far shift.

A window that fades out at the border, as blocks have, hides what two frames share of which each
shows much that the other does not. For these, small copies are compared over all that they share,
at every shift.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation
from skimage.transform import downscale_local_mean

from lfranker.arrays import Floats, Image, covered, hann_window

UPSAMPLING = 20  # 1/20 px steps of the correlation peak
HALF_STEP = 0.5 / UPSAMPLING  # px
NARROW = 8  # px; the window of a block takes a margin of this width to nearly nothing
SMALL = 256  # px at most, of the copies
FINE, COARSE = 1.0, 6.0  # px of the copies: detail between these is compared
LEAST_SHARE = 0.45  # of the frame
CLEARER = 1.2  # times the evidence for the shift known: a grating has as much at several shifts
NEAR = 3  # px of the copies: shifts as near as this are one


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


def compared_part(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that blocks may lie in: where ``mask`` covers the frame.

    The whole frame, where no more than a narrow margin of it is not covered.
    """
    part = covered(mask)
    sides = zip(part, mask.shape, strict=True)
    if all(side.start <= NARROW and length - side.stop <= NARROW for side, length in sides):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    return part


def spread(side: slice, block: int, count: int) -> list[int]:
    """Starts of ``count`` blocks, evenly from the first to the last place in ``side``."""
    return [int(start) for start in np.linspace(side.start, side.stop - block, count)]


def transformable(length: int) -> int:
    """A multiple of 8 up to ``length``: prime lengths, such as 509, take FFTs 3 times as long."""
    return length // 8 * 8 or length


def far_shift(steady: Image, moving: Image, known: Floats) -> Floats | None:
    """Return the shift (y, x), px, for which far more speaks than for the ``known`` one, or None.

    Both images have one shape. The evidence is Fisher's z of the correlation over the n pixels
    shared at a shift, times sqrt(n).
    """
    factor = max(1, -(-max(steady.shape) // SMALL))
    evidence = _evidence(_detail(steady, factor), _detail(moving, factor))
    size = np.array(evidence.shape)
    at = np.array(np.unravel_index(int(np.argmax(evidence)), evidence.shape))
    offset = -np.rint(known / factor).astype(int)
    near = np.arange(-NEAR, NEAR + 1)
    around = evidence[
        np.ix_(*((o + near) % length for o, length in zip(offset, size, strict=True)))
    ]
    if not float(evidence.max()) > CLEARER * max(float(around.max()), 0.0):
        return None
    coarse = -factor * np.where(at > size // 2, at - size, at)
    return _refined(steady, moving, coarse)


def _detail(image: Image, factor: int) -> Floats:
    rows, columns = (length // factor * factor for length in image.shape)
    small = downscale_local_mean(image[:rows, :columns].astype(np.float64), (factor, factor))
    detail = gaussian_filter(small, FINE) - gaussian_filter(small, COARSE)
    return np.asarray(detail - detail.mean())


def _evidence(a: Floats, b: Floats) -> Floats:
    """Evidence at every shift of ``b`` over ``a``; 0 where they share too little."""
    size = tuple(2 * length for length in a.shape)  # so that no shift wraps around

    def correlated(one: Floats, other: Floats) -> NDArray[np.float64]:
        return np.asarray(irfft2(rfft2(one, size) * rfft2(other, size).conj(), size))

    ones = np.ones(a.shape)
    shared = np.rint(correlated(ones, ones))
    norm = correlated(a**2, ones) * correlated(ones, b**2)
    floor = 1e-6 * float(np.max(norm)) + np.finfo(np.float64).tiny
    alike = correlated(a, b) / np.sqrt(np.maximum(norm, floor))
    evidence = np.arctanh(np.clip(alike, -0.999, 0.999)) * np.sqrt(np.maximum(shared, 0))
    return np.asarray(np.where(shared >= LEAST_SHARE * a.size, evidence, 0.0))


def _refined(steady: Image, moving: Image, coarse: NDArray[np.int_]) -> Floats:
    """Return the shift to a fraction of a px, measured over what the frames share at ``coarse``."""
    ours = tuple(
        slice(max(0, -s), n + min(0, -s)) for s, n in zip(coarse, steady.shape, strict=True)
    )
    theirs = tuple(
        slice(side.start + s, side.stop + s) for side, s in zip(ours, coarse, strict=True)
    )
    return coarse + displacement(steady[ours], moving[theirs])
