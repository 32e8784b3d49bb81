"""A dataset of stored pairs: how it was asked for, what it holds, reading it back.

A folder: noisy.npy and clean.npy, uint8 (n, patch, patch), 255 being full scale, the training
pairs first; and manifest.json, which says how it was made and holds a digest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfranker.files import inside
from lfranker.noise.models import Range
from lfranker.noise.noise_config import FORMER, NoiseConfig
from lfranker.noise.scan_noise import MeasuredNoise, read_noise
from lfranker.options import changed, check, determining, option, options

SCHEMA = 1  # of the manifest and of how patches are drawn
MANIFEST = "manifest.json"
SMALLEST_PATCH = 8  # px
# settings of clean patches that there were, and their values that change nothing
CUT: Mapping[str, Range] = {
    "zoom": (1.0, 1.0),
    "blur": (0.0, 0.0),
    "contrast": (1.0, 1.0),
    "brightness": (0.0, 0.0),
}


@dataclass(frozen=True)
class DatasetConfig:
    """Settings of a dataset, its noise included."""

    patch: int = option(64, "Side of the square patches, px.", minimum=SMALLEST_PATCH, maximum=4096)
    patches: int = option(2000, "Patches in all, training and validation.", minimum=1, maximum=1e9)
    validation: float = option(
        0.15,  # of the patches, and about that of the images
        "Share of the images kept for validation.",
        minimum=0,
        maximum=0.9,
    )
    max_noise: float = option(
        0.05, "Leave out 'clean' images noisier than this (sigma, of full scale 1).", minimum=0
    )
    minimum_contrast: float = option(
        0.02,
        "Discard patches with less structure than this (of full scale 1).",
        minimum=0,
        maximum=1,
    )
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    seed: int = option(0, "Base of every random draw.", minimum=0)
    image_draw: int = option(
        0,
        "Which random draw, with replacement, of the training images; 0: all of them.",
        minimum=0,
        added=True,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.validation > 0 and self.patches < 2:
            raise ValueError(
                f"patches is {self.patches}; allowed is at least 2, one of them for validation"
            )

    @property
    def counts(self) -> tuple[int, int]:
        """Training and validation pairs; at least one of each that is asked for."""
        if self.validation == 0:
            return self.patches, 0
        held_out = min(max(round(self.patches * self.validation), 1), self.patches - 1)
        return self.patches - held_out, held_out

    def determining(self) -> dict[str, Any]:
        """Return the settings that determine the dataset, by which it is named and described.

        Settings that came later enter only where they are not the default: older datasets stay.
        """
        return determining(self)


def config_of(stored: Mapping[str, Any]) -> DatasetConfig:
    """The settings that a manifest holds, in their present form.

    Raises ValueError where patches were changed in a way that there is no longer.
    """
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    for name, usual in CUT.items():
        if (value := values.pop(name, usual)) != usual:
            raise ValueError(
                f"the dataset was made with {name} {value[0]:g}:{value[1]:g}, which is no longer "
                f"done to clean patches: make one without it, or read it with lfranker 0.1"
            )
    if unknown := sorted(set(values) - set(options(DatasetConfig))):
        raise ValueError(
            f"the dataset was made with {', '.join(unknown)}, which this version does not know: "
            f"read it with the version of lfranker that made it"
        )
    former = FORMER.get(str(stored.get("noise", "")), {})
    return changed(DatasetConfig(), {**values, **former})


@dataclass(frozen=True, eq=False)
class Dataset:
    folder: Path
    manifest: dict[str, Any]
    noisy: NDArray[np.uint8]  # (n, patch, patch), memory-mapped, read-only
    clean: NDArray[np.uint8]
    train: NDArray[np.intp]  # indices of pairs
    validation: NDArray[np.intp]
    digest: str  # sha256 over the arrays and all parameters
    remade: str = ""  # why it was made again, where it was

    @cached_property
    def config(self) -> DatasetConfig:
        """The settings that it was made with."""
        return config_of(self.manifest["request"]["parameters"])

    @cached_property
    def measured(self) -> Mapping[str, MeasuredNoise]:
        """The noise of noisy scans by their speed, where training needs to know it."""
        stored = self.manifest["request"].get("measured", {})
        return {speed: read_noise(numbers) for speed, numbers in stored.items()}

    @property
    def blind_radius(self) -> int:
        """Pixels on either side of a hidden one that are hidden with it, as asked or measured."""
        asked = self.config.noise.blind_radius
        known = (noise.radius for noise in self.measured.values())
        return max(known) if asked is None else asked

    def noise_in(self, index: int) -> MeasuredNoise:
        """The noise of the scan that a pair was cut from."""
        side = "training" if index < len(self.train) else "validation"
        speeds = self.manifest["speeds"][side]
        return self.measured[speeds[index % len(speeds)]]

    @property
    def trained_on(self) -> frozenset[str]:
        """sha256 of every image that training patches may have been cut from."""
        sources = self.manifest["request"]["sources"]
        return frozenset(s["sha256"] for s in sources if s["side"] != "validation")

    @property
    def notices(self) -> list[str]:
        """Images that gave no patches, and why; and that it was damaged, where it was."""
        return [*([self.remade] if self.remade else []), *self.manifest["notices"]]


def digest_of(folder: Path, request: Mapping[str, Any]) -> str:
    """sha256 over the schema, the whole request and the bytes of both arrays."""
    digest = hashlib.sha256(json.dumps([SCHEMA, request], sort_keys=True).encode())
    for name in ("noisy", "clean"):
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        for start in range(0, len(array), 1024):
            digest.update(array[start : start + 1024].tobytes())
    return digest.hexdigest()


class DamagedDatasetError(ValueError):
    """A folder that holds no dataset, or one whose files are not those that were written."""


def read_dataset(folder: Path, verify: bool = False) -> Dataset:
    """Open a dataset; ``verify`` reads all of it to check the digest, otherwise shapes only.

    Raises ValueError, DamagedDatasetError where making it anew would help.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(inside(folder, MANIFEST).read_text())
        counts = manifest["counts"]["training"], manifest["counts"]["validation"]
        patch, schema = manifest["request"]["parameters"]["patch"], manifest["schema"]
        digest, parameters = str(manifest["digest"]), manifest["request"]["parameters"]
        noisy, clean = (
            np.load(inside(folder, f"{name}.npy"), mmap_mode="r") for name in ("noisy", "clean")
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedDatasetError(f"{folder}: not a dataset that synth made ({error!r})") from error
    if schema != SCHEMA:
        raise DamagedDatasetError(
            f"{path}: schema {schema}, this version reads {SCHEMA}; make it anew"
        )
    try:
        planned = config_of(parameters).counts
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedDatasetError(f"{folder}: {error}") from error
    if counts != planned:
        raise DamagedDatasetError(f"{path}: counts {counts}, its parameters say {planned}")
    expected = (sum(planned), patch, patch)
    for name, array in (("noisy", noisy), ("clean", clean)):
        if array.shape != expected or array.dtype != np.uint8:
            found = f"{array.dtype} {array.shape}"
            raise DamagedDatasetError(
                f"{folder / name}.npy: {found}, its manifest says uint8 {expected}"
            )
    if verify and digest_of(folder, manifest["request"]) != digest:
        raise DamagedDatasetError(
            f"{folder}: damaged, its files are not those of its manifest's digest {digest[:16]}"
        )
    train, validation = np.split(np.arange(sum(counts), dtype=np.intp), [counts[0]])
    return Dataset(folder, manifest, noisy, clean, train, validation, digest)
