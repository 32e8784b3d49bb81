"""A dataset of stored pairs: how it was asked for, what it holds, reading it back.

A folder: noisy.npy and clean.npy, uint8 (n, patch, patch), 255 being full scale, the training
pairs first; and manifest.json, which says how it was made and holds a digest.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfranker.datasets.augmentation import Augmentation
from lfranker.noise.models import Range
from lfranker.noise.noise_config import NoiseRanges, mode_of
from lfranker.noise.scan_correlation import MAX_LAG1, Kernel, check_kernel, taps_for

SCHEMA = 1  # of the manifest and of how patches are drawn
MANIFEST = "manifest.json"
SMALLEST_PATCH = 8  # px
# settings that came after datasets had been stored
ADDED = (
    *("noise", "sigma", "black", "line_offset", "saturation", "kernel", "gain", "offset"),
    *("zoom", "blur", "contrast", "brightness"),
)


@dataclass(frozen=True)
class SynthConfig:
    patch: int = 64  # px, side of a patch
    patches: int = 2000  # training and validation in all
    validation: float = 0.15  # share of the patches, and about that of the images
    max_noise: float = 0.05  # of full scale: clean images with more are left out
    minimum_contrast: float = 0.02  # of full scale: patches with less are not used
    alpha: Range = NoiseRanges.alpha  # weight of the Poisson part in Eq. 1
    beta: Range = NoiseRanges.beta  # weight of the speckle part
    peak: Range = NoiseRanges.peak  # counts of a fully bright pixel, drawn log-uniformly
    speckle_variance: Range = NoiseRanges.speckle_variance  # relative
    correlation: Range = NoiseRanges.correlation  # lag 1, along the fast axis
    noise: str = "eq1"  # one of MODES, or components joined by +
    sigma: Range = NoiseRanges.sigma  # read-out noise, of full scale
    black: Range = NoiseRanges.black  # brightness without signal, of full scale
    line_offset: Range = NoiseRanges.line_offset  # deviation of the lines' offsets, of full scale
    saturation: Range = NoiseRanges.saturation  # where the detector ends, of full scale
    kernel: Kernel = NoiseRanges.kernel  # shape of the correlation's side taps
    gain: Range = NoiseRanges.gain  # of the noisy scan's brightness against the clean one's
    offset: Range = NoiseRanges.offset  # added to it, of full scale
    zoom: Range = Augmentation.zoom  # px of a clean image in one of a patch, along each axis
    blur: Range = Augmentation.blur  # px, standard deviation, of clean patches
    contrast: Range = Augmentation.contrast  # factor on clean patches' deviation from their mean
    brightness: Range = Augmentation.brightness  # added to clean patches, of full scale
    seed: int = 0

    def __post_init__(self) -> None:
        mode_of(self.noise)  # raises where there is no such noise
        check_kernel(self.kernel)
        limits: dict[str, tuple[float, float]] = {
            "patch": (SMALLEST_PATCH, math.inf),
            "patches": (1 if self.validation == 0 else 2, math.inf),
            "validation": (0, 0.9),
            "max_noise": (0, math.inf),
            "minimum_contrast": (0, 1),
            "alpha": (0, math.inf),
            "beta": (0, math.inf),
            "peak": (1e-3, 1e6),
            "speckle_variance": (0, math.inf),
            "correlation": (0, MAX_LAG1),
            "sigma": (0, 1),
            "black": (0, 0.5),
            "line_offset": (0, 1),
            "saturation": (0.1, 1),
            "gain": (0.1, 10),
            "offset": (-1, 1),
            "zoom": (1, 16),
            "blur": (0, 16),
            "contrast": (0, 10),
            "brightness": (-1, 1),
            "seed": (0, math.inf),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            low, high = value if isinstance(value, tuple) else (value, value)
            if not least <= low <= high <= most:
                raise ValueError(f"{name} is {value}; allowed is {least:g} to {most:g}, low first")
        taps_for(self.correlation[1], self.kernel)  # raises where that kernel cannot reach it

    @property
    def ranges(self) -> NoiseRanges:
        """The mode of the noise and its parameters."""
        return NoiseRanges(**{item.name: getattr(self, item.name) for item in fields(NoiseRanges)})

    @property
    def changes(self) -> Augmentation:
        """What clean patches go through before they get noise."""
        return Augmentation(self.zoom, self.blur, self.contrast, self.brightness)

    def determining(self) -> dict[str, Any]:
        """What the dataset hangs on, by which it is named and described.

        Fields that came later enter only where they are not the default: older datasets stay.
        """
        standard = {item.name: item.default for item in fields(self)}
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in ADDED or value != standard[name]
        }


@dataclass(frozen=True, eq=False)
class Dataset:
    folder: Path
    manifest: dict[str, Any]
    noisy: NDArray[np.uint8]  # (n, patch, patch), memory-mapped, read-only
    clean: NDArray[np.uint8]
    train: NDArray[np.intp]  # indices of pairs
    validation: NDArray[np.intp]
    digest: str  # sha256 over the arrays and all parameters

    @cached_property
    def config(self) -> SynthConfig:
        """The settings that it was made with."""
        stored: dict[str, Any] = self.manifest["request"]["parameters"]
        ranges = {name: tuple(v) for name, v in stored.items() if isinstance(v, list)}
        return SynthConfig(**{**stored, **ranges})

    @property
    def trained_on(self) -> frozenset[str]:
        """sha256 of every image that training patches were cut from."""
        sources = self.manifest["request"]["sources"]
        return frozenset(s["sha256"] for s in sources if s["side"] != "validation")

    @property
    def notices(self) -> list[str]:
        """Images that gave no patches, and why."""
        return list(self.manifest["notices"])


def digest_of(folder: Path, request: Mapping[str, Any]) -> str:
    """sha256 over the schema, the whole request and the bytes of both arrays."""
    digest = hashlib.sha256(json.dumps([SCHEMA, request], sort_keys=True).encode())
    for name in ("noisy", "clean"):
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        for start in range(0, len(array), 1024):
            digest.update(array[start : start + 1024].tobytes())
    return digest.hexdigest()


def read_dataset(folder: Path, verify: bool = False) -> Dataset:
    """Open a dataset; ``verify`` reads all of it to check the digest, otherwise shapes only."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        counts = manifest["counts"]["training"], manifest["counts"]["validation"]
        patch, schema = manifest["request"]["parameters"]["patch"], manifest["schema"]
        digest = str(manifest["digest"])
        noisy, clean = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("noisy", "clean"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: not a dataset that synth made ({error!r})") from error
    if schema != SCHEMA:
        raise ValueError(f"{path}: schema {schema}, this version reads {SCHEMA}; make it anew")
    expected = (sum(counts), patch, patch)
    for name, array in (("noisy", noisy), ("clean", clean)):
        if array.shape != expected or array.dtype != np.uint8:
            found = f"{array.dtype} {array.shape}"
            raise ValueError(f"{folder / name}.npy: {found}, its manifest says uint8 {expected}")
    if verify and digest_of(folder, manifest["request"]) != digest:
        raise ValueError(f"{folder}: its files are not those of its manifest's digest {digest}")
    train, validation = np.split(np.arange(sum(counts), dtype=np.intp), [counts[0]])
    return Dataset(folder, manifest, noisy, clean, train, validation, digest)
