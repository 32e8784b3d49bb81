"""Made-up scores of fields, as rankings take them."""

import numpy as np
import pandas as pd

from lfranker.ranking.entrants import PairScores

NAMES = ("mae", "mse", "ssim", "mae+mse", "mae+ssim", "mse+ssim", "mae+mse+ssim")
MARGINS = {"psnr": 0.1, "ssim": 0.005}


def pairs(scores: np.ndarray, names=NAMES, sites=None) -> PairScores:
    """Pair scores of psnr (entrants, fields, repeats) at one speed; ssim is a hundredth of it."""
    fields = scores.shape[1]
    sites = sites or [f"site{at}" for at in range(fields)]
    at = np.array(list(np.ndindex(scores.shape)))
    table = pd.DataFrame(
        {
            "name": np.array(names)[at[:, 0]],
            "repeat": at[:, 2],
            "baseline": False,
            "field": [f"f{n}" for n in at[:, 1]],
            "speed": "100ns",
            "place": np.array(sites)[at[:, 1]],
            "sample": "",
            "psnr": scores.ravel(),
            "ssim": scores.ravel() / 100,
        }
    )
    return PairScores(table)


def noise(rng, shape=(7, 12, 3), field=0.3, seed=0.1, rest=0.1) -> np.ndarray:
    """Deviations of each entrant's own, beside how hard a field is: the same at all lengths."""
    entrants, fields, repeats = shape
    return (
        np.linspace(-3, 3, fields)[:, None]
        + rng.normal(0, field, (entrants, fields, 1))
        + rng.normal(0, seed, (entrants, 1, repeats))
        + rng.normal(0, rest, shape)
    )
