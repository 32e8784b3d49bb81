"""A loss of the user's own, ``module:function``, and the trial that every loss must pass."""

import inspect
from collections.abc import Iterable
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from lfranker.losses.names import CUSTOM
from lfranker.losses.registry import LOSSES, Loss, LossSpec
from lfranker.perceptual.vgg import Features

TRIAL = 2  # images


def spec_of(name: str) -> LossSpec:
    """Return the declaration of a loss; of a user's own only that it may stand alone."""
    if name in LOSSES:
        return LOSSES[name]
    function, module = load_custom(name), import_module(name.partition(":")[0])
    return LossSpec(lambda _: function, files=lambda: (Path(str(module.__file__)),))


def load_custom(name: str) -> Loss:
    """The function of ``module:function``, which takes output and target.

    ValueError naming the loss where there is none or it takes something else.
    """
    if not CUSTOM.fullmatch(name):
        raise ValueError(f"loss {name!r}: expected one of {', '.join(LOSSES)}, or module:function")
    module_name, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module_name), attribute)
    except Exception as error:  # whatever a user's module does when it is imported
        raise ValueError(
            f"loss {name!r}: cannot be imported ({type(error).__name__}: {error}); its module must "
            f"be in the working directory or on PYTHONPATH"
        ) from error
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"loss {name!r}: must be callable as {attribute}(output, target) ({error})"
        ) from error
    return function


def try_losses(names: Iterable[str], network: Features | None, patch: int) -> None:
    """Evaluate each loss once on a small random batch of ``patch`` px a side.

    ValueError naming the loss that cannot be, or whose value is no finite scalar with a finite
    gradient for the output.
    """
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(TRIAL, 1, patch, patch, generator=generator)
    output = target + 0.1 * torch.randn(target.shape, generator=generator)
    for name in names:
        loss = spec_of(name).build(network)
        if name in LOSSES:
            with torch.no_grad():
                loss(output, target)  # the loss's own ValueError says what is wrong
        else:
            _try_custom(name, loss, output.clone().requires_grad_(), target)


def _try_custom(name: str, loss: Loss, output: Tensor, target: Tensor) -> None:
    try:
        value = loss(output, target)
    except Exception as error:  # whatever a user's function does
        raise ValueError(
            f"loss {name!r}: fails on a batch of {tuple(target.shape)} in [0, 1] "
            f"({type(error).__name__}: {error})"
        ) from error
    if not isinstance(value, Tensor) or value.shape != ():
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"loss {name!r}: must return a scalar tensor, found {found}")
    if not value.isfinite():
        raise ValueError(f"loss {name!r}: must be finite, is {value.item()} on a small batch")
    slope = None
    if value.requires_grad:
        slope = torch.autograd.grad(value, output, allow_unused=True)[0]
    if slope is None or not slope.isfinite().all() or not slope.any():
        raise ValueError(
            f"loss {name!r}: must have a finite gradient for the output that is not zero everywhere"
        )


def files_digest(names: Iterable[str]) -> str:
    """16 hex digits of the files that decide the losses' values; empty where there are none.

    These are modules of the user's own losses, not what they import, and fitted weights.
    """
    files = sorted({file for name in names for file in spec_of(name).files()})
    if not files:
        return ""
    return sha256(b"".join(sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]
