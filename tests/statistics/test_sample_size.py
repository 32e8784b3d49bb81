import numpy as np
import pytest

from lfranker.ranking.top_set import Effort, effort, intervals
from lfranker.report.sentences import top_set_sentence
from lfranker.statistics.intervals import Squares
from lfranker.statistics.sample_size import fields_needed, repeats_needed, standard_error
from lfranker.statistics.score_array import Cube

Z = 1.96


def test_fields_needed_by_hand():
    """A standard deviation of 1 dB over fields: +-1.96 / sqrt(n) reaches 0.1 dB at 384.2."""
    one = Squares(1.0, 0.0, 0.0, freedom=1)
    assert fields_needed(0.1, one, 24, 1, Z) == 385
    assert standard_error(one, 25, 1) == 0.2


def test_more_is_needed_than_there_is():
    squares = Squares(1.0, 0.1, 0.0, freedom=2)
    assert fields_needed(10, squares, 24, 3, Z) == 25
    assert repeats_needed(10, squares, 24, 3, Z) == 4


def test_repeats_scatter_what_no_number_of_fields_takes_away():
    """20 fields, 4 repeats. Fields: 4 of 4 = 1; repeats: 2 / 20 = 0.1, over 4 of them 0.025.

    So that 0.2^2 / 1.96^2 = 0.0104 is out of reach, and 0.5^2 / 1.96^2 = 0.0651 leaves 0.0401:
    25 fields.
    """
    squares = Squares(4.0, 2.0, 0.0, freedom=3)
    assert fields_needed(0.2, squares, 20, 4, Z) is None
    assert fields_needed(0.5, squares, 20, 4, Z) == 25
    assert standard_error(squares, 20, 4) == pytest.approx((1 / 20 + 0.025) ** 0.5)


def test_repeats_needed_by_hand():
    """A variance of 4 / 4 / 20 = 0.05 stays of the fields' 4; 0.5^2 / 1.96^2 leaves 0.0151 to 0.1.

    And 0.4^2 / 1.96^2 = 0.0416 is below what stays.
    """
    squares = Squares(4.0, 2.0, 0.0, freedom=3)
    assert repeats_needed(0.5, squares, 20, 4, Z) == 7
    assert repeats_needed(0.4, squares, 20, 4, Z) is None


@pytest.mark.parametrize("needed", [fields_needed, repeats_needed])
def test_nothing_tells_equals_apart(needed):
    with pytest.raises(ValueError, match="difference of 0"):
        needed(0.0, Squares(1.0, 1.0, 1.0, freedom=2), 24, 3, Z)


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


def test_what_it_would_take_is_said_where_something_would() -> None:
    table = intervals(cube((20.0, 19.8, 17.0)), 0.1, seed=0)

    def said(needed: Effort | None) -> str:
        return top_set_sentence("psnr", table, 0.1, needed, "here")

    known = Effort("b", 0.2, (40, 60), (5, 5))
    assert "from b, some 0.2 behind, takes about 40 to 60 fields or about 5 repeats." in said(known)
    for unknown in (Effort("b", 0.2, None, None), None):
        assert "takes" not in said(unknown)
