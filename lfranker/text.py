"""Text forms of lists and of named numbers."""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path


def as_text(values: Mapping[str, float]) -> str:
    """`psnr=0.1,ssim=0.005`, as `parse_values` reads it."""
    return ",".join(f"{name}={value:g}" for name, value in values.items())


def parse_values(text: str, allowed: Iterable[str] | None = None) -> dict[str, float]:
    """`psnr=0.1,ssim=0.005` as numbers, none below 0. Raises ValueError naming what is wrong.

    `allowed`: the names that are; None: any.
    """
    values: dict[str, float] = {}
    known = None if allowed is None else list(allowed)
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"{part.strip()!r} is not NAME=NUMBER") from None
        if known is not None and name not in known:
            raise ValueError(f"{name!r} is no criterion; allowed are {', '.join(known)}")
        if name in values or not isfinite(value) or value < 0:
            raise ValueError(f"{part.strip()!r}: one number of 0 or more for each is allowed")
        values[name] = value
    return values


def check_name(path: Path) -> None:
    """Raise ValueError where a file's name is not UTF-8: tables and pages could not name it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{printable(str(path))}: the name is not UTF-8, rename it") from None


def listed(names: Iterable[str], room: int = 200) -> str:
    """Names joined by commas, as many as fit into `room` characters: "a, b and 3 more"."""
    shown: list[str] = []
    left = list(names)
    for name in left:
        if shown and len(", ".join([*shown, name])) > room:
            break
        shown.append(name)
    more = len(left) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def printable(name: str) -> str:
    """Return the name of a file as one line of text: it need not be UTF-8.

    Control characters are escaped, which would begin a line of their own or colour a terminal.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
