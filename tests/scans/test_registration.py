import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lfranker.evaluation.metrics import psnr
from lfranker.images.image_file import read_image
from lfranker.scans.registration import Transform, _register_lines, positions, register, warp

SHAPE = (300, 360)
PEAK, READOUT, LAG1 = 76.0, 0.016, 0.49  # of the real 100 ns scans


class Field:
    """A specimen known at every real position: a sum of 150 waves of 8 to 80 px, 0.45 +- 0.09."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        length, angle = np.exp(rng.uniform(np.log(8), np.log(80), 150)), rng.uniform(0, np.pi, 150)
        self.waves = 2 * np.pi / length * np.stack([np.sin(angle), np.cos(angle)])
        self.phase = rng.uniform(0, 2 * np.pi, 150)

    def __call__(self, rows, columns):
        total = np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
        for down, right, phase in zip(*self.waves, self.phase, strict=True):
            total += np.cos(down * rows + right * columns + phase)
        return np.clip(0.45 + 0.09 * total / np.sqrt(75), 0, 1)


def scanned(values, rng):
    """Poisson-Gaussian noise, correlated along x as (a, 1, a) with 2 a / (1 + 2 a^2) = lag 1."""
    noise = rng.poisson(values * PEAK) / PEAK - values + rng.normal(0, READOUT, values.shape)
    a = (1 - np.sqrt(1 - 2 * LAG1**2)) / (2 * LAG1)
    noise = noise + a * (np.roll(noise, 1, 1) + np.roll(noise, -1, 1))
    return np.clip(values + noise / np.sqrt(1 + 2 * a**2), 0, 1).astype(np.float32)


def truth(shift, scale, shear, shape=SHAPE):
    """Clean (row, column) of every noisy pixel, by the formula in the module's docstring."""
    row, column = np.indices(shape, dtype=float)
    y, x = row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2
    return (
        row + shift[0] + (scale[0] - 1) * y,
        column + shift[1] + (scale[1] - 1) * x + shear * y,
    )


def error_of(found, rows, columns):
    """RMS over the frame, px, drift included."""
    got = positions(found, rows.shape)
    return np.sqrt(np.mean((got[0] - rows) ** 2 + (got[1] - columns) ** 2))


