"""Palettes: which colour an index stands for, and which index a gray value has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COARSEST = 4  # of 255: a palette in which a gray value has no index this near cannot hold an image


@dataclass(frozen=True)
class Palette:
    """Colours of an image and the index of each pixel.

    Vendors keep some indices for the colours of annotations: Zeiss has red, green, blue, cyan,
    magenta, yellow and white among a ramp of gray.
    """

    colours: NDArray[np.uint8]  # (n, 3): red, green, blue
    indices: NDArray[np.uint8]  # (h, w)

    def looked_up(self) -> NDArray[np.uint8]:
        """Return the image in colours, (h, w, 3)."""
        return self.colours[self.indices]

    def index_of_gray(self) -> NDArray[np.uint8] | None:
        """Return for each gray value, 0 to 255, the index that comes nearest to it.

        Where several do, it is the one nearest to the value itself. None where the palette has
        too few grays for an image.
        """
        grays = np.flatnonzero((self.colours == self.colours[:, :1]).all(axis=1))
        if grays.size == 0:
            return None
        values = np.arange(256)[:, None]
        misses = np.abs(self.colours[grays, 0].astype(int) - values)  # (256, grays)
        nearest = np.argmin(misses * 256 + np.abs(grays - values), axis=1)
        if misses[np.arange(256), nearest].max() > COARSEST:
            return None
        return grays[nearest].astype(np.uint8)
