"""Losses of the Fourier spectrum, which is orthonormal: as much power as in the image."""

import torch
from torch import Tensor


def fft(output: Tensor, target: Tensor) -> Tensor:
    """Mean modulus of the difference of the spectra; >= 0, in units of full scale.

    (Cho et al., ICCV 2021, arXiv:2108.05054, who take |real| + |imaginary|, which depends on where
    the origin is; the modulus does not.)
    """
    return _spectrum(output - target).abs().mean()


def focal_frequency(output: Tensor, target: Tensor) -> Tensor:
    """Power of the difference, weighted by its own modulus over the largest of the image; >= 0.

    (Jiang et al., ICCV 2021, arXiv:2012.12821, alpha 1.) The weights carry no gradient, as there.
    """
    spectrum = _spectrum(output - target)
    power = spectrum.real.square() + spectrum.imag.square()
    modulus = power.detach().sqrt()
    largest = modulus.amax(dim=(-2, -1), keepdim=True)
    # Where the images are equal, 0 / tiny is 0.
    weight = modulus / largest.clamp(min=torch.finfo(modulus.dtype).tiny)
    return (weight * power).mean()


def _spectrum(image: Tensor) -> Tensor:
    return torch.fft.fft2(image, norm="ortho")
