"""Simulated scanning-electron micrographs: the default that needs no data.

Each kind builds a surface (heights in px) with a material brightness, and ``secondary_electrons``
makes the picture of it. Shapes are (h, w) in px, pictures lie within [0.02, 0.98].
"""

import math
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.simulation import solids
from lfranker.simulation.solids import Surface
from lfranker.simulation.textures import Shape, band_noise, roughness, scattered

DARKEST, BRIGHTEST = 0.02, 0.98
PROBE = 0.8  # px, sigma of the beam


def scene(kind: str, shape: Shape, seed: int, index: int = 0) -> Image:
    """Picture ``index`` of a ``kind``; the same for the same four arguments."""
    if kind not in KINDS:
        raise ValueError(f"scene {kind!r} is unknown; allowed are {', '.join(KINDS)}")
    return KINDS[kind](shape, np.random.default_rng([seed, zlib.crc32(kind.encode()), index]))


def secondary_electrons(
    surface: Surface, rng: np.random.Generator, *, edges: float = 1.0, shadow: float = 0.5
) -> Image:
    """Detector signal of a surface: material x (1 + edges (1/cos(tilt) - 1)), shadowed, blurred.

    The yield of secondary electrons goes as 1/cos of the tilt (Goldstein et al., Scanning Electron
    Microscopy and X-Ray Microanalysis, 10.1007/978-1-4939-6676-9); it is limited here, as emission
    depth and beam width limit it at steep edges. Hollows lose electrons to their walls (``shadow``)
    and sides facing the detector, which stands at a random azimuth, are slightly brighter.
    """
    height = cv2.GaussianBlur(surface.height, (0, 0), 1.0)
    down, right = np.gradient(height)
    excess = np.sqrt(1 + down**2 + right**2) - 1
    signal = 1 + edges * 2.0 * np.tanh(excess / 2.0)
    azimuth = rng.uniform(0, 2 * math.pi)
    facing = math.cos(azimuth) * right + math.sin(azimuth) * down
    signal *= 1 + 0.15 * np.tanh(facing)
    for reach in (4.0, 16.0):
        depth = np.clip(cv2.GaussianBlur(height, (0, 0), reach) - height, 0, None)
        signal *= np.exp(-shadow * depth / reach)
    signal = cv2.GaussianBlur((signal * surface.material).astype(np.float32), (0, 0), PROBE)
    return set_contrast(signal, rng)


