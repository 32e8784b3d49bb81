"""Names for the arrays that pass between rooms."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # (h, w), in [0, 1]
Floats = NDArray[np.float64]
