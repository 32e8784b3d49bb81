"""Put the clean reference onto the grid of a noisy scan of the same field.

Two scans of a field differ by a shift, a small scale and a drift along the slow axis (y), since
the stage and the specimen move while the beam goes down the frame. The clean scan is warped onto
the noisy one, never the reverse: resampling a noisy image, or a network's output, would smooth it.

With y and x counted from the centre of the noisy frame, the noisy pixel (y, x) shows the clean
scan displaced by

    dy = shift_y + (scale_y - 1) y + drift_y(y)
    dx = shift_x + (scale_x - 1) x + shear y + drift_x(y)

Linear drift is in the scale of y, from which it cannot be told, and in the shear; what bends is
the smooth ``drift``. Frames of unequal size are compared from their top left corner; their pixels
have to be about the same size. The frames have to share about half of their area: what is measured
and judged lies in that part.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from lfranker.arrays import Floats, Image, correlation
from lfranker.registration.block_matching import (
    HALF_STEP,
    compared_part,
    displacement,
    far_shift,
    match_blocks,
    spread,
    transformable,
)
from lfranker.registration.drift import Knots, drift_at, fit_drift, held_out_residual, measure_bands
from lfranker.registration.other_geometry import other_geometry
from lfranker.statistics.robust_fit import robust_lines

SMOOTHING = 2.0  # px; at 100 ns 0 to 3 px agree in residual to 0.03 px; also for the check
FINER = 1.0  # px; once bands are compared, which hold less structure
BACKGROUND = 16.0  # px; brightness that varies more slowly says nothing of the position
ROUNDS = 3  # of block matching; real fits then move by 0.03 px a round, in the frame's corner
DRIFT_ROUNDS = 2  # a window sees a displacement a little too small, the second time hardly
SMALLEST_BLOCK = 64, 128  # px
LEAST_CORRELATION = 0.3  # measured: 0.99 on pairs of a field at 100 ns, below 0.14 on others
LEAST_OVERLAP = 0.48  # of the noisy frame: half, less a border that cannot be interpolated
LARGEST_RESIDUAL = 0.5  # px; a score then says more about the registration than about a denoiser
LARGEST_STRETCH = 0.1  # pixels that show more or less than this have another noise and sharpness
OTHER_PIXELS = 1.25  # frames that differ by this factor both ways have pixels of different size


@dataclass(frozen=True)
class Transform:
    """Map from a noisy pixel to its place in the clean scan; the module docstring has the formula.

    The default is the identity.
    """

    shift: tuple[float, float] = (0.0, 0.0)  # y, x; px of the clean scan, at the noisy centre
    scale: tuple[float, float] = (1.0, 1.0)  # y, x; clean px per noisy px
    shear: float = 0.0  # px of x per row: linear drift along the slow axis
    drift: Knots = ()  # smooth, along the slow axis, about the linear terms above
    residual: float = 0.0  # px, RMS of the displacements that are left in blocks of the frame
    held_out: float = 0.0  # px, RMS in bands that the last fit of drift has not seen; may be NaN


def register(noisy: Image, clean: Image) -> Transform:
    """The transform that puts ``clean`` on the grid of ``noisy``.

    Phase correlation of overlapping blocks, then a robust linear fit, repeated on the warped
    reference; then the drift of horizontal bands about it. For ``held_out`` it is fitted to even
    bands and judged on odd ones; the drift of the answer is fitted to all. Raises ValueError when
    the two do not show the same field, or cannot be put onto each other to 0.5 px: a rotation and
    another magnification are named, not registered.
    """
    _check_same_pixels(noisy.shape, clean.shape)
    try:
        return _register(noisy, clean)
    except ValueError as error:
        if geometry := other_geometry(noisy, clean):
            raise ValueError(f"{geometry}, which is not registered: {error}") from error
        raise


def _register(noisy: Image, clean: Image) -> Transform:
    steady, moving = (gaussian_filter(image, SMOOTHING) for image in (noisy, clean))
    linear = _register_lines(steady, moving)
    _check_same_field(noisy, clean, linear)
    _check_same_scale(linear)
    found = _register_drift(gaussian_filter(noisy, FINER), gaussian_filter(clean, FINER), linear)
    _, left = _quarters(steady, *warp(moving, found, steady.shape))
    found = replace(found, residual=float(np.sqrt(np.mean(np.sum(left**2, axis=-1)))))
    worst = max(found.residual, found.held_out)  # the first, where the second is NaN
    if worst > LARGEST_RESIDUAL:
        raise ValueError(
            f"registration leaves {worst:.2f} px, at most {LARGEST_RESIDUAL} is allowed"
        )
    return found


def _register_lines(steady: Image, moving: Image) -> Transform:
    whole = np.s_[: transformable(steady.shape[0]), : transformable(steady.shape[1])]
    fitted = _fit_to(moving, steady[whole].shape)
    near = displacement(steady[whole], fitted)
    offset = near if (far := far_shift(steady[whole], fitted, near)) is None else far
    fit = np.array([offset[0], 0.0, offset[1], 0.0, 0.0])
    for _ in range(ROUNDS):
        warped, inside = warp(moving, _transform(fit), steady.shape)
        _check_overlap(inside)
        fit = fit + _fit(*_quarters(steady, warped, inside))
    return _transform(fit)


def warp(
    clean: Image, transform: Transform, shape: tuple[int, ...]
) -> tuple[Image, NDArray[np.bool_]]:
    """``clean`` on a noisy grid of ``shape``, and the pixels that it truly covers.

    Cubic splines, which keep what the clean scan resolves, clipped to [0, 1]. The mask leaves out
    pixels for which one of the 4 x 4 clean pixels about their position lies outside the scan.
    """
    rows, columns = positions(transform, shape)
    height, width = clean.shape
    inside = (rows >= 1) & (rows <= height - 2) & (columns >= 1) & (columns <= width - 2)
    values = map_coordinates(clean, np.stack([rows, columns]), order=3, mode="mirror")
    return np.clip(values, 0, 1).astype(np.float32), inside


def positions(transform: Transform, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Row and column of the clean scan, in px, that each pixel of a noisy frame shows."""
    y, x = np.indices(shape, dtype=np.float64)
    down, right = y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2
    rows = y + transform.shift[0] + (transform.scale[0] - 1) * down
    columns = x + transform.shift[1] + (transform.scale[1] - 1) * right + transform.shear * down
    drift = drift_at(transform.drift, down[:, 0])
    return rows + drift[:, :1], columns + drift[:, 1:]


