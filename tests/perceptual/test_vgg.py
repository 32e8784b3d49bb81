import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from lfranker.perceptual.vgg import (
    LAYERS,
    MEAN,
    STD,
    VGG16,
    VGG19,
    PerceptualLoss,
    VGGFeatures,
    convolutions_for,
    last_layers,
)
from lfranker.perceptual.weights import random_state

# Configuration E of Simonyan and Zisserman, M a pooling; as torchvision numbers its modules.
CONFIGURATION_E = [64, 64, "M", 128, 128, "M"] + 4 * [256] + ["M", *4 * [512], "M", *4 * [512]]
BEFORE_RELU = {2: "conv1_2", 7: "conv2_2", 16: "conv3_4", 25: "conv4_4", 34: "conv5_4"}
WEIGHTS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = {key: value.double() for key, value in random_state(VGG19, 0).items()}
    for key in state:
        if key.endswith("bias"):
            state[key] += 0.1 * torch.randn(len(state[key]), generator=generator).double()
    return state


def plain_vgg19() -> nn.Sequential:
    modules: list[nn.Module] = []
    before = 3
    for channels in CONFIGURATION_E:
        if isinstance(channels, int):
            conv = nn.Conv2d(before, channels, 3, padding=1, device="meta", dtype=torch.float64)
            modules += [conv, nn.ReLU()]
            before = channels
        else:
            modules.append(nn.MaxPool2d(2))
    return nn.Sequential(*modules)


def plain_features(weights: dict[str, Tensor], gray: Tensor) -> dict[str, Tensor]:
    """From three equal channels, normalised, through torch's own modules."""
    network = plain_vgg19()
    state = {key.removeprefix("features."): value for key, value in weights.items()}
    network.load_state_dict(state, strict=True, assign=True)
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).reshape(1, 3, 1, 1)
    x = (gray.expand(-1, 3, -1, -1) - mean) / std
    found = {}
    for index, module in enumerate(network):
        x = module(x)
        if index in BEFORE_RELU:
            found[BEFORE_RELU[index]] = x
    return found


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_features_are_those_of_the_three_channel_form_border_included(
    weights: dict[str, Tensor], capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Winograd's convolution and without it."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    gray = torch.rand(2, 1, 32, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = plain_features(weights, gray)
    features = VGGFeatures(weights)(gray)
    assert list(expected) == list(LAYERS)
    for found, (name, wanted) in zip(features, expected.items(), strict=True):
        assert wanted.min() < 0, name  # before the ReLU
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_loss_is_the_weighted_sum_of_l1_distances(weights: dict[str, Tensor]) -> None:
    output, target = torch.rand(2, 2, 1, 32, 32, dtype=torch.float64)
    pairs = zip(
        plain_features(weights, output).items(),
        plain_features(weights, target).values(),
        strict=True,
    )
    expected = sum(WEIGHTS[name] * F.l1_loss(a, b).item() for (name, a), b in pairs)
    found = PerceptualLoss(VGGFeatures(weights))(output, target).item()
    assert found == pytest.approx(expected, rel=1e-10)


def test_fewer_layers_need_no_deeper_weights_and_keep_the_network_order(
    weights: dict[str, Tensor],
) -> None:
    layers = ("conv2_2", "conv1_2")
    shallow = {key: weights[key] for key in weights if int(key.split(".")[1]) <= 7}
    gray = torch.rand(1, 1, 18, 16, dtype=torch.float64)
    network = VGGFeatures(shallow, layers)
    found = network(gray)
    assert [f.shape[1:] for f in found] == [(64, 18, 16), (128, 9, 8)]
    for feature, wanted in zip(found, VGGFeatures(weights)(gray), strict=False):
        torch.testing.assert_close(feature, wanted, rtol=0, atol=0)
    assert network.smallest == 2
    assert len(convolutions_for(layers)) == 4


def test_gradient_reaches_the_output_only(weights: dict[str, Tensor]) -> None:
    output, target = torch.rand(2, 1, 1, 16, 16, dtype=torch.float64)
    output.requires_grad_()
    target.requires_grad_()
    loss = PerceptualLoss(VGGFeatures(weights))
    loss(output, target).backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert target.grad is None
    assert not list(loss.parameters())
    assert not loss.state_dict()  # not repeated in checkpoints


def test_gradients(weights: dict[str, Tensor]) -> None:
    generator = torch.Generator().manual_seed(3)
    output, target = torch.rand(2, 1, 1, 4, 5, dtype=torch.float64, generator=generator)
    loss = PerceptualLoss(VGGFeatures(weights, ("conv1_2", "conv2_2")))
    assert torch.autograd.gradcheck(loss, (output.requires_grad_(), target), eps=1e-7)


@pytest.mark.parametrize("layers", [(), ("conv1_1",), ("relu1_2", "conv1_2"), ("conv1_2",) * 2])
def test_refuses_other_layers(layers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"perceptual layers \[.*\]: expected some of \['conv1_2'"):
        convolutions_for(layers)


@pytest.mark.slow
def test_vgg16_is_configuration_d_with_the_weights_of_its_blocks() -> None:
    """Against torchvision's; features and L1 at the last convolution of each block."""
    state = {key: value.double() for key, value in random_state(VGG16, 0).items()}
    network = make_layers(cfgs["D"]).double()
    network.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    output, target = torch.rand(2, 1, 1, 16, 16, dtype=torch.float64)
    mean, std = (torch.tensor(v, dtype=torch.float64).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    expected, x, y = 0.0, (output - mean) / std, (target - mean) / std
    weights = {2: 0.1, 7: 0.1, 14: 1.0, 21: 1.0, 28: 1.0}
    for index, module in enumerate(network[:29]):
        x, y = module(x.clone()), module(y.clone())
        expected += weights.get(index, 0) * F.l1_loss(x, y).item()
    loss = PerceptualLoss(VGGFeatures(state, last_layers(VGG16), VGG16))
    assert loss(output, target).item() == pytest.approx(expected, rel=1e-10)
