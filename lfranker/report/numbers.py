"""Numbers as words: with as many digits as their interval supports."""

from collections.abc import Iterable
from math import floor, isfinite, log10

import numpy as np
import pandas as pd

from lfranker.text import listed

DIGITS = 3  # significant ones of a number without an interval
NOTHING = 1e-9  # what is smaller is left over from sums of floats


def estimate(value: float, low: float, high: float, unit: str = "", *, signed: bool = False) -> str:
    """Write a number with the ends of its interval: "0.35 dB (0.21 to 0.49)".

    Half the width of the interval keeps one significant digit, two where the first is a 1: what
    is finer than that is noise. ``signed``: a plus stands before what is above 0.
    """
    if not (isfinite(low) and isfinite(high)):
        return f"{_written(value, _places(value, DIGITS), signed)}{_after(unit)} (interval unknown)"
    half = float(f"{(high - low) / 2:.1e}")
    places = _places(half, 1 if f"{half:e}"[0] > "1" else 2)
    if half < NOTHING:
        places = _places(value, DIGITS)
    first, *ends = (_written(number, places, signed) for number in (value, low, high))
    return f"{first}{_after(unit)} ({' to '.join(ends)})"


def estimates(
    table: pd.DataFrame, columns: tuple[str, str, str] = ("value", "low", "high"), unit: str = ""
) -> list[str]:
    """Write each row as its name and signed `estimate`: "ssim +0.35 dB (+0.21 to +0.49)"."""
    rows = zip(table.index, table[list(columns)].to_numpy(np.float64).tolist(), strict=True)
    return [
        f"{name} {estimate(value, low, high, unit, signed=True)}"
        for name, (value, low, high) in rows
    ]


def number(value: float, unit: str = "") -> str:
    """Write a number that has no interval, with DIGITS significant digits."""
    return f"{_written(value, _places(value, DIGITS), False)}{_after(unit)}"


def in_100(share: float) -> str:
    """Write a share as so many of 100; all of them, or none, only where it is exactly so."""
    rounded = round(100 * share)
    if 0 < share < 1:
        rounded = min(max(rounded, 1), 99)
    return f"{rounded} of 100"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def share(value: float) -> str:
    """Write a probability in percent, none of which is certain."""
    return "less than 1 %" if value < 0.01 else "over 99 %" if value > 0.99 else percent(value)


def joined(words: Iterable[str]) -> str:
    """Join all words: "a, b and c"."""
    *others, last = words
    return " and ".join([", ".join(others), last] if others else [last])


def named(names: Iterable[str], room: int = 200) -> str:
    """Names in brackets with a blank before them; nothing where there are none."""
    words = listed(names, room)
    return f" ({words})" if words else ""


def is_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _after(unit: str) -> str:
    return f" {unit}" if unit else ""


def _places(value: float, digits: int) -> int:
    """Places after the point at which a number has so many significant digits."""
    if abs(value) < NOTHING or not isfinite(value):
        return 0
    return max(0, digits - 1 - floor(log10(abs(value))))


def _written(value: float, places: int, signed: bool) -> str:
    rounded = round(value, places) + 0.0  # no negative zero
    return f"{rounded:{'+' if signed and rounded else ''}.{places}f}"