@pytest.mark.parametrize(
    ("shift", "scale", "shear"),
    [
        ((0.0, 0.0), (1.0, 1.0), 0.0),
        ((2.7, -1.4), (1.0042, 1.0038), -0.0012),  # as measured on the real scans
        ((-5.3, 4.6), (0.994, 1.006), 0.005),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_known_transform_is_recovered_at_the_noise_of_100_ns(shift, scale, shear, seed):
    field, rng = Field(seed), np.random.default_rng(seed)
    rows, columns = truth(shift, scale, shear)
    found = register(scanned(field(rows, columns), rng), field(*truth((0, 0), (1, 1), 0)))
    assert error_of(found, rows, columns) < 0.1
    assert found.residual < 0.5
    assert found.held_out < 0.2


@pytest.mark.parametrize("seed", [0, 1])
def test_drift_that_bends_is_recovered_at_the_noise_of_100_ns(seed):
    """A stage that settles: 3 px of y that decay down the frame, and a slow wave of 2 px of x."""
    field, rng, shape = Field(seed), np.random.default_rng(seed), (440, 512)
    rows, columns = truth((2.7, -1.4), (1.004, 1.004), -0.001, shape)
    y = np.arange(shape[0])[:, None]
    rows, columns = rows + 3 * np.exp(-y / 120), columns + 2 * np.sin(y / 90)
    clean = field(*truth((0, 0), (1, 1), 0, shape)).astype(np.float32)
    found = register(scanned(field(rows, columns), rng), clean)
    assert error_of(found, rows, columns) < 0.1
    assert found.held_out < 0.2
    straight = replace(found, drift=())
    assert error_of(straight, rows, columns) > 0.5  # what a linear fit would leave


def test_frames_that_jump_are_refused_with_the_residual():
    """Every other band of 32 px displaced by 2 px: no smooth drift, and the same field still."""
    field, rng = Field(4), np.random.default_rng(4)
    rows, columns = truth((0.0, 0.0), (1.0, 1.0), 0.0)
    jumps = columns + 2 * (np.arange(SHAPE[0])[:, None] // 33 % 2)
    clean = field(rows, columns).astype(np.float32)
    with pytest.raises(ValueError, match=r"leaves [0-9.]+ px, at most 0.5"):
        register(scanned(field(rows, jumps), rng), clean)


def test_frames_of_other_pixel_numbers_are_refused_by_their_sizes():
    noisy = scanned(Field(0)(*truth((0, 0), (1, 1), 0)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="360 x 300 px and a clean one of 720 x 600 px"):
        register(noisy, np.kron(noisy, np.ones((2, 2), np.float32)))
    with pytest.raises(ValueError, match="180 x 150"):
        register(noisy, noisy[::2, ::2])


def test_a_larger_and_shifted_clean_frame_is_compared_from_the_corner():
    field, rng = Field(3), np.random.default_rng(3)
    rows, columns = truth((4.0, 6.0), (1.0, 1.0), 0.0)
    clean = field(*truth((0, 0), (1, 1), 0, (330, 400))).astype(np.float32)
    found = register(scanned(field(rows, columns), rng), clean)
    assert error_of(found, rows, columns) < 0.1
    _, inside = warp(clean, found, SHAPE)
    assert inside.all()


@pytest.mark.parametrize("pair", ["another field", "black", "half gone"])
def test_scans_that_do_not_match_are_refused(pair):
    grid = truth((0, 0), (1, 1), 0)
    noisy = scanned(Field(0)(*grid), np.random.default_rng(0))
    if pair == "half gone":
        clean, message = Field(0)(*truth((0, 0), (1, 1), 0, (300, 170))), "share"
    else:
        clean = Field(1)(*grid) if pair == "another field" else np.zeros(SHAPE)
        message = "same field|share"
    with pytest.raises(ValueError, match=message):
        register(noisy, clean.astype(np.float32))


def test_warp_follows_the_formula_and_keeps_what_is_resolved():
    """Waves of 8 px and more: the cubic B-spline of an 8 px wave errs by about (pi/8)^4 / 70."""
    field = Field(5)
    given = Transform((1.3, -2.6), (1.01, 0.99), 0.01)
    rows, columns = truth(given.shift, given.scale, given.shear)
    clean = field(*truth((0, 0), (1, 1), 0)).astype(np.float32)
    warped, inside = warp(clean, given, SHAPE)
    assert warped.dtype == np.float32
    core = inside.copy()
    core[:8], core[-8:], core[:, :8], core[:, -8:] = False, False, False, False
    assert np.abs(warped - field(rows, columns))[core].max() < 2e-3
    support = [np.floor(rows) - 1, np.floor(columns) - 1, np.ceil(rows) + 1, np.ceil(columns) + 1]
    covered = (support[0] >= 0) & (support[1] >= 0) & (support[2] < 300) & (support[3] < 360)
    assert np.array_equal(inside, covered)


def test_warp_by_whole_pixels_moves_and_does_not_smooth():
    clean = np.random.default_rng(0).random(SHAPE, np.float32)
    warped, inside = warp(clean, Transform((3.0, -2.0)), SHAPE)
    assert np.allclose(warped[:-3, 2:][5:-5, 5:-5], clean[3:, :-2][5:-5, 5:-5], atol=1e-6)
    assert not inside[-4:].any()
    assert not inside[:, :3].any()
    assert inside[1:-5, 3:-1].all()


@pytest.mark.skipif("LFRANKER_SEM_DATA" not in os.environ, reason="LFRANKER_SEM_DATA is not set")
@pytest.mark.slow
def test_real_scans_register():
    """All 24 fields at 100 ns: 19.9 dB as they are, at least 22 dB registered."""
    scans = Path(os.environ["LFRANKER_SEM_DATA"]) / "scans"
    raw, registered, residuals = [], [], []
    for path in sorted((scans / "100ns").iterdir()):
        noisy, clean = read_image(path).image, read_image(scans / "30us" / path.name).image
        found = register(noisy, clean)
        raw.append(psnr(noisy, clean, np.ones(noisy.shape, bool)))
        registered.append(psnr(noisy, *warp(clean, found, noisy.shape)))
        residuals.append(found.held_out)
    assert np.mean(raw) < 20
    assert np.mean(registered) > 22.25  # 22.242 without drift
    assert np.median(residuals) < 0.15
    assert max(residuals) < 0.5


def test_a_part_that_charged_and_moved_is_not_scored_nor_bends_the_fit():
    """The lower right ninth shows the specimen 5 px off: plain least squares is 1.4 px off."""
    field, rng = Field(2), np.random.default_rng(2)
    rows, columns = truth((1.0, 2.0), (1.0, 1.0), 0.0)
    moved = rows.copy(), columns.copy()
    for axis in moved:
        axis[200:, 240:] += 5
    noisy, clean = scanned(field(*moved), rng), field(*truth((0, 0), (1, 1), 0))
    smooth = [gaussian_filter(image.astype(np.float32), 2.0) for image in (noisy, clean)]
    assert error_of(_register_lines(*smooth), rows, columns) < 0.15
    with pytest.raises(ValueError, match="registration leaves"):
        register(noisy, clean)
