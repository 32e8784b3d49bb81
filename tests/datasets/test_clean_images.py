import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from lfranker.datasets.clean_images import CleanImage, load_clean, simulated_clean, split
from lfranker.images.image_file import write_image
from lfranker.noise.models import estimate_noise
from lfranker.simulation.scenes import KINDS, scene

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA does not name the real SEM data")
U8 = np.dtype(np.uint8)
SMOOTH = scene("particles", (128, 128), 0)
NOISY = np.clip(SMOOTH + np.random.default_rng(0).normal(0, 0.1, SMOOTH.shape), 0, 1)


def images(**groups: int) -> list[CleanImage]:
    return [
        CleanImage(f"{group}/{i}", group, np.zeros((8, 8), np.float32), "")
        for group, count in groups.items()
        for i in range(count)
    ]


def test_folders_are_groups_and_noisy_images_are_left_out_by_name(tmp_path):
    for name, image in (("a.png", SMOOTH), ("steel/b.png", SMOOTH), ("steel/c.png", NOISY)):
        write_image(tmp_path / name, image.astype(np.float32), U8, 255)
    loaded, notices = load_clean(tmp_path, max_noise=0.05)
    assert [(image.name, image.group) for image in loaded] == [
        ("a.png", "."),
        ("steel/b.png", "steel"),
    ]
    assert loaded[1].source == str(tmp_path / "steel/b.png")
    np.testing.assert_allclose(loaded[0].image, SMOOTH, atol=0.5 / 255 + 1e-6)
    noise = estimate_noise((np.rint(NOISY * 255) / 255).astype(np.float32))
    assert notices == [f"steel/c.png: left out, noise {noise:.4f} is above 0.05"]
    assert len(load_clean(tmp_path, max_noise=1)[0]) == 3


def test_twelve_bits_in_sixteen_are_known_by_the_whole_folder_or_as_given(tmp_path):
    levels = np.linspace(0, 4000, 48 * 48).reshape(48, 48).astype(np.uint16)
    for name in ("a.png", "b.png"):
        Pillow.fromarray(levels).save(tmp_path / name)
    found, notices = load_clean(tmp_path, 0.05)
    assert [image.white for image in found] == [4095, 4095]
    assert found[0].image.max() == pytest.approx(4000 / 4095)
    assert "read as 12 bits" in notices[0]
    given, notices = load_clean(tmp_path, 0.05, 8000)
    assert given[0].image.max() == pytest.approx(0.5)
    assert notices == []


def test_nothing_to_use_is_an_error_that_says_why(tmp_path):
    with pytest.raises(ValueError, match="it holds no image files"):
        load_clean(tmp_path, 0.05)
    write_image(tmp_path / "a.png", NOISY.astype(np.float32), U8, 255)
    with pytest.raises(ValueError, match=r"a\.png: left out, noise 0\.\d+ is above 0\.05"):
        load_clean(tmp_path, 0.05)


def test_simulated_images_of_every_kind():
    made = simulated_clean(2, 64, seed=3)
    assert Counter(image.group for image in made) == dict.fromkeys(KINDS, 2)
    assert {image.source for image in made} == {"simulated"}
    assert len({image.name for image in made}) == 14
    np.testing.assert_array_equal(made[1].image, scene("cells", (64, 64), 3, 1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("validation", [0.1, 0.15, 0.3, 0.9])
@pytest.mark.parametrize(
    "groups",
    [
        {"a": 20},
        {"a": 2},
        {"a": 2, "b": 2, "c": 2, "d": 2, "e": 2},
        {"a": 30, "b": 3},
        {"a": 1, "b": 1},
    ],
)
def test_every_image_is_on_one_side_and_both_sides_have_some(groups, validation, seed):
    everything = images(**groups)
    training, held_out = split(everything, validation, seed)
    names = [image.name for image in (*training, *held_out)]
    assert sorted(names) == sorted(image.name for image in everything)
    assert training
    assert held_out
    if len(everything) >= 10:
        share = len(held_out) / len(everything)
        assert 0.5 * validation <= share <= 1.5 * validation
    again = split(everything[::-1], validation, seed)
    assert {i.name for i in again[1]} == {i.name for i in held_out}, "order of files matters"


@pytest.mark.parametrize("seed", range(5))
def test_whole_groups_are_held_out_where_their_size_allows(seed):
    training, held_out = split(images(a=4, b=4, c=4, d=4, e=4, f=4, g=4), 0.15, seed)
    assert {i.group for i in training}.isdisjoint(i.group for i in held_out)
    assert len(held_out) == 4
    # 0.2 of 20 images are two groups of 2; a third would be within 1.5 times that.
    assert len(split(images(**dict.fromkeys("abcdefghij", 2)), 0.2, seed)[1]) == 4
    # One group of 20 of 23 would be far too much, and the other is within 1.5 x 0.1 x 23.
    training, held_out = split(images(a=20, b=3), 0.1, seed)
    assert {i.group for i in held_out} == {"b"}
    # Neither fits: 15 % of each.
    training, held_out = split(images(a=20, b=20), 0.15, seed)
    assert Counter(i.group for i in held_out) == {"a": 3, "b": 3}
    # 2.5 of each: the half that the first group does not give, the second does.
    assert len(split(images(a=25, b=25), 0.1, seed)[1]) == 5


@pytest.mark.parametrize("seed", range(5))
def test_own_scans_are_for_training_and_do_not_change_what_else_is_held_out(seed):
    others = images(a=20, b=3)
    own = [replace(image, name=f"own/{image.name}", group="own/day-1") for image in images(c=4)]
    training, held_out = split([*own, *others], 0.15, seed)
    assert {image.name for image in own} <= {image.name for image in training}
    assert {i.name for i in held_out} == {i.name for i in split(others, 0.15, seed)[1]}
    assert len(split(own, 0.25, seed)[1]) == 1, "where there is nothing else, it is shared out"


def test_the_seed_chooses_who_is_held_out():
    chosen = {tuple(i.name for i in split(images(a=20), 0.2, seed)[1]) for seed in range(10)}
    assert len(chosen) > 5


def test_a_single_image_is_cut_in_two_and_no_validation_means_none():
    pixels = np.arange(200, dtype=np.float32).reshape(10, 20)
    single = [CleanImage("a", ".", pixels, "")]
    (training,), (held_out,) = split(single, 0.25, 0)
    np.testing.assert_array_equal(training.image, pixels[:, :15])
    np.testing.assert_array_equal(held_out.image, pixels[:, 15:])
    assert (training.name, held_out.name) == ("a#training", "a#validation")
    assert split(single, 0, 0) == (single, [])


def test_two_images_of_one_name_are_refused():
    with pytest.raises(ValueError, match="2 clean images have only 1 different names"):
        split(images(a=1) * 2, 0.5, 0)


@pytest.mark.slow
@real
def test_real_clean_images_load(tmp_path):
    """Every third of the images."""
    images = sorted(p for p in Path(SEM or "", "clean").iterdir() if p.suffix != ".csv")[::3]
    for path in images:
        (tmp_path / path.name).symlink_to(path)
    loaded, notices = load_clean(tmp_path, max_noise=0.05)
    assert len(loaded) == len(images) == 30
    assert not any("left out" in notice for notice in notices)
