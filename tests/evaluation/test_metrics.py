import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from lfranker.evaluation.brightness import fit_brightness
from lfranker.evaluation.keypoints import keypoints, shared
from lfranker.evaluation.metrics import METRICS, psnr, psnr_fitted, ssim
from lfranker.evaluation.ms_ssim import ms_ssim
from lfranker.evaluation.resolution import frc, high_frequency_ratio
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair

SHAPE = (96, 128)
FULL = np.ones(SHAPE, bool)


def blobs(seed=0, shape=SHAPE):
    """Disks of 3 to 8 px: something for keypoints to be found on."""
    rng, image = np.random.default_rng(seed), np.full(shape, 0.2, np.float32)
    y, x = np.indices(shape)
    for _ in range(60):
        row, column, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(3, 8)
        image[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.uniform(0.3, 0.9)
    return image


def noise(sigma, seed=1):
    return np.random.default_rng(seed).normal(0, sigma, SHAPE).astype(np.float32)


def test_psnr_of_a_constant_offset_by_hand():
    clean = np.full(SHAPE, 0.5, np.float32)
    assert psnr(clean + np.float32(0.1), clean, FULL) == pytest.approx(20, abs=1e-5)
    assert psnr(clean, clean, FULL) == math.inf


def test_psnr_looks_at_the_mask_only():
    clean = np.full(SHAPE, 0.5, np.float32)
    output, mask = clean + np.float32(0.01), FULL.copy()
    output[:10], mask[:10] = 1, False
    assert psnr(output, clean, mask) == pytest.approx(40, abs=1e-4)
    assert math.isnan(psnr(output, clean, ~FULL))


def test_ssim_with_a_full_mask_is_that_of_skimage():
    clean = blobs()
    output = np.clip(clean + noise(0.1), 0, 1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(output, clean, data_range=1, **settings)
    assert ssim(output, clean, FULL) == pytest.approx(expected, abs=1e-6)
    assert ssim(clean, clean, FULL) == pytest.approx(1, abs=1e-6)


def test_ssim_never_sees_what_the_mask_leaves_out():
    """Neither through the windows of pixels that are inside: the score is that of the crop."""
    clean = blobs()
    output, mask = np.clip(clean + noise(0.1), 0, 1), FULL.copy()
    mask[:20] = mask[:, 100:] = False
    expected = ssim(output[20:, :100], clean[20:, :100], mask[20:, :100])
    output[:20] = 0
    output[:, 100:] = 1
    assert ssim(output, clean, mask) == pytest.approx(expected, abs=1e-6)
    mask[10:] = False
    assert math.isnan(ssim(output, clean, mask))


def test_each_metric_takes_its_own_part_of_a_pair():
    original = blobs(shape=(184, 200))  # MS-SSIM needs 176 px
    clean, mask = np.roll(original, 5, 1), np.ones((184, 200), bool)
    mask[:, :10] = False
    pair = Pair("f", "s", original, clean, mask, original, Transform(shift=(0, -5)))
    rng = np.random.default_rng(1)
    blurred = gaussian_filter(clean, 1.5)
    output = np.clip(0.8 * blurred + rng.normal(0.05, 0.05, clean.shape), 0, 1).astype(np.float32)
    assert [name for name, m in METRICS.items() if m.ranked] == [
        "psnr", "ssim", "keypoints", "repeatability"
    ]  # fmt: skip
    assert METRICS["psnr"].function(output, pair) == psnr(output, clean, mask)
    assert METRICS["ssim"].function(output, pair) == ssim(output, clean, mask)
    assert METRICS["keypoints"].function(output, pair) == keypoints(output, original)
    assert keypoints(output, original) != keypoints(output, clean)
    found = shared(output, original, pair.transform, mask)
    assert METRICS["repeatability"].function(output, pair) == found.repeatability > 0
    assert METRICS["precision"].function(output, pair) == found.precision != found.repeatability
    on_grid = {
        "ms_ssim": ms_ssim,
        "psnr_fitted": psnr_fitted,
        "frc": frc,
        "high_frequency_ratio": high_frequency_ratio,
    }
    for name, function in on_grid.items():
        value = function(output, clean, mask)
        assert METRICS[name].function(output, pair) == value != function(clean, clean, mask)
    assert all(metric.higher_is_better for metric in METRICS.values() if metric.ranked)


def test_a_gain_and_an_offset_do_not_lower_the_fitted_psnr():
    clean, mask = blobs(), FULL.copy()
    mask[:5] = False
    output = np.clip(clean + noise(0.05), 0, 1)
    x, y = output[mask].astype(float), clean[mask].astype(float)
    gain, offset = np.polyfit(x, y, 1)
    assert fit_brightness(output, clean, mask) == pytest.approx((gain, offset), abs=1e-6)
    expected = -10 * math.log10(np.mean((gain * x + offset - y) ** 2))
    assert psnr_fitted(output, clean, mask) == pytest.approx(expected, abs=1e-4)
    darker = (0.5 * output + 0.1).astype(np.float32)
    assert psnr_fitted(darker, clean, mask) == pytest.approx(expected, abs=1e-4)
    assert psnr(darker, clean, mask) < expected - 3


def test_brightness_of_a_constant_output_and_of_nothing():
    clean = blobs()
    gain, offset = fit_brightness(np.full(SHAPE, 0.2, np.float32), clean, FULL)
    assert (gain, offset) == (0, pytest.approx(clean.mean(dtype=float)))
    assert fit_brightness(clean, clean, ~FULL) == (1, 0)
