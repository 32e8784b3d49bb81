import numpy as np
import pandas as pd
import pytest

from lfranker.evaluation.baselines import (
    BASELINES,
    BM3D,
    FAMILIES,
    best_filter,
    families,
    non_local_means,
)
from lfranker.evaluation.criteria import is_filter


@pytest.fixture
def spike():
    image = np.zeros((31, 31), np.float32)
    image[15, 15] = 1
    return image


def test_the_rows_of_the_table():
    filters = ["gaussian-1", "gaussian-1.5", "gaussian-2", "median-5"]
    assert list(BASELINES) == ["noisy", *filters, "bundled"]
    assert [name for name in [*BASELINES, "clean", "init scunet"] if is_filter(name)] == filters


def test_noisy_is_the_input(spike):
    assert np.array_equal(BASELINES["noisy"](spike), spike)


def test_the_best_filter_is_none_of_the_networks_and_not_the_noisy_input():
    """The noisy input may be ahead of all filters where the scans are slow."""
    psnr = {"mae": 33.0, "noisy": 32.0, "gaussian-1": 30.0, "gaussian-2": 28.0, "median-5": 31.0}
    ssim = {"gaussian-1": 0.9, "gaussian-2": 0.7, "median-5": 0.8}
    board = pd.DataFrame({"ssim": pd.Series(ssim), "psnr": pd.Series(psnr | {"bundled": 32.5})})
    assert best_filter(board) == "median-5"
    assert best_filter(board, ["noisy", "gaussian-1", "bundled"]) == "gaussian-1"
    without = board.drop(columns="psnr")
    assert best_filter(without) == "gaussian-1"
    assert best_filter(without * np.nan) is best_filter(without.drop(columns="ssim")) is None
    assert best_filter(board.loc[["mae", "noisy"]]) is None


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


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "bundled"])
def test_a_constant_stays(name):
    assert np.allclose(BASELINES[name](np.full((20, 30), 0.3, np.float32)), 0.3, atol=1e-6)


def noisy(sigma=0.1):
    y, x = np.indices((64, 72))
    clean = (0.5 + 0.3 * np.sin(y / 6) * np.cos(x / 9)).astype(np.float32)
    return clean, clean + np.random.default_rng(0).normal(0, sigma, clean.shape).astype(np.float32)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_families_keep_a_constant_and_have_a_best_value_between_their_ends(name):
    family = FAMILIES[name]
    flat = np.full((20, 30), 0.3, np.float32)
    clean, image = noisy()
    errors = []
    for value in family.values:
        assert np.allclose(family.function(flat, value), 0.3, atol=1e-6)
        denoised = family.function(image, value)
        assert denoised.dtype == np.float32
        errors.append(float(np.std(denoised - clean)))
    assert min(errors) < 0.6 * 0.1
    assert errors[0] > min(errors)


def test_non_local_means_takes_its_strength_in_units_of_the_noise():
    """Twice the noise with twice the contrast is the same picture."""
    _, image = noisy()
    twice = 0.5 + 2 * (image - 0.5)
    expected = 0.5 + 2 * (non_local_means(image, 0.8) - 0.5)
    assert np.allclose(non_local_means(twice, 0.8), expected, atol=1e-4)


def test_bm3d_is_there_only_with_its_package(monkeypatch):
    packages = {"bm3d": object()}
    monkeypatch.setattr("lfranker.evaluation.baselines.find_spec", packages.get)
    assert families() == FAMILIES | {"bm3d-tuned": BM3D}
    packages.clear()
    assert families() == FAMILIES
