import numpy as np
import pytest

from lfranker.evaluation.stabilised import noise_line, stabilise, stabilised_bm3d, unstabilise

PEAK, SIGMA = 76.0, 0.016  # of real scans at 100 ns
A, B = 1 / PEAK, SIGMA**2


def scanned(clean, seed=0):
    rng = np.random.default_rng(seed)
    noisy = rng.poisson(clean * PEAK) / PEAK + rng.normal(0, SIGMA, clean.shape)
    return noisy.astype(np.float32)


def steps():
    """Sixteen plateaus of 0.1 to 0.9, each 64 x 64 px."""
    return np.kron(np.linspace(0.1, 0.9, 16).reshape(4, 4), np.ones((64, 64)))


def test_the_noise_is_found_by_the_image_alone():
    """To the bias of the quiet quarter of blocks of 64 px.

    Their variances spread by 0.25 of the mean, so it lies 0.15 below it; 0.1 more by chance.
    """
    a, b = noise_line(scanned(steps()))
    assert 0.7 < a / A < 1.05
    assert b < 20 * B


def test_noise_that_does_not_depend_on_the_signal_has_no_slope_to_speak_of():
    noisy = steps() + np.random.default_rng(0).normal(0, 0.05, (256, 256))
    a, b = noise_line(noisy.astype(np.float32))
    assert a * 0.5 + b == pytest.approx(0.05**2, rel=0.3)
    assert a * 0.5 < 0.2 * b


@pytest.mark.parametrize("level", [0.1, 0.4, 0.9])
def test_stabilised_noise_has_a_variance_of_one(level):
    """At 7.6 counts the variance is within 1 % of 1 (Anscombe 1948); 5 standard errors of it."""
    n = 200_000
    stable = stabilise(scanned(np.full(n, level)), A, B)
    assert stable.var() == pytest.approx(1, abs=0.01 + 5 * np.sqrt(2 / n))


@pytest.mark.parametrize("level", [0.1, 0.4, 0.9])
def test_the_mean_of_stabilised_values_goes_back_without_bias(level):
    stable = stabilise(scanned(np.full(200_000, level)), A, B)
    back = unstabilise(np.array([stable.mean()]), A, B)
    # 5 standard errors, and what the asymptotic inverse leaves at 7.6 counts: 0.01 of a count
    assert back[0] == pytest.approx(level, abs=5 * np.sqrt((A * level + B) / 200_000) + 0.01 * A)
    plain = np.array([0.3])
    assert unstabilise(stabilise(plain.astype(np.float32), 0, B), 0, B) == pytest.approx(0.3)


def test_bm3d_beats_the_noise_by_far_and_keeps_the_brightness():
    pytest.importorskip("bm3d", reason="the extra bm3d is not installed")
    clean = steps()[:128, :128]
    noisy = scanned(clean)
    denoised = stabilised_bm3d(noisy, 1.2)
    assert denoised.dtype == np.float32
    assert np.std(denoised - clean) < 0.3 * np.std(noisy - clean)
    assert np.mean(denoised) == pytest.approx(clean.mean(), abs=0.005)
