"""Declarations of losses, and the table of them all."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from lfranker.losses import (
    distribution,
    frequency,
    gradients,
    lpips_dists,
    pixel,
    poisson,
    structure,
)
from lfranker.perceptual.vgg import LAYERS, Features, PerceptualLoss, convolutions_for

Loss = Callable[[Tensor, Tensor], Tensor]
Build = Callable[[Features | None], Loss]


# Laws that hold of every loss which does not declare that it breaks them.
MINIMUM = "minimum at the target"  # ``LossSpec.minimum`` for every target, and nothing below it
DECREASING = "decreasing towards the target"  # strictly, on the straight way from any other image
FINITE = "finite everywhere"  # value and gradient: constant patches, values outside [0, 1]
DERIVATIVE = "gradient is the derivative"  # of the value
LAWS = frozenset({MINIMUM, DECREASING, FINITE, DERIVATIVE})


@dataclass(frozen=True)
class LossSpec:
    build: Build  # from the perceptual network, or None where none is needed
    minimum: float = 0.0  # reached where the output equals the target
    smallest_patch: int = 1  # px a side
    needs_weights: bool = False  # of a pretrained network
    alone: bool = True  # tells a network enough to be its only loss
    # Changes made to output and target alike that leave the value as it is: "flip", "rotate" (by a
    # quarter turn), "offset" (adding a constant), "sign" (of both, about 0), "swap" (of the two).
    invariances: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset()  # those of LAWS that do not hold
    # What decides its values beside this code and the perceptual network; ValueError if missing.
    files: Callable[[], tuple[Path, ...]] = tuple


def _perceptual(network: Features | None) -> Loss:
    if network is None:
        raise ValueError(
            "perceptual: needs a network, see lfranker.perceptual.weights.load_features"
        )
    return PerceptualLoss(network)


def _plain(
    loss: Loss,
    *lost: str,
    smallest: int = 1,
    minimum: float = 0.0,
    alone: bool = True,
    breaks: tuple[str, ...] = (),
) -> LossSpec:
    """A loss without weights that has all invariances but those ``lost``."""
    invariances = frozenset({"flip", "rotate", "offset", "sign", "swap"}).difference(lost)
    return LossSpec(lambda _: loss, minimum, smallest, False, alone, invariances, frozenset(breaks))


_VGG_SMALLEST = 2 ** sum(conv.pooled for conv in convolutions_for(tuple(LAYERS)))

# In the order of names.LOSS_ORDER: the paper's four, in its order, then by family.
LOSSES: dict[str, LossSpec] = {
    "mae": _plain(pixel.mae),
    "mse": _plain(pixel.mse),
    "ssim": _plain(structure.ssim, "offset", smallest=structure.SIDE),
    "perceptual": LossSpec(
        _perceptual,
        smallest_patch=_VGG_SMALLEST,
        needs_weights=True,
        invariances=frozenset({"swap"}),
        # Deep features are not convex in the image: from a picture of something else the straight
        # way may lead over a rise.
        breaks=frozenset({DECREASING}),
    ),
    "huber": _plain(pixel.huber),
    "charbonnier": _plain(pixel.charbonnier),
    "mape": _plain(pixel.mape, "offset", "sign", "swap"),
    "msle": _plain(pixel.msle, "offset", "sign"),
    "psnr": _plain(pixel.psnr, minimum=-80.0),
    "dssim": _plain(structure.dssim, "offset", smallest=structure.SIDE),
    "ms_ssim": _plain(structure.ms_ssim, "offset", smallest=2 * structure.SIDE),
    "fft": _plain(frequency.fft),
    # Its weights are functions of the output, too, but constants to the gradient.
    "focal_frequency": _plain(frequency.focal_frequency, breaks=(DERIVATIVE,)),
    "wavelet": _plain(frequency.wavelet, smallest=frequency.SMALLEST),
    "wavelet_db2": _plain(frequency.wavelet_db2, "flip", "rotate", smallest=frequency.SMALLEST),
    # Pixels may change places freely; on the way from there to the target it even rises.
    "histogram": _plain(
        distribution.histogram, "offset", "sign", alone=False, breaks=(DECREASING,)
    ),
    "wasserstein": _plain(distribution.wasserstein, alone=False, breaks=(DECREASING,)),
    # A constant may be added freely.
    "gradient": _plain(gradients.gradient, smallest=3, alone=False, breaks=(DECREASING,)),
    "gradient_scharr": _plain(
        gradients.gradient_scharr, smallest=3, alone=False, breaks=(DECREASING,)
    ),
    "gmsd": _plain(gradients.gmsd, smallest=6, alone=False, breaks=(DECREASING,)),
    # A constant may be added and the contrast changed freely.
    "ncc": _plain(structure.ncc, alone=False, breaks=(DECREASING,)),
    # Of the output alone: least for a constant image, whatever the target.
    "tv": _plain(gradients.tv, "swap", smallest=2, alone=False, breaks=(MINIMUM, DECREASING)),
    "lpips": LossSpec(
        lambda _: lpips_dists.build_lpips(),
        smallest_patch=lpips_dists.SMALLEST,
        needs_weights=True,
        invariances=frozenset({"swap"}),
        files=partial(lpips_dists.files_of, "lpips", *lpips_dists.LPIPS_FILE),
    ),
    "dists": LossSpec(
        lambda _: lpips_dists.build_dists(),
        smallest_patch=lpips_dists.SMALLEST,
        needs_weights=True,
        invariances=frozenset({"swap"}),
        breaks=frozenset({DECREASING}),  # as perceptual
        files=partial(lpips_dists.files_of, "dists", *lpips_dists.DISTS_FILE),
    ),
    "poisson_nll": _plain(poisson.poisson_nll, "offset", "sign", "swap"),
    "anscombe": _plain(poisson.anscombe, "offset", "sign"),
}
