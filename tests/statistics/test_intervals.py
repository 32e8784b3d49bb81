import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy.stats import t

from lfranker.statistics.intervals import (
    Chance,
    Squares,
    contrast_interval,
    difference_interval,
    mean_squares,
    score_interval,
)
from lfranker.statistics.multiple_comparisons import rank_intervals, standings
from lfranker.statistics.variance_shrinkage import Prior

FIELDS = 24
NOTHING = Prior(0.0, np.zeros(15))


def simulated(rng, repeats, field, repeat, rest=1.0, means=(0.0, 0.0)):
    """Scores of models with these true means, and deviations of their own."""
    shape = len(means), FIELDS, repeats
    return (
        np.array(means)[:, None, None]
        + field * rng.normal(size=(len(means), FIELDS, 1))
        + repeat * rng.normal(size=(len(means), 1, repeats))
        + rest * rng.normal(size=shape)
    )


def test_mean_squares_by_hand():
    """Two models, the second always 0: those of the first are its own; 2 fields, 2 repeats.

    1 2 / 5 8 has the mean 4, fields 1.5 and 6.5, repeats 3 and 5, rests of +-0.5.
    """
    scores = np.array([[[1.0, 2.0], [5.0, 8.0]], np.zeros((2, 2))])
    found = mean_squares(scores)
    assert found.mean.tolist() == [4, 0]
    # 2 (2.5^2 + 2.5^2) / 1; 2 (1 + 1) / 1; 4 x 0.25 / 1
    assert found.of_difference(0, 1) == found.of_score(0) == Squares(25, 4, 1, 1, 1)
    assert found.field[0, 0] == 25
    assert found.field[0, 1] == 0


def test_what_all_models_share_is_not_in_their_differences():
    rng = np.random.default_rng(0)
    own = simulated(rng, 3, 0.1, 0.1, 0.1)
    shared = 5 * rng.normal(size=(1, FIELDS, 1)) + 5 * rng.normal(size=(1, 1, 3))
    alone, together = (astuple(mean_squares(s).of_difference(0, 1)) for s in (own, own + shared))
    assert together == pytest.approx(alone)
    assert mean_squares(own + shared).field[0, 0] > 100 * mean_squares(own).field[0, 0]


def test_the_variance_of_a_mean_is_that_of_fields_and_repeats_less_what_both_have():
    """The variance is (field + repeat - rest) / cells; of squares known well, draws are near."""
    chance = Chance(mean_squares(np.zeros((2, 40, 40))), seed=0)
    scales = chance.scales(Squares(5.0, 4.0, 1.0, 1e4, 1e4))
    assert np.median(scales) == pytest.approx(math.sqrt(8 / 1600), rel=0.01)
    scales = chance.scales(Squares(0.1, 0.2, 1.0, 1e4, 1e4))
    assert np.median(scales) == pytest.approx(math.sqrt(1 / 1600), rel=0.02), "at least the rest"


