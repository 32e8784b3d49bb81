import numpy as np
import pytest

from lfranker.statistics.variance_shrinkage import MOST_FREEDOM, Prior, prior_of

FIELDS = 24


def means(rng, deviations, repeats):
    """Means over the fields; the first number is what a training's luck makes of them."""
    shared = 5 * rng.normal(size=(1, repeats))
    return shared + np.asarray(deviations)[:, None] * rng.normal(size=(len(deviations), repeats))


def test_the_prior_of_like_models_is_their_variance_and_as_free_as_allowed():
    """Mean squares of 400 models with 2 degrees of freedom: a standard error of 1 / 20."""
    found = prior_of(means(np.random.default_rng(0), [0.5] * 400, 3), FIELDS)
    assert found.freedom == MOST_FREEDOM
    assert found.square == pytest.approx(FIELDS * 0.25, rel=0.2)


def test_models_whose_luck_is_scaled_inverse_chi_square_give_its_parameters_back():
    """Smyth's model itself, d0 = 4, s0 = 0.5, with 2,000 models.

    Var(log s^2) is 1.645 + 0.645, and its standard error about 0.1: trigamma(d0 / 2) in 0.35 to
    0.95 gives d0 in 2.9 to 6.8.
    """
    rng = np.random.default_rng(1)
    deviations = 0.5 * np.sqrt(4 / rng.chisquare(4, 2000))
    found = prior_of(means(rng, deviations, 3), FIELDS)
    assert 2.9 < found.freedom < 6.8
    assert found.square == pytest.approx(FIELDS * 0.25, rel=0.3)


def test_few_models_one_repeat_and_one_and_the_same_share_nothing():
    rng = np.random.default_rng(2)
    assert prior_of(means(rng, [1.0] * 3, 5), FIELDS) == Prior()
    assert prior_of(means(rng, [1.0] * 15, 1), FIELDS) == Prior()
    assert prior_of(np.ones((15, 3)), FIELDS) == Prior()


def test_a_few_models_cannot_lend_more_freedom_than_they_have():
    """The others of 4 models with 2 repeats have 2 degrees of freedom between them."""
    found = prior_of(means(np.random.default_rng(3), [1.0] * 4, 2), FIELDS)
    assert found.freedom <= 2
