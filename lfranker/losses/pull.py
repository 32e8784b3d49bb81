"""How strongly each term of an objective pulls at an output."""

from collections.abc import Mapping
from math import isfinite

import torch
from torch import Tensor

from lfranker.losses.objective import Objective, precise


def gradient_norms(objective: Objective, output: Tensor, target: Tensor) -> dict[str, float]:
    """Norm, over the whole batch, of the gradient of each weighted term at ``output``.

    The gradient is that with respect to the output, not to a network's weights. Whatever made the
    output is left alone: nothing is accumulated in it, and no random number is drawn.
    """
    norms = {}
    with torch.autocast(output.device.type, enabled=False), torch.enable_grad():
        leaf, target = precise(output.detach()).requires_grad_(), precise(target)
        for name, loss in objective.terms.items():
            (gradient,) = torch.autograd.grad(loss(leaf, target), leaf)
            norms[name] = objective.weights[name] * float(torch.linalg.vector_norm(gradient))
    return norms


def shares(norms: Mapping[str, float]) -> dict[str, float]:
    """Each norm as a share of their sum; {} where that is 0 or not finite."""
    total = sum(norms.values())
    if not (isfinite(total) and total > 0):
        return {}
    return {name: norm / total for name, norm in norms.items()}
