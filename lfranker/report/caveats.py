"""Caveats of a ranking, judged by the settings that it was made with."""

from collections.abc import Iterator, Mapping

from lfranker.losses import PERCEPTUAL_RANDOM
from lfranker.training.presets import PRESETS

LEAST = PRESETS["small"].train  # the least effort that is meant as an answer
ENOUGH = 0.5  # of its patches


def caveats(settings: Mapping[str, str], loss_set: str) -> Iterator[str]:
    """Sentences to show wherever the ranking is.

    `settings`: parameters of the power set as they were used, in words; what is not among them is
    not judged. `loss_set`: the names of its losses.
    """
    seen = int(settings.get("steps", LEAST.steps)) * int(settings.get("batch", LEAST.batch))
    wanted = round(ENOUGH * LEAST.steps * LEAST.batch)
    narrow = int(settings.get("dim", LEAST.dim)) < LEAST.dim
    reasons = [
        *([f"saw {seen:,} patches each, fewer than {wanted:,}"] if seen < wanted else []),
        *([f"are {settings['dim']} channels wide, fewer than {LEAST.dim}"] if narrow else []),
    ]
    if reasons:
        yield (
            f"This ranking demonstrates the machinery: its networks {' and '.join(reasons)}, too "
            f"little to say which loss is best. Use `-P preset=small` or `paper` for that."
        )
    if PERCEPTUAL_RANDOM in loss_set:
        yield (
            "The perceptual loss has a network with random weights, which is not the perceptual "
            "loss of the literature: `-P perceptual=imagenet` or a file of weights is."
        )
