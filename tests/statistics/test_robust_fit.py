import numpy as np
import pytest

from lfranker.statistics.robust_fit import cauchy_weights, robust_deviation, robust_lines


@pytest.mark.parametrize("unit", [1.0, 1e-4])
def test_values_far_off_move_a_line_little_in_any_unit(unit: float) -> None:
    """Three of twelve are off by 100; the others lie within 0.1 of 2 + 3 x."""
    x = np.arange(12.0)
    values = 2 + 3 * x + 0.1 * np.where(np.arange(12) % 2, 1, -1)
    values[[1, 6, 11]] += 100
    terms = np.stack([np.ones(12), x], axis=1)
    found = robust_lines(terms, values * unit, 1e-3 * unit) / unit
    np.testing.assert_allclose(found, [2, 3], atol=0.2)
    least_squares = np.linalg.lstsq(terms, values, rcond=None)[0]
    assert np.abs(least_squares - [2, 3]).max() > 2


def test_a_term_that_does_not_vary_is_left_out() -> None:
    terms = np.stack([np.ones(5), np.full(5, 7.0)], axis=1)
    np.testing.assert_allclose(robust_lines(terms, np.full(5, 3.0), 0.1), [3, 0])


def test_weights_are_a_half_at_so_many_deviations() -> None:
    """The median of the absolute values is 1, so that the deviation is 1.4826."""
    residuals = np.array([-1.0, 1.0, 1.0, -1.0, 2.385 * 1.4826])
    assert robust_deviation(residuals, 0.1) == pytest.approx(1.4826)
    assert cauchy_weights(residuals, 0.1)[-1] == pytest.approx(0.5)
    assert robust_deviation(residuals, 2.0) == 2.0
