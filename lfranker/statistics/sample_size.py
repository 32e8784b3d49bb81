"""Sample sizes at which two models that differ as measured are significantly different."""

from math import ceil

from lfranker.statistics.intervals import Squares


def fields_needed(
    difference: float, squares: Squares, fields: int, repeats: int, z: float
) -> int | None:
    """Estimate how many fields it takes with as many repeats; more than there are.

    ``squares`` are those of the difference over ``fields`` and ``repeats``, which do not tell them
    apart; ``z`` is half the width of the interval in standard errors. What the repeats scatter
    stays however many fields there are: None where that alone hides the difference.
    """
    between, within = _variances(difference, squares, fields, repeats)
    room = (difference / z) ** 2 - within / repeats
    return max(fields + 1, ceil(between / room)) if room > 0 else None


def repeats_needed(
    difference: float, squares: Squares, fields: int, repeats: int, z: float
) -> int | None:
    """Estimate how many repeats it takes on the same fields; more than there are.

    None where what the fields scatter alone hides the difference.
    """
    _, within = _variances(difference, squares, fields, repeats)
    shared = max(squares.field - squares.rest, 0.0) / repeats / fields
    room = (difference / z) ** 2 - shared
    return max(repeats + 1, ceil((within + squares.rest / fields) / room)) if room > 0 else None


def standard_error(squares: Squares, fields: int, repeats: int) -> float:
    """Standard error of the difference as it was measured."""
    between, within = _variances(1.0, squares, fields, repeats)
    return float((between / fields + within / repeats) ** 0.5)


def _variances(
    difference: float, squares: Squares, fields: int, repeats: int
) -> tuple[float, float]:
    """Variances of a field's mean over the repeats, and of a repeat over endlessly many fields."""
    if difference == 0:
        raise ValueError("a difference of 0 is not told apart by any number of fields or repeats")
    within = max(squares.repeat - squares.rest, 0.0) / fields if repeats > 1 else 0.0
    return squares.field / repeats, within
