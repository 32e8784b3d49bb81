"""Scans that would be scored unfairly, named with the reason: clipped or out of focus."""

import numpy as np
from numpy.typing import NDArray

from lfranker.arrays import Image, hann_window
from lfranker.registration.block_matching import compared_part

# Share of pixels at 0 or at full scale. Scans at 100 ns and 30 us of 24 real fields have 0 to
# 0.022, and one field 0.07 at either speed.
SATURATED = 0.05
COARSE = (0.01, 0.03)  # cycles per px: what a beam out of focus still shows
FINE = (0.08, 0.12)  # cycles per px: below what one scan's noise correlation or drift changes
# Fine over coarse detail, in one scan relative to the other. 0.95 to 1.02 on 24 real pairs; a
# Gaussian blur of 2 px in one of them makes it exp(-2 pi^2 0.1^2 2^2) = 0.45, or 1 / 0.45.
DEFOCUSED = 0.5


def saturation(image: Image) -> str | None:
    """The reason why ``image``, (h, w) in [0, 1], is saturated; None where it is not.

    Clipped pixels have lost their noise, and what the specimen was there.
    """
    dark, bright = float(np.mean(image <= 0)), float(np.mean(image >= 1))
    if max(dark, bright) <= SATURATED:
        return None
    end, share = ("full scale", bright) if bright > dark else ("zero", dark)
    return f"saturated, {share:.1%} of the pixels are at {end}, more than {SATURATED:.0%}"


def defocus(noisy: Image, clean: Image, mask: NDArray[np.bool_]) -> str | None:
    """Name the scan of a registered pair that is out of focus, and why; None where neither is.

    ``clean`` lies on the grid of ``noisy``, both (h, w) in [0, 1]; ``mask`` is where it covers it.
    See ``relative_detail``. A pair of which both scans are equally blurred is not found.
    """
    detail = relative_detail(noisy, clean, mask)
    if detail < DEFOCUSED:
        return f"noisy scan out of focus, it has {detail:.2f} of the clean scan's fine detail"
    if detail > 1 / DEFOCUSED:
        return f"clean scan out of focus, it has {1 / detail:.2f} of the noisy scan's fine detail"
    return None


def relative_detail(noisy: Image, clean: Image, mask: NDArray[np.bool_]) -> float:
    """Fine over coarse detail of ``noisy``, divided by the same of ``clean``; 1 for like scans.

    Detail in a band of frequencies is the cross-spectrum of the two over the power of the clean
    scan: noise does not correlate with the other scan, so it adds nothing in the mean, where a
    gradient's energy would be mostly noise. The contrast of the two scans cancels. 1 where the
    clean scan shows nothing.
    """
    part = compared_part(mask)
    window = hann_window(mask[part].shape) * mask[part]
    height, width = window.shape
    spectra = [np.fft.rfft2(_centred(image[part], window)) for image in (noisy, clean)]
    cross = (spectra[0] * spectra[1].conj()).real
    power = np.abs(spectra[1]) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    gains = []
    for low, high in (COARSE, FINE):
        band = (radius >= low) & (radius < high)
        total = float(power[band].sum())
        gains.append(float(cross[band].sum()) / total if total > 0 else 1.0)
    coarse, fine = gains
    return max(fine, 0.0) / coarse if coarse > 0 else 1.0


def _centred(image: Image, window: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = float(window.sum())
    mean = float((image * window).sum()) / weight if weight > 0 else 0.0
    return (image - mean) * window
