"""The noise that a user asks for: a mode, or a microscope's profile, as settings of a dataset."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfranker.files import looked_for
from lfranker.microscopes.scan_speed import seconds_of
from lfranker.noise.components import (
    COMPONENTS,
    canonical,
    components_of,
    noise_subsets,
    parse_components,
)
from lfranker.noise.dwell_time_scaling import carry
from lfranker.noise.models import Range
from lfranker.noise.noise_config import ALLOWED, FORMER, MODES, OF_SCANS, NoiseConfig, mode_of
from lfranker.noise.profile import LAGS, Estimate, Profile, SpeedNoise, read_profile

# A fit to scans of one FEI Quanta at 10 kV and 100 ns a pixel (Shin 2023,
# 10.1088/1361-6501/ad7e41): the values behind `simulation.scans.SPEEDS`.
FEI_SPEED, FEI_DWELL = "100ns", 100e-9  # s
FEI_FIT = {"gamma": 1 / 76, "sigma": 0.016, "black": 0.0, "line_offset": 0.0}
FEI_LAGS = (0.49, 0.10, 0.03)


def parse_noise(text: str) -> dict[str, Any]:
    """Settings for MODE, COMPONENT+COMPONENT, PROFILE.json, PROFILE.json@DWELL, microscope@DWELL.

    DWELL is a time such as 280ns: the profile carried to it. Of a profile with several speeds the
    measured one nearest in dwell time is carried.
    """
    if text in MODES or text in OF_SCANS:
        return {"noise": text}
    if text in FORMER:
        return dict(FORMER[text])
    if components_of(text):
        return {"noise": canonical(text)}
    head, _, dwell = text.rpartition("@")
    seconds = seconds_of(dwell) if head else None
    if seconds is None:
        return _profile(text).settings()
    profile = fei_profile() if head == "microscope" else _profile(head)
    return carried(profile, {dwell: seconds}).settings()


def carried(profile: Profile, dwell_times: Mapping[str, float]) -> Profile:
    """The profile at other dwell times (s, by name of the speed), from the nearest measured one."""
    known = {k: noise for k, noise in profile.speeds.items() if noise.dwell_time}
    if not known:
        raise ValueError(
            f"the dwell times of {', '.join(profile.speeds)} are not known: they cannot be carried "
            f"to {', '.join(dwell_times)}"
        )
    speeds = {}
    for name, seconds in dwell_times.items():
        source = min(known, key=lambda k: _apart(known[k].dwell_time or seconds, seconds))
        speeds[name] = carry(known[source], seconds, source)
    return replace(profile, speeds=speeds)


def parse_dwell_times(text: str) -> dict[str, float]:
    """Times by name: "280ns,2us" -> {"280ns": 2.8e-7, "2us": 2e-6}, s."""
    times = {}
    for name in text.split(","):
        seconds = seconds_of(name.strip())
        if seconds is None:
            raise ValueError(f"{name!r} is not a dwell time; allowed are e.g. 280ns or 280ns,2us")
        times[name.strip()] = seconds
    return times


def with_noise(given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with its "noise" spread into settings; what is given beside it stays.

    The noise is what ``parse_noise`` reads, or has read.
    """
    noise = given.get("noise") or {}
    spread = parse_noise(noise) if isinstance(noise, str) else noise
    asked = {name: value for name, value in given.items() if value is not None and name != "noise"}
    return {**given, **spread, **asked}


def refuse_unused(given: Mapping[str, Any], mode: str) -> None:
    """Raise ValueError naming an option without effect on the mode of the noise."""
    for name in unused(mode):
        if given.get(name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} has no effect on noise {mode!r}; its parameters are "
                f"{', '.join(mode_of(mode).uses) or 'none'}"
            )


