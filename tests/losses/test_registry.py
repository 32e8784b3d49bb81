"""What the declarations in LOSSES promise, of every loss in it."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lfranker.losses import LOSSES, VGGFeatures
from lfranker.losses.names import LOSS_ORDER, PAPER
from lfranker.losses.registry import DECREASING, DERIVATIVE, FINITE, LAWS, MINIMUM, Loss
from lfranker.perceptual.vgg import VGG19
from lfranker.perceptual.weights import random_state
from tests.fitted import fitted

# the networks of these take most of the time of this file
DEEP = ("perceptual", "lpips", "dists")
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in DEEP)) for name in LOSSES]
SIDE = 32  # px: more than any loss's smallest, and even at two halvings


def built(kind: torch.dtype) -> dict[str, Loss]:
    """Every loss; those that need weights with random ones."""
    vgg19 = {key: value.to(kind) for key, value in random_state(VGG19, 0).items()}
    given: dict[str, Loss] = dict(zip(("lpips", "dists"), fitted(kind), strict=True))
    network = VGGFeatures(vgg19)
    return {name: given.get(name) or spec.build(network) for name, spec in LOSSES.items()}


@pytest.fixture(scope="module")
def losses() -> dict[str, Loss]:
    return built(torch.float64)


@pytest.fixture(scope="module")
def single() -> dict[str, Loss]:
    return built(torch.float32)


def images(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A smooth-ish target and a noisy output, float64 in about [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator, dtype=torch.float64).cumsum(-1)
    target = target / target.max()
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return target + 0.1 * noise, target


def shape_for(name: str) -> tuple[int, int, int, int]:
    """A batch larger than any loss's smallest patch; small where a network makes it slow."""
    return (1, 1, 16, 16) if LOSSES[name].needs_weights else (2, 1, SIDE, SIDE)


def shuffled(image: Tensor) -> Tensor:
    order = torch.randperm(image.shape[-1] * image.shape[-2], generator=torch.Generator())
    return image.flatten(-2)[..., order].reshape(image.shape)


OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "noisy": lambda y: y + 0.1 * torch.randn(y.shape, generator=torch.Generator().manual_seed(3)),
    "another": lambda y: images(*y.shape, seed=9)[1].flip(-1),
    "brighter": lambda y: y + 0.1,
    "negative": lambda y: 1 - y,
    "less contrast": lambda y: 0.25 + 0.5 * y,
    "shuffled": shuffled,
    "blurred": lambda y: torch.nn.functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False),
}


FACTORIES = (torch.tensor, torch.zeros, torch.ones, torch.full, torch.arange, torch.eye)


