"""Correlation along x: tests/test_noise.py has those of the three-tap kernel."""

import math

import numpy as np
import pytest

from lfranker.noise.scan_correlation import (
    MAX_LAG1,
    autocorrelation,
    check_kernel,
    filter_fast_axis,
    kernel_for,
    parse_kernel,
    reachable,
    taps_for,
)

MEASURED = (0.49, 0.10, 0.03)


def test_autocorrelation_of_three_taps_by_hand() -> None:
    # (1, 2, 1): energy 6, neighbours 4, next 1
    assert autocorrelation((2.0, 1.0), 4) == pytest.approx((4 / 6, 1 / 6, 0, 0))


@pytest.mark.parametrize("kernel", [(1.0,), (1.0, 0.1), (1.0, -0.2, 0.1), (1.0, 0.4, 0.2)])
@pytest.mark.parametrize("lag1", [0.0, 0.02, 0.3, 0.55])
def test_taps_have_unit_energy_and_the_lag_asked_for(
    kernel: tuple[float, ...], lag1: float
) -> None:
    taps = taps_for(lag1, kernel)
    assert taps[0] ** 2 + 2 * sum(tap**2 for tap in taps[1:]) == pytest.approx(1, abs=1e-12)
    assert autocorrelation(taps, 1)[0] == pytest.approx(lag1, abs=1e-12)
    if lag1:
        assert np.array(taps[1:]) / taps[1] == pytest.approx(np.array(kernel))
        assert taps[0] > taps[1] > 0


def test_a_lag_that_the_kernel_cannot_reach_is_refused() -> None:
    kernel = (1.0, -1.0, 1.0)
    largest = reachable(kernel)
    assert largest < MAX_LAG1
    assert autocorrelation(taps_for(largest, kernel), 1)[0] == pytest.approx(largest)
    with pytest.raises(ValueError, match="or less with kernel"):
        taps_for(largest + 1e-6, kernel)
    assert reachable((1.0,)) == pytest.approx(math.sqrt(1 / 2))
    with pytest.raises(ValueError, match=r"correlation is 0\.66; allowed is 0 to 0\.65"):
        taps_for(0.66, (1.0,))


@pytest.mark.parametrize("lags", [MEASURED, (0.16, 0.0, 0.0), (0.3, 0.1, 0.05)])
def test_the_kernel_fits_all_three_lags(lags: tuple[float, ...]) -> None:
    assert autocorrelation(taps_for(lags[0], kernel_for(lags)), 3) == pytest.approx(lags, abs=1e-6)


def test_without_correlation_there_is_no_shape() -> None:
    assert kernel_for((0.01, 0.02, -0.01)) == (1.0,)


def test_filtered_noise_has_the_autocorrelation_along_x_alone() -> None:
    shape = (1000, 1000)
    white = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    taps = taps_for(MEASURED[0], kernel_for(MEASURED))
    noise = filter_fast_axis(white, taps).astype(np.float64)
    # Bartlett: the variance of a lag is below 2 sum of rho^2 over all lags, here 3, by n; that of
    # the variance is 2 sum of rho^2 by n
    tolerance = 5 * math.sqrt(3 / noise.size)
    assert abs(noise.var() - 1) < tolerance
    expected = (*MEASURED, autocorrelation(taps, 4)[3])
    for lag, value in enumerate(expected, 1):
        assert abs((noise * np.roll(noise, lag, 1)).mean() - value) < tolerance, lag
        assert abs((noise * np.roll(noise, lag, 0)).mean()) < tolerance, lag


def test_too_few_columns_stay_as_they_are() -> None:
    noise = np.ones((3, 6), np.float32)
    np.testing.assert_array_equal(filter_fast_axis(noise, (0.8, 0.3, 0.1, 0.1)), noise)


def test_kernels_are_parsed_and_checked() -> None:
    assert parse_kernel("1,0.1,0.05") == (1.0, 0.1, 0.05)
    for text in ("a", "1,b", "", "1;2"):
        with pytest.raises(ValueError, match=r"e\.g\. 1,0\.1,0\.05"):
            parse_kernel(text)
    for kernel in ((), (0.5,), (1.0, 0.1, 0.1, 0.1), (1.0, 2.0), (1.0, math.nan)):
        with pytest.raises(ValueError, match="kernel is"):
            check_kernel(kernel)
