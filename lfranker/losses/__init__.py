"""The losses that networks are trained on, alone and in every combination.

Conventions of all: output and target are (b, 1, h, w), the target in [0, 1] and the output not
clipped; the result is a scalar to be minimised.
"""

from lfranker.losses.custom import files_digest, spec_of, try_losses
from lfranker.losses.names import (
    parse_losses,
    parse_names,
    parse_subset,
    subset_name,
    tells_enough,
)
from lfranker.losses.objective import Objective, build_objective, gradient_norms, shares
from lfranker.losses.registry import LOSSES, LossSpec
from lfranker.perceptual.vgg import LAYERS, Features, PerceptualLoss, VGGFeatures
from lfranker.perceptual.weights import PERCEPTUAL_RANDOM

__all__ = [
    "LAYERS",
    "LOSSES",
    "PERCEPTUAL_RANDOM",
    "Features",
    "LossSpec",
    "Objective",
    "PerceptualLoss",
    "VGGFeatures",
    "build_objective",
    "files_digest",
    "gradient_norms",
    "parse_losses",
    "parse_names",
    "parse_subset",
    "shares",
    "spec_of",
    "subset_name",
    "tells_enough",
    "try_losses",
]
