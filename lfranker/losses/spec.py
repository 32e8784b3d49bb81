"""What is declared of each loss, and the table of them all."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lfranker.losses.perceptual import LAYERS, PerceptualLoss, VGGFeatures, convolutions_for
from lfranker.losses.pixel import mae, mse
from lfranker.losses.structure import SIDE, ssim

Loss = Callable[[Tensor, Tensor], Tensor]
Build = Callable[[VGGFeatures | None], Loss]

PERCEPTUAL_RANDOM = "perceptual-random"  # the shown name of ``perceptual`` with random weights


@dataclass(frozen=True)
class LossSpec:
    build: Build  # from the perceptual network, or None where needs_weights is False
    minimum: float = 0.0  # reached where the output equals the target
    smallest_patch: int = 1  # px a side
    needs_weights: bool = False  # of a perceptual network
    alone: bool = True  # tells a network enough to be its only loss
    # Changes made to output and target alike that leave the value as it is: "flip", "rotate" (by a
    # quarter turn), "offset" (adding a constant), "sign" (of both, about 0), "swap" (of the two).
    invariances: frozenset[str] = frozenset()


def _perceptual(network: VGGFeatures | None) -> Loss:
    if network is None:
        raise ValueError("perceptual: needs a network, see lfranker.weights.load_features")
    return PerceptualLoss(network)


_PIXEL = frozenset({"flip", "rotate", "offset", "sign", "swap"})
_VGG_SMALLEST = 2 ** sum(conv.pooled for conv in convolutions_for(tuple(LAYERS)))

# The paper's four, in its order.
LOSSES: dict[str, LossSpec] = {
    "mae": LossSpec(lambda _: mae, invariances=_PIXEL),
    "mse": LossSpec(lambda _: mse, invariances=_PIXEL),
    "ssim": LossSpec(
        lambda _: ssim,
        smallest_patch=SIDE,
        invariances=frozenset({"flip", "rotate", "sign", "swap"}),
    ),
    "perceptual": LossSpec(
        _perceptual,
        smallest_patch=_VGG_SMALLEST,
        needs_weights=True,
        invariances=frozenset({"swap"}),
    ),
}
