import numpy as np
import pytest

from lfranker.statistics.intervals import mean_squares
from lfranker.statistics.variance_shrinkage import (
    MOST_OF_FIELDS,
    MOST_OF_REPEATS,
    _without_largest,
    prior_of_fields,
    prior_of_repeats,
)

FIELDS = 24


def squares(rng, deviations, repeats):
    """Mean squares over the repeats, of what a training's luck makes of the means over fields."""
    deviations = np.asarray(deviations)
    return FIELDS * deviations**2 * rng.chisquare(repeats - 1, len(deviations)) / (repeats - 1)


def test_the_prior_of_like_models_is_their_variance_and_as_free_as_allowed():
    """Mean squares of 400 models with 2 degrees of freedom: a standard error of 1 / 20."""
    found = prior_of_repeats(squares(np.random.default_rng(0), [0.5] * 400, 3), 2)
    assert found.freedoms.max() == MOST_OF_REPEATS
    assert found.square == pytest.approx(FIELDS * 0.25, rel=0.2)


def test_models_whose_luck_is_scaled_inverse_chi_square_give_its_parameters_back():
    """Smyth's model itself, d0 = 4, s0 = 0.5, with 2,000 models.

    Var(log s^2) is 1.645 + 0.645, and its standard error about 0.1: trigamma(d0 / 2) in 0.35 to
    0.95 gives d0 in 2.9 to 6.8.
    """
    rng = np.random.default_rng(1)
    deviations = 0.5 * np.sqrt(4 / rng.chisquare(4, 2000))
    found = prior_of_repeats(squares(rng, deviations, 3), 2)
    assert 2.9 < found.freedoms.max() < 6.8
    assert found.square == pytest.approx(FIELDS * 0.25, rel=0.3)


def test_models_scored_at_sites_in_repeats_have_a_prior_of_each():
    """By the double sum: what a model has of its own over sites, and over repeats, by numpy's var.

    Of what only a model has, its own deviation from the mean of all is (1 - 1 / models).
    """
    scores = np.random.default_rng(4).normal(
        0, [[[1.0]], [[1.0]], [[2.0]], [[1.5]], [[1.0]]], (5, 6, 4)
    )
    found = mean_squares(scores)
    own = scores - scores.mean(axis=0)  # (models, sites, repeats)
    over_sites = 4 * own.mean(axis=2).var(axis=1, ddof=1) / (1 - 1 / 5)
    over_repeats = 6 * own.mean(axis=1).var(axis=1, ddof=1) / (1 - 1 / 5)
    for prior, expected in (
        (found.field_prior, prior_of_fields(over_sites, 5)),
        (found.repeat_prior, prior_of_repeats(over_repeats, 3)),
    ):
        assert prior.square == pytest.approx(expected.square, rel=1e-9)
        assert prior.freedoms == pytest.approx(expected.freedoms, rel=1e-9)
        assert prior.square > 0
    assert found.freedoms == (5, 3)


def test_few_models_and_one_and_the_same_share_nothing():
    rng = np.random.default_rng(2)
    for own in (squares(rng, [1.0] * 3, 5), np.zeros(15), np.array([0.0] * 12 + [1.0, 2.0, 3.0])):
        for prior in (prior_of_repeats(own, 4), prior_of_fields(own, 4)):
            assert prior.square == 0
            assert prior.freedoms.tolist() == [0] * len(own)


def test_a_few_models_cannot_lend_more_freedom_than_they_have():
    """The others of 4 models with 2 repeats have 2 degrees of freedom between them."""
    for prior_of in (prior_of_repeats, prior_of_fields):
        assert prior_of(squares(np.random.default_rng(3), [1.0] * 4, 2), 1).freedoms.max() <= 2


def test_a_model_that_is_clearly_erratic_keeps_its_own_and_does_not_spoil_the_others():
    own = np.array([40.0, *np.linspace(0.5, 1.5, 14)])
    found = prior_of_repeats(own, 4)
    assert 1.0 < found.square < 1.2
    assert found.freedoms[0] < 0.01
    assert found.freedoms[1:].min() > 7
    over_fields = prior_of_fields(own, 4)
    assert over_fields.freedoms[0] < 0.01
    assert over_fields.freedoms[1:].min() == MOST_OF_FIELDS


def test_that_the_largest_is_left_out_does_not_make_the_common_square_smaller():
    """The largest of 15 exponential numbers is 3.3 on average, so that the others' mean is 0.83.

    Where they seem to differ, which is by chance, the common square is below their mean by design.
    """
    largest = sum(1 / n for n in range(1, 16))
    assert _without_largest(15, 2) == pytest.approx((15 - largest) / 14, abs=0.001)
    rng = np.random.default_rng(4)
    found = [prior_of_fields(squares(rng, [1.0] * 15, 3), 2).square for _ in range(1000)]
    assert 0.86 * FIELDS < np.mean(found) < 1.02 * FIELDS
