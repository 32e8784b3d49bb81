"""Comparison of noise made from a profile with the noise that it was fitted to.

The profile's noise is put onto the registered clean scans and measured as the real noise was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from lfranker.noise.fit import Fit
from lfranker.noise.noise_config import NoiseConfig, add_noise
from lfranker.noise.profile import LAGS, SpeedNoise
from lfranker.options import changed
from lfranker.scans.scan_set import Pair

TOLERANCE = 0.05  # of the real value, where its interval is narrower


def synthetic(
    pairs: Iterable[Pair], noise: SpeedNoise, measured: Fit, seed: int = 0
) -> Iterator[Pair]:
    """The pairs with made noise: on gain x clean + offset, rounded as 8-bit scans are.

    Gain and offset are those ``measured``: the profile lacks them where all is one place.
    """
    config = changed(NoiseConfig(), noise.fixed())
    gain, offset = (measured.estimates[name].value for name in ("gain", "offset"))
    for number, pair in enumerate(pairs):
        signal = np.clip(gain * pair.clean + offset, 0, 1).astype(np.float32)
        noisy = add_noise(signal, config, np.random.default_rng([seed, number]))
        rounded = (np.rint(noisy * 255) / 255).astype(np.float32)
        yield replace(pair, noisy=rounded)


def compare(real: Fit, made: Fit, noise: SpeedNoise) -> pd.DataFrame:
    """A row for each variance and lag: what, at (brightness or px), real, made, allowed, agrees.

    They agree where they differ by no more than the 95 % interval of the difference, or by
    TOLERANCE of the real value. Both fits are measurements, and so are the lags of ``noise``, from
    which the noise of ``made`` was made. Variances are compared at the brightness
    of the real bins, on the line through the made ones, as far as both reach.
    """
    both = (real.signal >= made.signal[0]) & (real.signal <= made.signal[-1])
    at = real.signal[both]
    there, wide = (np.interp(at, made.signal, of) for of in (made.variance, made.half))
    rows = [
        ("variance", *row)
        for row in zip(at, real.variance[both], there, np.hypot(real.half[both], wide), strict=True)
    ]
    for lag, name in enumerate((*LAGS, "lag4"), 1):
        ours, theirs = real.estimates[name], made.estimates[name]
        known = [ours, theirs, *([noise.estimates[name]] if name in noise.estimates else [])]
        half = np.linalg.norm([each.high - each.low for each in known]) / 2
        rows.append(("autocorrelation", lag, ours.value, theirs.value, half))
    table = pd.DataFrame(rows, columns=["what", "at", "real", "made", "allowed"])
    table["allowed"] = np.maximum(table["allowed"], TOLERANCE * table["real"].abs())
    return table.assign(agrees=(table["made"] - table["real"]).abs() <= table["allowed"])
