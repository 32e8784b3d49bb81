"""The noise of a microscope as measured, for every scan speed: a file that training takes.

Variance of the noise: gamma (x - black) + sigma^2, x the brightness of the noisy scan and black
that without signal; autocorrelation along x at lags 1 to 3; all of full scale.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lfranker.files import write_text
from lfranker.noise.models import Range
from lfranker.noise.scan_correlation import MAX_LAG1, kernel_for, reachable

SCHEMA = 1  # of the file
KIND = "lfranker noise profile"
LAGS = ("lag1", "lag2", "lag3")
NEEDED = ("gamma", "sigma", "black", *LAGS, "line_offset")
FROM_PAIRS = ("lag_y", "gain", "offset")  # a single scan does not show them
WHITE = "gray value of full brightness"  # in a profile's origin
WIDENED = 1.25  # factor; an interval is of one session, and gamma follows the contrast knob


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SpeedNoise:
    """The noise at one scan speed: all of NEEDED, and of FROM_PAIRS what was measured."""

    estimates: Mapping[str, Estimate]
    dwell_time: float | None  # s a pixel; None where it is not known
    derived_from: str | None = None  # the speed that was measured, where this one was not

    def __getitem__(self, name: str) -> float:
        return self.estimates[name].value

    @property
    def lags(self) -> tuple[float, ...]:
        return tuple(self[name] for name in LAGS)

    @property
    def correlation(self) -> tuple[float, tuple[float, ...]]:
        """The autocorrelation at lag 1 that can be made, and the kernel that makes it."""
        kernel = kernel_for(self.lags)
        return min(max(self["lag1"], 0.0), MAX_LAG1, reachable(kernel)), kernel

    def fixed(self) -> dict[str, Any]:
        """Settings of `NoiseConfig` that make this noise at its values; no offset, no gain."""
        lag1, kernel = self.correlation
        values = {
            "peak": 1 / self["gamma"],
            "sigma": self["sigma"],
            "correlation": lag1,
            "black": min(self["black"], 0.5),
            "line_offset": self["line_offset"],
        }
        ranges = {name: (value, value) for name, value in values.items()}
        return {"noise": "microscope", **ranges, "kernel": kernel}


@dataclass(frozen=True)
class Profile:
    speeds: Mapping[str, SpeedNoise]  # by name
    origin: Mapping[str, str]  # what it was measured on, and how

    @property
    def units(self) -> str:
        """Return what the estimates are relative to, in words."""
        white = self.origin.get(WHITE)
        full = f"full brightness, gray value {white}" if white else "full brightness"
        return (
            f"all are relative to {full}: noise at brightness x has the variance "
            "gamma (x - black) + sigma^2, and 1 / gamma is the counts at full brightness; lag1 and "
            "so on are its autocorrelation along x, the fast scan axis, lag_y is that from line to "
            "line, and line_offset the standard deviation of an offset of each line"
        )

    def settings(self) -> dict[str, Any]:
        """Settings of `NoiseConfig` that draw noise like this.

        Every parameter comes from the range over the speeds' intervals, each end widened by a
        quarter (WIDENED), whatever the others are: a superset of what was measured. The kernel has
        the shape of the speed with the strongest correlation.
        """
        strongest = max(self.speeds.values(), key=lambda noise: noise["lag1"])
        kernel = kernel_for(strongest.lags)
        gamma = self._range("gamma", 0, math.inf)
        return {
            "noise": "microscope",
            **self._brightness(),
            "peak": (1 / gamma[1], 1 / gamma[0]),
            "sigma": self._range("sigma", 0, 1),
            "correlation": self._range("lag1", 0, min(MAX_LAG1, reachable(kernel))),
            "black": self._range("black", 0, 0.5),
            "line_offset": self._range("line_offset", 0, 1),
            "kernel": kernel,
        }

    def _brightness(self) -> dict[str, Range]:
        """Gain and offset from their intervals as they are, of the speeds that were measured.

        None where one of these does not have them; derived speeds never do.
        """
        measured = [noise for noise in self.speeds.values() if noise.derived_from is None]
        return {
            name: (
                min(noise.estimates[name].low for noise in measured),
                max(noise.estimates[name].high for noise in measured),
            )
            for name in ("gain", "offset")
            if measured and all(name in noise.estimates for noise in measured)
        }

    def _range(self, name: str, least: float, most: float) -> Range:
        every = [noise.estimates[name] for noise in self.speeds.values()]
        low = min(estimate.low for estimate in every) / WIDENED
        high = max(estimate.high for estimate in every) * WIDENED
        return min(max(low, least), most), min(max(high, least), most)


def write_profile(profile: Profile, path: Path) -> None:
    """Write the profile as JSON."""
    stored = {"kind": KIND, "schema": SCHEMA, **asdict(profile)}
    write_text(path, json.dumps(stored, indent=1, allow_nan=False) + "\n")


def read_profile(path: Path) -> Profile:
    """Read a profile; ValueError names the file and why it is no profile of this version."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a noise profile ({error})") from error
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise ValueError(f"{path}: not a noise profile; noise-fit makes them")
    if stored.get("schema") != SCHEMA:
        raise ValueError(
            f"{path}: a profile of schema {stored.get('schema')}, this version reads {SCHEMA}; "
            "run noise-fit again"
        )
    try:
        speeds = {name: _speed(noise) for name, noise in stored["speeds"].items()}
        profile = Profile(speeds, {str(k): str(v) for k, v in stored["origin"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: incomplete noise profile ({error!r})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not speeds:
        raise ValueError(f"{path}: a noise profile without scan speeds")
    return profile


def _speed(stored: Mapping[str, Any]) -> SpeedNoise:
    estimates = {name: Estimate(**item) for name, item in stored["estimates"].items()}
    for name in NEEDED:
        estimate = estimates[name]
        ends = (estimate.low, estimate.value, estimate.high)
        least = 0 if name in ("sigma", "black", "line_offset") else -1
        fits = all(math.isfinite(end) for end in ends) and least <= ends[0] <= ends[1] <= ends[2]
        if not fits or (name == "gamma" and ends[0] <= 0):
            raise ValueError(f"{name} is {estimate}; allowed are low <= value <= high in its range")
    dwell = stored["dwell_time"]
    if dwell is not None and not dwell > 0:
        raise ValueError(f"dwell_time is {dwell} s; it must be above 0, or null")
    return SpeedNoise(estimates, dwell, stored["derived_from"])
