import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from lfranker.metrics import METRICS, keypoints, psnr, ssim
from lfranker.prepared_scans import Pair
from lfranker.registration import Transform

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


def test_keypoints_of_an_image_with_itself_are_all_found_once():
    """Distance 0 against a second that is not: every keypoint but exact twins."""
    import cv2

    image = blobs()
    found = len(cv2.AKAZE.create().detect(np.rint(image * 255).astype(np.uint8), None))
    assert found > 20
    assert found * 0.9 <= keypoints(image, image) <= found


def test_keypoints_keep_only_matches_below_half_the_second_distance():
    """By brute force, written out: Hamming distances of every pair of descriptors."""
    import cv2

    output, original = np.clip(blobs() + noise(0.05), 0, 1), blobs()
    bits = []
    for image in (output, original):
        eight = np.rint(image * 255).astype(np.uint8)
        bits.append(np.unpackbits(cv2.AKAZE.create().detectAndCompute(eight, None)[1], axis=1))
    distances = np.sort((bits[0][:, None] != bits[1][None]).sum(2), axis=1)
    expected = int((distances[:, 0] < 0.5 * distances[:, 1]).sum())
    assert 0 < expected < len(bits[0])
    assert keypoints(output, original) == expected


def test_keypoints_of_nothing_are_none():
    flat = np.full(SHAPE, 0.5, np.float32)
    assert keypoints(flat, blobs()) == 0
    assert keypoints(blobs(), flat) == 0


def test_each_metric_takes_its_own_part_of_a_pair():
    original = blobs()
    clean, mask = np.roll(original, 5, 1), FULL.copy()
    mask[:, :10] = False
    pair = Pair("f", "s", original, clean, mask, original, Transform())
    output = np.clip(clean + noise(0.02), 0, 1)
    assert list(METRICS) == ["psnr", "ssim", "keypoints"]
    assert METRICS["psnr"].function(output, pair) == psnr(output, clean, mask)
    assert METRICS["ssim"].function(output, pair) == ssim(output, clean, mask)
    assert METRICS["keypoints"].function(output, pair) == keypoints(output, original)
    assert keypoints(output, original) != keypoints(output, clean)
    assert all(metric.higher_is_better for metric in METRICS.values())