def test_one_repeat_is_students_t_over_fields():
    rng = np.random.default_rng(1)
    scores = simulated(rng, 1, 1.0, 0.0)
    squares = mean_squares(scores)
    found = difference_interval(0, 1, squares, Chance(squares, seed=0))
    difference = (scores[0] - scores[1])[:, 0]
    half = t.ppf(0.975, FIELDS - 1) * difference.std(ddof=1) / math.sqrt(FIELDS)
    # 4000 draws of a variance with 23 degrees of freedom: 0.3 of it, over sqrt(4000), halved
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=5 * 0.0025)
    assert (found.high + found.low) / 2 == pytest.approx(difference.mean())


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [3, 5])
@pytest.mark.parametrize("ratio", [1 / 3, 1, 3])
def test_intervals_of_differences_cover_95_percent(repeats, ratio):
    """400 leaderboards: binomial standard error 0.011, and 0.94 to 0.97 by long simulations."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        squares = mean_squares(simulated(rng, repeats, 1.0, ratio, means=(1.0, 0.7)))
        found = difference_interval(0, 1, squares, Chance(squares, seed=0))
        covered += found.low <= 0.3 <= found.high
    assert 0.94 - 0.022 <= covered / 400 <= 0.97 + 0.022


def leaderboards(rng, repeats, repeat_deviations, count):
    """Mean squares and draws of equal models whose trainings scatter so, one after another."""
    deviations = np.asarray(repeat_deviations)[:, None, None]
    for _ in range(count):
        models = len(deviations)
        scores = simulated(rng, repeats, 1.0, 0.0, means=(0.0,) * models)
        scores = scores + deviations * rng.normal(size=(models, 1, repeats))
        scores = scores + 2 * rng.normal(size=(1, FIELDS, 1)) + rng.normal(size=(1, 1, repeats))
        squares = mean_squares(scores)
        yield squares, Chance(squares, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [3, 5])
@pytest.mark.parametrize("ratio", [1 / 3, 1, 3])
def test_moderated_intervals_of_15_models_cover_95_percent(repeats, ratio):
    """400 leaderboards of equal models: one pair of each covers with 0.94 to 0.97, as above."""
    rng = np.random.default_rng(9)
    covered = 0
    for squares, chance in leaderboards(rng, repeats, [ratio] * 15, 400):
        found = difference_interval(0, 1, squares, chance)
        covered += found.low <= 0 <= found.high
    assert 0.94 - 0.022 <= covered / 400 <= 0.97 + 0.022


@pytest.mark.slow
@pytest.mark.parametrize(
    "deviations", [[1 / 3] * 15, [3.0] * 15, np.geomspace(1 / 3, 3, 15), [3.0, *[1 / 3] * 14]]
)
def test_equal_models_are_rarely_separated(deviations):
    """None of 15 equal models in 95 % of 400 leaderboards; 3 standard errors of 0.011 more.

    Where the luck of one or of all differs ninefold, up to 0.09 were in longer simulations.
    """
    alike = np.ptp(deviations) == 0
    rng = np.random.default_rng(3)
    separated = sum(
        any(interval != (1, 15) for interval in rank_intervals(squares, chance))
        for squares, chance in leaderboards(rng, 3, deviations, 400)
    )
    assert separated <= (20 if alike else 36) + 3 * 4.4


def test_two_models_are_separated_where_they_are_among_all_pairs():
    """By 95 % alone the first of two leads would do, too."""
    rng = np.random.default_rng(3)
    scores = simulated(rng, 3, 0.3, 0.3, 0.3, means=(0.0, 0.0, -9.0, -19.0, -29.0))
    squares = mean_squares(scores)
    chance = Chance(squares, seed=0)
    alone, among_all = (
        chance.half_width(squares.of_difference(0, 1), 1 - level) for level in (0.05, 0.05 / 10)
    )
    for at, best in ((0.5, [(1, 2), (1, 2)]), (1.5, [(1, 1), (2, 2)])):
        moved = scores.copy()
        moved[1] += squares.mean[0] - squares.mean[1] - alone - at * (among_all - alone)
        ranks = rank_intervals(mean_squares(moved), chance)
        assert ranks == [*best, (3, 3), (4, 4), (5, 5)]


def test_models_that_are_far_apart_are_separated():
    rng = np.random.default_rng(3)
    far = mean_squares(simulated(rng, 3, 0.1, 0.1, 0.1, means=(0.0, 5.0, 10.0)))
    chance = Chance(far, seed=0)
    assert rank_intervals(far, chance) == [(3, 3), (2, 2), (1, 1)]
    assert compared(far, chance, 0.1) == ["worse", "worse", "equivalent"]


def test_the_repeats_of_many_models_tell_more_than_those_of_two():
    """Student's t: 4.30 at 2 degrees of freedom, 2.23 at the 10 of which 8 are from the others."""
    rng = np.random.default_rng(10)
    widths = []
    for squares, chance in leaderboards(rng, 3, [3.0] * 15, 50):
        found = difference_interval(0, 1, squares, chance)
        alone = mean_squares_of_two(squares)
        two = difference_interval(0, 1, alone, Chance(alone, seed=0))
        widths.append((found.high - found.low, two.high - two.low))
    together, by_two = np.median(widths, axis=0)
    # medians: that of a chi-square with 2 degrees of freedom over its mean is 0.69
    assert together / by_two == pytest.approx(2.23 / 4.30 / np.sqrt(0.69), rel=0.25)


def mean_squares_of_two(squares):
    return replace(squares, field_prior=NOTHING, repeat_prior=NOTHING)


def compared(squares, chance, margin):
    return standings(squares.mean, squares.of_difference, chance, margin)


