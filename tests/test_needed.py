import pytest

from lfranker.needed import fields_needed, repeats_needed
from lfranker.uncertainty import Squares


def test_fields_needed_by_hand():
    """A standard deviation of 1 dB over fields: +-1.96 / sqrt(n) reaches 0.1 dB at 384.2."""
    one = Squares(1.0, 0.0, 0.0, freedom=1)
    assert fields_needed(0.1, one, 24, 1) == 385
    assert fields_needed(10, one, 24, 1) == 2


def test_repeats_scatter_what_no_number_of_fields_takes_away():
    """20 fields, 4 repeats. Fields: 4 of 4 = 1; repeats: 2 / 20 = 0.1, over 4 of them 0.025.

    So that 0.2^2 / 1.96^2 = 0.0104 is out of reach, and 0.5^2 / 1.96^2 = 0.0651 leaves 0.0401:
    25 fields.
    """
    squares = Squares(4.0, 2.0, 0.0, freedom=3)
    assert fields_needed(0.2, squares, 20, 4) is None
    assert fields_needed(0.5, squares, 20, 4) == 25


def test_repeats_needed_by_hand():
    """Of the fields' 4 a variance of 4 / 4 / 20 = 0.05 stays; 0.5^2 / 1.96^2 leaves 0.0151 to 0.1.

    And 0.4^2 / 1.96^2 = 0.0416 is below what stays.
    """
    squares = Squares(4.0, 2.0, 0.0, freedom=3)
    assert repeats_needed(0.5, squares, 20, 4) == 7
    assert repeats_needed(0.4, squares, 20, 4) is None


@pytest.mark.parametrize("needed", [fields_needed, repeats_needed])
def test_nothing_tells_equals_apart(needed):
    with pytest.raises(ValueError, match="difference of 0"):
        needed(0.0, Squares(1.0, 1.0, 1.0, freedom=2), 24, 3)