def unused(mode: str) -> list[str]:
    """Settings that some noise has, but this one has not."""
    parameters = {name for known in (*MODES, *OF_SCANS) for name in mode_of(known).uses}
    if mode in OF_SCANS:  # their brightness is what it is
        parameters |= {"gain", "offset"}
    return sorted(parameters - set(mode_of(mode).uses))


def blind_ranges(config: NoiseConfig, given: Mapping[str, Any]) -> dict[str, Range]:
    """Return the default range of each component of the noise whose range is zero.

    ValueError where a zero is ``given``: the noise would not be what its name says.
    """
    parts = [COMPONENTS[name] for name in COMPONENTS if name in components_of(config.mode)]
    silent = [part for part in parts if getattr(config, part.parameter) == (0.0, 0.0)]
    for part in silent:
        if given.get(part.parameter) is not None:
            raise ValueError(
                f"--{part.parameter.replace('_', '-')} 0 leaves nothing of a component of noise "
                f"{config.mode!r}: leave that component out, or give a range above 0"
            )
    return {part.parameter: part.blind for part in silent}


def fei_profile() -> Profile:
    values = {**FEI_FIT, **dict(zip(LAGS, FEI_LAGS, strict=True))}
    estimates = {name: Estimate(value, value, value) for name, value in values.items()}
    return Profile({FEI_SPEED: SpeedNoise(estimates, FEI_DWELL)}, {"origin": "built in"})


def _profile(text: str) -> Profile:
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(
            f"{text!r} is neither a mode nor a file{looked_for(path)}; allowed are {ALLOWED}, "
            "microscope@DWELL, a profile of noise-fit, and PROFILE@DWELL, DWELL being a time such "
            "as 280ns"
        )
    return read_profile(path)


def _apart(a: float, b: float) -> float:
    return max(a / b, b / a)


Noises = dict[str, dict[str, Any]]
"""Settings as of ``parse_noise``, by label."""


def parse_noises(text: str) -> Noises:
    """``"eq1,profile.json@2us"`` as noises. Raises ValueError naming what is none, or twice."""
    found: Noises = {}
    for part in (part.strip() for part in text.split(",")):
        try:
            label, settings = label_of(part), parse_noise(part)
        except ValueError as error:
            raise ValueError(f"noise {part!r}: {error}") from error
        if label in found:
            raise ValueError(
                f"two noises are called {label!r}: name each once, and give profiles names of "
                f"their own"
            )
        found[label] = settings
    return found


def label_of(text: str) -> str:
    """Name a noise in names of runs and in tables: a mode, components, or a file's name.

    ``"fits/quanta.json@2us"`` is ``"quanta@2us"``. Raises ValueError where a profile is called
    like another kind of noise.
    """
    if text in (*MODES, *OF_SCANS, *FORMER):
        return text
    if components_of(text):
        return canonical(text)
    head, _, dwell = text.rpartition("@")
    carried = bool(head) and seconds_of(dwell) is not None
    if carried and head == "microscope":  # a fit that is built in
        return text
    name = re.sub(r"[^\w.+-]", "-", Path(head if carried else text).stem)
    if name in (*MODES, *OF_SCANS, *FORMER) or components_of(name):
        raise ValueError(f"the profile is called like the noise {name!r}: give it another name")
    return f"{name}@{dwell}" if carried else name


def parse_component_set(text: str) -> tuple[str, ...]:
    """``"poisson,correlation"`` as names of components, of which the subsets are compared."""
    return parse_components(text, ",")


def all_noises(listed: Mapping[str, dict[str, Any]], components: Sequence[str]) -> Noises:
    """Noises listed, then every other noise that some of the components make.

    Raises ValueError for fewer than two.
    """
    composed = {name: {"noise": name} for name in noise_subsets(components)}
    found = {**listed, **{k: v for k, v in composed.items() if k not in listed}}
    if len(found) < 2:
        said = f"there is only {', '.join(found)}" if found else "there is none"
        raise ValueError(
            f"--noises and --noise-components compare two noises or more, {said}; --noise takes one"
        )
    return found
