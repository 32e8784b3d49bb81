"""Put the clean reference onto the grid of a noisy scan of the same field.

Two scans of a field differ by a shift, a small scale and a drift along the slow axis (y), since
the stage and the sample move while the beam goes down the frame. The clean scan is warped onto
the noisy one, never the reverse: resampling a noisy image, or a network's output, would smooth it.

With y and x counted from the centre of the noisy frame, the noisy pixel (y, x) shows the clean
scan displaced by

    dy = shift_y + (scale_y - 1) y          dx = shift_x + (scale_x - 1) x + shear y

Drift along y cannot be told from a scale of y and is part of it. Frames of unequal size are
compared from their top left corner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import phase_cross_correlation

Image = NDArray[np.float32]
Floats = NDArray[np.float64]

SMOOTHING = 2.0  # px; at 100 ns 0 to 3 px agree in residual to 0.03 px; also for the check
BACKGROUND = 16.0  # px; brightness that varies more slowly says nothing of the position
UPSAMPLING = 20  # 1/20 px steps of the correlation peak
ROUNDS = 3  # of block matching; real fits then move by 0.03 px a round, in the frame's corner
SMALLEST_BLOCK = 64, 128  # px
LEAST_CORRELATION = 0.3  # measured: 0.99 on pairs of a field at 100 ns, below 0.14 on others
LEAST_OVERLAP = 0.5  # of the noisy frame


@dataclass(frozen=True)
class Transform:
    """Where the clean scan shows what a noisy pixel shows; the module docstring has the formula.

    The default is the identity.
    """

    shift: tuple[float, float] = (0.0, 0.0)  # y, x; px of the clean scan, at the noisy centre
    scale: tuple[float, float] = (1.0, 1.0)  # y, x; clean px per noisy px
    shear: float = 0.0  # px of x per row: linear drift along the slow axis
    residual: float = 0.0  # px, RMS over blocks of the measured displacement about this fit


def register(noisy: Image, clean: Image) -> Transform:
    """The transform that puts ``clean`` on the grid of ``noisy``.

    Phase correlation of overlapping blocks, without the normalisation that lets noise dominate,
    then a robust linear fit; repeated on the warped reference. Raises ValueError when the two do
    not show the same field.
    """
    steady = gaussian_filter(noisy, SMOOTHING)
    moving = gaussian_filter(clean, SMOOTHING)
    whole = np.s_[: _transformable(noisy.shape[0]), : _transformable(noisy.shape[1])]
    offset = _displacement(steady[whole], _fit_to(moving, steady[whole].shape))
    fit = np.array([offset[0], 0.0, offset[1], 0.0, 0.0])
    for _ in range(ROUNDS):
        warped, _ = warp(moving, _transform(fit, 0.0), steady.shape)
        at, moved = _match_blocks(steady, warped)
        change, residual = _fit(at, moved)
        fit = fit + change
    found = _transform(fit, residual)
    _check_same_field(noisy, clean, found)
    return found


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
    return rows, columns


def _transform(fit: Floats, residual: float) -> Transform:
    down, stretch_y, right, stretch_x, shear = map(float, fit)
    return Transform((down, right), (1 + stretch_y, 1 + stretch_x), shear, residual)


def _transformable(length: int) -> int:
    """A multiple of 8 up to ``length``: prime lengths, such as 509, take FFTs 3 times as long."""
    return length // 8 * 8 or length


def _fit_to(image: Image, shape: tuple[int, ...]) -> Image:
    """Cut, or padded with its mean, at the bottom and the right."""
    fitted = np.full(shape, image.mean(), np.float32)
    height, width = min(shape[0], image.shape[0]), min(shape[1], image.shape[1])
    fitted[:height, :width] = image[:height, :width]
    return fitted


def _displacement(steady: Image, moving: Image) -> Floats:
    """(y, x) at which ``moving`` shows what ``steady`` shows at 0, in px."""
    window = np.outer(np.hanning(steady.shape[0] + 2), np.hanning(steady.shape[1] + 2))[1:-1, 1:-1]
    weighed = [(image - np.average(image, weights=window)) * window for image in (steady, moving)]
    if not all(np.any(image) for image in weighed):
        return np.zeros(2)
    shift, _, _ = phase_cross_correlation(*weighed, upsample_factor=UPSAMPLING, normalization=None)
    return -np.asarray(shift, np.float64)


def _match_blocks(steady: Image, moving: Image) -> tuple[Floats, Floats]:
    """Centres of blocks, from the centre of the frame, and their displacements: (n, 2), (n, 2).

    A block is a quarter of the height and half the width; neighbours overlap by half.
    """
    size = [
        _transformable(min(length, max(smallest, length // parts)))
        for length, smallest, parts in zip(steady.shape, SMALLEST_BLOCK, (4, 2), strict=True)
    ]
    starts = [
        np.linspace(0, length - block, 2 * (length // block) - 1).astype(int)
        for length, block in zip(steady.shape, size, strict=True)
    ]
    at, moved = [], []
    for top in starts[0]:
        for left in starts[1]:
            block = np.s_[top : top + size[0], left : left + size[1]]
            moved.append(_displacement(steady[block], moving[block]))
            at.append(
                [top + (size[0] - steady.shape[0]) / 2, left + (size[1] - steady.shape[1]) / 2]
            )
    return np.array(at, np.float64), np.array(moved, np.float64)


def _fit(at: Floats, moved: Floats) -> tuple[Floats, float]:
    """(shift_y, stretch_y, shift_x, stretch_x, shear) and the RMS residual of all blocks."""
    ones = np.ones(len(at))
    down, off_y = _robust_lines(np.stack([ones, at[:, 0]], 1), moved[:, 0])
    right, off_x = _robust_lines(np.stack([ones, at[:, 1], at[:, 0]], 1), moved[:, 1])
    return np.concatenate([down, right]), float(np.sqrt(np.mean(off_y**2 + off_x**2)))


def _robust_lines(terms: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Least squares reweighted by Cauchy's function (Holland & Welsch 1977), and the residuals.

    A block without structure, or with a repeated one, may be off by pixels. Without enough blocks
    for every term the least-norm answer leaves the stretches at zero.
    """
    weights = np.ones(len(values))
    for _ in range(20):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
        answer = np.asarray(solution, np.float64)
        residuals = values - terms @ answer
        spread = max(1.4826 * float(np.median(np.abs(residuals))), 0.5 / UPSAMPLING)
        weights = 1 / (1 + (residuals / (2.385 * spread)) ** 2)
    return answer, residuals


def _check_same_field(noisy: Image, clean: Image, transform: Transform) -> None:
    warped, inside = warp(clean, transform, noisy.shape)
    if inside.mean() < LEAST_OVERLAP:
        raise ValueError(
            f"the scans share {inside.mean():.0%} of the frame after registration, "
            f"at least {LEAST_OVERLAP:.0%} is needed"
        )
    correlation = _correlation(_structure(noisy)[inside], _structure(warped)[inside])
    if not correlation >= LEAST_CORRELATION:
        raise ValueError(
            f"the scans do not show the same field: correlation {correlation:.2f} after "
            f"registration, at least {LEAST_CORRELATION} is needed"
        )


def _structure(image: Image) -> Image:
    return gaussian_filter(image, SMOOTHING) - gaussian_filter(image, BACKGROUND)


def _correlation(a: Image, b: Image) -> float:
    """Pearson's; 0 where either is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(a**2, dtype=np.float64) * np.sum(b**2, dtype=np.float64)))
    return float(np.sum(a * b, dtype=np.float64)) / norm if norm > 0 else 0.0