def set_contrast(signal: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Map all but the extremes of ``signal`` linearly to the range an operator would choose.

    What lies outside bends towards the limits instead of being cut: nothing saturates.
    """
    low, high = np.percentile(signal[::2, ::2], (1, 99))
    dark, bright = rng.uniform(0.08, 0.16), rng.uniform(0.72, 0.88)
    image = dark + (bright - dark) * (signal - low) / max(float(high - low), 1e-6)
    over, under = BRIGHTEST - bright, dark - DARKEST
    image = np.where(image > bright, bright + over * np.tanh((image - bright) / over), image)
    image = np.where(image < dark, dark + under * np.tanh((image - dark) / under), image)
    return np.clip(image, DARKEST, BRIGHTEST).astype(np.float32)


def cells(shape: Shape, rng: np.random.Generator) -> Image:
    """Spread cells with a raised nucleus, wrinkles and short villi on a smooth dish."""
    surface = solids.flat(shape, 0.55)
    surface.height += 0.6 * roughness(shape, rng, 6.0)
    wrinkles = 2.2 * np.abs(roughness(shape, rng, 3.0)) + 1.5 * roughness(shape, rng, 9.0)
    villi = 2.5 * np.clip(roughness(shape, rng, 1.5) - 1.3, 0, None)
    for row, column in scattered(shape, rng, spacing=130.0):
        radius = rng.uniform(45, 85)
        solids.add_cell(surface, (row, column), radius, wrinkles + villi, rng)
    surface.material *= 1 + 0.05 * roughness(shape, rng, 40.0)
    return secondary_electrons(surface, rng, edges=0.9, shadow=0.35)


def tips(shape: Shape, rng: np.random.Generator) -> Image:
    """Rows of sharp conical tips seen at a glancing angle, nearer rows in front."""
    surface = solids.flat(shape, 0.45)
    surface.height += 0.5 * roughness(shape, rng, 4.0)
    pitch = rng.uniform(70, 120)
    lean = rng.uniform(-0.06, 0.06)
    for number, base in enumerate(np.arange(0.4 * pitch, shape[0] + 2.5 * pitch, 0.62 * pitch)):
        start = (number % 2) * pitch / 2 + rng.uniform(-8, 8) - pitch
        for column in np.arange(start, shape[1] + pitch, pitch):
            length = pitch * rng.uniform(1.25, 1.45)
            foot = (base + rng.uniform(-2, 2), column + rng.uniform(-2, 2))
            solids.add_tip(surface, foot, length, pitch * rng.uniform(0.26, 0.31), lean)
    surface.height += 0.35 * roughness(shape, rng, 1.5)
    return secondary_electrons(surface, rng, edges=1.0, shadow=0.25)


def particles(shape: Shape, rng: np.random.Generator) -> Image:
    """Metal spheres of many sizes on a dark support, like tin on carbon."""
    surface = solids.flat(shape, 0.25)
    surface.height += 0.35 * roughness(shape, rng, 2.0)
    area = shape[0] * shape[1]
    median = rng.uniform(5, 9)
    count = int(0.55 * area / (math.pi * median**2 * math.exp(2 * 0.6**2)))
    radii = np.sort(np.clip(median * np.exp(rng.normal(0, 0.65, count)), 2, shape[0] / 4))[::-1]
    solids.add_separate_spheres(surface, radii, rng)
    surface.material *= 1 + 0.03 * roughness(shape, rng, 5.0)
    return secondary_electrons(surface, rng, edges=0.6, shadow=0.3)


def sponge(shape: Shape, rng: np.random.Generator) -> Image:
    """Bicontinuous pores: two layers of rounded ligaments over black depth."""
    scale = rng.uniform(6, 10)
    surface = solids.flat(shape, 0.35)
    surface.height -= 2.5 * scale
    for depth, brightness in ((1.6, 0.55), (0.0, 1.0)):
        field = band_noise(shape, rng, scale)
        ligament = field + rng.uniform(0.05, 0.25) > 0
        rise = np.sqrt(np.clip(field + 0.2, 0, 1.5)) * scale * 0.9
        solids.overlay(surface, ligament, rise - depth * scale, brightness)
    surface.height += 0.3 * roughness(shape, rng, 2.0)
    return secondary_electrons(surface, rng, edges=0.8, shadow=0.8)


def powder(shape: Shape, rng: np.random.Generator) -> Image:
    """A heap of angular grains with fracture faces and fines on them."""
    surface = solids.flat(shape, 0.3)
    surface.height -= 20
    median = rng.uniform(16, 26)
    count = int(2.2 * shape[0] * shape[1] / (math.pi * median**2))
    for radius in np.clip(median * np.exp(rng.normal(0, 0.4, count)), 5, 70):
        solids.add_grain(surface, radius, rng)
    surface.height += 0.5 * roughness(shape, rng, 1.5) + 0.6 * roughness(shape, rng, 4.0)
    for radius in rng.uniform(1.5, 3.5, count // 2):
        solids.add_grain(surface, radius, rng, on_top=True)
    return secondary_electrons(surface, rng, edges=0.7, shadow=0.7)


def fibres(shape: Shape, rng: np.random.Generator) -> Image:
    """A mat of curved round fibres, upper layers nearer and brighter."""
    surface = solids.flat(shape, 0.2)
    surface.height -= 30
    width = rng.uniform(4, 8)
    count = int(0.009 * sum(shape) * 30 / width)
    for layer in np.linspace(0, 1, count):
        radius = width * rng.uniform(0.7, 1.4)
        solids.add_fibre(surface, radius, 40 * layer - 30, 0.5 + 0.5 * layer, rng)
    surface.height += 0.25 * roughness(shape, rng, 1.5)
    return secondary_electrons(surface, rng, edges=0.8, shadow=0.5)


def nanowires(shape: Shape, rng: np.random.Generator) -> Image:
    """Straight thin wires, slightly tapered, each with a bright catalyst drop at its end."""
    surface = solids.flat(shape, 0.3)
    surface.height += 0.5 * roughness(shape, rng, 2.5)
    count = int(shape[0] * shape[1] / 262144 * rng.uniform(55, 90)) + 4
    preferred = rng.uniform(0, math.pi)
    for number in range(count):
        angle = preferred + (rng.normal(0, 0.25) if rng.random() < 0.6 else rng.uniform(-1.5, 1.5))
        lift = 3.0 + 12 * number / count
        solids.add_wire(surface, angle, rng.uniform(80, 260), rng.uniform(2.2, 5.0), lift, rng)
    surface.material *= 1 + 0.03 * roughness(shape, rng, 30.0)
    return secondary_electrons(surface, rng, edges=0.8, shadow=0.3)


KINDS: dict[str, Callable[[Shape, np.random.Generator], Image]] = {
    "cells": cells,
    "tips": tips,
    "particles": particles,
    "sponge": sponge,
    "powder": powder,
    "fibres": fibres,
    "nanowires": nanowires,
}
