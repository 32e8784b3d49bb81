"""What is known of how a scan was taken, and numbers out of the text that microscopes write."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

LENGTHS = {"fm": 1e-15, "pm": 1e-12, "nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}
TIMES = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "secs": 1.0,
    "mins": 60.0,
    "hours": 3600.0,
}
VOLTAGES = {"v": 1.0, "volt": 1.0, "kv": 1e3}
FACTORS = {"x": 1.0, "kx": 1e3}
MOST_PASSES = 1_000_000  # more is no count of lines or frames, but a file written over
QUANTITY = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([a-z ]*)", re.ASCII)


@dataclass(frozen=True)
class ScanMetadata:
    """How a scan was taken. None is what the file does not say, or not legibly: see ``notices``."""

    vendor: str | None = None
    pixel_size: float | None = None  # m, along the fast axis
    dwell_time: float | None = None  # s, of one pass of the beam over a pixel
    line_time: float | None = None  # s, as the vendor counts it
    frame_time: float | None = None  # s, as the vendor counts it
    integrations: int | None = None  # passes added up: lines x frames
    averaging: int | None = None  # passes averaged: lines x frames
    scan_speed: str | None = None  # the vendor's own name or number of it
    exposure: float | None = None  # s, of a pixel: dwell time x integrations x averaging
    data_bar: int | None = None  # px at the bottom of the image
    high_voltage: float | None = None  # V
    magnification: float | None = None
    stage: tuple[float, float] | None = None  # x, y in m
    field_width: float | None = None  # m, along the fast axis
    notices: tuple[str, ...] = ()  # what was missing or illegible


@dataclass
class Fields:
    """The texts of a file by name; what is asked for and cannot be had is written down."""

    texts: Mapping[str, str]
    notices: list[str] = field(default_factory=list)

    def text(self, *names: str) -> str | None:
        """The first of ``names`` that is there and not empty."""
        for name in names:
            if value := self.texts.get(name, "").strip():
                return value
        present = any(name in self.texts for name in names)
        self.notices.append(f"{names[0]} is {'empty' if present else 'missing'}")
        return None

    def number(self, *names: str, units: Mapping[str, float], default: str = "") -> float | None:
        """In SI units; ``default`` is the unit of a number without one, "" that there is none."""
        text = self.text(*names)
        return None if text is None else self._converted(names[0], text, units, default)

    def positive(self, *names: str, units: Mapping[str, float], default: str = "") -> float | None:
        """The same, where zero and less make no sense."""
        value = self.number(*names, units=units, default=default)
        if value is not None and value <= 0:
            self.notices.append(f"{names[0]} = {value:g} is not above 0")
            return None
        return value

    def count(self, *names: str) -> int | None:
        """How many passes were combined; microscopes write 0, as well as 1, for a single one."""
        value = self.number(*names, units={"": 1.0})
        if value is not None and not (0 <= value <= MOST_PASSES and value == int(value)):
            self.notices.append(f"{names[0]} = {value:g} is not a count")
            return None
        return None if value is None else max(int(value), 1)

    def point(self, x: str, y: str, default: str) -> tuple[float, float] | None:
        """A position in m."""
        across = self.number(x, units=LENGTHS, default=default)
        along = self.number(y, units=LENGTHS, default=default)
        return None if across is None or along is None else (across, along)

    def _converted(
        self, name: str, text: str, units: Mapping[str, float], default: str
    ) -> float | None:
        plain = text.lower().replace("µ", "u").replace("μ", "u")
        found = QUANTITY.fullmatch(plain)
        unit = (found[2].replace(" ", "") or default) if found else ""
        value = float(found[1]) * units[unit] if found and unit in units else math.nan
        if math.isfinite(value):
            return value
        known = f", in one of {list(units)}" if any(units) else ""
        self.notices.append(f"{name} = {text[:40]!r} is not a number{known}")
        return None


def times(first: float | None, *counts: int | None) -> float | None:
    """Product; None where the first factor is, an unknown count is left out."""
    return None if first is None else first * math.prod(n for n in counts if n is not None)


def key_values(text: str) -> dict[str, str]:
    """``NAME=VALUE`` lines, other lines skipped; of equal names the first counts."""
    values: dict[str, str] = {}
    for name, value in re.findall(r"(\w+)[ \t]*=([^\r\n\0]*)", text, re.ASCII):
        values.setdefault(name, value.strip())
    return values
