"""Draw the images that the golden run works on: clean ones, and scans of fields at three speeds.

Nothing of the project is imported: what is drawn here must not change with it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

SIZE = 144  # px
BORDER = 8  # px, room for a shift
PEAKS = {"300ns": 100, "1us": 300, "10us": 3000}  # counts at full brightness
READOUT = 0.02  # standard deviation at 300 ns, of full scale; falls as the root of the counts

Field = NDArray[np.float64]


def draw_field(rng: np.random.Generator) -> Field:
    """Return grains with sharp edges and texture, in [0.1, 0.9], BORDER px larger on each side."""
    side = SIZE + 2 * BORDER
    coarse, fine = (gaussian_filter(rng.standard_normal((side, side)), s) for s in (6.0, 1.5))
    edges = np.digitize(coarse / coarse.std(), [-0.8, 0.0, 0.8])
    field = 0.2 + 0.18 * edges + 0.04 * fine / fine.std()
    return np.clip(gaussian_filter(field, 0.7), 0.1, 0.9)


def scan(field: Field, peak: float, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return a scan of 16 bits: shifted by up to 2 px, with shot noise and read-out noise."""
    top, left = BORDER + rng.integers(-2, 3, 2)
    seen = field[top : top + SIZE, left : left + SIZE]
    readout = READOUT * np.sqrt(PEAKS["300ns"] / peak) * rng.standard_normal(seen.shape)
    noise = rng.poisson(seen * peak) / peak - seen + readout
    noise[:, 1:] += 0.3 * noise[:, :-1]  # the detector is slow: along the fast axis
    return np.round(65535 * np.clip(seen + noise, 0, 1)).astype(np.uint16)


def write_scans(folder: Path, fields: int, seed: int) -> None:
    """Write FOLDER/SPEED/field-N.tif of every field at every speed."""
    for number in range(fields):
        rng = np.random.default_rng([seed, number])
        field = draw_field(rng)
        for speed, peak in PEAKS.items():
            path = folder / speed / f"field-{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scan(field, peak, rng)).save(path)


def write_clean(folder: Path, images: int, seed: int) -> None:
    """Write FOLDER/image-N.png, 8 bits, other fields than those of the scans."""
    folder.mkdir(parents=True)
    for number in range(images):
        field = draw_field(np.random.default_rng([seed, number]))
        Image.fromarray(np.round(255 * field).astype(np.uint8)).save(folder / f"image-{number}.png")
