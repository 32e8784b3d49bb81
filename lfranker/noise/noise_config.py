"""Which noise training patches get, by name, and what each patch draws of its parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from lfranker.arrays import Image
from lfranker.noise.components import COMPONENTS, canonical, components_of, composed_noise
from lfranker.noise.models import (
    Range,
    gamma_noise,
    literal_noise,
    microscope_noise,
    mixed_noise,
    poisson_gaussian_noise,
    sequential_noise,
)
from lfranker.noise.scan_correlation import Kernel


@dataclass(frozen=True)
class NoiseRanges:
    """Mode and parameters; each patch draws its own of those that the mode uses."""

    alpha: Range = (1.0, 1.0)  # weight of the Poisson part in Eq. 1
    beta: Range = (1.0, 1.0)  # weight of the speckle part
    peak: Range = (20.0, 200.0)  # counts at full scale, drawn log-uniformly
    speckle_variance: Range = (0.01, 0.01)  # relative
    correlation: Range = (0.0, 0.0)  # lag 1 along x
    noise: str = "eq1"  # one of MODES, or components joined by +
    sigma: Range = (0.0, 0.03)  # read-out noise, of full scale; 0.016 in one instrument at 100 ns
    black: Range = (0.0, 0.0)  # brightness without signal, of full scale
    line_offset: Range = (0.0, 0.0)  # deviation of the lines' offsets, of full scale
    saturation: Range = (1.0, 1.0)  # where the detector ends, of full scale
    kernel: Kernel = (1.0,)  # shape of the correlation's side taps
    gain: Range = (1.0, 1.0)  # of the noisy scan's brightness against the clean one's, any mode
    offset: Range = (0.0, 0.0)  # added to it, of full scale


@dataclass(frozen=True)
class Mode:
    apply: Callable[..., Image]  # (clean, rng=..., and each of ``uses`` by name)
    uses: tuple[str, ...]  # in the order in which they are drawn: stored datasets hang on it


MODES: Mapping[str, Mode] = {
    "eq1": Mode(mixed_noise, ("alpha", "beta", "peak", "speckle_variance", "correlation")),
    "mix": Mode(
        partial(mixed_noise, alpha=0.5, beta=0.5), ("peak", "speckle_variance", "correlation")
    ),
    "sequential": Mode(sequential_noise, ("peak", "speckle_variance", "correlation")),
    "literal": Mode(literal_noise, ("alpha", "beta", "peak", "speckle_variance")),
    "poisson-gaussian": Mode(poisson_gaussian_noise, ("peak", "sigma", "correlation")),
    "gamma": Mode(gamma_noise, ("speckle_variance", "correlation")),
    "microscope": Mode(
        microscope_noise,
        ("peak", "sigma", "correlation", "kernel", "black", "line_offset", "saturation"),
    ),
}


ALLOWED = f"{', '.join(MODES)}, or some of {', '.join(COMPONENTS)} joined by +"


def mode_of(noise: str) -> Mode:
    """One of MODES, or of components. Raises ValueError where there is no such noise."""
    if noise in MODES:
        return MODES[noise]
    if not components_of(noise):
        raise ValueError(f"noise is {noise!r}; allowed are {ALLOWED}")
    if canonical(noise) != noise:
        raise ValueError(f"noise is {noise!r}; its components are named {canonical(noise)}")
    return _composed(noise)


@cache
def _composed(noise: str) -> Mode:
    names = tuple(noise.split("+"))
    uses = tuple(COMPONENTS[name].parameter for name in names)
    return Mode(partial(composed_noise, names=names), uses)


def add_noise(clean: Image, ranges: NoiseRanges, rng: np.random.Generator) -> Image:
    """``clean`` with noise of the mode; parameters and noise are drawn from ``rng`` alone."""
    mode = mode_of(ranges.noise)
    seen = _as_noisy(clean, ranges, rng)
    values = {name: _draw(name, getattr(ranges, name), rng) for name in mode.uses}
    return mode.apply(seen, rng=rng, **values)


def _as_noisy(clean: Image, ranges: NoiseRanges, rng: np.random.Generator) -> Image:
    """``clean`` at the brightness of a noisy scan; nothing is drawn where that is the same."""
    if (ranges.gain, ranges.offset) == ((1.0, 1.0), (0.0, 0.0)):
        return clean
    gain, offset = rng.uniform(*ranges.gain), rng.uniform(*ranges.offset)
    return np.clip(np.float32(gain) * clean + np.float32(offset), 0, 1)


def _draw(name: str, value: Range | Kernel, rng: np.random.Generator) -> float | Kernel:
    if name == "kernel":
        return value
    low, high = value
    if name == "peak":
        return float(np.exp(rng.uniform(*np.log((low, high)))))
    return rng.uniform(low, high)
