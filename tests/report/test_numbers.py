import numpy as np
import pandas as pd
import pytest

from lfranker.report.numbers import estimate, estimates, in_100, joined, number, share


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (1.1963, 0.9962, 1.3964, "1.2 (1.0 to 1.4)"),
        (29.4213, 28.91, 29.93, "29.4 (28.9 to 29.9)"),
        (0.12345, 0.11, 0.137, "0.123 (0.110 to 0.137)"),
        (-1.1e-16, -0.038, 0.038, "0.00 (-0.04 to 0.04)"),
        (-1.1e-16, -2e-16, 3e-17, "0 (0 to 0)"),
        (153.2, 118.0, 188.0, "153 (118 to 188)"),
        (5.0, 5.0, 5.0, "5.00 (5.00 to 5.00)"),
        (1.2345, float("nan"), float("nan"), "1.23 (interval unknown)"),
        (1.2345, -float("inf"), float("inf"), "1.23 (interval unknown)"),
    ],
)
def test_an_estimate_has_the_digits_that_its_interval_supports(value, low, high, words) -> None:
    assert estimate(value, low, high) == words


def test_a_unit_and_signs_are_written_where_they_are_wanted() -> None:
    assert estimate(0.35, 0.15, 0.55, "dB", signed=True) == "+0.3 dB (+0.1 to +0.6)"
    assert estimate(-1e-17, -0.2, 0.2, "dB", signed=True) == "0.0 dB (-0.2 to +0.2)"


def test_rows_of_a_table_are_named_estimates() -> None:
    table = pd.DataFrame({"value": [0.5], "low": [0.3], "high": [0.7]}, index=["ssim"])
    assert estimates(table, unit="dB") == ["ssim +0.5 dB (+0.3 to +0.7)"]


def test_a_number_has_three_digits() -> None:
    assert [number(n) for n in (0.012345, 1.2345, 1234.5, 0.0)] == ["0.0123", "1.23", "1234", "0"]


def test_all_and_none_of_100_are_said_of_all_and_none_only() -> None:
    shares = (0.0, 0.0004, 0.824, 0.9996, 1.0)
    assert [in_100(s) for s in shares] == [f"{n} of 100" for n in (0, 1, 82, 99, 100)]
    assert [share(s) for s in (0.001, 0.5, 0.999)] == ["less than 1 %", "50 %", "over 99 %"]


def test_words_are_joined_as_they_are_spoken() -> None:
    assert [joined("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_rounding_never_leaves_a_negative_zero() -> None:
    halves = 10.0 ** np.random.default_rng(0).uniform(-6, 2, 200)
    for half in halves.tolist():
        first = estimate(-half / 1000, -half, half).partition(" ")[0]
        assert float(first) == 0
        assert not first.startswith("-")
