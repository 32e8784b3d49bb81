"""Input and target of a network that sees no clean image: made of one noisy patch, at each step.

`hide`: a pixel is to be told from those around it (Noise2Void: Krull et al. 2019, 1811.10980).
That works where the noise of what is left says nothing of the pixel's own. In scans the noise is
correlated along x, the fast axis, so that its neighbours there have to be hidden with it
(structured Noise2Void: Broaddus et al. 2020, 10.1109/ISBIWorkshops50223.2020.9153336): a run.

`recorrupt`: of a scan y and noise z drawn as the scan's was, y + a z and y - z / a have noise that
is uncorrelated, so that the second is a target for the first in every pixel (Recorrupted-to-
Recorrupted: Pang et al. 2021, 10.1109/CVPR46437.2021.00208). What has to be known is the noise: its
variance, linear in the signal, and its correlation along x, both measured on the scans.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lfranker.arrays import Image
from lfranker.noise.models import line_offsets
from lfranker.noise.scan_correlation import filter_fast_axis
from lfranker.noise.scan_noise import MeasuredNoise

Hidden = NDArray[np.bool_]

LINES = 3  # from one line with hidden pixels to the next: those between are whole
APART = 1  # px that are left between two runs of a line; 0.4 dB better than 4 lines and 3 px
NEAREST, FARTHEST = 1, 2  # lines from a run to what replaces it
ASIDE = 2  # px along x, at most
SIGNAL = 1.5  # px: blur of a noisy patch that tells the variance of its noise
STRENGTHS = 0.4, 1.0  # of the noise that is added, a multiple of the scan's; log-uniform


def hide(patch: Image, radius: int, rng: np.random.Generator) -> tuple[Image, Hidden]:
    """Return the patch with runs of 2 ``radius`` + 1 px replaced, and where their centres are.

    A run gets the pixels of another line, one or two away and shifted a little along x, as they are
    side by side: noise that is as correlated as that around it. Runs lie in every third line, at
    places of their own in each: what replaces a run is in no other.
    """
    height, width = patch.shape
    length = 2 * radius + 1
    rows, columns = [], []
    for line in range(int(rng.integers(LINES)), height, LINES):
        found = np.arange(
            radius + int(rng.integers(length + APART)), width - radius, length + APART
        )
        rows.append(np.full(len(found), line))
        columns.append(found)
    row, column = np.concatenate(rows), np.concatenate(columns)
    away = rng.integers(NEAREST, FARTHEST + 1, len(row)) * rng.choice((-1, 1), len(row))
    source = row + np.where((row + away < 0) | (row + away >= height), -away, away)
    aside = rng.integers(-ASIDE, ASIDE + 1, len(row))
    run = column[:, None] + np.arange(-radius, radius + 1)
    taken = _reflected(run + aside[:, None], width)
    replaced = patch.copy()
    replaced[row[:, None], run] = patch[source[:, None], taken]
    hidden = np.zeros(patch.shape, np.bool_)
    hidden[row, column] = True
    return replaced, hidden


def _reflected(places: NDArray[Any], length: int) -> NDArray[Any]:
    return length - 1 - np.abs(length - 1 - np.abs(places))


def recorrupt(patch: Image, noise: MeasuredNoise, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return the patch with more noise, in [0, 1], and with as much as makes its noise another.

    The second may leave [0, 1]: clipped it would be too bright where the scan is dark.
    """
    strength = np.float32(np.exp(rng.uniform(*np.log(STRENGTHS))))
    signal = gaussian_filter(patch, SIGNAL)
    white = rng.standard_normal(patch.shape, dtype=np.float32)
    own = filter_fast_axis(white, noise.taps) * noise.deviation(signal).astype(np.float32)
    own += line_offsets(patch, noise.line_offset, rng)
    return np.clip(patch + strength * own, 0, 1), patch - own / strength
