import copy

import pytest
import torch
from torch import Tensor

from lfranker.losses import Objective, VGGFeatures, build_objective
from lfranker.losses.pixel import mae, mse
from lfranker.perceptual.vgg import convolutions_for
from lfranker.perceptual.weights import random_state


@pytest.fixture(scope="module")
def shallow() -> VGGFeatures:
    layers = ("conv1_2",)
    return VGGFeatures(random_state(convolutions_for(layers), 0), layers)


def pair(side: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 2, 1, side, side, generator=generator)
    return output, target


def test_sum_of_terms_by_hand() -> None:
    output = torch.tensor([[[[0.5, 1.0]]]], requires_grad=True)
    target = torch.tensor([[[[0.0, 1.0]]]])
    total, terms = Objective({"mae": mae, "mse": mse})(output, target)
    assert {name: value.item() for name, value in terms.items()} == {"mae": 0.25, "mse": 0.125}
    assert total.item() == 0.375
    assert not any(value.requires_grad for value in terms.values())
    total.backward()
    assert output.grad is not None
    assert output.grad.tolist() == [[[[1.0, 0.0]]]]  # 1/2 from mae, 2 * 0.5 / 2 from mse


def test_weights_scale_the_total_and_not_the_terms() -> None:
    output, target = torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    total, terms = Objective({"mae": mae, "mse": mse}, {"mse": 4.0})(output, target)
    assert terms["mse"].item() == 0.125
    assert total.item() == 0.75


def test_terms_are_float32_outside_autocast(shallow: VGGFeatures) -> None:
    seen = []

    def spy(output: Tensor, target: Tensor) -> Tensor:
        seen.append((output.dtype, target.dtype, torch.is_autocast_enabled("cpu")))
        return mae(output, target)

    output, target = pair()
    output, target = output.bfloat16(), target.bfloat16()
    objective = Objective({"spy": spy} | build_objective(("ssim", "perceptual"), shallow).terms)
    expected = objective(output.float(), target.float())[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = objective(output, target)[0]
    assert seen == [(torch.float32, torch.float32, False)] * 2
    assert found.dtype == torch.float32
    assert found.item() == expected.item()


def test_float64_stays_and_the_network_moves_with_the_objective(shallow: VGGFeatures) -> None:
    output, target = pair()
    objective = build_objective(("mae", "mse", "ssim", "perceptual"), shallow)
    single = objective(output, target)[0]
    double = copy.deepcopy(objective).double()(output.double(), target.double())[0]
    assert double.dtype == torch.float64
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(double.item(), rel=1e-5)


def test_terms_come_in_the_order_given_and_the_target_is_the_minimum(shallow: VGGFeatures) -> None:
    output, target = pair()
    objective = build_objective(("perceptual", "mae"), shallow)
    total, terms = objective(output, target)
    assert list(terms) == ["perceptual", "mae"]
    assert total.item() == pytest.approx(sum(v.item() for v in terms.values()), rel=1e-6)
    assert objective(target, target)[0].item() == 0


def test_refuses_what_cannot_be_meant() -> None:
    output, target = pair()
    with pytest.raises(ValueError, match=r"differ in shape, \(2, 1, 16, 16\) and \(2, 1, 16, 1\)"):
        build_objective(("mae",))(output, target[..., :1])
    with pytest.raises(ValueError, match="at least one loss"):
        Objective({})
    with pytest.raises(ValueError, match=r"\['mae'\] with weights for \['mse'\]"):
        Objective({"mae": mae}, {"mse": 1.0})
    with pytest.raises(ValueError, match="perceptual: needs a network"):
        build_objective(("mae", "perceptual"))
