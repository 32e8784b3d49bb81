import math

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from lfranker.registration.drift import (
    Bands,
    drift_at,
    fit_drift,
    held_out_residual,
    measure_bands,
    predicted_by_others,
)

HEIGHT = 448
ROWS = np.arange(14) * 32.0 + 15.5 - (HEIGHT - 1) / 2  # of bands of 32 px


def bands(along_y, along_x, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    moved = np.stack([np.broadcast_to(along_y, 14), np.broadcast_to(along_x, 14)], axis=-1)
    return Bands(ROWS, moved[:, None] + rng.normal(0, noise, (14, 5, 2)))


def test_a_straight_drift_stays_straight_up_to_the_edges():
    knots = fit_drift(bands(0.01 * ROWS, 3 - 0.02 * ROWS))
    y = np.linspace(-(HEIGHT - 1) / 2, (HEIGHT - 1) / 2, 50)
    expected = np.stack([0.01 * y, 3 - 0.02 * y], axis=1)
    assert np.allclose(drift_at(knots, y), expected, atol=1e-6)


@pytest.mark.parametrize("noise", [0.05, 0.12])
@pytest.mark.slow
def test_smoothing_halves_the_noise_and_keeps_the_bends(noise):
    """0.04 to 0.12 px are the errors of a band, with and without much to see in it."""
    y = np.linspace(ROWS[0], ROWS[-1], 200)

    def truth(rows):
        return np.stack([2 * np.sin(rows / 90), 0.01 * rows], axis=1)

    errors = []
    for seed in range(10):
        found = fit_drift(bands(*truth(ROWS).T, noise=noise * np.sqrt(5), seed=seed))
        errors.append(np.sqrt(np.mean((drift_at(found, y) - truth(y)) ** 2, axis=0)))
    bent, straight = np.mean(errors, axis=0)
    assert bent < 1.2 * noise  # a trimmed mean of five has 1.05 of a mean's
    assert straight < 0.7 * noise


def test_between_the_bands_the_drift_is_a_natural_spline_and_beyond_them_a_line():
    """The curve bends least through the values at the bands, as SciPy's without a penalty."""
    knots = fit_drift(bands(2 * np.sin(ROWS / 80), np.cos(ROWS / 40), noise=0.1))
    y = np.linspace(ROWS[0], ROWS[-1], 200)
    for axis in (1, 2):
        spline = make_smoothing_spline(ROWS, [knot[axis] for knot in knots], lam=0)
        assert np.allclose(drift_at(knots, y)[:, axis - 1], spline(y), atol=1e-6)
        beyond = ROWS[-1] + np.array([0.0, 8.0, 16.0])
        line = spline(ROWS[-1]) + spline(ROWS[-1], 1) * (beyond - ROWS[-1])
        assert np.allclose(drift_at(knots, beyond)[:, axis - 1], line, atol=1e-6)


def test_a_band_that_is_off_hardly_bends_the_drift():
    given = bands(0.01 * ROWS, 0.0, noise=0.05)
    given.moved[6] += 8
    found = drift_at(fit_drift(given), ROWS)
    assert np.abs(found - np.stack([0.01 * ROWS, 0 * ROWS], 1)).max() < 0.2


def test_one_block_of_five_may_be_anywhere():
    given = bands(1.0, -1.0)
    given.moved[::2, 1] += 50
    given.moved[1::2, 4] -= 50
    assert np.allclose(drift_at(fit_drift(given), ROWS), [1, -1], atol=1e-6)


def test_no_knots_are_no_drift():
    assert np.array_equal(drift_at((), ROWS), np.zeros((14, 2)))
    assert fit_drift(bands(1.0, 1.0)[:1]) == ()
    assert np.allclose(drift_at(fit_drift(bands(0.01 * ROWS, 0.0)[:2]), ROWS)[:, 0], 0.01 * ROWS)


def test_held_out_residual_by_hand():
    """Even bands lie on a line, odd ones 0.3 px below and 0.4 px right of it: 0.5 px."""
    odd = np.arange(14) % 2
    given = bands(0.01 * ROWS - 0.3 * odd, 0.4 * odd)
    assert held_out_residual(given) == pytest.approx(0.5, abs=1e-6)
    assert held_out_residual(given[::2]) == pytest.approx(0, abs=1e-6)
    assert held_out_residual(given[:4]) == pytest.approx(0.5, abs=1e-6)
    assert math.isnan(held_out_residual(given[:3]))


@pytest.mark.parametrize(("height", "count"), [(448, 14), (439, 13), (64, 2), (40, 1), (20, 1)])
def test_bands_tile_the_frame_and_measure_whole_lines(height, count):
    rng = np.random.default_rng(0)
    image = rng.random((height, 200)).astype(np.float32)
    found = measure_bands(image, np.roll(image, 3, axis=1), np.ones(image.shape, bool))
    assert found.moved.shape == (count, 5, 2)
    assert np.all(np.diff(found.rows) >= min(height, 32))
    assert np.allclose(np.median(found.moved, axis=1), [0, 3], atol=0.051)


@pytest.mark.parametrize("penalty", [0.1, 30.0, 1e4])
def test_a_band_is_predicted_as_a_fit_to_the_others_predicts_it(penalty):
    rng = np.random.default_rng(0)
    at = np.arange(9.0) + rng.uniform(-0.2, 0.2, 9)
    values, weights = np.sin(at / 2) + rng.normal(0, 0.3, 9), rng.uniform(0.05, 1, 9)
    found = predicted_by_others(at, values, weights, penalty)
    for band in range(9):
        others = np.delete(np.arange(9), band)
        spline = make_smoothing_spline(at[others], values[others], weights[others], penalty)
        nearest = np.clip(at[band], at[others[0]], at[others[-1]])
        expected = spline(nearest) + spline(nearest, 1) * (at[band] - nearest)
        assert found[band] == pytest.approx(expected, abs=1e-9)
