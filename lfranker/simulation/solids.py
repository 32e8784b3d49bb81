"""Solids that ``scenes`` puts together: heights in px over an (h, w) grid, nearest one wins.

Positions are (row, column) in px and may lie outside the grid.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfranker.simulation.textures import Field, Shape


@dataclass
class Surface:
    """Surface as the beam sees it; both arrays (h, w) are changed in place by the adders."""

    height: Field  # px
    material: Field  # electron yield at normal incidence, relative


def flat(shape: Shape, material: float) -> Surface:
    return Surface(np.zeros(shape, np.float32), np.full(shape, material, np.float32))


def window(
    shape: Shape, centre: tuple[float, float], reach: float
) -> tuple[tuple[slice, slice], Field, Field] | None:
    """The part of the grid within ``reach`` px, and offsets (down, right) from ``centre``."""
    top, left = (max(0, math.floor(c - reach)) for c in centre)
    bottom, right = (min(n, math.ceil(c + reach) + 1) for c, n in zip(centre, shape, strict=True))
    if top >= bottom or left >= right:
        return None
    down = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(centre[0])
    across = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(centre[1])
    return (slice(top, bottom), slice(left, right)), down, across


def overlay(
    surface: Surface,
    inside: NDArray[np.bool_],
    height: Field,
    material: float,
    part: tuple[slice, slice] = (slice(None), slice(None)),
) -> None:
    """Put a body on the ``part`` of the surface where it is ``inside`` and higher."""
    seen = inside & (height > surface.height[part])
    np.copyto(surface.height[part], height, where=seen)
    np.copyto(surface.material[part], np.float32(material), where=seen)


def add_cell(
    surface: Surface,
    centre: tuple[float, float],
    radius: float,
    texture: Field,
    rng: np.random.Generator,
) -> None:
    """A flattened body with lobes, a thin border and a nucleus that stands out."""
    found = window(surface.height.shape, centre, 1.6 * radius)
    if found is None:
        return
    part, down, right = found
    angle = np.arctan2(down, right)
    outline = np.ones_like(angle)
    for order in range(2, 7):
        size = rng.normal(0, 0.32 / order)
        outline += np.float32(size) * np.cos(order * angle + rng.uniform(0, 6.28)).astype(
            np.float32
        )
    distance = np.hypot(down, right) / (radius * np.clip(outline, 0.45, 1.6))
    body = 14 * np.sqrt(np.clip(1 - distance**2, 0, None))
    nucleus = 16 * np.exp(-((distance / 0.38) ** 2))
    rise = body + nucleus + texture[part] * np.clip(2 * (1 - distance), 0, 1)
    overlay(surface, distance < 1, rise.astype(np.float32), rng.uniform(0.85, 1.0), part)


def add_tip(
    surface: Surface, foot: tuple[float, float], length: float, radius: float, lean: float
) -> None:
    """A cone lying in the picture plane as a tilted view shows it: apex up, round in section."""
    found = window(surface.height.shape, foot, length + radius)
    if found is None:
        return
    part, down, right = found
    along = np.clip(-down / length, -1, 1)  # 0 at the foot, 1 at the apex
    half_width = 1.2 + radius * np.clip(1 - along, 0, 1) ** 1.25
    across = right - lean * -down
    # The foot is an ellipse: the circle of the base, seen at a glancing angle.
    base = down <= 0.35 * radius * np.sqrt(np.clip(1 - (across / (1.2 + radius)) ** 2, 0, None))
    inside = (np.abs(across) < half_width) & (along < 1) & base
    section = np.sqrt(np.clip(half_width**2 - across**2, 0, None))
    rise = section + foot[0]  # nearer rows stand lower in the picture and in front
    seen = inside
    np.copyto(surface.height[part], rise.astype(np.float32), where=seen)
    np.copyto(surface.material[part], np.float32(0.9), where=seen)


def add_separate_spheres(
    surface: Surface, radii: NDArray[np.floating], rng: np.random.Generator
) -> None:
    """Spheres, largest first, each dropped where it touches no other (or left out)."""
    shape = surface.height.shape
    taken = np.zeros(shape, bool)
    for radius in radii:
        for _ in range(12):
            centre = (rng.uniform(-radius / 2, shape[0]), rng.uniform(-radius / 2, shape[1]))
            found = window(shape, centre, radius + 1.5)
            if found is None:
                continue
            part, down, right = found
            squared = down**2 + right**2
            if taken[part][squared < (radius + 1.5) ** 2].any():
                continue
            inside = squared < radius**2
            taken[part] |= inside
            cap = np.sqrt(np.clip(radius**2 - squared, 0, None)) + 0.4 * radius
            overlay(surface, inside, cap.astype(np.float32), rng.uniform(0.9, 1.0), part)
            break


def add_grain(
    surface: Surface, radius: float, rng: np.random.Generator, *, on_top: bool = False
) -> None:
    """A convex polyhedron: the lowest of several random planes, above what is already there."""
    shape = surface.height.shape
    centre = (rng.uniform(-radius, shape[0] + radius), rng.uniform(-radius, shape[1] + radius))
    found = window(shape, centre, 1.3 * radius)
    if found is None:
        return
    part, down, right = found
    top = np.full(surface.height[part].shape, 0.8 * radius, np.float32)
    count = int(rng.integers(6, 10))
    for side in range(count):
        azimuth = (side + rng.uniform(-0.35, 0.35)) * 2 * math.pi / count
        steep = rng.uniform(0.4, 2.5)
        lateral = math.sin(azimuth) * down + math.cos(azimuth) * right
        top = np.minimum(top, steep * (radius * rng.uniform(0.75, 1.0) - lateral))
    tilt = rng.normal(0, 0.2, 2)
    top += tilt[0] * down + tilt[1] * right
    floor = float(surface.height[part].mean()) if on_top else rng.uniform(-20, 15)
    overlay(surface, top > 0, (top + floor).astype(np.float32), rng.uniform(0.75, 1.0), part)


def add_fibre(
    surface: Surface, radius: float, level: float, material: float, rng: np.random.Generator
) -> None:
    """A round fibre across the whole picture along a slowly turning path."""
    shape = surface.height.shape
    span = math.hypot(*shape)
    steps = np.linspace(-0.75, 0.75, 160) * span
    heading = (
        rng.uniform(0, math.pi)
        + np.cumsum(rng.normal(0, 0.02, 160))
        + rng.normal(0, 0.35) * np.sin(steps / span * rng.uniform(2, 7))
    )
    step = steps[1] - steps[0]
    path = np.stack([np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))], axis=1) * step
    middle = rng.uniform(0, 1, 2) * (shape[1], shape[0])
    path += middle - path[80]
    away = np.full(shape, 255, np.uint8)
    cv2.polylines(away, [np.rint(path * 16).astype(np.int32)], False, 0, 1, cv2.LINE_8, 4)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_5)
    rise = np.sqrt(np.clip(radius**2 - distance**2, 0, None)) + np.float32(level)
    overlay(surface, distance < radius, rise.astype(np.float32), material)


def add_wire(
    surface: Surface,
    angle: float,
    length: float,
    radius: float,
    lift: float,
    rng: np.random.Generator,
) -> None:
    """A straight wire from a random foot, thinner towards its end, with a drop on it."""
    shape = surface.height.shape
    centre = (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]))
    found = window(shape, centre, length / 2 + 2 * radius)
    if found is None:
        return
    part, down, right = found
    along = math.sin(angle) * down + math.cos(angle) * right
    across = math.cos(angle) * down - math.sin(angle) * right
    local = radius * (1 - 0.35 * (along / length + 0.5))
    inside = (np.abs(across) < local) & (np.abs(along) < length / 2)
    section = np.sqrt(np.clip(local**2 - across**2, 0, None))
    overlay(surface, inside, (section + lift).astype(np.float32), 0.85, part)
    drop = 1.15 * radius
    squared = (along - length / 2) ** 2 + across**2
    cap = np.sqrt(np.clip(drop**2 - squared, 0, None)) + lift + 1
    overlay(surface, squared < drop**2, cap.astype(np.float32), 1.25, part)
