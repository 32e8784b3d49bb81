import numpy as np
from scipy.stats import norm

from lfranker.ranking.top_set import effort
from lfranker.statistics.intervals import DRAWS, Chance, Squares, mean_squares
from lfranker.statistics.sample_size import Planned, fields_needed, repeats_needed
from lfranker.statistics.score_array import Cube

MANY = 1e6  # degrees of freedom: variances are known
BEYOND = float(norm.ppf(0.975) + norm.ppf(0.8))  # 2.80 standard errors: 5 %, power of 80 %


def planned(
    difference: float | tuple[float, float], squares: Squares, fields: int, repeats: int
) -> tuple[Planned, Chance]:
    """Differences that are known, or the one or the other with the same chance."""
    given = np.resize(np.atleast_1d(difference), DRAWS)
    chance = Chance(mean_squares(np.zeros((2, fields, repeats))), seed=0)
    chance.rest_freedom = MANY
    return Planned(given, squares, fields, repeats, 0.05), chance


def test_fields_needed_by_hand():
    """A standard deviation of 1 dB over fields: 2.80 / sqrt(n) reaches 0.1 dB at 785."""
    one = Squares(1.0, 0.0, 0.0, MANY, 1)
    low, high = fields_needed(*planned(0.1, one, 24, 1))
    assert (BEYOND / 0.1) ** 2 <= low == high < 1.09 * (BEYOND / 0.1) ** 2
    low, high = fields_needed(*planned((0.1, -0.2), one, 24, 1))
    assert (BEYOND / 0.2) ** 2 <= low < 1.09 * (BEYOND / 0.2) ** 2 + 1
    assert (BEYOND / 0.1) ** 2 <= high < 1.09 * (BEYOND / 0.1) ** 2


def test_more_is_needed_than_there_is():
    squares = Squares(1.0, 0.1, 0.0, MANY, MANY)
    assert fields_needed(*planned(10.0, squares, 24, 3)) == (25, 25)
    assert repeats_needed(*planned(10.0, squares, 24, 3)) == (4, 4)


def test_repeats_scatter_what_no_number_of_fields_takes_away():
    """20 fields, 4 repeats: 2 / 20 = 0.1 over 4 repeats, 0.025, stay; 0.4^2 / 2.80^2 = 0.0204.

    With 26 fields 1 / 26 comes to it, 0.0635 of 19 degrees of freedom (3 of 0.025): 0.75^2 / 2.95^2
    = 0.0646. With 25 it is 0.0650, of 20: 0.0649.
    """
    squares = Squares(4.0, 2.0, 0.0, MANY, MANY)
    assert fields_needed(*planned(0.4, squares, 20, 4)) is None
    assert fields_needed(*planned(0.75, squares, 20, 4)) == (26, 26)
    assert fields_needed(*planned(2.0, squares, 20, 4)) == (21, 21)


def test_repeats_needed_by_hand():
    """A variance of 4 / 4 / 20 = 0.05 stays of the fields', and 2 / 20 = 0.1 is over n repeats.

    Of 6 repeats together 0.0667, with 80 degrees of freedom (5 of 0.0167): 0.75^2 / 2.84^2 =
    0.0700. Of 5 0.0700, with 49: 0.75^2 / 2.86^2 = 0.0688. And 0.6^2 / 2.80^2 = 0.0459.
    """
    squares = Squares(4.0, 2.0, 0.0, MANY, MANY)
    assert repeats_needed(*planned(0.75, squares, 20, 4)) == (6, 6)
    assert repeats_needed(*planned(0.6, squares, 20, 4)) is None


def test_few_fields_make_numbers_smaller_by_the_freedom_of_more_of_them():
    """Not by the 2 degrees of freedom of 3 fields: the interval at n fields has n - 1."""
    known, chance = planned(1.0, Squares(1.0, 0.0, 0.0, 2, 1), 3, 1)
    chance._drawn[0, 2.0] = np.ones(DRAWS)  # the variance is as it was measured
    low, high = fields_needed(known, chance)
    assert 10 <= low == high <= 11  # by statsmodels' TTestPower: 9.94


def test_nothing_is_said_of_equals_or_where_the_range_is_wide():
    squares = Squares(1.0, 1.0, 0.5, MANY, MANY)
    for difference in (0.0, (0.05, 1.0)):
        assert fields_needed(*planned(difference, squares, 24, 3)) is None
        assert repeats_needed(*planned(difference, squares, 24, 3)) is None
    assert repeats_needed(*planned(1.0, squares, 24, 1)) is None


def cube(means: tuple[float, ...]) -> Cube:
    rng = np.random.default_rng(0)
    scores = np.array(means)[:, None, None] + 0.5 * rng.normal(size=(len(means), 12, 3))
    return Cube(("a", "b", "c")[: len(means)], tuple(f"p{n}" for n in range(12)), scores)


def test_it_is_asked_of_the_nearest_that_is_not_told_from_the_best():
    """A standard error of 0.5 sqrt(2 / 36) = 0.12 dB: 0.2 is hidden, 3 is not."""
    needed = effort(cube((20.0, 19.8, 17.0)), seed=0)
    assert needed is not None
    assert needed.other == "b"
    assert effort(cube((20.0, 17.0, 16.0)), seed=0) is None


def test_numbers_needed_are_of_fields_where_models_differ_by_field_and_of_repeats_likewise():
    """A gap of 0.9 between 2 of 8 models, whose own deviations of 1 are over 12 fields or repeats.

    5 % among 28 pairs and a power of 80 % are 3.97 standard errors: 3.97^2 x 2 / 0.9^2 = 39.
    """
    rng = np.random.default_rng(0)
    own = rng.normal(size=(8, 12))
    own = (own - own.mean(axis=1, keepdims=True)) / own.std(axis=1, ddof=1, keepdims=True)
    means = np.array([20.0, 19.1, 14, 13, 12, 11, 10, 9])
    by_field = (means[:, None] + own)[:, :, None] + 0.05 * rng.normal(size=(8, 12, 3))
    for scores in (by_field, by_field.swapaxes(1, 2)):
        places = tuple(f"p{n}" for n in range(scores.shape[1]))
        needed = effort(Cube(tuple("abcdefgh"), places, scores), seed=0)
        assert needed is not None
        found = (needed.fields, needed.repeats)
        (low, high), none = found if scores is by_field else found[::-1]
        assert 12 < low < 39 < high, "12 were too few"
        assert none is None, "what is in question does not scatter by the other"
