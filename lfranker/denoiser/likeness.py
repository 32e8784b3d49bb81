"""Whether a scan is like the images that a network was trained on, and in what it is not.

A network is good for what it has seen. Of its noisy training patches the range of a few traits is
kept with it; a scan is unlike them in a trait where half of it lies beyond 98 % of the patches, and
in the features of the network's first layer where half of it is stranger than 90 % of them.
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
STRANGE = 0.9  # quantile; medians of 12 scans of one kind were at the patches' own median
RIDGE = 0.01  # of the mean variance: added to each, so that the covariance can be inverted
MOST_PATCHES = 512  # of a training; their quantiles are then known to half a per cent
LEAST_PATCHES = 50  # fewer tell no such quantiles
LOOKED_AT = 64  # patches of a scan, evenly spread
STRUCTURE = 2.0  # px: structure is judged on a smoothed patch
FULL_SCALE = " of full scale"
HEAD = "m_head"  # the network's first layer


@dataclass(frozen=True)
class Trait:
    """A number of each patch, and what is said of a scan that has less or more of it."""

    of: Callable[[Patches], Floats]  # (n, p, p) -> (n,)
    less: str
    more: str
    unit: str = ""


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
    "noise": Trait(noise_level, "less noise", "more noise", FULL_SCALE),
    "correlation": Trait(
        noise_correlation,
        "noise that is less correlated along the lines",
        "noise that is more correlated along the lines",
    ),
    "brightness": Trait(brightness, "a lower brightness", "a higher brightness", FULL_SCALE),
    "contrast": Trait(contrast, "less contrast", "more contrast", FULL_SCALE),
    "structure size": Trait(structure_size, "finer structure", "coarser structure", " px"),
}


@dataclass(frozen=True)
class Likeness:
    """Properties that the noisy training patches of a network have.

    ranges: by trait, the LOW and HIGH quantile of the patches; means and precision, the inverse of
    the covariance, are of the features of the network's first layer; strange: the STRANGE quantile
    of how far patches are from these means.
    """

    patch: int  # px
    ranges: Mapping[str, tuple[float, float]]
    means: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    strange: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def read_likeness(text: str) -> Likeness:
    """Read the text of `Likeness.to_json`. Raises ValueError."""
    try:
        stored = json.loads(text)
        ranges = {str(k): (float(low), float(high)) for k, (low, high) in stored["ranges"].items()}
        means = tuple(map(float, stored["means"]))
        precision = tuple(tuple(map(float, row)) for row in stored["precision"])
        if {len(row) for row in precision} - {len(means)} or len(precision) != len(means):
            raise ValueError(f"{len(means)} features, and not as many rows of their precision")
        return Likeness(int(stored["patch"]), ranges, means, precision, float(stored["strange"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not what training images look like ({error!r})") from error


def likeness_of(patches: Patches, network: nn.Module) -> Likeness | None:
    """Describe noisy training patches; None where they are too few."""
    chosen = patches[:: max(1, len(patches) // MOST_PATCHES)][:MOST_PATCHES]
    if len(chosen) < LEAST_PATCHES:
        return None
    ranges = {name: _range(trait.of(chosen)) for name, trait in TRAITS.items()}
    features = _features(chosen, network)
    if not features.shape[1]:
        return Likeness(chosen.shape[-1], ranges, (), (), float("inf"))
    means, covariance = features.mean(axis=0), np.cov(features, rowvar=False)
    ridge = RIDGE * np.trace(covariance) / len(covariance) + 1e-9
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    strange = float(np.quantile(_distance(features, means, precision), STRANGE))
    rows = tuple(tuple(map(_short, row)) for row in precision)
    return Likeness(chosen.shape[-1], ranges, tuple(map(_short, means)), rows, strange)


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
            reasons.append(_beyond(trait.less, value, f"{low:.2g} or more", trait.unit))
        elif value > high:
            reasons.append(_beyond(trait.more, value, f"{high:.2g} or less", trait.unit))
    features = _features(patches, network)
    if not features.shape[1] or features.shape[1] != len(trained_on.means):
        return reasons
    far = _distance(features, np.array(trained_on.means), np.array(trained_on.precision))
    if float(np.median(far)) > trained_on.strange:
        reasons.append("details that the network's first layer has seldom seen")
    return reasons


def _beyond(what: str, value: float, usual: str, unit: str) -> str:
    return f"{what} ({value:.2g}{unit}, where 99 of 100 training patches have {usual})"


def _short(value: float) -> float:
    """Six digits: more are not known of a quantile, and fill the file."""
    return float(f"{value:.6g}")


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
    """Logarithm of the power of each feature of the first layer over each patch, (n, features).

    (n, 0) where a network has no such layer.
    """
    head = dict(network.named_children()).get(HEAD)
    if head is None:
        return np.empty((len(patches), 0))
    device = next(head.parameters()).device
    seen = head(torch.from_numpy(patches)[:, None].to(device))
    power = seen.double().square().mean(dim=(2, 3)) + 1e-12
    return np.asarray(power.log().cpu().numpy(), np.float64)


def _distance(features: Floats, means: Floats, precision: Floats) -> Floats:
    """Mahalanobis distance of features from their means, over the root of their number, (n,)."""
    off = features - means
    squares = np.einsum("ni,ij,nj->n", off, precision, off)
    return np.asarray(np.sqrt(np.maximum(squares, 0) / features.shape[1]))
