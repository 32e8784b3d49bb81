"""Whether a scan is like the images that a network was trained on, and in what it is not.

A network is good for what it has seen. Of its noisy training patches the range of a few traits is
kept with it; a scan is unlike them in a trait where half of it lies beyond 98 % of the patches.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import nn

from lfranker.arrays import Floats, Image

Patches = NDArray[np.float32]  # (n, p, p), noisy, in [0, 1]
LOW, HIGH = 0.01, 0.99  # quantiles of the patches
MOST_PATCHES = 512  # of a training; their quantiles are then known to half a per cent
LEAST_PATCHES = 50  # fewer tell no such quantiles
LOOKED_AT = 64  # patches of a scan, evenly spread
STRUCTURE = 2.0  # px: structure is judged on a smoothed patch
HEAD = "m_head"  # the network's first layer
FEATURES = "features"


@dataclass(frozen=True)
class Trait:
    """A number of each patch, and what is said of a scan that has less or more of it."""

    of: Callable[[Patches], Floats]  # (n, p, p) -> (n,)
    less: str
    more: str


def _lines(patches: Patches) -> Floats:
    """Second differences along y, where noise is uncorrelated: planes cancel. (n, p - 2, p)."""
    lines = patches.astype(np.float64)
    return np.asarray((lines[:, :-2] - 2 * lines[:, 1:-1] + lines[:, 2:]) / np.sqrt(6))


def noise_level(patches: Patches) -> Floats:
    """Standard deviation of the noise; fine structure adds to it."""
    return np.asarray(np.sqrt((_lines(patches) ** 2).mean(axis=(1, 2))))


def noise_correlation(patches: Patches) -> Floats:
    """Autocorrelation of the noise at lag 1 along the fast axis, x."""
    lines = _lines(patches)
    products = (lines[..., 1:] * lines[..., :-1]).mean(axis=(1, 2))
    return np.asarray(products / np.maximum((lines**2).mean(axis=(1, 2)), 1e-12))


def brightness(patches: Patches) -> Floats:
    """Mean."""
    return np.asarray(patches.mean(axis=(1, 2), dtype=np.float64))


def _smooth(patches: Patches) -> Floats:
    along = gaussian_filter1d(patches.astype(np.float64), STRUCTURE, axis=1)
    return np.asarray(gaussian_filter1d(along, STRUCTURE, axis=2))


def contrast(patches: Patches) -> Floats:
    """Standard deviation of the smoothed patch."""
    return np.asarray(_smooth(patches).std(axis=(1, 2)))


def structure_size(patches: Patches) -> Floats:
    """Deviation over root mean square gradient of the smoothed patch, px."""
    smooth = _smooth(patches)
    down, right = np.gradient(smooth, axis=(1, 2))
    slope = np.sqrt((down**2 + right**2).mean(axis=(1, 2)))
    return np.asarray(smooth.std(axis=(1, 2)) / np.maximum(slope, 1e-12))


TRAITS: Mapping[str, Trait] = {
    "noise": Trait(noise_level, "less noise", "more noise"),
    "correlation": Trait(
        noise_correlation,
        "noise that is less correlated along the lines",
        "noise that is more correlated along the lines",
    ),
    "brightness": Trait(brightness, "a lower brightness", "a higher brightness"),
    "contrast": Trait(contrast, "less contrast", "more contrast"),
    "structure size": Trait(structure_size, "finer structure", "coarser structure"),
}


@dataclass(frozen=True)
class Likeness:
    """What the noisy training patches of a network look like.

    ranges: by trait, the LOW and HIGH quantile of the patches; `means` and `deviations` are those
    of each feature of the network's first layer, and FEATURES among the ranges is how far patches
    are from them.
    """

    patch: int  # px
    ranges: Mapping[str, tuple[float, float]]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def read_likeness(text: str) -> Likeness:
    """Read the text of `Likeness.to_json`. Raises ValueError."""
    try:
        stored = json.loads(text)
        ranges = {str(k): (float(low), float(high)) for k, (low, high) in stored["ranges"].items()}
        features = (tuple(map(float, stored[name])) for name in ("means", "deviations"))
        return Likeness(int(stored["patch"]), ranges, *features)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not what training images look like ({error!r})") from error


def likeness_of(patches: Patches, network: nn.Module) -> Likeness | None:
    """Describe noisy training patches; None where they are too few."""
    chosen = patches[:: max(1, len(patches) // MOST_PATCHES)][:MOST_PATCHES]
    if len(chosen) < LEAST_PATCHES:
        return None
    features = _features(chosen, network)
    means, deviations = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    values = {name: trait.of(chosen) for name, trait in TRAITS.items()}
    values[FEATURES] = _distance(features, means, deviations)
    ranges = {name: _range(value) for name, value in values.items()}
    return Likeness(
        chosen.shape[-1], ranges, tuple(map(float, means)), tuple(map(float, deviations))
    )


def unlike(image: Image, network: nn.Module, trained_on: Likeness) -> list[str]:
    """Say in what an image (h, w) in [0, 1] is not like the training images; [] where it is.

    An image that is smaller than the patches is not judged.
    """
    patches = _cut(image, trained_on.patch)
    if not len(patches):
        return []
    reasons = []
    for name, trait in TRAITS.items():
        value, (low, high) = float(np.median(trait.of(patches))), trained_on.ranges[name]
        if value < low:
            reasons.append(f"{trait.less} ({value:.2g}, where 99 of 100 have {low:.2g} or more)")
        elif value > high:
            reasons.append(f"{trait.more} ({value:.2g}, where 99 of 100 have {high:.2g} or less)")
    features = _features(patches, network)
    if features.shape[1] != len(trained_on.means):
        return reasons
    far = _distance(features, np.array(trained_on.means), np.array(trained_on.deviations))
    if float(np.median(far)) > trained_on.ranges[FEATURES][1]:
        reasons.append("features that the network's first layer has seldom seen")
    return reasons


def _range(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [LOW, HIGH])
    return float(low), float(high)


def _cut(image: Image, patch: int) -> Patches:
    """Cut LOOKED_AT patches out, evenly spread; fewer where they would overlap."""
    counts = [min(round(LOOKED_AT**0.5), length // patch) for length in image.shape]
    if min(counts) == 0:
        return np.empty((0, patch, patch), np.float32)
    tops, lefts = (
        np.linspace(0, length - patch, count).astype(int)
        for length, count in zip(image.shape, counts, strict=True)
    )
    cut = [image[top : top + patch, left : left + patch] for top, left in product(tops, lefts)]
    return np.stack(cut).astype(np.float32)


@torch.no_grad()
def _features(patches: Patches, network: nn.Module) -> Floats:
    """Root mean square of each feature of the first layer over each patch, (n, features).

    (n, 0) where a network has no such layer.
    """
    head = dict(network.named_children()).get(HEAD)
    if head is None:
        return np.empty((len(patches), 0))
    device = next(head.parameters()).device
    seen = head(torch.from_numpy(patches)[:, None].to(device))
    return np.asarray(seen.square().mean(dim=(2, 3)).sqrt().cpu().numpy(), np.float64)


def _distance(features: Floats, means: Floats, deviations: Floats) -> Floats:
    """Root mean square of how many deviations features are from their means, (n,)."""
    if not features.shape[1]:
        return np.zeros(len(features))
    return np.asarray(np.sqrt((((features - means) / deviations) ** 2).mean(axis=1)))
