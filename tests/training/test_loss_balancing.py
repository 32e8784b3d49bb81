"""Weights of terms: given, or such that the terms are equal at a fixed output."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity
from trained import make_data

from lfranker.datasets.patch_dataset import Dataset
from lfranker.losses import LOSSES, Objective, VGGFeatures, build_objective
from lfranker.losses.pixel import mae, mse
from lfranker.perceptual.vgg import convolutions_for
from lfranker.perceptual.weights import random_state
from lfranker.training.loss_balancing import (
    PATCHES,
    SIGMA,
    check_named,
    described,
    fixed_output,
    loss_weights,
    parse_loss_weights,
    term_sizes,
)

DATA = make_data(count=40, patch=32)
ALL = tuple(LOSSES)


@pytest.fixture(scope="module")
def shallow() -> VGGFeatures:
    layers = ("conv1_2",)
    return VGGFeatures(random_state(convolutions_for(layers), 0), layers)


def weights(choice: Any, losses: tuple[str, ...] = ("mae", "mse"), data: Dataset = DATA) -> Any:
    return loss_weights(choice, losses, None, data, seed=3)


def test_choices_are_read_and_said_alike_where_they_mean_the_same() -> None:
    assert [parse_loss_weights(word) for word in ("unit", "value", "gradnorm")] == [
        "unit", "value", "gradnorm",
    ]  # fmt: skip
    given = parse_loss_weights("ssim=0.1, mae=1,mse=1e-3")
    assert given == {"ssim": 0.1, "mae": 1.0, "mse": 0.001}
    assert described(given) == described({"mse": 0.001, "ssim": 0.1}) == "mse=0.001,ssim=0.1"
    assert parse_loss_weights(described(given)) == {"mse": 0.001, "ssim": 0.1}
    assert described({"mae": 1.0}) == described("unit") == "unit"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("equal", "allowed are unit, value, gradnorm"),
        ("mae=0", "mae must be above 0"),
        ("mae=-1", "'mae=-1'"),
        ("mae=inf", "'mae=inf'"),
        ("mae=nan", "'mae=nan'"),
        ("mae=1,mae=2", "'mae=2'"),
        ("mae=1,ssim", "'ssim' is not NAME=NUMBER"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_loss_weights(text)


def test_weights_are_only_for_losses_of_the_set() -> None:
    with pytest.raises(ValueError, match="ssim: allowed are the losses trained on, mae, mse"):
        check_named({"mae": 2.0, "ssim": 1.0}, ("mae", "mse"))
    with pytest.raises(ValueError, match="for ssim"):
        weights({"ssim": 2.0})
    assert weights("unit") == {"mae": 1.0, "mse": 1.0}
    assert weights({"mse": 0.25}) == {"mae": 1.0, "mse": 0.25}


def test_the_fixed_output_is_a_blur_of_noisy_training_patches() -> None:
    output, clean = fixed_output(DATA, 3)
    assert output.shape == clean.shape == (PATCHES, 1, 32, 32)
    assert output.dtype == clean.dtype == torch.float64
    x = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (x / SIGMA) ** 2)
    kernel /= kernel.sum()
    noisy = 1 - clean[5, 0].numpy()  # as make_data pairs them
    expected = convolve2d(noisy, np.outer(kernel, kernel), "same", "symm")
    # the kernel is cut at 4 sigma, beyond which lies 1e-4 of it
    np.testing.assert_allclose(output[5, 0].numpy(), expected, atol=1e-6)
    assert not torch.equal(output, fixed_output(DATA, 4)[0])


def test_equal_values_by_independent_formulas() -> None:
    output, clean = (image.numpy()[:, 0] for image in fixed_output(DATA, 3))
    ssim = np.mean([
        structural_similarity(
            o, c, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            full=True,
        )[1][5:-5, 5:-5].mean()
        for o, c in zip(output, clean, strict=True)
    ])  # fmt: skip
    of_mae, of_mse = np.abs(output - clean).mean(), ((output - clean) ** 2).mean()
    found = weights("value", ("mse", "ssim"))
    # rounded to 4 digits: at most half a unit of the last of them
    assert found["mse"] == pytest.approx(of_mae / of_mse, rel=5.1e-4)
    assert found["ssim"] == pytest.approx(of_mae / (1 - ssim), rel=5.1e-4)


def test_equal_gradients_by_hand() -> None:
    output, clean = fixed_output(DATA, 3)
    pixels = 32 * 32
    error = (output - clean).numpy()[:, 0]
    # of mae: sign / n, whose norm is 1 / sqrt(n); of mse: 2 error / n
    squares = ((2 * error / pixels) ** 2).sum(axis=(1, 2)).mean()
    expected = pixels**-0.5 / squares**0.5
    assert weights("gradnorm")["mse"] == pytest.approx(expected, rel=5.1e-4)
    assert weights("gradnorm")["mae"] == 1.0


def test_terms_weigh_equally_with_the_weights_found(shallow: VGGFeatures) -> None:
    output, clean = fixed_output(DATA, 3)
    for choice in ("value", "gradnorm"):
        found = loss_weights(choice, ALL[:4], shallow, DATA, seed=3)
        if choice == "value":
            objective = build_objective(ALL[:4], shallow, found)
            terms = objective(output.float(), clean.float())[1]
            sizes = {name: found[name] * float(term) for name, term in terms.items()}
        else:
            sizes = term_sizes("gradnorm", build_objective(ALL[:4], shallow, found), output, clean)
        assert list(sizes.values()) == pytest.approx([sizes["mae"]] * 4, rel=6e-4)


@pytest.mark.parametrize("choice", ["value", "gradnorm"])
def test_a_weight_depends_on_no_other_loss_and_no_precision(choice: str) -> None:
    together = weights(choice, ("mae", "mse", "ssim"))
    assert together["mae"] == 1.0
    for losses in (("ssim",), ("mse", "ssim")):
        assert weights(choice, losses) == {name: together[name] for name in losses}
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert weights(choice, ("mae", "mse", "ssim")) == together
    finally:
        torch.set_default_dtype(before)
    assert all(float(f"{weight:.4g}") == weight for weight in together.values())


@pytest.mark.parametrize(
    ("choice", "what"), [("value", "value of mae is 0"), ("gradnorm", "gradient of mae is 0")]
)
def test_a_term_without_value_or_gradient_there_is_an_error(choice: str, what: str) -> None:
    same = np.full_like(DATA.clean, 90)
    with pytest.raises(ValueError, match=f"{what} at a light blur.*give weights"):
        weights(choice, data=replace(DATA, noisy=same, clean=same))


def test_a_term_with_a_value_below_0_is_refused() -> None:
    output, clean = fixed_output(DATA, 3)
    objective = Objective({"mae": mae, "negative": lambda o, t: -mse(o, t)})
    with pytest.raises(ValueError, match="value of negative is -"):
        term_sizes("value", objective, output, clean)
    assert term_sizes("gradnorm", objective, output, clean)["negative"] > 0
