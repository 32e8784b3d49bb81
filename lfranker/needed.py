"""How much more it would take to tell two models apart that differ as much as they do."""

from math import ceil

from lfranker.uncertainty import Squares

Z = 1.96  # half the width of a 95 % interval, in standard errors


def fields_needed(difference: float, squares: Squares, fields: int, repeats: int) -> int | None:
    """About how many fields it takes with as many repeats; at least 2.

    ``squares`` are those of the difference over ``fields`` and ``repeats``. What the repeats
    scatter stays however many fields there are: None where that alone hides the difference.
    """
    between, within = _variances(difference, squares, fields, repeats)
    room = (difference / Z) ** 2 - within / repeats
    return max(2, ceil(between / room)) if room > 0 else None


def repeats_needed(difference: float, squares: Squares, fields: int, repeats: int) -> int | None:
    """About how many repeats it takes on the same fields; at least 2.

    None where what the fields scatter alone hides the difference.
    """
    _, within = _variances(difference, squares, fields, repeats)
    shared = max(squares.field - squares.rest, 0.0) / repeats / fields
    room = (difference / Z) ** 2 - shared
    return max(2, ceil((within + squares.rest / fields) / room)) if room > 0 else None


def _variances(
    difference: float, squares: Squares, fields: int, repeats: int
) -> tuple[float, float]:
    """Of a field's mean over the repeats, and of a repeat over endlessly many fields."""
    if difference == 0:
        raise ValueError("a difference of 0 is not told apart by any number of fields or repeats")
    within = max(squares.repeat - squares.rest, 0.0) / fields if repeats > 1 else 0.0
    return squares.field / repeats, within
