"""Noise of training patches, by name, and the parameters that each patch draws."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from lfranker.arrays import Image
from lfranker.noise.components import COMPONENTS, canonical, components_of, composed_noise
from lfranker.noise.models import (
    Range,
    gamma_noise,
    literal_noise,
    microscope_noise,
    mixed_noise,
    sequential_noise,
)
from lfranker.noise.scan_correlation import (
    MAX_LAG1,
    Kernel,
    check_kernel,
    parse_kernel,
    taps_for,
)
from lfranker.options import check, option

FORMER: Mapping[str, Mapping[str, Any]] = {
    "mix": {"noise": "eq1", "alpha": (0.5, 0.5), "beta": (0.5, 0.5)},
    "poisson-gaussian": {"noise": "microscope"},
}
"""Noises that had names of their own, as settings that make the same: they still may be named.

Microscope noise with its usual black, line offset, saturation and kernel is Poisson-Gaussian.
"""


@dataclass(frozen=True)
class Mode:
    apply: Callable[..., Image] | None  # (clean, rng=..., and each of ``uses`` by name)
    uses: tuple[str, ...]  # in the order in which they are drawn: stored datasets hang on it


MODES: Mapping[str, Mode] = {
    "eq1": Mode(mixed_noise, ("alpha", "beta", "peak", "speckle_variance", "correlation")),
    "sequential": Mode(sequential_noise, ("peak", "speckle_variance", "correlation")),
    "literal": Mode(literal_noise, ("alpha", "beta", "peak", "speckle_variance")),
    "gamma": Mode(gamma_noise, ("speckle_variance", "correlation")),
    "microscope": Mode(
        microscope_noise,
        ("peak", "sigma", "correlation", "kernel", "black", "line_offset", "saturation"),
    ),
}


FRAMES, BLIND, RECORRUPTED = "frames", "blind", "recorrupted"
OF_SCANS: Mapping[str, tuple[str, ...]] = {FRAMES: (), BLIND: ("blind_radius",), RECORRUPTED: ()}
"""Pairs made of noisy scans alone, where no noise is added to anything: names and parameters.

Two frames of a field; a frame, of which pixels are hidden; a frame with more of its own noise and
one with less. `training.noisy_targets` says how.
"""

ALLOWED = (
    f"{', '.join(MODES)}, some of {', '.join(COMPONENTS)} joined by +, or, without clean images, "
    f"{', '.join(OF_SCANS)}"
)
WIDEST_RUN = 16  # px on either side of a hidden pixel


@dataclass(frozen=True)
class NoiseConfig:
    """Mode and parameters; each patch draws its own of those that the mode uses."""

    alpha: Range = option(
        (1.0, 1.0),
        "Weight of the Poisson noise (Eq. 1); a value or LOW:HIGH.",
        minimum=0,
        maximum=1000,
    )
    beta: Range = option(
        (1.0, 1.0),
        "Weight of the speckle noise (Eq. 1); a value or LOW:HIGH.",
        minimum=0,
        maximum=1000,
    )
    peak: Range = option(
        (20.0, 200.0),  # drawn log-uniformly
        "Detected electrons per fully bright pixel; a value or LOW:HIGH.",
        minimum=1e-3,
        maximum=1e6,
    )
    speckle_variance: Range = option(
        (0.01, 0.01), "Variance of the speckle; a value or LOW:HIGH.", minimum=0, maximum=1000
    )
    correlation: Range = option(
        (0.0, 0.0),
        "Lag-1 correlation of the noise along the fast axis; a value or LOW:HIGH.",
        minimum=0,
        maximum=MAX_LAG1,
    )
    mode: str = option(
        "eq1",
        f"Noise of the patches: {ALLOWED}; a profile that noise-fit wrote; or "
        "microscope@DWELL or PROFILE@DWELL, carried to a dwell time such as 280ns.",
        name="noise",
        added=True,
    )
    sigma: Range = option(
        (0.0, 0.03),  # 0.016 in one instrument at 100 ns
        "Read-out noise (microscope, gaussian), of full scale; a value or LOW:HIGH.",
        minimum=0,
        maximum=1,
        added=True,
    )
    black: Range = option(
        (0.0, 0.0),
        "Brightness without signal (microscope), of full scale; a value or LOW:HIGH.",
        minimum=0,
        maximum=0.5,
        added=True,
    )
    line_offset: Range = option(
        (0.0, 0.0),
        "Line-to-line offset (microscope, lines), of full scale; a value or LOW:HIGH.",
        minimum=0,
        maximum=1,
        added=True,
    )
    saturation: Range = option(
        (1.0, 1.0),
        "Where the detector ends (microscope), of full scale; a value or LOW:HIGH.",
        minimum=0.1,
        maximum=1,
        added=True,
    )
    kernel: Kernel = option(
        (1.0,),
        "Shape of the correlation (microscope): side taps by the first, e.g. 1,0.1,0.05.",
        parse=parse_kernel,
        added=True,
    )
    gain: Range = option(
        (1.0, 1.0),
        "Noisy scans' brightness by clean ones'; a value or LOW:HIGH (a profile measures it).",
        minimum=0.1,
        maximum=10,
        added=True,
    )
    offset: Range = option(
        (0.0, 0.0),
        "Added to noisy scans' brightness, of full scale; a value or LOW:HIGH.",
        minimum=-1,
        maximum=1,
        added=True,
    )

    blind_radius: int | None = option(
        None,
        "Pixels on either side of a hidden one that are hidden with it (blind), along the fast "
        "axis. Left out: as far as the noise of the scans is correlated.",
        minimum=0,
        maximum=WIDEST_RUN,
        added=True,
    )

    def __post_init__(self) -> None:
        mode_of(self.mode)  # raises where there is no such noise
        check_kernel(self.kernel)
        check(self)
        taps_for(self.correlation[1], self.kernel)  # raises where that kernel cannot reach it


def mode_of(noise: str) -> Mode:
    """One of MODES, of OF_SCANS, or of components. Raises ValueError where there is none such."""
    if noise in MODES:
        return MODES[noise]
    if noise in OF_SCANS:
        return Mode(None, OF_SCANS[noise])
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


def add_noise(clean: Image, config: NoiseConfig, rng: np.random.Generator) -> Image:
    """``clean`` with noise of the mode; parameters and noise are drawn from ``rng`` alone."""
    mode = mode_of(config.mode)
    if mode.apply is None:
        raise ValueError(f"noise {config.mode!r} is in scans: it is not added to clean images")
    seen = _as_noisy(clean, config, rng)
    values = {name: _draw(name, getattr(config, name), rng) for name in mode.uses}
    return mode.apply(seen, rng=rng, **values)


def _as_noisy(clean: Image, config: NoiseConfig, rng: np.random.Generator) -> Image:
    """``clean`` at the brightness of a noisy scan; nothing is drawn where that is the same."""
    if (config.gain, config.offset) == ((1.0, 1.0), (0.0, 0.0)):
        return clean
    gain, offset = rng.uniform(*config.gain), rng.uniform(*config.offset)
    return np.clip(np.float32(gain) * clean + np.float32(offset), 0, 1)


def _draw(name: str, value: Range | Kernel, rng: np.random.Generator) -> float | Kernel:
    if name == "kernel":
        return value
    low, high = value
    if name == "peak":
        return float(np.exp(rng.uniform(*np.log((low, high)))))
    return rng.uniform(low, high)