def _register_drift(steady: Image, moving: Image, found: Transform) -> Transform:
    for _ in range(DRIFT_ROUNDS):
        warped, inside = warp(moving, found, steady.shape)
        bands = measure_bands(steady, warped, inside, found.drift)
        found = replace(found, drift=fit_drift(bands))
    return replace(found, held_out=held_out_residual(bands))


def _transform(fit: Floats) -> Transform:
    down, stretch_y, right, stretch_x, shear = map(float, fit)
    return Transform((down, right), (1 + stretch_y, 1 + stretch_x), shear)


def _fit_to(image: Image, shape: tuple[int, ...]) -> Image:
    """Cut, or pad with its mean, at the bottom and the right."""
    fitted = np.full(shape, image.mean(), np.float32)
    height, width = min(shape[0], image.shape[0]), min(shape[1], image.shape[1])
    fitted[:height, :width] = image[:height, :width]
    return fitted


def _quarters(steady: Image, moving: Image, inside: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Centres and displacements, (n, 2), of blocks a quarter as high and half as wide as the frame.

    The frame is the part that both show; neighbours overlap by half.
    """
    sides = compared_part(inside)
    lengths = [side.stop - side.start for side in sides]
    size = [
        transformable(min(length, max(smallest, length // parts)))
        for length, smallest, parts in zip(lengths, SMALLEST_BLOCK, (4, 2), strict=True)
    ]
    starts = [
        spread(side, block, 2 * (length // block) - 1)
        for side, length, block in zip(sides, lengths, size, strict=True)
    ]
    at, moved = match_blocks(steady, moving, size, starts)
    return at.reshape(-1, 2), moved.reshape(-1, 2)


def _fit(at: Floats, moved: Floats) -> Floats:
    """(shift_y, stretch_y, shift_x, stretch_x, shear)."""
    ones = np.ones(len(at))
    down = robust_lines(np.stack([ones, at[:, 0]], 1), moved[:, 0], HALF_STEP)
    right = robust_lines(np.stack([ones, at[:, 1], at[:, 0]], 1), moved[:, 1], HALF_STEP)
    return np.concatenate([down, right])


def _check_same_pixels(noisy: tuple[int, ...], clean: tuple[int, ...]) -> None:
    ratios = [theirs / ours for ours, theirs in zip(noisy, clean, strict=True)]
    if min(ratios) > OTHER_PIXELS or max(ratios) < 1 / OTHER_PIXELS:
        raise ValueError(
            f"a frame of {noisy[1]} x {noisy[0]} px and a clean one of {clean[1]} x {clean[0]} "
            "px: both have to be scanned with the same number of pixels"
        )


def _check_overlap(inside: NDArray[np.bool_]) -> None:
    if inside.mean() < LEAST_OVERLAP:
        raise ValueError(
            f"the scans share {inside.mean():.0%} of the frame after registration, "
            f"at least {LEAST_OVERLAP:.0%} is needed"
        )


def _check_same_field(noisy: Image, clean: Image, transform: Transform) -> None:
    warped, inside = warp(clean, transform, noisy.shape)
    _check_overlap(inside)
    alike = correlation(_structure(noisy)[inside], _structure(warped)[inside])
    if alike <= -LEAST_CORRELATION:
        raise ValueError(
            f"the scans show the same field with black and white changed over: correlation "
            f"{alike:.2f} after registration"
        )
    if not alike >= LEAST_CORRELATION:
        raise ValueError(
            f"the scans do not show the same field: correlation {alike:.2f} after "
            f"registration, at least {LEAST_CORRELATION} is needed"
        )


def _check_same_scale(transform: Transform) -> None:
    stretch = max(transform.scale, key=lambda scale: abs(scale - 1))
    if abs(stretch - 1) > LARGEST_STRETCH:
        raise ValueError(
            f"a pixel of the noisy scan is {stretch:.2f} px of the clean one, at most "
            f"{LARGEST_STRETCH:.0%} of difference is allowed"
        )


def _structure(image: Image) -> Image:
    return gaussian_filter(image, SMOOTHING) - gaussian_filter(image, BACKGROUND)
