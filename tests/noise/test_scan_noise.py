import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lfranker.noise.scan_correlation import taps_for
from lfranker.noise.scan_noise import MeasuredNoise, measured_noise, read_noise

SHAPE = (300, 300)
LAG1 = 0.45
TAPS = taps_for(LAG1, (1.0, 0.2))
LAGS = (LAG1, 0.1, 0.0, 0.0)


def smooth_scene(seed: int) -> np.ndarray:
    drawn = gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 40)
    return (0.45 + 0.25 * drawn / np.abs(drawn).max()).astype(np.float32)


def test_noise_that_is_drawn_has_the_covariance() -> None:
    noise = MeasuredNoise(0.01, 0.03, 0.05, 0.02, LAGS, TAPS)
    signal = np.full(SHAPE, 0.45, np.float32)
    drawn = noise.draw(signal, np.random.default_rng(0)).astype(np.float64)
    variance = 0.01 * 0.4 + 0.03**2
    assert noise.variance(signal) == pytest.approx(np.full(SHAPE, variance + 0.02**2))
    within = drawn - drawn.mean(axis=1, keepdims=True)
    # 90,000 px, of which neighbours are correlated: about 2 x 2 / sqrt(90,000)
    assert within.var() == pytest.approx(variance, rel=0.03)
    assert (within[:, 1:] * within[:, :-1]).mean() / variance == pytest.approx(LAG1, abs=0.03)
    assert (within[1:] * within[:-1]).mean() / variance == pytest.approx(0, abs=0.03)
    assert drawn.mean(axis=1).std() == pytest.approx(0.02, rel=0.25)  # 300 lines, 4 sigmas
    darker = MeasuredNoise(0.01, 0.0, 0.05, 0.0, LAGS, TAPS)
    assert not darker.draw(np.full(SHAPE, 0.04, np.float32), np.random.default_rng(0)).any()


def test_trainings_draw_in_the_precision_of_their_patches() -> None:
    """The last bit counts too: trainings that an earlier version made are found by their keys."""
    noise = MeasuredNoise(0.0132, 0.016, 0.0, 0.001, LAGS, TAPS)
    signal = smooth_scene(0)
    before = np.sqrt(np.float32(0.0132) * signal + np.float32(0.016**2))
    assert noise.deviation(signal).dtype == np.float32
    assert np.array_equal(noise.deviation(signal), before)
    assert noise.variance(signal).dtype == np.float64


@pytest.mark.slow
def test_the_covariance_is_measured_on_noisy_scans_alone() -> None:
    true = MeasuredNoise(0.012, 0.0, 0.0, 0.0, LAGS, TAPS)
    scans = []
    for seed in range(6):
        scene = smooth_scene(seed)
        scans.append(scene + true.draw(scene, np.random.default_rng([seed, 1])))
    found = measured_noise(np.float32(scan) for scan in scans)
    at = np.linspace(0.25, 0.65, 5, dtype=np.float32)[None]
    assert found.variance(at) == pytest.approx(true.variance(at), rel=0.06)
    assert found.autocorrelation(2) == pytest.approx(true.autocorrelation(2), abs=0.03)


def test_what_is_stored_is_read_again() -> None:
    noise = MeasuredNoise(0.01, 0.03, 0.05, 0.02, LAGS, TAPS)
    assert read_noise(json.loads(json.dumps(noise.stored()))) == noise


def test_noise_that_does_not_grow_with_the_brightness_is_constant() -> None:
    scans = []
    for seed in range(4):
        scene, rng = smooth_scene(seed), np.random.default_rng([seed, 2])
        deviation = 0.06 - 0.05 * (scene - 0.2)  # it even shrinks
        lines = 0.03 * rng.standard_normal((SHAPE[0], 1))
        scans.append(np.float32(scene + deviation * rng.standard_normal(SHAPE) + lines))
    found = measured_noise(scans)
    assert found.gamma == 0
    at = np.array([[0.2, 0.45, 0.7]], np.float32)
    assert found.variance(at)[0] == pytest.approx(np.full(3, 0.0475**2 + 0.03**2), rel=0.1)


def test_scans_that_do_not_show_it_are_refused() -> None:
    with pytest.raises(ValueError, match="needed to fit the noise"):
        measured_noise([np.ones((60, 60), np.float32)])
