import pytest
import torch
import torch.nn.functional as F

from lfranker.perceptual.winograd import convolve, transformed


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
