"""Metadata of a scan, and what all vendors' readers share: numbers with units out of text."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

Size = tuple[int, int]  # width and height in px

LENGTHS = {
    "fm": 1e-15,
    "angstrom": 1e-10,
    "pm": 1e-12,
    "nm": 1e-9,
    "um": 1e-6,
    "micron": 1e-6,
    "microns": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
}
TIMES = {
    "ps": 1e-12,
    "ns": 1e-9,
    "us": 1e-6,
    "usec": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "min": 60.0,
    "mins": 60.0,
    "hours": 3600.0,
}
PLAIN = {"": 1.0}  # numbers without a unit
MAGNIFICATIONS = {**PLAIN, "x": 1.0, "k": 1e3, "kx": 1e3}
# of a whole number
GROUPED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:[ ,']\d{3})+(?![\d,])", re.ASCII)
MOST_PASSES = 1_000_000  # a larger number is no count of lines or frames: the file was damaged
QUANTITY = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([a-z ]*)\.?", re.ASCII)
# 1,234 may be either; 0,234 and 1234,567 are not grouped
DECIMAL_COMMA = re.compile(
    r"(?<![\d.,])([-+]?(?:\d+(?=,(?:\d{1,2}|\d{4,})(?!\d))|0+|\d{4,})),(\d+)(?!\d)", re.ASCII
)
ANY_COMMA = re.compile(r"(?<![\d.,])([-+]?\d+),(\d+)(?!\d)", re.ASCII)
# not 1024,768, which may be a size
SHOWS_DECIMAL_COMMA = re.compile(
    r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+)\s*[a-zµμ]*[%°]?", re.ASCII | re.IGNORECASE
)
# The micro sign, the Greek letter, and what either becomes in the wrong code page, in lower case.
MICRO = ("âµ", "µ", "μ", "\x83ê", "ｵ", "\ufffd")
SIZE = re.compile(r"(\d{1,9})(?:\s*[x*,;]\s*|\s+)(\d{1,9})(?:\s*(?:px|pixels?))?", re.ASCII)


@dataclass(frozen=True)
class ScanMetadata:
    """Settings of a scan. None where the file does not say it legibly; see ``notices``."""

    pixel_size: float | None = None  # m, along the fast axis
    exposure: float | None = None  # s that the beam spent on a pixel, all passes added up
    scan_speed: str | None = None  # the vendor's own name or number of it
    passes: int = 1  # lines or frames averaged at that scan speed, as far as the file says
    stage: tuple[float, float] | None = None  # x, y in m
    data_bar: int | None = None  # px at the bottom of the image; 0: the vendor says it has none
    field_width: float | None = None  # m, along the fast axis
    vendor: str | None = None
    notices: tuple[str, ...] = ()  # what was missing or illegible


@dataclass
class Fields:
    """Texts of a file by name, in any case.

    What is asked for and cannot be had is noted in ``notices``.
    """

    texts: Mapping[str, str]
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        lower: dict[str, str] = {}
        for name, value in self.texts.items():
            lower.setdefault(name.lower(), value)
        self.texts = lower

    def has(self, *names: str) -> bool:
        """Return whether one of ``names`` is there and not empty: what is optional is asked so."""
        return any(self.texts.get(name.lower(), "").strip() for name in names)

    def text(self, *names: str) -> str | None:
        """Return the first text of ``names`` that is there and not empty."""
        for name in names:
            if value := self.texts.get(name.lower(), "").strip():
                return value
        present = any(name.lower() in self.texts for name in names)
        self.notices.append(f"{names[0]} is {'empty' if present else 'missing'}")
        return None

    def number(self, *names: str, units: Mapping[str, float], default: str = "") -> float | None:
        """Return a number in SI units. ``default`` is the unit of a number that comes without one.

        A ``default`` of "" means that a number without a unit is not accepted.
        """
        text = self.text(*names)
        return None if text is None else self._converted(names[0], text, units, default)

    def positive(self, *names: str, units: Mapping[str, float], default: str = "") -> float | None:
        """Return a number as ``number`` does, and None where it is not above 0."""
        return self._above_zero(names[0], self.number(*names, units=units, default=default))

    def magnification(self, name: str) -> float | None:
        """Return a magnification, written as "1000", "1,000 x", "x1000" or "1.5kx"; above 0.

        None has three decimals: a comma in front of three digits groups them.
        """
        text = self.text(name)
        if text is None:
            return None
        text = text.replace("\N{MULTIPLICATION SIGN}", "x")
        plain = GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), text).lstrip("xX ")
        value = self._converted(name, plain, MAGNIFICATIONS, "")
        return self._above_zero(name, value)

    def _above_zero(self, name: str, value: float | None) -> float | None:
        if value is not None and value <= 0:
            self.notices.append(f"{name} = {value:g} is not above 0")
            return None
        return value

    def count(self, *names: str) -> int | None:
        """Return how many there are, at least 1: microscopes write 0, too, for a single pass."""
        value = self.number(*names, units=PLAIN)
        if value is not None and not (0 <= value <= MOST_PASSES and value == int(value)):
            self.notices.append(f"{names[0]} = {value:g} is not a count")
            return None
        return None if value is None else max(int(value), 1)

    def passes(self, *names: str) -> int:
        """Return the largest of the counts that are there, 1 where none is.

        Vendors write one count into several sections.
        """
        return max((self.count(name) or 1 for name in names if self.has(name)), default=1)

    def point(self, x: str, y: str, default: str) -> tuple[float, float] | None:
        """Return the position, in m, whose coordinates have the names ``x`` and ``y``."""
        across = self.number(x, units=LENGTHS, default=default)
        along = self.number(y, units=LENGTHS, default=default)
        return None if across is None or along is None else (across, along)

    def size(self, name: str) -> Size | None:
        """Return width and height written as "1280x960" or "1280 960"; None where they are not."""
        found = SIZE.fullmatch((self.text(name) or "").lower())
        return (int(found[1]), int(found[2])) if found else None

    def pixel_size(
        self, image: Size, *, stated: float | None, width: float | None, scan: Size | None
    ) -> float | None:
        """Return the pixel size of an image, m, from what its file says of a scan of size ``scan``.

        ``stated``: the scan's pixel size; ``width``: its field's. The stated size holds at the
        scan's resolution only; an image that was rescaled has the field's width all the same. What
        an image that was cropped shows of the field is not known.
        """
        if scan is None or scan[0] == image[0]:
            return stated or (width / image[0] if width else None)
        if abs(scan[1] * image[0] - image[1] * scan[0]) > scan[0]:
            sizes = f"{scan[0]} x {scan[1]} px, the image has {image[0]} x {image[1]}"
            self.notices.append(f"the pixel size is that of a scan of {sizes}")
            return None
        width = width or (stated * scan[0] if stated else None)
        return width / image[0] if width else None

    @cached_property
    def _has_decimal_commas(self) -> bool:
        """Return whether a number of the file has a comma that cannot group its digits."""
        return any(SHOWS_DECIMAL_COMMA.fullmatch(text.strip()) for text in self.texts.values())

    def _converted(
        self, name: str, text: str, units: Mapping[str, float], default: str
    ) -> float | None:
        plain = text.lower()
        for sign in MICRO:
            plain = plain.replace(sign, "u")
        plain = plain.replace("å", "angstrom")
        comma = ANY_COMMA if self._has_decimal_commas else DECIMAL_COMMA
        found = QUANTITY.fullmatch(comma.sub(r"\1.\2", plain))
        unit = (found[2].replace(" ", "") or default) if found else ""
        value = float(found[1]) * units[unit] if found and unit in units else math.nan
        if math.isfinite(value):
            return value
        known = f", in one of {list(units)}" if any(units) else ""
        self.notices.append(f"{name} = {text[:40]!r} is not a number{known}")
        return None


def times(first: float | None, *counts: int | None) -> float | None:
    """Return the product; None where ``first`` is None, while unknown counts are left out."""
    return None if first is None else first * math.prod(n for n in counts if n is not None)


def rows_below(scan: Size, image: Size) -> int | None:
    """Return how many rows ``image`` has below the scan that it shows, the data bar.

    None where the widths differ, since then the image was rescaled, and where the scan would have
    more rows than the image or at most half of them.
    """
    same_width = scan[0] == image[0]
    return image[1] - scan[1] if same_width and image[1] // 2 < scan[1] <= image[1] else None


def key_values(text: str) -> dict[str, str]:
    """Return the ``NAME=VALUE`` lines of ``text``; the first of equal names counts."""
    values: dict[str, str] = {}
    for name, value in re.findall(r"(\w+)[ \t]*=([^\r\n\0]*)", text, re.ASCII):
        values.setdefault(name, value.strip())
    return values
