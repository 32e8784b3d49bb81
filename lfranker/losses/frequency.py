"""Losses of the Fourier spectrum, which is orthonormal: as much power as in the image."""

from math import sqrt

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from lfranker.losses.structure import require_side


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


LEVELS = 3


SMALLEST = 2**LEVELS  # px a side, so that the last level is not empty


HAAR = (1 / sqrt(2), 1 / sqrt(2))


# Two vanishing moments, 4 taps (Daubechies 1988, 10.1002/cpa.3160410705).
DB2 = tuple(tap / (4 * sqrt(2)) for tap in (1 + sqrt(3), 3 + sqrt(3), 3 - sqrt(3), 1 - sqrt(3)))


def wavelet(output: Tensor, target: Tensor) -> Tensor:
    """L1 of the Haar coefficients of the difference over three levels, a pixel's share; >= 0.

    All coefficients count alike, the coarse remainder too, without which the brightness would be
    free. Odd sides are lengthened by their last line.
    """
    return _l1("wavelet", output - target, HAAR)


def wavelet_db2(output: Tensor, target: Tensor) -> Tensor:
    """Loss like ``wavelet``, with Daubechies' filters of 4 taps, which overlap."""
    return _l1("wavelet_db2", output - target, DB2)


def _l1(loss: str, difference: Tensor, low: tuple[float, ...]) -> Tensor:
    require_side(loss, difference, SMALLEST)
    pixels, sums = difference.numel(), []
    for _ in range(LEVELS):
        bands = _analysed(difference, low)
        difference = bands[:, :1]
        sums.append(bands[:, 1:].abs().sum())
    sums.append(difference.abs().sum())
    return torch.stack(sums).sum() / pixels


def _analysed(image: Tensor, low: tuple[float, ...]) -> Tensor:
    """(b, 1, h, w) to (b, 4, h/2, w/2): coarse, then details along x, along y and along both."""
    height, width = image.shape[-2:]
    image = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
    image = F.pad(image, (len(low) // 2 - 1,) * 4, mode="circular")
    taps = torch.tensor(low, dtype=image.dtype, device=image.device)
    signs = torch.tensor([1.0, -1.0] * (len(low) // 2), dtype=image.dtype, device=image.device)
    filters = torch.stack((taps, taps.flip(0) * signs))  # low, high: the quadrature mirror
    kernels = einsum(filters, filters, "f y, g x -> f g y x")
    return F.conv2d(image, rearrange(kernels, "f g y x -> (f g) 1 y x"), stride=2)
