import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lfranker.datasets.augmentation import Augmentation, augment, shrink, side_of

PATCH = 32


def texture(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (side, side), dtype=np.uint8)


def test_nothing_is_changed_or_drawn_unless_asked() -> None:
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    square = texture(PATCH)
    assert side_of(PATCH, (100, 100), Augmentation().zoom, rng) == PATCH
    changed = augment(shrink(square, PATCH), Augmentation(), rng)
    assert np.array_equal(np.rint(changed * 255), square)
    assert rng.random() == untouched.random()


def test_a_zoom_of_two_is_the_mean_of_four_pixels() -> None:
    square = texture(2 * PATCH)
    blocks = square.reshape(PATCH, 2, PATCH, 2).mean(axis=(1, 3)) / 255
    assert np.abs(shrink(square, PATCH) - blocks).max() < 1e-6


def test_a_zoom_asks_for_a_square_that_the_image_has() -> None:
    rng = np.random.default_rng(0)
    sides = {side_of(PATCH, (70, 300), (1.0, 4.0), rng) for _ in range(500)}
    assert min(sides) < PATCH + 5
    assert max(sides) == 70
    assert side_of(PATCH, (300, 300), (2.0, 2.0), rng) == 2 * PATCH


def test_blur_is_scipys_gaussian() -> None:
    clean = texture(PATCH).astype(np.float32) / 255
    blurred = augment(clean, Augmentation(blur=(1.5, 1.5)), np.random.default_rng(0))
    # cv2 cuts the kernel at 4 sigma or so, in its own rounding; both mirror without the edge pixel
    assert np.abs(blurred - gaussian_filter(clean, 1.5, mode="mirror")).max() < 1e-3


def test_contrast_turns_about_the_mean_and_brightness_is_added() -> None:
    clean = texture(PATCH).astype(np.float32) / 255
    ranges = Augmentation(contrast=(0.5, 0.5), brightness=(0.1, 0.1))
    changed = augment(clean, ranges, np.random.default_rng(0))
    expected = clean.mean() + 0.5 * (clean - clean.mean()) + 0.1
    assert np.abs(changed - expected).max() < 1e-6


@pytest.mark.parametrize(("brightness", "end"), [(-0.9, 0.0), (0.9, 1.0)])
def test_the_scale_ends_at_black_and_white(brightness: float, end: float) -> None:
    clean = texture(PATCH).astype(np.float32) / 255
    ranges = Augmentation(brightness=(brightness, brightness))
    assert np.all(augment(clean, ranges, np.random.default_rng(0)) == end)
