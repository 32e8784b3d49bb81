"""The weighted sum of losses that one network is trained on."""

from collections.abc import Mapping, Sequence
from math import isfinite

import torch
from torch import Tensor, nn

from lfranker.losses.custom import spec_of
from lfranker.losses.registry import Loss
from lfranker.perceptual.vgg import Features


class Objective(nn.Module):
    """Weighted sum of terms, weight 1 each unless ``weights`` says otherwise.

    Computed in float32 outside autocast, whatever the network's precision; float64 stays float64.
    """

    def __init__(
        self, terms: Mapping[str, Loss], weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        unknown = set(weights or {}) - set(terms)
        if not terms or unknown:
            raise ValueError(
                f"objective of {list(terms)} with weights for {sorted(unknown)}: expected at least "
                f"one loss, and weights for these only"
            )
        self.terms = dict(terms)
        self.weights = dict.fromkeys(terms, 1.0) | dict(weights or {})
        # So that moving the objective to a device moves the perceptual network.
        self.networks = nn.ModuleList(t for t in terms.values() if isinstance(t, nn.Module))

    def forward(self, output: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, and each term before weighting, without gradient."""
        if output.shape != target.shape:
            shapes = f"{tuple(output.shape)} and {tuple(target.shape)}"
            raise ValueError(f"objective: output and target differ in shape, {shapes}")
        with torch.autocast(output.device.type, enabled=False):
            output, target = precise(output), precise(target)
            values = {name: loss(output, target) for name, loss in self.terms.items()}
            total = torch.stack([self.weights[name] * v for name, v in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}


def precise(image: Tensor) -> Tensor:
    """The image as losses see it: float32, or float64 where it is that already."""
    return image if image.dtype == torch.float64 else image.float()


def build_objective(
    losses: Sequence[str],
    perceptual: Features | None = None,
    weights: Mapping[str, float] | None = None,
) -> Objective:
    """Objective of names of losses; ``perceptual`` is needed where one of them needs weights.

    ``weights`` are those of the terms, 1 each unless named.
    """
    return Objective({name: spec_of(name).build(perceptual) for name in losses}, weights)


def gradient_norms(
    objective: Objective, output: Tensor, target: Tensor, counted: Tensor | None = None
) -> dict[str, float]:
    """Norm, over the whole batch, of the gradient of each weighted term at ``output``.

    The gradient is that with respect to the output, in the pixels ``counted`` where not all are,
    not to a network's weights. Whatever made the output is left alone: nothing is accumulated in
    it, and no random number is drawn.
    """
    norms = {}
    with torch.autocast(output.device.type, enabled=False), torch.enable_grad():
        leaf, target = precise(output.detach()).requires_grad_(), precise(target)
        for name, loss in objective.terms.items():
            (gradient,) = torch.autograd.grad(loss(leaf, target), leaf)
            gradient = gradient if counted is None else gradient * counted
            norms[name] = objective.weights[name] * float(torch.linalg.vector_norm(gradient))
    return norms


def shares(norms: Mapping[str, float]) -> dict[str, float]:
    """Each norm as a share of their sum; {} where that is 0 or not finite."""
    total = sum(norms.values())
    if not (isfinite(total) and total > 0):
        return {}
    return {name: norm / total for name, norm in norms.items()}
