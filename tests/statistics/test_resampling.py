import numpy as np
import pytest

from lfranker.statistics.resampling import draw_counts, resampled_means

DRAWS = 20_000


def test_counts_add_up_to_one_less_than_there_are():
    counts = draw_counts(5, 100, np.random.default_rng(0))
    assert counts.shape == (100, 5)
    assert (counts.sum(axis=1) == 4).all()
    assert counts.min() == 0
    assert draw_counts(1, 3, np.random.default_rng(0)).tolist() == [[1], [1], [1]]


@pytest.mark.parametrize("sites", [2, 3, 12])
def test_variance_of_a_mean_is_the_usual_estimate(sites):
    """With one repeat: s^2 / n, which plain resampling would miss by (n - 1) / n."""
    scores = np.random.default_rng(sites).normal(size=(1, sites, 1))
    means = resampled_means(scores, np.ones(sites), DRAWS, seed=1)[:, 0]
    # a variance of so many draws is known to sqrt(2 / DRAWS), or less for such short tails
    assert means.var() == pytest.approx(scores.var(ddof=1) / sites, rel=5 * np.sqrt(2 / DRAWS))
    assert means.mean() == pytest.approx(scores.mean(), abs=5 * means.std() / np.sqrt(DRAWS))


def test_repeats_are_drawn_for_all_sites_together():
    """Scores that only the repeat decides vary as a mean of so many repeats, not of cells."""
    by_repeat = np.array([0.0, 1.0, 5.0])
    scores = np.broadcast_to(by_repeat, (1, 10, 3))
    means = resampled_means(scores, np.ones(10), DRAWS, seed=2)[:, 0]
    assert means.var() == pytest.approx(by_repeat.var(ddof=1) / 3, rel=5 * np.sqrt(2 / DRAWS))


def test_weights_are_those_of_the_sites():
    scores = np.array([[[1.0], [4.0]]])
    means = resampled_means(scores, np.array([1.0, 3.0]), 200, seed=3)[:, 0]
    assert set(means) == {1.0, 4.0}  # one of two is drawn
    three = np.array([[[0.0], [0.0], [6.0]]])
    drawn = resampled_means(three, np.array([1.0, 1.0, 2.0]), 500, seed=4)[:, 0]
    assert set(np.round(drawn, 9)) == {0.0, 4.0, 6.0}  # none, once beside a lighter one, twice


def test_all_that_stands_before_sites_sees_the_same_draws():
    scores = np.random.default_rng(5).normal(size=(4, 6, 2))
    shifted = np.stack([scores, scores + 1])
    means = resampled_means(shifted, np.ones(6), 50, seed=6)
    assert means.shape == (50, 2, 4)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1)
