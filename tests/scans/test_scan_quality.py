import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lfranker.images.image_file import read_image
from lfranker.registration.register import register, warp
from lfranker.scans.scan_quality import defocus, relative_detail, saturation

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA names no folder of real scans")


def flat(share, value):
    image = np.full((20, 50), 0.5, np.float32)
    image.ravel()[: round(share * 1000)] = value
    return image


@pytest.mark.parametrize(("value", "end"), [(0, "zero"), (1, "full scale")])
def test_more_than_a_twentieth_of_clipped_pixels_is_saturated(value, end):
    assert saturation(flat(0.05, value)) is None
    assert saturation(flat(0.06, value)) == (
        f"saturated, 6.0% of the pixels are at {end}, more than 5%"
    )
    assert saturation(flat(0.5, 0.999 if value else 0.001)) is None


def pair(seed, sigma=0.0):
    """A clean field with detail of all sizes, and the same with noise of ``sigma``."""
    rng = np.random.default_rng(seed)
    detail = sum(s * gaussian_filter(rng.normal(size=(256, 320)), s) for s in (1, 2, 4, 8, 16))
    clean = (0.5 + 0.1 * detail / np.std(detail)).astype(np.float32)
    noisy = clean + sigma * rng.normal(size=clean.shape).astype(np.float32)
    return noisy, clean, np.ones(clean.shape, bool)


def blurred(image, sigma):
    return gaussian_filter(image, sigma, mode="reflect")


def test_equal_scans_have_equal_detail_whatever_their_contrast():
    noisy, clean, mask = pair(0)
    assert relative_detail(noisy, clean, mask) == pytest.approx(1, abs=1e-6)
    assert relative_detail(0.3 * noisy + 0.2, clean, mask) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_a_blur_lowers_it_by_its_transfer_function(sigma):
    """exp(-2 pi^2 f^2 sigma^2), for f between the ends of the fine band, coarse ones left out."""
    noisy, clean, mask = pair(1)
    transfer = [np.exp(-2 * np.pi**2 * f**2 * sigma**2) for f in (0.12, 0.08)]
    coarse = [np.exp(-2 * np.pi**2 * f**2 * sigma**2) for f in (0.03, 0.01)]
    detail = relative_detail(blurred(noisy, sigma), clean, mask)
    assert transfer[0] / coarse[1] < detail < transfer[1] / coarse[0]


def test_noise_does_not_look_like_detail():
    """As strong as the image itself; its gradient has 100 times the energy."""
    noisy, clean, mask = pair(2, sigma=0.1)
    energy = [np.sum(np.diff(image) ** 2) for image in (noisy, clean)]
    assert energy[0] > 10 * energy[1]
    assert relative_detail(noisy, clean, mask) == pytest.approx(1, abs=0.1)
    assert defocus(noisy, clean, mask) is None
    assert "noisy scan out of focus" in defocus(blurred(noisy, 3), clean, mask)
    assert "clean scan out of focus" in defocus(noisy, blurred(clean, 3), mask)


def test_pixels_outside_of_the_mask_do_not_count():
    noisy, clean, mask = pair(3)
    clean[:, :40], mask[:, :40] = 9, False
    clean[:60, 200:], mask[:60, 200:] = np.random.default_rng(0).normal(size=(60, 120)), False
    assert relative_detail(noisy, clean, mask) == pytest.approx(1, abs=1e-6)


def test_without_detail_nothing_is_said():
    image, mask = np.full((64, 64), 0.5, np.float32), np.ones((64, 64), bool)
    assert defocus(image, image, mask) is None
    assert defocus(image, image, ~mask) is None


@real
@pytest.mark.slow
def test_real_scans_one_field_is_saturated_and_none_out_of_focus():
    clipped = set()
    for path in sorted(Path(SEM, "scans", "100ns").iterdir())[1:8:2]:
        noisy, clean = read_image(path).image, read_image(Path(SEM, "scans/30us", path.name)).image
        clipped |= {path.stem for image in (noisy, clean) if saturation(image)}
        transform = register(noisy, clean)
        registered, mask = warp(clean, transform, noisy.shape)
        assert defocus(noisy, registered, mask) is None
        assert 0.9 < relative_detail(noisy, registered, mask) < 1.1
        soft, _ = warp(blurred(clean, 2.5), transform, noisy.shape)
        assert "noisy" in defocus(blurred(noisy, 2.5), registered, mask)
        assert "clean" in defocus(noisy, soft, mask)
    assert clipped == {"field_005"}