def test_standings_are_within_the_margin_of_the_best_beyond_it_or_undecided():
    rng = np.random.default_rng(4)
    squares = mean_squares(simulated(rng, 3, 0.02, 0.02, 0.02, means=(0.0, 0.05, 3.0, 2.95, 3.02)))
    chance = Chance(squares, seed=0)
    assert compared(squares, chance, 0.2) == ["worse"] * 2 + ["equivalent"] * 3
    assert compared(squares, chance, 3.02) == ["undecided"] + ["equivalent"] * 4
    assert compared(squares, chance, 3.2) == ["equivalent"] * 5
    # not even the best is known to be within so little of the truly best one
    assert compared(squares, chance, 0.005) == ["worse"] * 2 + ["undecided", "worse", "undecided"]


def test_identical_models_do_not_differ():
    scores = simulated(np.random.default_rng(7), 3, 1, 1, means=(0.0,) * 6)
    scores[1] = scores[0] * (1 + 2e-16)  # rounding, of which nothing may be made
    squares = mean_squares(scores)
    assert squares.value(np.array([1.0, -1, 0, 0, 0, 0])) == 0
    found = difference_interval(0, 1, squares, Chance(squares, seed=0))
    assert (found.low, found.high) == (0, 0)


def test_a_contrast_that_only_rounding_tells_from_none_is_0():
    scores = np.array([0.1, 0.2, 0.3])[:, None, None] + np.arange(4.0)[:, None]
    squares = mean_squares(scores)
    coefficients = np.array([1.0, -2.0, 1.0])
    assert coefficients @ squares.mean != 0
    interval = contrast_interval(coefficients, squares, Chance(squares, seed=0))
    assert (squares.value(coefficients), interval.low, interval.high) == (0, 0, 0)


def test_a_score_has_the_interval_of_its_own_rows():
    scores = simulated(np.random.default_rng(8), 3, 1.0, 0.5, means=(20.0, 0.0))
    scores[1] = 0  # a model without any spread: the difference is the score
    squares = mean_squares(scores)
    chance = Chance(squares, seed=0)
    assert score_interval(0, squares, chance) == difference_interval(0, 1, squares, chance)


def test_intervals_of_many_models_hardly_hang_on_the_seed():
    """At 1 - 0.05 / 780, of which 4000 draws themselves would hold one or none."""
    squares = mean_squares(simulated(np.random.default_rng(12), 3, 1.0, 1.0, means=(0.0,) * 15))
    widths = []
    for seed in range(8):
        found = difference_interval(0, 1, squares, Chance(squares, seed), 1 - 0.05 / 780)
        widths.append(found.high - found.low)
    assert max(widths) / min(widths) < 1.15


def test_a_contrast_is_the_score_that_it_sums_up():
    scores = simulated(np.random.default_rng(11), 3, 1.0, 0.5, means=(1.0, 2.0, 4.0))
    squares, coefficients = mean_squares(scores), np.array([0.5, 0.5, -1.0])
    summed = mean_squares(np.einsum("m,mfr->fr", coefficients, scores)[None])
    found = astuple(squares.of_contrast(coefficients))
    assert found == pytest.approx(astuple(summed.of_score(0)))
    interval = contrast_interval(coefficients, squares, Chance(squares, seed=0))
    assert (interval.low + interval.high) / 2 == pytest.approx(summed.mean[0])


def test_a_difference_is_a_contrast_of_two_that_may_be_the_same():
    scores = simulated(np.random.default_rng(13), 3, 1.0, 0.5, means=(0.0,) * 6)
    scores[1], scores[4] = scores[0], 9 * scores[4]
    squares, one = mean_squares(scores), np.eye(6)
    for first in range(6):
        for second in range(6):
            contrast = squares.of_contrast(one[first] - one[second])
            assert squares.of_difference(first, second) == contrast
    assert squares.of_difference(0, 1) == Squares(0, 0, 0, *squares.freedoms)


def test_what_is_rarely_beyond_is_told_by_all_draws():
    """At the half width of an interval, the chance of more is the one that it misses with."""
    squares = mean_squares(simulated(np.random.default_rng(14), 3, 1.0, 1.0))
    chance, own = Chance(squares, seed=0), squares.of_difference(0, 1)
    for level in (0.3, 0.05, 0.0005):
        half = chance.half_width(own, 1 - level)
        assert not chance.rarely_beyond(own, 0.999 * half, level)
        assert chance.rarely_beyond(own, 1.001 * half, level)


@pytest.mark.parametrize("bad", [np.zeros((2, 1, 3)), np.zeros((2, 3)), np.full((1, 4, 1), np.nan)])
def test_too_little_or_missing_scores_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        mean_squares(bad)