class WithDevices(TorchFunctionMode):
    """Assert that tensors that are made of numbers are told their device."""

    def __torch_function__(
        self,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        named = kwargs or {}
        assert function not in FACTORIES or "device" in named, function.__name__
        return function(*args, **named)


def test_losses_make_their_tensors_where_the_images_are(single: dict[str, Loss]) -> None:
    output, target = (image.float() for image in images(1, 1, SIDE, SIDE))
    with WithDevices():
        for loss in single.values():
            loss(output, target)


def test_the_table_is_in_the_order_that_ties_are_broken_by() -> None:
    assert tuple(LOSSES) == LOSS_ORDER
    assert LOSS_ORDER[:4] == PAPER == ("mae", "mse", "ssim", "perceptual")
    for name, spec in LOSSES.items():
        assert spec.breaks <= LAWS, name


def test_which_losses_need_a_network() -> None:
    assert [name for name, spec in LOSSES.items() if spec.needs_weights] == [
        "perceptual",
        "lpips",
        "dists",
    ]
    with pytest.raises(ValueError, match="perceptual: needs a network"):
        LOSSES["perceptual"].build(None)


def test_those_that_do_not_always_fall_towards_the_target_are_not_trained_alone() -> None:
    for name, spec in LOSSES.items():
        assert spec.alone == (DECREASING not in spec.breaks or spec.needs_weights), name


@pytest.mark.parametrize("name", NAMES)
def test_minimum_is_reached_at_the_target(losses: dict[str, Loss], name: str) -> None:
    spec, target = LOSSES[name], images(*shape_for(name))[1]
    constant = torch.full_like(target, 0.3)
    reached = [losses[name](y, y).item() for y in (target, constant, constant * 0)]
    holds = all(math.isclose(v, spec.minimum, rel_tol=1e-12, abs_tol=1e-12) for v in reached)
    holds &= all(
        losses[name](other(target), target) > spec.minimum - 1e-12 for other in OTHERS.values()
    )
    assert holds == (MINIMUM not in spec.breaks), reached


@pytest.mark.parametrize("name", NAMES)
def test_falls_all_the_way_to_the_target(losses: dict[str, Loss], name: str) -> None:
    target = images(*shape_for(name), seed=4)[1]
    rising = []
    for title, other in OTHERS.items():
        start = other(target)
        way = [
            losses[name](target + t * (start - target), target).item() for t in (1, 0.7, 0.4, 0.1)
        ]
        # A difference that is one of rounding is none.
        steps = [before - after for before, after in pairwise(way)]
        if min(steps) <= 1e-12:
            rising.append((title, way))
    assert bool(rising) == (DECREASING in LOSSES[name].breaks), rising


@pytest.mark.parametrize("name", NAMES)
def test_finite_for_constant_patches_and_outside_the_range(
    single: dict[str, Loss], name: str
) -> None:
    target = images(*shape_for(name))[1].float()
    black, white, gray = (torch.full_like(target, level) for level in (0.0, 1.0, 0.4))
    pairs = [(black, black), (white, black), (gray, gray), (gray, target), (target, gray)]
    pairs += [
        (target, target),
        (4 * target - 2, target),
        (black - 1, target),
        (black - 5, target),
        (white + 9, black),
    ]
    for output, wanted in pairs:
        output = output.clone().requires_grad_()
        value = single[name](output, wanted)
        (slope,) = torch.autograd.grad(value, output)
        finite = bool(value.isfinite() and slope.isfinite().all())
        assert finite or FINITE in LOSSES[name].breaks, (output, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_enough(losses: dict[str, Loss], single: dict[str, Loss], name: str) -> None:
    for other in OTHERS.values():
        target = images(*shape_for(name))[1]
        output = other(target)
        wanted = losses[name](output, target).item()
        found = single[name](output.float(), target.float())
        assert found.dtype == torch.float32
        # A float32 rounding of 6e-8 in a local second moment of 1, against SSIM's C2 of 9e-4.
        assert found.item() == pytest.approx(wanted, rel=1e-4, abs=1e-4 * 0.1)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_derivative(losses: dict[str, Loss], name: str) -> None:
    spec = LOSSES[name]
    side = max(spec.smallest_patch, 5)
    output, target = images(1, 1, side + 1, side)
    holds = torch.autograd.gradcheck(
        losses[name],
        (output.requires_grad_(), target),
        raise_exception=False,
        fast_mode=spec.smallest_patch > 8,  # along one random direction instead of each pixel
    )
    assert holds == (DERIVATIVE not in LOSSES[name].breaks)


CHANGES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "flip": lambda x, y: (x.flip(-1), y.flip(-1)),
    "rotate": lambda x, y: (x.rot90(1, (-2, -1)), y.rot90(1, (-2, -1))),
    "offset": lambda x, y: (x + 0.25, y + 0.25),
    "sign": lambda x, y: (-x, -y),
    "swap": lambda x, y: (y, x),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_declared_invariances_hold(
    losses: dict[str, Loss], name: str, change: str
) -> None:
    output, target = images(1, *shape_for(name)[1:])
    before = losses[name](output, target).item()
    after = losses[name](*CHANGES[change](output, target)).item()
    assert LOSSES[name].invariances <= set(CHANGES)
    holds = math.isclose(before, after, rel_tol=1e-9)
    assert holds == (change in LOSSES[name].invariances), (before, after)


@pytest.mark.parametrize("name", NAMES)
def test_smallest_patch_is_taken_and_smaller_ones_are_refused(
    losses: dict[str, Loss], name: str
) -> None:
    side = LOSSES[name].smallest_patch
    assert losses[name](*images(1, 1, side, side)).isfinite()
    if side > 1:
        with pytest.raises(ValueError, match=rf"{name}: image of {side}x{side - 1} px"):
            losses[name](*images(1, 1, side, side - 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_worth_the_mean_of_its_images(losses: dict[str, Loss], name: str) -> None:
    output, target = images(2, *shape_for(name)[1:])
    each = [losses[name](output[i : i + 1], target[i : i + 1]).item() for i in range(2)]
    assert losses[name](output, target).item() == pytest.approx(sum(each) / 2, rel=1e-10)
