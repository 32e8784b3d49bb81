import numpy as np
import pytest
from scipy import ndimage

from lfranker.noise.models import estimate_noise
from lfranker.simulation import solids
from lfranker.simulation.scenes import KINDS, scene, secondary_electrons, set_contrast
from lfranker.simulation.solids import Surface, flat, overlay


def test_the_seven_kinds_of_the_paper():
    expected = ["cells", "tips", "particles", "sponge", "powder", "fibres", "nanowires"]
    assert list(KINDS) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_a_smooth_unsaturated_picture_with_structure(kind):
    image = scene(kind, (256, 300), seed=1)
    assert image.shape == (256, 300)
    assert image.dtype == np.float32
    assert image.min() >= 0.02
    assert image.max() <= 0.98
    assert (image > 0.97).mean() < 0.005
    assert (image < 0.03).mean() < 0.005
    assert image.std() > 0.08, "hardly any structure"
    assert estimate_noise(image) < 0.02, "a clean scene must not look noisy"


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_depends_on_its_arguments_alone(kind):
    first = scene(kind, (96, 96), seed=1, index=2)
    np.random.default_rng(0).random()  # other random numbers do not matter
    np.testing.assert_array_equal(first, scene(kind, (96, 96), seed=1, index=2))
    assert not np.array_equal(first, scene(kind, (96, 96), seed=2, index=2))
    assert not np.array_equal(first, scene(kind, (96, 96), seed=1, index=3))


def test_large_spheres_are_placed_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = list[np.ndarray]()
    monkeypatch.setattr(
        solids, "add_separate_spheres", lambda surface, radii, rng: placed.append(radii)
    )
    scene("particles", (128, 128), seed=1)
    (radii,) = placed
    assert len(radii) > 10
    assert (np.diff(radii) <= 0).all()
    assert radii[0] > 3 * radii[-1]


def test_an_unknown_kind_is_named_with_those_allowed():
    with pytest.raises(ValueError, match=r"'worms' is unknown; allowed are cells, .*, nanowires"):
        scene("worms", (64, 64), 0)


def test_edges_are_brighter_than_flats_and_hollows_darker():
    y, x = np.mgrid[:200, :200].astype(np.float32) - 100
    radius = np.hypot(y, x)
    dome = Surface(np.sqrt(np.clip(80**2 - radius**2, 0, None)), np.ones((200, 200), np.float32))
    image = secondary_electrons(dome, np.random.default_rng(0))
    rim, middle = image[(radius > 74) & (radius < 78)].mean(), image[radius < 20].mean()
    assert rim > middle + 0.2
    pit = Surface(np.where(radius < 30, -20, 0).astype(np.float32), np.ones_like(image))
    image = secondary_electrons(pit, np.random.default_rng(0))
    assert image[radius < 20].mean() < image[radius > 80].mean() - 0.05


def test_brightness_of_a_slope_follows_one_over_cosine():
    """Two planes of tilt 0 and 45 degrees across the detector: 1 and 1 + 2 tanh(0.2071)."""
    flat_part, slope = np.zeros(400), np.arange(400.0)
    profile = np.concatenate([flat_part, slope]).astype(np.float32)
    ratios = []
    for seed in range(64):  # the detector's azimuth is random: facing averages out
        surface = Surface(np.tile(profile, (16, 1)), np.ones((16, 800), np.float32))
        signals: list[np.ndarray] = []
        rng = np.random.default_rng(seed)
        keep = pytest.MonkeyPatch()
        keep.setattr(
            "lfranker.simulation.scenes.set_contrast",
            lambda s, _, kept=signals: kept.append(s) or s,
        )
        secondary_electrons(surface, rng, edges=1.0, shadow=0.0)
        keep.undo()
        ratios.append(signals[0][8, 600] / signals[0][8, 200])
    expected = 1 + 2 * np.tanh((np.sqrt(2) - 1) / 2)
    # facing has amplitude 0.15 and uniform azimuth: deviation 0.11, over 64 draws
    assert np.mean(ratios) == pytest.approx(expected, abs=5 * 0.11 * expected / 8)


def test_contrast_bends_extremes_instead_of_cutting_them():
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 1, (200, 200)).astype(np.float32)
    signal[0, :3] = (20, 25, -20)
    image = set_contrast(signal, rng)
    order = np.argsort(signal.ravel())
    assert (np.diff(image.ravel()[order]) >= -1e-6).all(), "the order of brightness changed"
    assert image.min() >= 0.02
    assert image.max() <= 0.98
    np.testing.assert_array_equal(set_contrast(np.zeros((8, 8), np.float32), rng).std(), 0)


def test_a_tip_is_round_in_section_and_leans() -> None:
    """By hand: half as wide as high; the axis leans by a quarter of a pixel per row."""
    surface = flat((60, 80), 0.4)
    solids.add_tip(surface, foot=(40, 30), length=20, radius=8, lean=0.25)
    foot, halfway = surface.height[40] - 40, surface.height[30] - 40
    np.testing.assert_allclose(foot[[30, 35, 25]], [9.2, *2 * [(9.2**2 - 25) ** 0.5]], rtol=1e-5)
    half = 1.2 + 8 * 0.5**1.25
    np.testing.assert_allclose(halfway[[32, 33]], (half**2 - 0.25) ** 0.5, rtol=1e-5)
    assert not surface.height[:21].any(), "above its apex"
    assert not surface.height[:, 40:].any()
    np.testing.assert_array_equal(
        surface.material, np.where(surface.height > 0, 0.9, 0.4).astype("f")
    )


def test_separate_spheres_touch_no_other() -> None:
    surface = flat((120, 90), 0.4)
    solids.add_separate_spheres(surface, np.full(30, 6.0), np.random.default_rng(0))
    labels, count = ndimage.label(surface.height > 0, np.ones((3, 3)))
    assert count > 15
    size = np.bincount(labels.ravel())[1:].max()
    assert 110 < size < 120  # a disk of radius 6 has 113 px


def test_the_higher_body_is_seen():
    surface = flat((4, 4), 0.5)
    inside = np.eye(4, dtype=bool)
    overlay(surface, inside, np.full((4, 4), 2, np.float32), 0.9)
    overlay(surface, inside, np.full((4, 4), 1, np.float32), 0.1)
    np.testing.assert_array_equal(surface.height, 2 * np.eye(4))
    np.testing.assert_array_equal(surface.material, np.where(inside, np.float32(0.9), 0.5))
