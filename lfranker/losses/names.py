"""Names of losses and of their combinations, always in the order of LOSSES.

A loss of the user's own is named ``module:function``; such come last, by the alphabet. Whether
there is such a function is for ``custom`` to say, not asked here: runs are read by their names.
"""

import re
from collections.abc import Iterable, Sequence

from lfranker.losses.registry import LOSSES
from lfranker.perceptual.weights import PERCEPTUAL_RANDOM

CUSTOM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)


def _known(names: Sequence[str], text: str) -> tuple[str, ...]:
    """Sort by LOSSES. Raises ValueError naming what is unknown or given twice."""
    allowed = ", ".join(LOSSES)
    own = sorted(name for name in names if CUSTOM.fullmatch(name))
    unknown = [name for name in names if name not in LOSSES and name not in own]
    if unknown or not names:
        what = f"unknown loss {', '.join(map(repr, unknown))}" if unknown else "no loss"
        raise ValueError(
            f"losses {text!r}: {what}; allowed are {allowed}, and module:function for your own"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"losses {text!r}: each may be named once; allowed are {allowed}")
    return *(name for name in LOSSES if name in names), *own


def _checked(names: Sequence[str], text: str) -> tuple[str, ...]:
    """Do as `_known`, for losses that a network can be trained on."""
    known = _known(names, text)
    if not tells_enough(names):
        raise ValueError(
            f"losses {text!r}: a network cannot be trained on {' and '.join(names)} alone; add one "
            f"of {', '.join(name for name, spec in LOSSES.items() if spec.alone)}"
        )
    return known


def parse_losses(text: str) -> tuple[str, ...]:
    """``"ssim,mae"`` to ``("mae", "ssim")``."""
    return _checked([part.strip() for part in text.split(",") if part.strip()], text)


def parse_names(text: str, separator: str = ",") -> tuple[str, ...]:
    """Parse as ``parse_losses``, also names that no network can be trained on alone."""
    return _known([part.strip() for part in text.split(separator) if part.strip()], text)


def subset_name(losses: Iterable[str], *, perceptual: str = "perceptual") -> str:
    """``("ssim", "mae")`` to ``"mae+ssim"``; ``perceptual`` is shown under the name given."""
    names = list(losses)
    ordered = _checked(names, "+".join(names))
    return "+".join(perceptual if name == "perceptual" else name for name in ordered)


def parse_subset(name: str) -> tuple[str, ...]:
    """``"mae+ssim"`` to ``("mae", "ssim")``; ``perceptual-random`` is read as ``perceptual``."""
    parts = [part.strip() for part in name.split("+")]
    return _checked(["perceptual" if p == PERCEPTUAL_RANDOM else p for p in parts], name)


def tells_enough(subset: Iterable[str]) -> bool:
    """Return whether one of them may stand alone; losses not in LOSSES may."""
    return any(name not in LOSSES or LOSSES[name].alone for name in subset)


PAPER = ("mae", "mse", "ssim", "perceptual")  # the set that the paper compares, in its order


LOSS_ORDER = (
    *PAPER,
    "huber",
    "charbonnier",
    "mape",
    "msle",
    "psnr",
    "dssim",
    "ms_ssim",
    "fft",
    "focal_frequency",
    "wavelet",
    "wavelet_db2",
    "histogram",
    "wasserstein",
    "gradient",
    "gradient_scharr",
    "gmsd",
    "ncc",
    "tv",
    "lpips",
    "dists",
    "poisson_nll",
    "anscombe",
)
