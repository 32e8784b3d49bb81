"""Names of scan speeds: the exposure of a pixel ("100ns", "30us") or the vendor's own ("spd3").

They name sub-folders of scans, metrics and models, so they hold only what MLflow allows in names.
"""

import math
import re

from lfranker.microscopes.metadata import ScanMetadata

PREFIXES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0}
UNITS = {f"{prefix}{end}": size for end in ("sec", "s") for prefix, size in PREFIXES.items()}
TIME = re.compile(rf"(\d+(?:[.,]\d+)?)[ _-]?({'|'.join(UNITS)})")
SPEED = re.compile(r"spd(\d+)(?:x(\d+))?")  # Zeiss: the higher, the slower; x: passes averaged
FOREIGN = re.compile(r"[^\w.\- :]", re.ASCII)  # what MLflow refuses in the name of a metric
DIGITS = 3  # microscopes are set to 1, 3, 12.5, ...; the line times of Zeiss hold four digits


def by_speed(names: list[str]) -> list[str]:
    """Sort fast to slow where all names are times ("100ns", "2 µs") or all "spdN"; else by name."""
    return sorted(names, key=_slowness) if known_order(names) else sorted(names)


def known_order(names: list[str]) -> bool:
    """Return whether the names have an order: all are times, or all are scan speeds."""
    return any(all(form.fullmatch(name.lower()) for name in names) for form in (TIME, SPEED))


def exposure_name(metadata: ScanMetadata) -> str | None:
    """Name the speed of a scan: its exposure, else the vendor's scan speed, else None."""
    return time_name(metadata.exposure) if metadata.exposure else vendor_speed_name(metadata)


def time_name(seconds: float) -> str:
    """Write 1e-7 as "100ns": three digits, in the unit that leaves 1 to 999 before the point."""
    rounded = float(f"{seconds:.{DIGITS}g}")
    names = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    unit = next((u for u, size in reversed(names.items()) if rounded >= size * (1 - 1e-9)), "ns")
    return f"{rounded / names[unit]:.{DIGITS}g}{unit}"


def vendor_speed_name(metadata: ScanMetadata) -> str | None:
    """Write the scan speed 3 as "spd3", and keep one that is a word, such as Slow3.

    Eight passes of it, averaged, are "spd3x8": as slow as one of spd6.
    """
    speed = metadata.scan_speed
    if not speed:
        return None
    passes = f"x{metadata.passes}" if metadata.passes > 1 else ""
    number = re.fullmatch(r"(\d+)(?:\.0*)?", speed, re.ASCII)
    return (f"spd{int(number[1])}" if number else FOREIGN.sub("_", speed)) + passes


def nearest_speed(name: str, names: list[str]) -> str:
    """Return the one of ``names`` whose exposure has the ratio to that of ``name`` nearest to 1.

    Each scan speed of Zeiss takes twice the time of the one before, so the nearest number is the
    nearest ratio. Of two that are equally near, the slower one is returned. Raises ValueError
    where the names are not all times or all "spdN", unless ``name`` itself is among them.
    """
    if name in names:
        return name
    if not names or not known_order([name, *names]):
        others = ", ".join(names) or "none"
        raise ValueError(
            f"scan speed {name!r} cannot be compared with {others}: allowed are "
            f"all times, such as 100ns, or all spdN"
        )
    position = _logarithm(name)
    return min(names, key=lambda other: (abs(_logarithm(other) - position), -_logarithm(other)))


def equal_speeds(one: str, other: str) -> bool:
    """Return whether two names say the same speed: "0.1us" and "100 ns"."""
    if not known_order([one, other]):
        return one == other
    return math.isclose(_slowness(one)[0], _slowness(other)[0])


def seconds_of(name: str) -> float | None:
    """Return the exposure that a name says: 1e-7 for "100ns"; None where it is no time above 0."""
    time = TIME.fullmatch(name.lower())
    return (float(f"{_slowness(name)[0]:.12g}") or None) if time else None  # 100 * 1e-9 is 1e-7


def _logarithm(name: str) -> float:
    """Logarithm, to the base 2, of the exposure or of something in proportion to it."""
    slowness, _ = _slowness(name)
    if SPEED.fullmatch(name.lower()):
        return slowness
    return math.log2(slowness) if slowness > 0 else -math.inf


def _slowness(name: str) -> tuple[float, str]:
    if time := TIME.fullmatch(name.lower()):
        return float(time[1].replace(",", ".")) * UNITS[time[2]], name
    speed, _, passes = name.lower().removeprefix("spd").partition("x")
    return float(speed) + math.log2(max(int(passes or 1), 1)), name


def speed_key(speed: str) -> tuple[str, float, str]:
    """Return a sorting key that puts "spd2" before "spd10", and "500ns" before "2us"."""
    found = re.fullmatch(r"(\D*)(\d+(?:\.\d+)?) ?(.*)", speed)
    if not found:
        return speed, 0.0, ""
    words, number, unit = found.groups()
    scale = UNITS.get(unit)
    return words, float(number) * (scale or 1.0), "" if scale else unit
