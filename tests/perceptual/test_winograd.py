import pytest
import torch
import torch.nn.functional as F

from lfranker.perceptual import winograd
from lfranker.perceptual.vgg import Convolution, VGGFeatures, fold_gray
from lfranker.perceptual.winograd import convolve, pays, transformed


def test_weights_first_transformed_in_inference_mode_serve_training() -> None:
    with torch.inference_mode():
        weight = transformed(torch.rand(5, 3, 3, 3))
    image = torch.rand(1, 3, 4, 4, requires_grad=True)
    convolve(image, weight, torch.zeros(5)).sum().backward()
    assert image.grad is not None


@pytest.mark.parametrize(("h", "w"), [(8, 6), (5, 7), (1, 2)])
def test_output_and_gradient_are_those_of_a_direct_convolution(h: int, w: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 3, h, w, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(5, generator=generator, dtype=torch.float64)
    pulled = torch.randn(2, 5, h, w, generator=generator, dtype=torch.float64)

    found = convolve(image, transformed(weight), bias)
    expected = F.conv2d(image, weight, bias, padding=1)

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    (gradient,) = torch.autograd.grad(found, image, pulled)
    (wanted,) = torch.autograd.grad(expected, image, pulled)
    torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("capability", "device", "channels", "expected"),
    [
        ("AVX2", "cpu", 256, True),
        ("AVX2", "cpu", 255, False),
        ("AVX512", "cpu", 512, False),
        ("AVX2", "cuda", 512, False),
    ],
)
def test_it_is_used_where_it_was_measured_to_be_faster(
    monkeypatch: pytest.MonkeyPatch, capability: str, device: str, channels: int, expected: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert pays(torch.device(device), channels) is expected


@pytest.mark.parametrize(("capability", "transforms"), [("AVX2", 1), ("AVX512", 0)])
def test_features_of_many_channels_are_the_same_either_way(
    monkeypatch: pytest.MonkeyPatch, capability: str, transforms: int
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    network = (Convolution("conv1_1", "features.0", 3, 256, pooled=False),)
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(256, *size, generator=generator) for size in ((3, 3, 3), ()))
    state = {"features.0.weight": weight.double(), "features.0.bias": bias.double()}
    calls = list[object]()
    monkeypatch.setattr(winograd, "convolve", lambda *of: calls.append(of) or convolve(*of))
    image = torch.rand(1, 1, 6, 5, generator=generator, dtype=torch.float64)
    (found,) = VGGFeatures(state, ("conv1_1",), network)(image)
    folded = torch.cat((image, torch.ones_like(image)), dim=1)
    expected = F.conv2d(folded, fold_gray(weight.double()), bias.double(), padding=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    assert len(calls) == transforms
