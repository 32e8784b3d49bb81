import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lfranker.evaluation.metrics import psnr
from lfranker.images.image_file import read_image
from lfranker.registration import block_matching
from lfranker.registration.block_matching import far_shift
from lfranker.registration.other_geometry import other_geometry
from lfranker.registration.register import Transform, _register_lines, positions, register, warp

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
        rows, columns = np.float32(rows), np.float32(columns)  # cosines to 1e-4, in half the time
        total = np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
        for down, right, phase in np.float32([*self.waves, self.phase]).T:
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
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_known_transform_is_recovered_at_the_noise_of_100_ns(shift, scale, shear, seed):
    field, rng = Field(seed), np.random.default_rng(seed)
    rows, columns = truth(shift, scale, shear)
    found = register(scanned(field(rows, columns), rng), field(*truth((0, 0), (1, 1), 0)))
    assert error_of(found, rows, columns) < 0.1
    assert found.residual < 0.5
    assert found.held_out < 0.2


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
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


def test_a_drift_that_its_held_out_bands_contradict_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The residual in the frame, to which the drift was fitted, does not show it."""
    rng, field = np.random.default_rng(0), Field(0)
    rows, columns = truth((0.0, 0.0), (1.0, 1.0), 0.0, (160, 160))
    noisy, clean = (scanned(field(rows, columns), rng) for _ in range(2))
    assert register(noisy, clean).residual < 0.5
    monkeypatch.setattr("lfranker.registration.register.held_out_residual", lambda _: 0.9)
    with pytest.raises(ValueError, match=r"registration leaves 0\.90 px"):
        register(noisy, clean)


def test_frames_of_other_pixel_numbers_are_refused_by_their_sizes():
    noisy = scanned(Field(0)(*truth((0, 0), (1, 1), 0)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="360 x 300 px and a clean one of 720 x 600 px"):
        register(noisy, np.kron(noisy, np.ones((2, 2), np.float32)))
    with pytest.raises(ValueError, match="180 x 150"):
        register(noisy, noisy[::2, ::2])


@pytest.mark.parametrize("shape", [(330, 400), (280, 335)])
def test_a_larger_or_smaller_and_shifted_clean_frame_is_compared_from_the_corner(shape):
    field, rng = Field(3), np.random.default_rng(3)
    rows, columns = truth((4.0, 6.0), (1.0, 1.0), 0.0)
    clean = field(*truth((0, 0), (1, 1), 0, shape)).astype(np.float32)
    found = register(scanned(field(rows, columns), rng), clean)
    assert error_of(found, rows, columns) < 0.1
    _, inside = warp(clean, found, SHAPE)
    covered = min(300, shape[0] - 6) * min(360, shape[1] - 8)  # less the shift, and 2 px of splines
    assert inside.sum() == pytest.approx(covered, rel=0.005)


@pytest.mark.parametrize("shift", [(-36.3, -80.6), (-4.0, 172.4)])
def test_frames_that_share_half_are_registered_by_what_they_share(shift):
    field, rng = Field(6), np.random.default_rng(6)
    rows, columns = truth(shift, (1.002, 0.998), 0.001)
    clean = field(*truth((0, 0), (1, 1), 0)).astype(np.float32)
    found = register(scanned(field(rows, columns), rng), clean)
    _, inside = warp(clean, found, SHAPE)
    got = positions(found, SHAPE)
    off = np.hypot(got[0] - rows, got[1] - columns)[inside]
    assert 0.48 < inside.mean() < 0.72
    assert np.sqrt(np.mean(off**2)) < 0.15
    assert max(found.residual, found.held_out) < 0.5


def test_a_far_shift_of_a_large_frame_is_found_in_its_own_pixels(monkeypatch: pytest.MonkeyPatch):
    """It is sought in a copy of 256 px at most, and then made finer from there."""
    scene = np.random.default_rng(3).standard_normal((900, 900))
    scene = gaussian_filter(scene, 2.0).astype(np.float32)
    steady, moving = scene[:600, :600], scene[210:810, 132:732]
    found = far_shift(steady, moving, np.zeros(2))
    assert np.abs(found) == pytest.approx([210.0, 132.0], abs=0.2)
    back = far_shift(moving, steady, np.zeros(2))
    assert back == pytest.approx(-found, abs=0.2)
    monkeypatch.setattr(block_matching, "_refined", lambda steady, moving, coarse: coarse)
    coarse = far_shift(steady, moving, np.zeros(2))
    assert coarse == pytest.approx(found, abs=3), "a pixel of the copy is 3 of the frame"


def test_a_far_shift_is_only_taken_where_far_more_speaks_for_it():
    """A grating looks alike at every period, and a frame at its own shift needs no other."""
    rows, columns = truth((3.0, 0.0), (1.0, 1.0), 0.0)
    field, rng = Field(7), np.random.default_rng(7)
    noisy, clean = scanned(field(rows, columns), rng), field(*truth((0, 0), (1, 1), 0))
    assert far_shift(noisy, clean, np.array([3.0, 0.0])) is None
    assert far_shift(noisy, clean, np.array([60.0, 90.0])) == pytest.approx([3.0, 0.0], abs=0.1)
    grating = 0.5 + 0.3 * np.sin(2 * np.pi * np.indices(SHAPE)[1] / 24)
    assert far_shift(scanned(grating, rng), grating, np.zeros(2)) is None


@pytest.mark.parametrize(
    ("degrees", "scale", "words"),
    [
        (5.0, 1.0, "the clean scan is rotated by about 5 degrees against"),
        (-1.0, 1.0, "rotated by about 1 degree against"),
        (0.0, 1.2, "the clean scan is magnified about 1.20 times against"),
        (0.0, 0.87, "magnified about 0.87 times"),
        (90.0, 1.2, "rotated by about 90 degrees and magnified about 1.20 times"),
    ],
)
def test_rotations_and_other_magnifications_are_named(degrees, scale, words):
    """At the noise of 100 ns. The specimen's position of a clean pixel is turned and shrunk."""
    field, rng = Field(8), np.random.default_rng(8)
    noisy = scanned(field(*truth((0, 0), (1, 1), 0)), rng)
    middle = (np.array(SHAPE) - 1) / 2
    y, x = (axis - m for axis, m in zip(np.indices(SHAPE), middle, strict=True))
    turn = np.deg2rad(degrees)
    rows = middle[0] + (np.cos(turn) * y - np.sin(turn) * x) / scale
    columns = middle[1] + (np.sin(turn) * y + np.cos(turn) * x) / scale
    clean = field(rows, columns).astype(np.float32)
    assert words in other_geometry(noisy, clean)
    if degrees == 5 or scale == 0.87:  # which would be registered
        with pytest.raises(ValueError, match=f"{words}.*which is not registered: "):
            register(noisy, clean)


