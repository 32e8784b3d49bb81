"""Several noises that a power set compares: each has settings of a dataset and a short label."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lfranker.microscopes.scan_speed import seconds_of
from lfranker.noise.components import canonical, components_of, noise_subsets, parse_components
from lfranker.noise.noise_config import MODES
from lfranker.noise.parsing import parse_noise

Noises = dict[str, dict[str, Any]]
"""Settings as of ``noise_choice.parse_noise``, by label."""


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
    """What a noise is called in names of runs and in tables: a mode, components, or a file's name.

    ``"fits/quanta.json@2us"`` is ``"quanta@2us"``. Raises ValueError where a profile is called
    like another kind of noise.
    """
    if text in MODES:
        return text
    if components_of(text):
        return canonical(text)
    head, _, dwell = text.rpartition("@")
    carried = bool(head) and seconds_of(dwell) is not None
    if carried and head == "microscope":  # a fit that is built in
        return text
    name = re.sub(r"[^\w.+-]", "-", Path(head if carried else text).stem)
    if name in MODES or components_of(name):
        raise ValueError(f"the profile is called like the noise {name!r}: give it another name")
    return f"{name}@{dwell}" if carried else name


def parse_component_set(text: str) -> tuple[str, ...]:
    """``"poisson,correlation"`` as names of components, of which the subsets are compared."""
    return parse_components(text, ",")


def all_noises(listed: Mapping[str, dict[str, Any]], components: Sequence[str]) -> Noises:
    """Those listed, then every noise that some of the components make and that is not listed.

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
