import math

import cv2
import numpy as np
import pytest

from lfranker.evaluation.keypoints import Shared, _at, _inverse, detect, keypoints, shared
from lfranker.registration.register import Transform, positions

SHAPE = (160, 192)
FULL = np.ones(SHAPE, bool)


def blobs(seed=0, shape=SHAPE):
    """Disks of 3 to 8 px: something for keypoints to be found on."""
    rng, image = np.random.default_rng(seed), np.full(shape, 0.2, np.float32)
    y, x = np.indices(shape)
    for _ in range(120):
        row, column, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(3, 8)
        image[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.uniform(0.3, 0.9)
    return image


def noisy(image, sigma, seed=1):
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def test_keypoints_of_an_image_with_itself_are_all_found_once():
    """Distance 0 against a second that is not: every keypoint but exact twins."""
    image = blobs()
    found = len(cv2.AKAZE.create().detect(np.rint(image * 255).astype(np.uint8), None))
    assert found > 20
    assert found * 0.9 <= keypoints(image, image) <= found


def test_keypoints_keep_only_matches_below_half_the_second_distance():
    """By brute force, written out: Hamming distances of every pair of descriptors."""
    output, original = noisy(blobs(), 0.05), blobs()
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
    nothing = shared(flat, blobs(), Transform(), FULL)
    assert nothing.repeatability == 0
    assert math.isnan(nothing.precision)


def test_an_image_shares_every_keypoint_with_itself():
    itself = shared(blobs(), blobs(), Transform(), FULL)
    assert len(itself.pairs) == len(itself.output) > 20
    assert itself.precision == itself.repeatability == 1


@pytest.mark.parametrize(("output", "original"), [(4, 10), (10, 4)])
def test_repeatability_is_of_the_smaller_number_of_keypoints(output, original):
    """Three matches, two of them right."""
    pairs, right = np.array([(0, 1), (1, 0), (3, 2)]), np.array([True, False, True])
    found = Shared(np.zeros((output, 2)), np.zeros((original, 2)), pairs, right)
    assert found.repeatability == 2 / 4
    assert found.precision == 2 / 3


def test_matches_are_those_of_nearest_neighbours_of_each_other_within_two_pixels():
    """Written out in numpy: distances of all descriptors, mutual minima, places."""
    output, original = noisy(blobs(), 0.05), blobs()
    first, second = detect(output), detect(original)
    distances = np.sum(
        np.unpackbits(first.descriptors, axis=1)[:, None]
        != np.unpackbits(second.descriptors, axis=1)[None],
        axis=2,
    )
    there, back = distances.argmin(1), distances.argmin(0)
    mutual = [(i, j) for i, j in enumerate(there) if back[j] == i]
    off = [math.dist(first.points[i], second.points[j]) for i, j in mutual]
    right = sum(distance <= 2 for distance in off)
    assert 0 < right < len(mutual)
    result = shared(output, original, Transform(), FULL)
    # a tie between two descriptors may be broken either way
    assert len(result.pairs) == pytest.approx(len(mutual), abs=2)
    assert result.inliers.sum() == pytest.approx(right, abs=2)
    smaller = min(len(first.points), len(second.points))
    assert result.repeatability == result.inliers.sum() / smaller
    assert result.precision == result.inliers.sum() / len(result.pairs)


def test_places_are_compared_through_the_transform():
    """The output shows the clean scan moved by (7, -11) px: right places, and none without it."""
    large = blobs(shape=(200, 240))
    original, output = large[20:180, 20:212], large[27:187, 9:201]
    moved = Transform(shift=(7.0, -11.0))
    rows, columns = positions(moved, SHAPE)
    assert (rows[0, 0], columns[0, 0]) == (7, -11)
    mask = (rows >= 0) & (rows < SHAPE[0]) & (columns >= 0) & (columns < SHAPE[1])
    right = shared(output, original, moved, mask)
    assert right.precision > 0.8
    assert right.repeatability > 0.7
    assert shared(output, original, Transform(), FULL).precision < 0.05


def test_places_on_the_noisy_grid_are_found_back_through_every_transform():
    bent = tuple((float(y), np.sin(y / 30), np.cos(y / 40)) for y in np.linspace(-79, 79, 12))
    moved = Transform((2.5, -1.5), (1.01, 0.99), 0.01, drift=bent)
    field = np.stack(positions(moved, SHAPE), axis=-1)
    rng = np.random.default_rng(0)
    places = rng.uniform(15, (SHAPE[0] - 15, SHAPE[1] - 15), (200, 2))
    found = _inverse(_at(field, places), field)
    assert np.abs(found - places).max() < 0.05


def test_only_what_both_scans_show_counts():
    """Where the mask is empty, a keypoint of either side is not in the smaller number."""
    mask = FULL.copy()
    mask[:, 96:] = False
    output = blobs()
    output[:, 110:] = blobs(seed=5)[:, 110:]
    result = shared(output, blobs(), Transform(), mask)
    whole = shared(output, blobs(), Transform(), FULL)
    assert result.repeatability > 0.8 > 0.7 > whole.repeatability
    assert result.output[:, 1].max() < 96.5
    assert result.original[:, 1].max() < 96.5


def test_noise_raises_the_count_more_than_the_repeatability():
    clean = blobs()
    smooth, rough = noisy(clean, 0.01), noisy(clean, 0.08)
    assert shared(rough, clean, Transform(), FULL).repeatability < (
        0.8 * shared(smooth, clean, Transform(), FULL).repeatability
    )


def test_keypoints_of_the_clean_scan_count_where_the_noisy_one_shows_their_place() -> None:
    """The left half of the noisy grid is covered, which lies 40 px further right in the clean."""
    covered = np.zeros(SHAPE, bool)
    covered[:, :96] = True
    found = shared(blobs(1), blobs(), Transform(shift=(0.0, 40.0)), covered)
    places = detect(blobs()).points[:, 1]
    inside = places[(places >= 39.5) & (places <= 135.5)]  # to the nearest px
    assert len(found.original) == pytest.approx(len(inside), abs=1)
    assert 39 < found.original[:, 1].min() < 60
    assert 110 < found.original[:, 1].max() < 136
