import math

import numpy as np
import pytest
from skimage.filters import gaussian
from skimage.metrics import structural_similarity

from lfranker.evaluation.ms_ssim import ms_ssim

SHAPE = (192, 256)
FULL = np.ones(SHAPE, bool)


def images(sigma=0.1):
    rng = np.random.default_rng(3)
    y, x = np.indices(SHAPE)
    clean = 0.5 + 0.3 * np.sin(x / 7) * np.cos(y / 11) + 0.1 * np.sin(x * y / 900)
    return np.clip(clean + rng.normal(0, sigma, SHAPE), 0, 1).astype(np.float32), clean.astype(
        np.float32
    )


def halved(image):
    """By hand, not by reshaping: the mean of each 2 x 2 px."""
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


def by_skimage(output, clean):
    """scikit-image's full SSIM map gives luminance x contrast; twice, with and without the means.

    With the local means of both taken as equal, SSIM is contrast and structure alone: that is the
    SSIM map divided by the luminance term, both over windows that lie inside.
    """
    weights, value = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333), 1.0
    x, y = output.astype(float), clean.astype(float)
    for scale, weight in enumerate(weights):
        if scale:
            x, y = halved(x), halved(y)
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        _, similarity = structural_similarity(x, y, data_range=1, full=True, **settings)
        mean_x, mean_y = (gaussian(image, 1.5, truncate=3.5) for image in (x, y))
        luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
        term = similarity if scale == 4 else similarity / luminance
        value *= term[5:-5, 5:-5].mean() ** weight
    return value


def test_ms_ssim_is_the_product_of_contrasts_and_the_last_luminance():
    output, clean = images()
    assert 0.5 < ms_ssim(output, clean, FULL) < 0.99
    assert ms_ssim(output, clean, FULL) == pytest.approx(by_skimage(output, clean), abs=1e-6)
    assert ms_ssim(clean, clean, FULL) == pytest.approx(1, abs=1e-12)


def test_ms_ssim_forgives_fine_noise_more_than_ssim_does_and_coarse_errors_less():
    output, clean = images(0.1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    single = structural_similarity(output, clean, data_range=1, **settings)
    assert ms_ssim(output, clean, FULL) > single + 0.1


def test_ms_ssim_never_sees_what_the_mask_leaves_out():
    output, clean = images()
    mask = FULL.copy()
    mask[:, 224:] = False  # a multiple of 16: no block is cut
    expected = ms_ssim(output[:, :224], clean[:, :224], FULL[:, :224])
    output[:, 224:] = 1
    assert ms_ssim(output, clean, mask) == pytest.approx(expected, abs=1e-12)


def test_ms_ssim_leaves_out_what_only_a_part_of_is_within_the_mask():
    """The mask ends within a block of each scale."""
    output, clean = images()
    mask = FULL.copy()
    mask[:, 229:] = mask[187:] = False
    dark, bright = (np.where(mask, output, np.float32(outside)) for outside in (0, 1))
    assert ms_ssim(dark, clean, mask) == pytest.approx(ms_ssim(bright, clean, mask), abs=1e-12)


def test_ms_ssim_of_an_inverted_image_is_zero_and_of_a_small_one_missing():
    output, clean = images(0)
    assert ms_ssim(1 - clean, clean, FULL) == 0
    assert math.isnan(ms_ssim(output[:175], clean[:175], FULL[:175]))
    assert not math.isnan(ms_ssim(output[:176], clean[:176], FULL[:176]))