@pytest.mark.parametrize(("way", "words"), [(1, "left to right"), (0, "top to bottom")])
def test_mirror_images_are_named(way, words):
    values = Field(8)(*truth((0, 0), (1, 1), 0)).astype(np.float32)
    noisy = scanned(values, np.random.default_rng(8))
    assert f"is mirrored {words} against" in other_geometry(noisy, np.flip(values, way))


def test_changed_over_black_and_white_is_named():
    values = Field(8)(*truth((0, 0), (1, 1), 0, (200, 260))).astype(np.float32)
    with pytest.raises(ValueError, match="black and white changed over: correlation -0"):
        register(scanned(values, np.random.default_rng(8)), 1 - values)


def test_neither_noise_nor_drift_nor_another_field_is_another_geometry():
    rng = np.random.default_rng(9)
    rows, columns = truth((2.7, -1.4), (1.004, 1.004), -0.001)
    noisy = scanned(Field(9)(rows, columns), rng)
    for seed in (9, 10):
        clean = Field(seed)(*truth((0, 0), (1, 1), 0)).astype(np.float32)
        assert other_geometry(noisy, clean) is None


@pytest.mark.parametrize("seed", [0, 1, 2, 7])
def test_keypoints_of_a_small_frame_that_noise_has_moved_are_no_rotation(seed):
    """The similarity that fits them best is turned by 0.5 to 1.3 degrees."""
    values = Field(seed)(*truth((0, 0), (1, 1), 0, (100, 120)))
    noisy = scanned(values, np.random.default_rng(seed))
    assert other_geometry(noisy, values.astype(np.float32)) is None


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
    """Every second field at 100 ns: 19.7 dB as they are, at least 22 dB registered."""
    scans = Path(os.environ["LFRANKER_SEM_DATA"]) / "scans"
    raw, registered, residuals = [], [], []
    for path in sorted((scans / "100ns").iterdir())[::2]:
        noisy, clean = read_image(path).image, read_image(scans / "30us" / path.name).image
        found = register(noisy, clean)
        raw.append(psnr(noisy, clean, np.ones(noisy.shape, bool)))
        registered.append(psnr(noisy, *warp(clean, found, noisy.shape)))
        residuals.append(found.held_out)
    assert np.mean(raw) < 20
    assert len(raw) == 12
    assert np.mean(registered) > 22.07  # 22.064 without drift
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


def test_a_warped_scan_stays_within_its_scale_where_splines_would_leave_it() -> None:
    clean = np.zeros((32, 32), np.float32)
    clean[8:24, 8:24] = 1
    warped, _ = warp(clean, Transform(shift=(0.5, 0.5)), clean.shape)
    assert (warped.min(), warped.max()) == (0, 1)
