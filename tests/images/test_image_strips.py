import numpy as np
import pytest
from PIL import Image as Pillow

from lfranker.images.image_strips import (
    FRAME,
    GAP,
    GLANCE,
    HEAD,
    INSET_ZOOM,
    PANEL,
    TITLE,
    comparison,
    glance,
    strip,
)

RNG = np.random.default_rng(0)


def pixels(picture: Pillow.Image) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture)


def gray(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def panel(canvas: np.ndarray, at: int, height: int, width: int) -> np.ndarray:
    left = GAP + at * (width + GAP)
    return canvas[TITLE : TITLE + height, left : left + width]


def inset(canvas: np.ndarray, at: int, panel_height: int, panel_width: int) -> np.ndarray:
    left = GAP + at * (panel_width + GAP)
    return canvas[TITLE + panel_height + GAP : -GAP, left : left + panel_width]


def off_frame(block: np.ndarray) -> np.ndarray:
    return ~(block == FRAME).all(axis=-1)


def noise(height: int, width: int) -> np.ndarray:
    return RNG.random((height, width)).astype(np.float32)


def test_the_panels_are_the_images_in_order():
    images = {"noisy": noise(300, 384), "denoised": noise(300, 384), "clean": noise(300, 384)}
    canvas = pixels(strip(images))
    assert canvas.shape == (TITLE + 300 + GAP + 300 + GAP, GAP + 3 * (384 + GAP), 3)
    assert 800 <= canvas.shape[1] <= 1200
    for at, image in enumerate(images.values()):
        block = panel(canvas, at, 300, 384)
        mask = off_frame(block)
        assert (~mask).sum() == 2 * (192 + 150) - 4  # a frame one pixel wide around the detail
        for channel in range(3):
            np.testing.assert_array_equal(block[..., channel][mask], gray(image)[mask])
    assert (canvas[:, :GAP] == 255).all()  # white outside
    assert (canvas[:, -GAP:] == 255).all()


def test_the_detail_is_the_busiest_part_of_the_last_image_twice_as_large():
    clean = np.full((384, 384), 0.5, np.float32)
    clean[192:, 192:] += 0.2 * (noise(192, 192) - 0.5)
    noisy = noise(384, 384)
    canvas = pixels(strip({"noisy": noisy, "clean": clean}))
    for at, image in enumerate((noisy, clean)):
        want = gray(image)[192:, 192:].repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal(inset(canvas, at, 384, 384)[..., 1], want)
        rows, columns = np.nonzero(~off_frame(panel(canvas, at, 384, 384)))
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (192, 383, 192, 383)


def test_a_large_image_is_shrunk_by_the_mean_over_areas():
    image = noise(576, 768)
    canvas = pixels(strip({"a": image, "b": image}))
    means = 255 * image.reshape(288, 2, 384, 2).mean(axis=(1, 3))
    for at in (0, 1):
        block = panel(canvas, at, 288, 384)
        mask = off_frame(block)
        assert (~mask).sum() == 2 * (96 + 72) - 4
        difference = np.abs(block[..., 0] - means)[mask]
        assert difference.max() <= 0.5 + 1e-4  # rounded once; 255 * 2**-24 in float32
    detail = inset(canvas, 0, 288, 384)[::2, ::2, 0]
    windows = np.lib.stride_tricks.sliding_window_view(gray(image), detail.shape)
    corners = [(y, x) for y in range(0, 433, 72) for x in range(0, 577, 96)]
    assert any((windows[corner] == detail).all() for corner in corners)


def test_a_small_image_is_enlarged_without_interpolation():
    image = noise(60, 48)  # 6.4 would fit
    canvas = pixels(strip({"a": image}))
    block = panel(canvas, 0, 360, 288)
    mask = off_frame(block)
    want = gray(image).repeat(6, axis=0).repeat(6, axis=1)
    np.testing.assert_array_equal(block[..., 0][mask], want[mask])
    assert np.unique(inset(canvas, 0, 360, 288)[..., 0]).size <= 30 * 24


@pytest.mark.parametrize(
    ("shape", "size"),
    [((768, 1024), (288, 384)), ((1024, 512), (384, 192)), ((1, 1), (8, 8)), ((3000, 2), (384, 1))],
)
def test_no_panel_is_larger_than_its_place(shape, size):
    canvas = pixels(strip({"a": noise(*shape)}))
    assert max(size) <= PANEL
    block = panel(canvas, 0, *size)
    assert (block[:, 0] != 255).any()
    assert (canvas[TITLE + size[0] : TITLE + size[0] + GAP] == 255).all()


def test_every_panel_has_the_same_fixed_gray_scale():
    dark, bright = np.full((384, 384), 0.2, np.float32), np.full((384, 384), 0.4, np.float32)
    beyond = dark + np.float32(7) * np.eye(384, dtype=np.float32)
    broken = np.full((384, 384), np.nan, np.float32)
    canvas = pixels(strip({"dark": dark, "bright": bright, "beyond": beyond, "broken": broken}))
    levels = [panel(canvas, at, 384, 384)[-1, -2:, 0] for at in range(4)]
    assert np.array(levels).tolist() == [[51, 51], [102, 102], [51, 255], [0, 0]]


def test_titles_are_written_in_their_own_space():
    image = noise(384, 384)
    plain = pixels(strip({"": image}))
    titled = pixels(strip({"denoised mae+mse 28.1 dB": image}))
    long = pixels(strip({"W" * 500: image, " ": image}))
    assert (plain[:TITLE] == 255).all()
    assert (titled[:TITLE] < 128).any()
    np.testing.assert_array_equal(titled[TITLE:], plain[TITLE:])
    assert (long[:TITLE, GAP + PANEL :] == 255).all()  # never over the neighbour's


def test_a_title_that_is_somewhat_long_is_smaller_and_a_longer_one_cut() -> None:
    image = noise(384, 384)

    def ink(title: str) -> tuple[int, int]:
        """Return the height of what is written, and its right end."""
        shown = pixels(strip({title: image}))[:TITLE, :, 0] < 128
        rows, columns = shown.any(1).nonzero()[0], shown.any(0).nonzero()[0]
        return int(np.ptp(rows)) + 1, int(columns[-1])

    (short, _), (middle, end), (long, cut) = (ink("W" * n) for n in (20, 32, 80))
    assert long <= middle < short
    assert end < GAP + PANEL
    assert cut < GAP + PANEL


def test_images_of_different_or_no_size_are_refused():
    with pytest.raises(ValueError, match=r"panels.*'b': \(5, 4\)"):
        strip({"a": noise(4, 4), "b": noise(5, 4)})
    with pytest.raises(ValueError, match="panels"):
        strip({"a": noise(0, 4)})
    with pytest.raises(ValueError, match="panels"):
        strip({})


def test_the_difference_map_is_gray_where_equal_and_exaggerated_where_not():
    clean = np.full((300, 384), 0.5, np.float32)
    output = clean.copy()
    output[:100] += 0.06
    output[100:200] -= 0.25
    images = {"noisy": clean, "model": output, "clean": clean}
    canvas, above = pixels(comparison(images)), pixels(strip(images))
    np.testing.assert_array_equal(canvas[: above.shape[0]], above)
    below = canvas[above.shape[0] :]
    assert (panel(below, 0, 300, 384) == round(0.5 * 255)).all()
    shown = panel(below, 1, 300, 384)[..., 0]
    assert (shown[:100] == round(255 * 0.74)).all()  # 0.5 + 4 x 0.06
    assert (shown[100:200] == 0).all()
    assert (below[:, GAP + 2 * (384 + GAP) :] == 255).all()  # the clean scan has none


@pytest.mark.parametrize("turned", [np.s_[:, :], np.s_[::-1], np.s_[:, ::-1]])
def test_a_glance_has_the_detail_as_an_inset_in_the_corner_away_from_it(turned):
    """A checkerboard in a corner, 7 times as large in the panel; the inset is 4 times that."""
    image = np.full((60, 80), 0.5, np.float32)
    image[turned][:12, :12] = np.indices((12, 12)).sum(axis=0) % 2
    drawn = pixels(glance({"noisy": image, "clean": image}))
    height, width = 7 * 60, 7 * 80
    assert width == GLANCE
    assert drawn.shape == (HEAD + height, 2 * width + GAP, 3)
    first, second = drawn[HEAD:, :width], drawn[HEAD:, width + GAP :]
    assert np.array_equal(first, second)
    first = first[turned]
    corner = first[-150:-10, -200:-10, 0]
    assert set(np.unique(corner)) == {0, 255}, "only the detail"
    edges = np.flatnonzero(np.diff(corner[70].astype(int)))
    assert set(np.diff(edges)) == {7 * INSET_ZOOM}
    assert (first[:200, 300:] == 128).all(), "the rest of the panel is as it is"
