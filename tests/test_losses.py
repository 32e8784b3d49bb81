import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from lfranker.losses import LOSSES, VGGFeatures
from lfranker.losses.perceptual import VGG19
from lfranker.losses.pixel import mae, mse
from lfranker.losses.spec import Loss
from lfranker.losses.structure import ssim
from lfranker.weights import random_state


@pytest.fixture(scope="module")
def losses() -> dict[str, Loss]:
    weights = {key: value.double() for key, value in random_state(VGG19, 0).items()}
    network = VGGFeatures(weights)
    return {name: spec.build(network) for name, spec in LOSSES.items()}


def images(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A smooth-ish target and a noisy output, float64 in about [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator, dtype=torch.float64).cumsum(-1)
    target = target / target.max()
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return target + 0.1 * noise, target


def test_pixel_losses_by_hand() -> None:
    output, target = torch.tensor([0.0, 0.5, 1.0, 1.0]), torch.tensor([0.5, 0.5, 0.0, 0.75])
    assert mae(output, target).item() == 1.75 / 4  # 0.5 + 0 + 1 + 0.25
    assert mse(output, target).item() == 1.3125 / 4  # 0.25 + 0 + 1 + 0.0625


@pytest.mark.parametrize("shape", [(11, 11), (16, 40), (33, 20)])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, int]) -> None:
    output, target = images(2, 1, *shape)
    expected = [
        structural_similarity(
            *(image[0].numpy() for image in pair),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
        )
        for pair in zip(output, target, strict=True)
    ]
    # Tolerance: some hundred float64 roundings, against C2 = 9e-4 in the denominator.
    assert ssim(output, target).item() == pytest.approx(1 - np.mean(expected), abs=1e-11)
    assert ssim(output.float(), target.float()).item() == pytest.approx(
        1 - np.mean(expected), abs=1e-4
    )


def test_ssim_of_constant_images_by_hand() -> None:
    a, b = torch.full((1, 1, 12, 12), 0.3).double(), torch.full((1, 1, 12, 12), 0.6).double()
    expected = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)  # no structure: luminance only
    assert ssim(a, b).item() == pytest.approx(1 - expected, abs=1e-7)


def test_ssim_of_an_opposite_image_is_above_one() -> None:
    target = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    assert 1.9 < ssim(1 - target, target).item() <= 2


@pytest.mark.parametrize("name", ["mae", "mse", "ssim"])
def test_gradients(losses: dict[str, Loss], name: str) -> None:
    output, target = images(1, 1, 12, 13)
    assert torch.autograd.gradcheck(losses[name], (output.requires_grad_(), target))


@pytest.mark.parametrize("name", LOSSES)
def test_minimum_is_reached_at_the_target_and_only_there(
    losses: dict[str, Loss], name: str
) -> None:
    output, target = images(2, 1, 32, 32)
    assert losses[name](target, target).item() == pytest.approx(LOSSES[name].minimum, abs=1e-12)
    small = losses[name](target + 0.1 * (output - target), target).item()
    assert LOSSES[name].minimum < small < losses[name](output, target).item()


CHANGES = {
    "flip": lambda x, y: (x.flip(-1), y.flip(-1)),
    "rotate": lambda x, y: (x.rot90(1, (-2, -1)), y.rot90(1, (-2, -1))),
    "offset": lambda x, y: (x + 0.25, y + 0.25),
    "sign": lambda x, y: (-x, -y),
    "swap": lambda x, y: (y, x),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", LOSSES)
def test_exactly_the_declared_invariances_hold(
    losses: dict[str, Loss], name: str, change: str
) -> None:
    output, target = images(1, 1, 32, 32)
    before = losses[name](output, target).item()
    after = losses[name](*CHANGES[change](output, target)).item()
    assert LOSSES[name].invariances <= set(CHANGES)
    holds = math.isclose(before, after, rel_tol=1e-9)
    assert holds == (change in LOSSES[name].invariances), (before, after)


@pytest.mark.parametrize("name", LOSSES)
def test_smallest_patch_is_taken_and_smaller_ones_are_refused(
    losses: dict[str, Loss], name: str
) -> None:
    side = LOSSES[name].smallest_patch
    assert losses[name](*images(1, 1, side, side)).isfinite()
    if side > 1:
        with pytest.raises(ValueError, match=rf"{name}: image of {side}x{side - 1} px"):
            losses[name](*images(1, 1, side, side - 1))


def test_which_losses_need_a_network() -> None:
    assert list(LOSSES) == ["mae", "mse", "ssim", "perceptual"]  # the paper's order
    assert [name for name, spec in LOSSES.items() if spec.needs_weights] == ["perceptual"]
    with pytest.raises(ValueError, match="perceptual: needs a network"):
        LOSSES["perceptual"].build(None)
