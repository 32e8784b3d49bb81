"""Fine detail that a denoised scan keeps, by spatial frequency (cycles per px).

Both measures look at the largest frame without uncovered pixels about the centre of the mask,
with the mean removed and under a Hann window, which keeps the frame's edges out of the spectrum.
"""

import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image, covered, hann_window

FINE = 0.25  # cycles per px: half of what pixels can show
THRESHOLD = 1 / 7  # of the ring correlation

Spectrum = NDArray[np.complex128]


def high_frequency_ratio(output: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """Power of the output above 0.25 cycles per px over that of the clean scan.

    1 is right, below is over-smoothed, above is noise that was left; no more than a sign, since
    the clean scan has some noise of its own. NaN where the clean scan has no such power.
    """
    first, second, radius = _spectra(output, clean, mask)
    fine = radius >= FINE
    power = float(np.sum(np.abs(second[fine]) ** 2))
    return float(np.sum(np.abs(first[fine]) ** 2)) / power if power > 0 else float("nan")


def frc(output: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """Frequency, cycles per px, up to which the output shows what the clean scan does; 0 to 0.5.

    Where the Fourier ring correlation (Saxton & Baumeister 1982) first falls below 1/7, the
    threshold of Nieuwenhuizen et al. 2013 (10.1038/nmeth.2448), linear between rings. Rings are
    one frequency of the frame's shorter side wide. Blurring alone does not change it: it tells
    what is there from what was made up, not how strong it is.
    """
    first, second, radius = _spectra(output, clean, mask)
    shorter = min(first.shape)
    ring = np.rint(radius * shorter).astype(np.intp).ravel()
    sums = [
        np.bincount(ring, values.ravel())
        for values in ((first * second.conj()).real, np.abs(first) ** 2, np.abs(second) ** 2)
    ]
    norm = np.sqrt(sums[1] * sums[2])
    curve = np.divide(sums[0], norm, out=np.zeros_like(norm), where=norm > 0)
    curve = curve[1 : shorter // 2 + 1]  # without the mean
    below = np.nonzero(curve < THRESHOLD)[0]
    if not len(below):
        return 0.5
    at = int(below[0])
    before = 1.0 if at == 0 else float(curve[at - 1])
    return float(at + (before - THRESHOLD) / (before - curve[at])) / shorter


def _spectra(
    output: Image, clean: Image, mask: NDArray[np.bool_]
) -> tuple[Spectrum, Spectrum, NDArray[np.float64]]:
    """Spectra of both in the covered frame, and the frequency of each element."""
    rows, columns = covered(mask)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    window = hann_window((height, width))
    first, second = (
        np.fft.fft2((image[rows, columns] - image[rows, columns].mean(dtype=np.float64)) * window)
        for image in (output, clean)
    )
    return first, second, np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
