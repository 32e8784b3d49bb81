"""Noise put together from components, named by them: "poisson+gaussian+correlation".

clamp(x + sum of the parts, 0, 1). ``correlation`` is a filter along x of the parts that are white;
line offsets are not: along x they are constant, and the filter would only make them larger.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lfranker.arrays import Image
from lfranker.noise.models import (
    Range,
    line_offsets,
    put_on,
    read_out_noise,
    shot_noise,
    speckle_noise,
)

Part = Callable[[Image, float, np.random.Generator], Image]
CORRELATION = "correlation"


@dataclass(frozen=True)
class Component:
    parameter: str  # its setting, a field of ``NoiseConfig``
    blind: Range  # of that setting where the settings' own range is zero
    part: Part | None  # (clean, parameter, rng) -> what it adds to clean; None: filters the parts
    white: bool = True  # whether it is filtered


def _shot(clean: Image, peak: float, rng: np.random.Generator) -> Image:
    return shot_noise(clean, peak, rng) - clean


def _speckle(clean: Image, variance: float, rng: np.random.Generator) -> Image:
    return speckle_noise(clean, variance, rng) - clean


COMPONENTS: Mapping[str, Component] = {  # in the order in which they are named and drawn
    "poisson": Component("peak", (20.0, 200.0), _shot),
    "gaussian": Component("sigma", (0.0, 0.03), read_out_noise),
    "speckle": Component("speckle_variance", (0.0, 0.05), _speckle),
    "lines": Component("line_offset", (0.0, 0.02), line_offsets, white=False),
    CORRELATION: Component("correlation", (0.0, 0.5), None),
}


def composed_noise(
    clean: Image, rng: np.random.Generator, names: Sequence[str], **values: float
) -> Image:
    """``clean`` with the noise of some components; ``values`` are theirs, by setting."""
    white, level = np.zeros_like(clean), clean
    for component in (COMPONENTS[name] for name in names):
        if component.part is None:
            continue
        part = component.part(clean, values[component.parameter], rng)
        if component.white:
            white += part
        else:
            level = level + part
    return put_on(level, white, values.get(CORRELATION, 0.0))


def parse_components(text: str, separator: str = "+") -> tuple[str, ...]:
    """Names of components in their order. Raises ValueError naming what is unknown or twice."""
    names = [name.strip() for name in text.split(separator)]
    unknown = [name for name in names if name not in COMPONENTS]
    if unknown or len(set(names)) < len(names):
        what = f"unknown {', '.join(map(repr, unknown))}" if unknown else "one is named twice"
        raise ValueError(
            f"noise components {text!r}: {what}; allowed are {', '.join(COMPONENTS)}, each once"
        )
    return tuple(name for name in COMPONENTS if name in names)


def canonical(text: str) -> str:
    """``"correlation+poisson"`` to ``"poisson+correlation"``.

    Raises ValueError where it is not a noise: correlation has nothing to filter.
    """
    names = parse_components(text)
    if not is_noise(names):
        white = ", ".join(name for name, c in COMPONENTS.items() if c.part and c.white)
        raise ValueError(
            f"noise {text!r}: correlation filters other noise, and there is none that it could; "
            f"add one or more of {white}"
        )
    return "+".join(names)


def is_noise(names: Iterable[str]) -> bool:
    """Return whether there is noise to add, and noise to filter where a filter is asked for."""
    parts = [COMPONENTS[name] for name in names]
    filtered = any(component.part is None for component in parts)
    return any(c.part is not None and (c.white or not filtered) for c in parts)


def same_noise(names: Iterable[str]) -> frozenset[str]:
    """The components that make a difference: correlation does not where it filters nothing."""
    found = frozenset(names)
    return found if not found or is_noise(found) else found - {CORRELATION}


def noise_subsets(names: Sequence[str]) -> list[str]:
    """Every noise that some of the components make, by size, then by their order."""
    every = (s for size in range(1, len(names) + 1) for s in combinations(names, size))
    return ["+".join(subset) for subset in every if is_noise(subset)]


def components_of(noise: str) -> frozenset[str]:
    """Components that a noise is put together from; none where it is another kind of noise."""
    names = frozenset(noise.split("+"))
    return names if names <= set(COMPONENTS) else frozenset()
