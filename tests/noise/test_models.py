import math

import numpy as np
import pytest

from lfranker.noise.models import (
    estimate_noise,
    mixed_noise,
    parse_range,
    shot_noise,
    speckle_noise,
)
from lfranker.noise.scan_correlation import correlate_fast_axis

SHAPE = (1000, 1000)
N = SHAPE[0] * SHAPE[1]
LEVEL = 0.4
CLEAN = np.full(SHAPE, LEVEL, np.float32)


def has_moments(noisy: np.ndarray, variance: float, kurtosis: float) -> None:
    """Mean LEVEL and the variance, within five standard errors.

    The variance of a sample variance is (kurtosis - 1) variance^2 / n.
    """
    noisy = noisy.astype(np.float64)
    assert abs(noisy.mean() - LEVEL) < 5 * math.sqrt(variance / N)
    assert abs(noisy.var() - variance) < 5 * variance * math.sqrt((kurtosis - 1) / N)


def test_shot_noise_has_poisson_mean_and_variance():
    peak = 50.0
    counts = LEVEL * peak
    noisy = shot_noise(CLEAN, peak, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    has_moments(noisy, LEVEL / peak, kurtosis=3 + 1 / counts)
    np.testing.assert_allclose(noisy * peak, np.rint(noisy * peak), atol=1e-4)  # whole counts
    skew = ((noisy - LEVEL) ** 3).mean() / (LEVEL / peak) ** 1.5
    assert abs(skew - 1 / math.sqrt(counts)) < 5 * math.sqrt(15 / N)  # a normal has none


def test_speckle_noise_is_proportional_to_the_signal():
    noisy = speckle_noise(CLEAN, 0.02, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    has_moments(noisy, LEVEL**2 * 0.02, kurtosis=3)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0), (0.0, 1.0), (1.0, 0.0)])
def test_mixed_noise_keeps_the_mean_and_adds_the_variances(alpha, beta):
    peak, speckle = 100.0, 0.01
    variance = alpha**2 * LEVEL / peak + beta**2 * LEVEL**2 * speckle
    noisy = mixed_noise(CLEAN, alpha, beta, peak, speckle, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    has_moments(noisy, variance, kurtosis=3.05)


def test_mixed_noise_is_clamped_and_leaves_black_alone():
    for level in (0.0, 0.02, 1.0):
        clean = np.full((100, 100), level, np.float32)
        noisy = mixed_noise(clean, 1, 1, 30, 0.1, np.random.default_rng(0))
        assert noisy.min() >= 0
        assert noisy.max() <= 1
        assert (noisy == 0).all() == (level == 0)
    assert (noisy == 1).mean() > 0.4, "half of the white pixels should be clamped"


@pytest.mark.parametrize("lag1", [0.0, 0.09, 0.16, 0.49])
def test_correlation_is_the_one_asked_for_along_x_alone(lag1):
    white = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    noise = correlate_fast_axis(white, lag1).astype(np.float64)
    tolerance = 5 * math.sqrt(2 / N)  # Bartlett's bound for these short correlations
    side = (1 - math.sqrt(1 - 2 * lag1**2)) / 4
    assert abs(noise.var() - 1) < 5 * math.sqrt(2 * (1 + 2 * lag1**2 + 2 * side**2) / N)
    for axis, lag, expected in ((1, 1, lag1), (1, 2, side), (1, 3, 0), (0, 1, 0)):
        measured = (noise * np.roll(noise, lag, axis)).mean()
        assert abs(measured - expected) < tolerance, (axis, lag)


def test_mixed_noise_is_correlated_when_asked():
    noisy = mixed_noise(CLEAN, 1, 1, 100, 0.01, np.random.default_rng(0), 0.3) - LEVEL
    measured = (noisy[:, 1:] * noisy[:, :-1]).mean() / noisy.var()
    assert abs(measured - 0.3) < 5 * math.sqrt(2 / N)


def test_the_same_generator_gives_the_same_noise():
    first, second, other = (
        mixed_noise(CLEAN[:50], 1, 1, 60, 0.01, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_noise_is_estimated_and_a_plane_does_not_count(sigma):
    y, x = np.mgrid[:512, :512].astype(np.float32)
    plane = 0.2 + 0.001 * x + 0.0005 * y
    assert estimate_noise(plane) < 1e-6
    noise = np.random.default_rng(0).normal(0, sigma, plane.shape)
    # mean |r| of a normal has relative error sqrt((pi/2 - 1)/n); neighbours of the 3x3 mask share
    # samples, which multiplies its variance by less than 9
    assert estimate_noise((plane + noise).astype(np.float32)) == pytest.approx(
        sigma, rel=5 * math.sqrt(9 * (math.pi / 2 - 1)) / 512
    )


def test_noise_of_a_point_by_hand():
    image = np.zeros((5, 5), np.float32)
    image[2, 2] = 1.0
    # nine responses: 4, four times -2, four times 1: mean 16 / 9
    assert estimate_noise(image) == pytest.approx(math.sqrt(math.pi / 2) * 16 / 9 / 6, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5", (0.5, 0.5)), ("20:200", (20.0, 200.0)), ("1e-2:1e-2", (0.01, 0.01))],
)
def test_ranges(text, expected):
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1:", "1:2:3", "3:2", "nan", "1:inf"])
def test_what_is_no_range_is_named(text):
    with pytest.raises(ValueError, match="20:200") as caught:
        parse_range(text)
    assert repr(text) in str(caught.value)


def test_impossible_parameters_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="peak is 0"):
        shot_noise(CLEAN, 0, rng)
    with pytest.raises(ValueError, match=r"variance is -0\.1"):
        speckle_noise(CLEAN, -0.1, rng)
    with pytest.raises(ValueError, match=r"correlation is 0\.8; allowed is 0 to 0\.65"):
        correlate_fast_axis(CLEAN, 0.8)
    with pytest.raises(ValueError, match="3 x 3"):
        estimate_noise(CLEAN[:2])
