"""Weights of the terms of an objective, fixed before anything is trained.

`unit`: 1 each, as in the paper. Explicit: `mae=1,perceptual=0.1`, others 1. `value` and `gradnorm`
make the terms equal where a denoiser works: each is divided by its own value, or by the norm of its
gradient over the image, at a fixed output, a light blur of noisy training patches. The untrained
network's output would not do: it is so far off that MSE has half of MAE's gradient there, and a
thirtieth near the end of training.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from math import isfinite, sqrt
from statistics import fmean

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lfranker.datasets.patch_dataset import Dataset
from lfranker.losses import (
    Features,
    Objective,
    build_objective,
    gradient_norms,
)
from lfranker.text import parse_values
from lfranker.training.batches import draw_batch
from lfranker.training.config import TrainConfig

UNIT = "unit"
BALANCES = ("value", "gradnorm")
REFERENCE = "mae"  # whose weight is 1
PATCHES = 16  # of the fixed output
SIGMA = 1.0  # px, of its blur
DIGITS = 4  # of a weight, so that it is the same on every machine and can be written down

Choice = str | Mapping[str, float]  # UNIT, one of BALANCES, or weights by loss


def parse_loss_weights(text: str) -> Choice:
    """`unit`, `value`, `gradnorm`, or `mae=1,perceptual=0.1`. Raises ValueError."""
    if text in (UNIT, *BALANCES):
        return text
    if "=" not in text:
        allowed = ", ".join((UNIT, *BALANCES))
        raise ValueError(f"loss weights {text!r}: allowed are {allowed}, or e.g. mae=1,ssim=0.1")
    weights = parse_values(text)
    for name, weight in weights.items():
        if weight == 0:
            raise ValueError(f"loss weights {text!r}: that of {name} must be above 0")
    return weights


def described(choice: Choice) -> str:
    """The choice in words that are equal where it means the same: what determines the weights."""
    if isinstance(choice, str):
        return choice
    kept = {name: choice[name] for name in sorted(choice) if choice[name] != 1.0}
    return ",".join(f"{name}={weight!r}" for name, weight in kept.items()) or UNIT


def check_named(choice: Choice, losses: Sequence[str]) -> None:
    """Raise ValueError where weights are given for other losses than these."""
    others = [] if isinstance(choice, str) else [name for name in choice if name not in losses]
    if others:
        raise ValueError(
            f"loss weights for {', '.join(others)}: allowed are the losses trained on, "
            f"{', '.join(losses)}"
        )


def loss_weights(
    choice: Choice,
    losses: Sequence[str],
    perceptual: Features | None,
    data: Dataset,
    seed: int,
) -> dict[str, float]:
    """The weight of each of ``losses``, which depends on no other of them.

    Raises ValueError where weights are given for others, or where a term cannot be balanced.
    """
    check_named(choice, losses)
    if not isinstance(choice, str):
        return {name: choice.get(name, 1.0) for name in losses}
    if choice == UNIT:
        return dict.fromkeys(losses, 1.0)
    names = dict.fromkeys((REFERENCE, *losses))
    sizes = term_sizes(choice, build_objective(list(names), perceptual), *fixed_output(data, seed))
    return {name: float(f"{sizes[REFERENCE] / sizes[name]:.{DIGITS}g}") for name in losses}


def fixed_output(data: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """Output and target, float64 (b, 1, p, p): PATCHES training patches, blurred, and clean.

    They depend on the data and the seed alone. Where pixels are hidden, the output is blurred
    there, and the target elsewhere, as in training.
    """
    batch = draw_batch(data, replace(TrainConfig(), batch=PATCHES, seed=seed), 0)
    blurred = gaussian_filter(batch.noisy.double().numpy(), SIGMA, mode="reflect", axes=(-2, -1))
    return batch.composite(torch.from_numpy(blurred)).double(), batch.clean.double()


def term_sizes(
    balance: str, objective: Objective, output: Tensor, target: Tensor
) -> dict[str, float]:
    """Sizes by which `value` or `gradnorm` divides each term, computed in float64.

    The mean over the images of the term's value; or the root mean square over the images of the
    norm of its gradient, which for a mean over the batch is in proportion to the batch's gradient.
    Raises ValueError where that is not above 0.
    """
    precise = deepcopy(objective).double()
    images = list(zip(output.split(1), target.split(1), strict=True))
    try:
        if balance == "value":
            with torch.no_grad():
                found = [{k: float(v) for k, v in precise(*pair)[1].items()} for pair in images]
        else:
            found = [gradient_norms(precise, *pair) for pair in images]
    except RuntimeError as error:  # such as a kernel of a user's own loss that is float32
        raise ValueError(
            f"loss weights {balance!r}: {', '.join(objective.terms)} cannot all be computed in "
            f"float64, in which they are measured ({error}); let them follow the type of their "
            f"inputs, or give weights, e.g. {next(iter(objective.terms))}=1"
        ) from error
    mean = fmean if balance == "value" else _root_mean_square
    sizes = {name: mean([sizes[name] for sizes in found]) for name in objective.terms}
    for name, size in sizes.items():
        if not (isfinite(size) and size > 0):
            what = "value" if balance == "value" else "gradient"
            raise ValueError(
                f"loss weights {balance!r}: the {what} of {name} is {size:g} at a light blur of "
                f"the noisy patches and must be above 0; give weights, e.g. {name}=1"
            )
    return sizes


def _root_mean_square(values: Sequence[float]) -> float:
    return sqrt(fmean(value**2 for value in values))
