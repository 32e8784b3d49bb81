import numpy as np
import pandas as pd
import pytest

from lfranker.ranking.hybrid_advantage import BETWEEN, hybrid_advantage
from lfranker.report.sentences import advantage_clause

NAMES = ("mae", "mse", "mae+mse")


def rows(
    fast: float, slow: float, places: int = 10, names: tuple[str, ...] = NAMES
) -> pd.DataFrame:
    """A hybrid is ahead by `fast` at the fast speed, `slow` at the slow one, and some luck."""
    rng = np.random.default_rng(0)
    made = []
    for place in range(places):
        for speed, ahead in (("fast", fast), ("slow", slow)):
            for name in names:
                psnr = 20 + place + ahead * ("+" in name) + 0.01 * rng.normal()
                made.append((name, f"p{place}", speed, 0, psnr))
    return pd.DataFrame(made, columns=["name", "place", "speed", "repeat", "psnr"])


def test_the_advantage_at_each_speed_and_between_them_is_found():
    found = hybrid_advantage(rows(1.0, 0.2), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert list(found.table.index) == ["fast", "slow", BETWEEN]
    for row, truth in zip(found.table.itertuples(), (1.0, 0.2, 0.8), strict=True):
        # 0.01 of luck in one hybrid and the mean of two: 0.004 at ten places, 0.006 between speeds
        assert row.value == pytest.approx(truth, abs=5 * 0.006)
        assert 2 * 0.004 < row.high - row.low < 6 * 0.006
        assert row.low < row.value < row.high
    assert "noisier scans want hybrids more" in advantage_clause(found)


@pytest.mark.parametrize(("slow", "words"), [(0.5, "not told from none"), (0.9, "want them less")])
def test_no_difference_and_a_reversed_one_are_called_so(slow, words):
    found = hybrid_advantage(rows(0.5, slow), "psnr", ["fast", "slow"], seed=0)
    assert found is not None
    assert words in advantage_clause(found)


def test_means_of_single_losses_and_hybrids_are_compared_not_their_best():
    """By hand: singles 20 and 24, hybrid 23: 1 above the mean, 1 below the best."""
    made = [
        (name, f"p{place}", "s", 0, value)
        for name, value in {"mae": 20.0, "mse": 24.0, "mae+mse": 23.0}.items()
        for place in range(3)
    ]
    table = pd.DataFrame(made, columns=["name", "place", "speed", "repeat", "psnr"])
    found = hybrid_advantage(table, "psnr", ["s"], seed=0)
    assert found is not None
    assert found.table.to_numpy().tolist() == [[1, 1, 1]]
    assert "one scan speed does not tell" in advantage_clause(found)


def test_without_hybrids_or_with_two_places_nothing_is_said():
    assert hybrid_advantage(rows(1, 1, names=("mae", "mse")), "psnr", ["fast"], 0) is None
    assert hybrid_advantage(rows(1, 1, places=2), "psnr", ["fast"], 0) is None
