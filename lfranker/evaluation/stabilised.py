"""Denoisers of white noise, BM3D among them, where noise is stronger in brighter pixels.

A transform makes Poisson-Gaussian noise the same everywhere first.
"""

from collections.abc import Callable

import numpy as np

from lfranker.arrays import Floats, Image
from lfranker.noise.models import second_differences
from lfranker.statistics.robust_fit import robust_lines

BLOCK = 8  # px
LEVELS = 12  # of brightness, each with as many blocks
EXACT = 0.01  # of the variance: no level is known better, however well levels lie on a line
QUIET = 0.25  # quantile of the blocks of a level: the others may show structure


def noise_line(image: Image) -> tuple[float, float]:
    """(a, b) of the noise's variance, a times the brightness + b, by the image alone.

    White noise is assumed; correlation along a line makes it seem less than it is. Both are at
    least 0, and b at least 1e-8.
    """
    rows, columns = (length // BLOCK * BLOCK for length in image.shape)
    mirrored = np.pad(image.astype(np.float64), 1, mode="symmetric")
    rough = second_differences(mirrored)[:rows, :columns] ** 2 / 36
    shape = rows // BLOCK, BLOCK, columns // BLOCK, BLOCK
    variance = rough.reshape(shape).mean(axis=(1, 3)).ravel()
    level = image[:rows, :columns].reshape(shape).mean(axis=(1, 3), dtype=np.float64).ravel()
    parts = np.array_split(np.argsort(level), min(LEVELS, len(level)))
    at = np.array([level[part].mean() for part in parts])
    quiet = np.array([np.quantile(variance[part], QUIET) for part in parts])
    least = max(float(np.median(quiet)) * EXACT, 1e-12)
    b, a = robust_lines(np.stack([np.ones(len(at)), at], axis=1), quiet, least)
    if a <= 0:
        return 0.0, max(float(np.median(quiet)), 1e-8)
    return float(a), max(float(b), 1e-8)


def stabilise(image: Image, a: float, b: float) -> Floats:
    """Generalised Anscombe transform: noise of variance a x + b becomes one of about 1.

    Murtagh, Starck & Bijaoui 1995. Without signal dependence (a = 0) a division by sigma.
    """
    values = image.astype(np.float64)
    if a == 0:
        return values / np.sqrt(b)
    return np.asarray(2 / a * np.sqrt(np.maximum(a * values + 3 / 8 * a**2 + b, 0)))


def unstabilise(values: Floats, a: float, b: float) -> Image:
    """The asymptotically unbiased inverse (Makitalo & Foi 2011, 10.1109/TIP.2010.2056693)."""
    if a == 0:
        return np.asarray(values * np.sqrt(b), np.float32)
    return np.asarray(a / 4 * np.maximum(values, 0) ** 2 - a / 8 - b / a, np.float32)


def denoise_stabilised(
    image: Image, strength: float, denoiser: Callable[[Floats, float], Floats]
) -> Image:
    """``denoiser(values, sigma)`` of the stabilised image, which is scaled to [0, 1].

    Noise that is correlated seems weaker than it is: ``strength`` says how many times the sigma
    that is found in the image the denoiser is told, which is 1 after the transform.
    """
    a, b = noise_line(image)
    stable = stabilise(image, a, b)
    low, span = float(stable.min()), float(np.ptp(stable)) or 1.0
    filtered = denoiser((stable - low) / span, strength / span)
    return unstabilise(np.asarray(filtered, np.float64) * span + low, a, b)


def stabilised_bm3d(image: Image, strength: float) -> Image:
    """BM3D (Dabov et al. 2007, 10.1109/TIP.2007.901238) of the stabilised image.

    ``strength``: see `denoise_stabilised`. Needs the package bm3d, which is free for non-commercial
    use only.
    """
    from bm3d import bm3d

    return denoise_stabilised(image, strength, lambda values, sigma: bm3d(values, sigma_psd=sigma))
