import numpy as np
import pytest

from lfranker.baselines import BASELINES


@pytest.fixture
def spike():
    image = np.zeros((31, 31), np.float32)
    image[15, 15] = 1
    return image


def test_the_rows_of_the_table():
    assert list(BASELINES) == ["noisy", "gaussian-1", "gaussian-1.5", "gaussian-2", "median-5"]


def test_noisy_is_the_input(spike):
    assert np.array_equal(BASELINES["noisy"](spike), spike)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_gaussian_of_a_spike_has_unit_sum_and_its_sigma(spike, sigma):
    out = BASELINES[f"gaussian-{sigma:g}"](spike)
    assert out.dtype == np.float32
    assert out.sum() == pytest.approx(1, abs=1e-5)
    variance = (out.sum(0) * (np.arange(31) - 15) ** 2).sum()
    assert variance == pytest.approx(sigma**2, rel=0.01)  # cut at 4 sigma: -0.1 %


def test_median_of_a_corner_is_mirrored(spike):
    """By hand: of 5 x 5 px about the corner, mirrored as (c b a | a b c)."""
    image = np.arange(36, dtype=np.float32).reshape(6, 6) / 36
    padded = np.pad(image, 2, mode="symmetric")
    out = BASELINES["median-5"](image)
    assert out.dtype == np.float32
    assert out[0, 0] == np.median(padded[:5, :5])
    assert out[3, 2] == np.median(padded[3:8, 2:7])
    assert BASELINES["median-5"](spike).max() == 0


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_constant_stays(name):
    assert np.allclose(BASELINES[name](np.full((20, 30), 0.3, np.float32)), 0.3, atol=1e-6)
