from dataclasses import replace

import numpy as np
import pytest

from lfranker.datasets.clean_images import CleanImage
from lfranker.datasets.noisy_scans import NoisyScan
from lfranker.datasets.patch_sampling import NoiseConfig, Source, draw_pair, make_source, structure
from lfranker.simulation.scenes import scene


def test_structure_is_the_deviation_of_block_means():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 61), np.uint8)
    contrast = structure(pixels, 19)  # 4 blocks a side
    assert contrast.shape == (50 // 4 - 3, 61 // 4 - 3)
    means = pixels[:48, :60].reshape(12, 4, 15, 4).mean((1, 3)) / 255
    for row, column in ((0, 0), (3, 7), (8, 11)):
        expected = means[row : row + 4, column : column + 4].std()
        assert contrast[row, column] == pytest.approx(expected, abs=1e-6)


def test_only_patches_with_structure_are_drawn():
    half = np.full((128, 256), 0.5, np.float32)
    half[:, 128:] = scene("fibres", (128, 128), 0)
    source = make_source(CleanImage("a", ".", half, ""), 32, 0.02)
    assert isinstance(source, Source)
    quiet = NoiseConfig((0, 0), (0, 0), (100, 100), (0, 0), (0, 0))
    columns = []
    for k in range(300):
        noisy, clean = draw_pair([[source]], 32, quiet, np.random.default_rng(k))
        np.testing.assert_array_equal(noisy, clean)
        means = clean.reshape(8, 4, 8, 4).mean((1, 3)) / 255
        assert means.std() > 0.005, "a flat patch"
        columns.append(clean[0, 0] == 128)
    assert 0 < np.mean(columns) < 0.5, "patches that hold the border are allowed"


def test_of_noisy_scans_neither_flat_parts_nor_those_without_a_target_are_drawn():
    half = np.full((128, 256), 0.5, np.float32)
    half[:, 128:] = scene("fibres", (128, 128), 0)
    scan = NoisyScan("a", "100ns", half, "file", field="a")
    structured = make_source(scan, 32, 0.02)
    assert isinstance(structured, Source)
    assert 0 < len(structured.places) < 25 * 57, "blocks where patches may start"
    covered = np.ones(half.shape, bool)
    whole = make_source(replace(scan, target=half, covered=covered), 32, 0.02)
    assert isinstance(whole, Source)
    np.testing.assert_array_equal(whole.places, structured.places)
    covered[64:] = False
    upper = make_source(replace(scan, target=half, covered=covered), 32, 0.02)
    assert isinstance(upper, Source)
    rows = structured.places // structured.grid
    # a patch may start in any row of its block: the last block whose patches all end by line 64
    np.testing.assert_array_equal(upper.places, structured.places[4 * rows + 3 + 32 <= 64])


def test_every_part_of_an_image_is_used():
    """A ramp along x tells where each patch came from: 225 starts, no gap at either end."""
    pixels = np.tile(np.arange(256) / 255, (64, 1)).astype(np.float32)
    source = make_source(CleanImage("a", ".", pixels, ""), 32, 0.0)
    assert isinstance(source, Source)
    quiet = NoiseConfig((0, 0), (0, 0), (100, 100), (0, 0), (0, 0))
    starts = [
        int(draw_pair([[source]], 32, quiet, np.random.default_rng(k))[1][0, 0])
        for k in range(2500)
    ]
    assert set(starts) == set(range(225))


def test_groups_are_equally_likely_whatever_their_size():
    def source(name: str, group: str, value: float) -> Source:
        image = CleanImage(name, group, np.full((8, 8), value, np.float32), "")
        ready = make_source(image, 8, 0.0)
        assert isinstance(ready, Source)
        return ready

    crowd = [source(str(i), "crowd", 0.0) for i in range(9)]
    lone = [source("lone", "lone", 1.0)]
    quiet = NoiseConfig((0, 0), (0, 0), (100, 100), (0, 0), (0, 0))
    bright = [
        draw_pair([crowd, lone], 8, quiet, np.random.default_rng(k))[1][0, 0] == 255
        for k in range(1000)
    ]
    assert abs(np.mean(bright) - 0.5) < 5 * 0.5 / np.sqrt(1000)


def test_noise_parameters_are_drawn_for_each_patch_peaks_log_uniformly():
    gray = make_source(CleanImage("a", ".", np.full((64, 64), 0.5, np.float32), ""), 64, 0.0)
    assert isinstance(gray, Source)
    ranges = NoiseConfig((1, 1), (0, 0), (20, 2000), (0, 0), (0, 0))
    peaks = []
    for k in range(400):
        noisy, clean = draw_pair([[gray]], 64, ranges, np.random.default_rng(k))
        level = clean[0, 0] / 255
        peaks.append(level / ((noisy / 255.0 - level).var() - 1 / 12 / 255**2))
    logs = np.log(peaks)
    low, high = np.log((20, 2000))
    # a uniform variable: mean in the middle, deviation (high - low) / sqrt(12)
    assert abs(logs.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 400)
    assert logs.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.1)
    assert low - 0.2 < logs.min() < low + 0.2
    assert high - 0.2 < logs.max() < high + 0.2


def test_stored_noise_keeps_the_mean():
    gray = make_source(CleanImage("a", ".", np.full((64, 64), 0.5, np.float32), ""), 64, 0.0)
    assert isinstance(gray, Source)
    ranges = NoiseConfig((1, 1), (1, 1), (500, 500), (0.001, 0.001), (0, 0))
    pairs = [draw_pair([[gray]], 64, ranges, np.random.default_rng(k)) for k in range(50)]
    difference = np.array([noisy.astype(float) - clean for noisy, clean in pairs])
    sigma = 255 * np.sqrt(0.502 / 500 + 0.502**2 * 0.001)  # gray values; 0.5 is stored as 128
    assert abs(difference.mean()) < 5 * sigma / np.sqrt(difference.size)
    assert difference.std() == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.01)
