"""Sample sizes at which the difference of two models would be found with a chance of 80 %."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from lfranker.arrays import Floats
from lfranker.statistics.intervals import Chance, Squares

POWER = 0.8
DRAWN = 200  # of the draws, each with a difference and variances that may be true
MOST_TIMES = 100  # what there is; more is not looked at
WIDEST = 20  # factor between the ends of a range that still says something
MIDDLE = (0.25, 0.75)  # of the draws, between which a range lies


@dataclass(frozen=True)
class Planned:
    """A difference that is to be found: what it may be, its squares, and the size they are of.

    level: chance of an interval's missing the truth beyond which the models differ.
    """

    differences: Floats  # (draws,) as of `true_means`
    squares: Squares
    fields: int
    repeats: int
    level: float


def fields_needed(planned: Planned, chance: Chance) -> tuple[int, int] | None:
    """How many fields it takes with as many repeats, from one quartile to the other.

    Quartiles of what the difference and the variances may be: averaged over all of that, it is
    found with 80 % at the upper end. None where that cannot be said: the range is wide, or what
    the repeats scatter hides the difference from any number of fields.
    """
    field, repeat, rest = _drawn(planned, chance)
    numbers = _numbers(planned.fields)
    within = np.maximum(repeat - rest, 0.0) / planned.fields / planned.repeats
    between = field / planned.repeats
    freedoms = numbers - 1 + _lent(planned), np.full(len(numbers), planned.repeats - 1.0)
    return _range(planned, numbers, between[:, None] / numbers, within[:, None], freedoms)


def repeats_needed(planned: Planned, chance: Chance) -> tuple[int, int] | None:
    """How many repeats it takes on the same fields, as `fields_needed`; None of a single repeat."""
    if planned.repeats == 1:
        return None
    field, repeat, rest = _drawn(planned, chance)
    numbers = _numbers(planned.repeats)
    between = np.maximum(field - rest, 0.0) / planned.repeats / planned.fields
    within = repeat / planned.fields
    freedoms = np.full(len(numbers), planned.fields - 1.0) + _lent(planned), numbers - 1.0
    return _range(planned, numbers, between[:, None], within[:, None] / numbers, freedoms)


def _lent(planned: Planned) -> float:
    """Degrees of freedom over fields that other models lend.

    Those over repeats are not counted on: new repeats may show the one or the other as erratic.
    """
    return planned.squares.field_freedom - (planned.fields - 1)


def _drawn(planned: Planned, chance: Chance) -> tuple[Floats, Floats, Floats]:
    """(DRAWN,) each: squares over fields, over repeats and of the rest that may be true."""
    return chance.parts(planned.squares, DRAWN)


def _numbers(now: int) -> Floats:
    """Candidates: each number at first, then in steps of 8 %."""
    steps = np.geomspace(now + 1, MOST_TIMES * now, int(np.log(MOST_TIMES) / np.log(1.08)))
    return np.unique(np.ceil(np.concatenate([np.arange(now + 1, now + 9), steps])))


def _range(
    planned: Planned, numbers: Floats, between: Floats, within: Floats, own: tuple[Floats, Floats]
) -> tuple[int, int] | None:
    """Ends of the range, of variances (DRAWN, numbers) and degrees of freedom at each number.

    An estimate t of its errors off 0 is found if it is beyond the interval's half width; Student's
    t of the two parts' common degrees of freedom (Satterthwaite 1946).
    """
    total = between + within
    parts = between**2 / own[0] + within**2 / np.maximum(own[1], 1.0)
    freedom = np.median(total**2 / np.where(parts > 0, parts, np.inf), axis=0)
    freedom = np.maximum(freedom, 1.0)
    beyond = student.ppf(1 - planned.level / 2, freedom) + student.ppf(POWER, freedom)
    size = np.abs(planned.differences[:DRAWN])
    enough = size[:, None] >= beyond * np.sqrt(total)
    needed = np.where(enough.any(axis=1), numbers[np.argmax(enough, axis=1)], np.inf)
    low, high = np.quantile(needed, MIDDLE, method="inverted_cdf")
    if not np.isfinite(high) or high > WIDEST * low:
        return None
    return int(low), int(high)
