"""Scans of simulated scenes at the paper's four speeds, laid out like scans of a microscope.

Their noise is not the one the networks are trained on: Poisson-Gaussian, correlated along the fast
axis, with a shift and a slow drift between the scans of a field.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform

from lfranker.arrays import Image
from lfranker.files import new_folder, sha256_of
from lfranker.images.image_file import write_image
from lfranker.noise.models import shot_noise
from lfranker.noise.scan_correlation import correlate_fast_axis
from lfranker.simulation.scenes import KINDS, scene

BORDER = 8  # px around a field: room for shift, drift and the cubic spline's support
MAX_SHIFT = 1.0  # px, each axis and scan: two scans differ by at most 2
MAX_DRIFT = 0.75  # px over the frame, each axis and scan, linear in the slow axis
READOUT = 0.016  # of full scale at 100 ns, from a fit to scans of one FEI Quanta at 10 kV
READOUT_DWELL = 100e-9  # s, of that fit
MARKER = "simulated.json"
HELD_OUT = 1_000_000  # first scene index of scans: training scenes count from 0


@dataclass(frozen=True)
class ScanSpeed:
    name: str
    dwell_time: float  # s a pixel
    peak: float  # counts of a fully bright pixel
    correlation: float  # lag 1 along x

    @property
    def readout_sigma(self) -> float:
        """Signal-independent noise, of full scale: averaged over the dwell time, so as its -1/2."""
        return READOUT * float(np.sqrt(READOUT_DWELL / self.dwell_time))


# Dwell times: Table I of the paper. Peaks and correlations are not the paper's: scaled from that
# fit at 100 ns (peak 76, lag-1 correlation 0.49).
SPEEDS: dict[str, ScanSpeed] = {
    "spd2": ScanSpeed("spd2", 280e-9, 125.0, 0.16),
    "spd3": ScanSpeed("spd3", 510e-9, 200.0, 0.09),
    "spd5": ScanSpeed("spd5", 2e-6, 700.0, 0.02),
    "spd8": ScanSpeed("spd8", 10e-6, 3400.0, 0.0),
}
TARGET_SPEED = "spd8"


def simulated_fields(count: int, size: int, seed: int) -> dict[str, Image]:
    """``count`` scenes by name, kinds in turn, each ``BORDER`` px larger on every side than size.

    None of them is among the scenes for training of the same seed.
    """
    kinds = list(KINDS)
    side = size + 2 * BORDER
    return {
        f"{(kind := kinds[number % len(kinds)])}-{number // len(kinds)}": scene(
            kind, (side, side), seed, HELD_OUT + number // len(kinds)
        )
        for number in range(count)
    }


def simulate_scan(clean: Image, speed: ScanSpeed, rng: np.random.Generator) -> Image:
    """One scan (h - 2 BORDER, w - 2 BORDER) of the scene ``clean`` (h, w), clipped to [0, 1].

    Row y samples the scene at y + BORDER + shift + drift (y / rows - 1/2), likewise in x, by cubic
    splines: the scene's border provides what moves in.
    """
    rows, columns = (length - 2 * BORDER for length in clean.shape)
    if rows < 1 or columns < 1:
        raise ValueError(f"scene of {clean.shape} px has no room for a border of {BORDER} px")
    shift = rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2)
    drift = rng.uniform(-MAX_DRIFT, MAX_DRIFT, 2)
    matrix = np.array([[1 + drift[0] / rows, 0], [drift[1] / rows, 1]])
    offset = BORDER + shift - drift / 2
    moved = affine_transform(clean, matrix, offset, (rows, columns), np.float32, order=3)
    moved = np.clip(moved, 0, 1)
    noise = shot_noise(moved, speed.peak, rng) - moved
    noise += speed.readout_sigma * rng.standard_normal(moved.shape, dtype=np.float32)
    noise = correlate_fast_axis(noise, speed.correlation)
    return np.clip(moved + noise, 0, 1).astype(np.float32)


def simulate_scans(fields: Mapping[str, Image], out: Path, seed: int) -> None:
    """Write every field at every speed, 8 bit, as out/SPEED/FIELD.png, and the marker.

    Scans are ``BORDER`` px smaller on every side than their field, which a field of any origin can
    give. A field's scans do not depend on how many other fields there are. ``out`` must not exist
    or be empty; it appears complete or not at all.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out}: not empty; simulated scans need a new folder")
    with new_folder(out) as draft:
        for name, clean in fields.items():
            for number, speed in enumerate(SPEEDS.values()):
                rng = np.random.default_rng([seed, number, *name.encode()])
                scan = simulate_scan(clean, speed, rng)
                path = draft / speed.name / f"{name}.png"
                write_image(path, scan, np.dtype(np.uint8), 255)
        marker = _marker(fields, seed) | {"sha256": _checksums(draft)}
        (draft / MARKER).write_text(json.dumps(marker, indent=1) + "\n")


def damaged_scan(folder: Path) -> str:
    """Return which file of simulated scans is not the one that was written; "" where none.

    Scans of earlier versions have no checksums, and count as whole.
    """
    try:
        known = json.loads((folder / MARKER).read_text(encoding="utf-8")).get("sha256")
    except (OSError, ValueError, AttributeError):
        return MARKER
    if known is None:
        return ""
    present = _checksums(folder)
    differing = sorted(name for name, _ in present.items() ^ known.items())
    return differing[0] if differing else ""


def _checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 of each scan, by speed and name."""
    files = sorted(folder.glob("*/*.png"))
    return {f"{file.parent.name}/{file.name}": sha256_of(file) for file in files}


def _marker(fields: Mapping[str, Image], seed: int) -> dict[str, object]:
    return {
        "simulated": True,
        "seed": seed,
        "target": TARGET_SPEED,
        "fields": sorted(fields),
        "speeds": [
            asdict(speed) | {"readout_sigma": speed.readout_sigma} for speed in SPEEDS.values()
        ],
        "max_shift": MAX_SHIFT,
        "max_drift": MAX_DRIFT,
        "origin": "peaks, read-out noise and correlation scaled from one fit at 100 ns",
    }
