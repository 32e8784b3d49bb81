"""Measurement of a microscope's profile from scans in a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lfranker.arrays import Image
from lfranker.images.folder_bars import folder_bars
from lfranker.images.image_file import image_files, read_image
from lfranker.images.white_level import white_levels
from lfranker.microscopes.reading import read_metadata
from lfranker.microscopes.scan_speed import by_speed, exposure_name, seconds_of
from lfranker.noise.fit import Fit, fit_noise, measure_pairs, measure_scans
from lfranker.noise.fit_check import compare, synthetic
from lfranker.noise.profile import FROM_PAIRS, NEEDED, WHITE, Profile, SpeedNoise
from lfranker.scans.folder_layout import FRAME, check_speed, scan_plan
from lfranker.scans.frames import UNNAMED
from lfranker.scans.scan_set import ScanSet


@dataclass(frozen=True)
class Measurement:
    profile: Profile
    fits: Mapping[str, Fit]  # by speed
    made: Mapping[str, Fit]  # of the profile's noise on the same clean scans; empty without them
    notices: tuple[str, ...] = ()  # of how files were read

    def estimates(self) -> pd.DataFrame:
        """A row per speed and parameter: value and interval."""
        return pd.DataFrame(
            (speed, name, estimate.value, estimate.low, estimate.high)
            for speed, fit in self.fits.items()
            for name, estimate in fit.estimates.items()
        ).set_axis(["speed", "parameter", "value", "low", "high"], axis=1)

    def levels(self) -> pd.DataFrame:
        """A row per speed and brightness: variance measured there, and half of its interval."""
        tables = [
            pd.DataFrame({"brightness": fit.signal, "variance": fit.variance, "half": fit.half})
            for fit in self.fits.values()
        ]
        return pd.concat(tables, keys=self.fits, names=["speed", None]).reset_index("speed")

    def checks(self) -> pd.DataFrame:
        """`compare` for every speed; empty without clean scans."""
        tables = {
            speed: compare(self.fits[speed], made, self.profile.speeds[speed])
            for speed, made in self.made.items()
        }
        if not tables:
            return pd.DataFrame()
        return pd.concat(tables.values(), keys=tables, names=["speed", None]).reset_index("speed")


def fit_pairs(scans: ScanSet, exposures: Mapping[str, float | None], seed: int) -> Measurement:
    """Fit every speed on its registered pairs; `exposures` are the dwell times known, s."""
    fits, made, speeds = {}, {}, {}
    for speed in scans.speeds:
        records = [record for record in scans.records if record.speed == speed]
        fits[speed] = _named(speed, fit_noise(measure_pairs(map(scans.read, records)), seed))
        speeds[speed] = _speed(fits[speed], exposures.get(speed))
        pairs = synthetic(map(scans.read, records), speeds[speed], fits[speed], seed)
        made[speed] = fit_noise(measure_pairs(pairs), seed)
    origin = {"method": "registered pairs", "scans": scans.digest, "target": scans.target}
    return Measurement(Profile(speeds, origin | _white(scans.white) | _places(fits)), fits, made)


def fit_singles(scans: Path, seed: int, white: int | None = None) -> Measurement:
    """Fit every speed on its scans alone. ``scans`` is a file, or a folder with or without speeds.

    Sub-folders are speeds; a flat folder is sorted by the exposure that its files say. ``white`` is
    the gray value of full brightness of files of 16 bits; None: see `white_levels`.
    """
    fits, speeds, used = {}, {}, set[int]()
    found = single_files(scans)
    every = [path for files in found.values() for path in files]
    levels = white_levels(every, white, alike=True)
    bars = folder_bars({path: levels.of(path) for path in every})

    def image(path: Path) -> Image:
        scan = read_image(path, levels.of(path), bars.get(path))
        used.add(scan.maximum)
        return scan.image

    for speed, files in found.items():
        images = map(image, files)
        fits[speed] = _named(speed, fit_noise(measure_scans(images), seed))
        speeds[speed] = _speed(fits[speed], exposure(speed, files[0]))
    origin = {"method": "single scans"} | _white(sorted(used)) | _places(fits)
    return Measurement(Profile(speeds, origin), fits, {}, levels.notices)


def exposures_of(folder: Path) -> dict[str, float | None]:
    """Dwell time (s a pixel) of every speed in a folder of scans, where name or file tells."""
    files = scan_plan(folder).files
    return {name: exposure(name, next(iter(scans.values()))) for name, scans in files.items()}


def exposure(speed: str, path: Path) -> float | None:
    return seconds_of(speed) or read_metadata(path).exposure


def single_files(scans: Path) -> dict[str, list[Path]]:
    """Files by speed, fast to slow. ValueError where there are none."""
    found: dict[str, list[Path]] = {}
    for path in image_files(scans) if scans.is_dir() else [scans]:
        first = path.relative_to(scans).parts[0] if scans.is_dir() and path.parent != scans else ""
        nested = bool(first) and not FRAME.fullmatch(first)  # frames alone are of one speed
        name = first if nested else exposure_name(read_metadata(path))
        if nested:
            check_speed(str(name), scans / str(name))
        found.setdefault(name or UNNAMED, []).append(path)
    if not found:
        raise ValueError(f"{scans}: no images to measure the noise of")
    return {name: found[name] for name in by_speed(list(found))}


def _white(levels: Sequence[int]) -> dict[str, str]:
    """Tell which gray value brightness 1 is; nothing where prepared scans do not have it."""
    return {WHITE: " and ".join(map(str, levels))} if levels else {}


def _named(speed: str, fit: Fit) -> Fit:
    if not fit.estimates["gamma"].value > 0:
        raise ValueError(
            f"{speed}: the noise does not grow with the brightness (gamma "
            f"{fit.estimates['gamma'].value:.3g}); no profile can be made of it"
        )
    return fit


def _speed(fit: Fit, dwell_time: float | None) -> SpeedNoise:
    """Return what the profile keeps: without what one place says nothing of the interval of."""
    known = {name: e for name, e in fit.estimates.items() if np.isfinite(e.low)}
    kept = [name for name in (*NEEDED, *FROM_PAIRS) if name in known]
    return SpeedNoise({name: known[name] for name in kept}, dwell_time)


def _places(fits: Mapping[str, Fit]) -> dict[str, str]:
    return {
        f"places at {speed}": f"1, in {fit.places} bands" if fit.lone else str(fit.places)
        for speed, fit in fits.items()
    }
