import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfranker.datasets import synthesis as dataset
from lfranker.datasets.clean_images import CleanImage, draw_images, simulated_clean, split
from lfranker.datasets.patch_dataset import (
    Dataset,
    DatasetConfig,
    config_of,
    digest_of,
    read_dataset,
)
from lfranker.datasets.synthesis import request_of, synthesise
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.parsing import parse_noise
from lfranker.options import changed
from lfranker.planning.plan import fingerprint
from lfranker.simulation.scenes import scene

CONFIG = DatasetConfig(patch=32, patches=70, seed=4)
IMAGES = simulated_clean(2, 96, seed=0)
RAMP = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (64, 1))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthesise(IMAGES, tmp_path_factory.mktemp("data") / "set", CONFIG)


def quantised(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def holds(image: np.ndarray, patch: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(image, patch.shape)
    rows = (windows[:, :, 0] == patch[0]).all(axis=-1)
    return any(np.array_equal(windows[y, x], patch) for y, x in np.argwhere(rows))


def test_shapes_counts_and_indices(made):
    assert made.noisy.shape == made.clean.shape == (70, 32, 32)
    assert made.noisy.dtype == made.clean.dtype == np.uint8
    assert isinstance(made.noisy, np.memmap)
    assert made.noisy.flags.c_contiguous  # a patch is one piece of the file
    np.testing.assert_array_equal(made.train, np.arange(60))  # 15 % of 70 rounds to 10
    np.testing.assert_array_equal(made.validation, np.arange(60, 70))
    assert made.manifest["counts"] == {"training": 60, "validation": 10}
    assert sorted(path.name for path in made.folder.parent.iterdir()) == ["set"]


@pytest.mark.parametrize(
    ("patches", "validation", "counts"),
    [(70, 0.15, (60, 10)), (2, 0.01, (1, 1)), (2, 0.9, (1, 1)), (3, 0.9, (1, 2)), (1, 0, (1, 0))],
)
def test_there_is_a_pair_for_each_that_is_asked_for(patches, validation, counts) -> None:
    assert replace(CONFIG, patches=patches, validation=validation).counts == counts


def test_one_patch_cannot_be_trained_on_and_held_out() -> None:
    with pytest.raises(ValueError, match="patches is 1; allowed is at least 2"):
        replace(CONFIG, patches=1, validation=0.15)


def test_room_for_both_arrays_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    monkeypatch.setattr(dataset, "require_space", lambda _, size: asked.append(size))
    data = synthesise(IMAGES, tmp_path / "set", replace(CONFIG, patches=10))
    assert asked == [data.noisy.nbytes + data.clean.nbytes]


@pytest.mark.parametrize("name", ["noisy", "clean"])
def test_a_changed_byte_of_either_array_is_found(made, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    shutil.copytree(made.folder, folder)
    stored = bytearray((folder / f"{name}.npy").read_bytes())
    stored[-1] ^= 1
    (folder / f"{name}.npy").write_bytes(stored)
    with pytest.raises(ValueError, match="damaged"):
        read_dataset(folder, verify=True)


def test_all_pairs_differ(made):
    assert len({patch.tobytes() for patch in made.noisy}) == 70
    assert len({patch.tobytes() for patch in made.clean}) > 60


def test_no_image_is_on_both_sides(made):
    sides = {source["name"]: source["side"] for source in made.manifest["request"]["sources"]}
    assert set(sides.values()) == {"training", "validation"}
    pixels = {image.name: quantised(image.image) for image in IMAGES}
    for indices, side in ((made.train[:12], "training"), (made.validation, "validation")):
        for index in indices:
            found = {name for name, image in pixels.items() if holds(image, made.clean[index])}
            assert {sides[name] for name in found} == {side}


def test_the_manifest_tells_the_white_level_where_it_is_not_the_types(tmp_path):
    """Datasets of files that use all 16 bits keep the names that they had."""
    images = [replace(image, white=4095) for image in IMAGES]
    whole = [replace(image, white=65535) for image in IMAGES]
    sources = request_of(images, CONFIG)["sources"]
    assert [source["white"] for source in sources] == [4095] * len(sources)
    assert request_of(whole, CONFIG) == request_of(IMAGES, CONFIG)


def test_the_manifest_tells_how_to_make_it_again(made, tmp_path):
    manifest = json.loads((made.folder / "manifest.json").read_text())
    assert manifest == made.manifest
    assert manifest["request"]["parameters"]["peak"] == [20.0, 200.0]
    assert manifest["request"]["parameters"]["seed"] == 4
    source = manifest["request"]["sources"][0]
    assert (source["name"], source["group"], source["size"]) == ("cells-0", "cells", [96, 96])
    again = synthesise(simulated_clean(2, 96, seed=0), tmp_path / "again", CONFIG)
    assert again.digest == made.digest
    np.testing.assert_array_equal(again.noisy, made.noisy)


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_bits_do_not_depend_on_the_number_of_workers(made, tmp_path, workers):
    other = synthesise(IMAGES, tmp_path / "set", CONFIG, workers=workers)
    assert other.digest == made.digest
    np.testing.assert_array_equal(other.clean, made.clean)
    np.testing.assert_array_equal(other.noisy, made.noisy)


def test_a_patch_does_not_depend_on_how_many_are_made(made, tmp_path):
    more = synthesise(IMAGES, tmp_path / "set", replace(CONFIG, patches=140))
    np.testing.assert_array_equal(more.noisy[:60], made.noisy[:60])


def test_seed_and_parameters_change_the_digest(tmp_path):
    base = replace(CONFIG, validation=0.0)  # which images are held out depends on the seed, too
    made = synthesise(IMAGES, tmp_path / "base", base)
    for number, change in enumerate(({"seed": 5}, {"peak": (50.0, 50.0)})):
        other = synthesise(IMAGES, tmp_path / str(number), changed(base, change))
        assert other.digest != made.digest
        assert not np.array_equal(other.noisy, made.noisy)


def sources(made: Dataset, indices: Iterable[int]) -> set[str]:
    """Names of the images that hold these patches."""
    patches = [made.clean[index] for index in indices]
    return {i.name for i in IMAGES if any(holds(quantised(i.image), patch) for patch in patches)}


def test_draws_of_images_train_on_other_images_and_validate_on_the_same(made, tmp_path):
    """A draw leaves out about 37 % of the images of a group, other ones each time."""
    draws = [
        synthesise(IMAGES, tmp_path / str(draw), replace(CONFIG, image_draw=draw))
        for draw in (1, 2)
    ]
    assert len({own.digest for own in (made, *draws)}) == 3
    used = [sources(own, own.train[:60]) for own in (made, *draws)]
    assert used[1] < used[0]
    assert used[2] < used[0]
    assert used[1] != used[2]
    training, _ = split(IMAGES, CONFIG.validation, CONFIG.seed)
    for draw, names in ((1, used[1]), (2, used[2])):
        assert names <= {image.name for image in draw_images(training, CONFIG.seed, draw)}
    for own in draws:
        np.testing.assert_array_equal(own.noisy[own.validation], made.noisy[made.validation])
        assert own.trained_on == made.trained_on, "none of these may be scored on"
        assert own.config.image_draw > 0
    again = synthesise(IMAGES, tmp_path / "again", replace(CONFIG, image_draw=1))
    assert again.digest == draws[0].digest


def test_each_draw_has_places_and_noise_of_its_own(tmp_path: Path) -> None:
    """The draws of a single image are that image each time, cut in two."""
    image = replace(IMAGES[0], image=np.ascontiguousarray(RAMP))
    first, second = (
        synthesise([image], tmp_path / str(draw), replace(CONFIG, patches=20, image_draw=draw))
        for draw in (1, 2)
    )
    np.testing.assert_array_equal(
        first.noisy[first.validation], second.noisy[second.validation], "validation is the same"
    )
    same = [np.array_equal(first.noisy[k], second.noisy[k]) for k in first.train]
    assert len(same) > 10
    assert not any(same)


def test_a_group_keeps_its_weight_in_every_draw() -> None:
    images = [
        CleanImage(f"{group}{n}", group, np.zeros((9, 9), np.float32), "")
        for group, count in (("a", 40), ("b", 1), ("own", 3))
        for n in range(count)
    ]
    drawn = draw_images(images, 0, 1)
    groups = [image.group for image in drawn]
    assert [groups.count(name) for name in ("a", "b", "own")] == [40, 1, 3]
    different = len({image.name for image in drawn if image.group == "a"})
    assert 18 <= different <= 33  # 40 (1 - 1/e) = 25.3, deviation 1.9; four of these
    assert drawn != draw_images(images, 0, 2)
    assert drawn != draw_images(images, 1, 1)


def test_one_image_is_cut_in_two_and_counts_as_trained_on(tmp_path: Path) -> None:
    image = replace(IMAGES[0], image=np.ascontiguousarray(RAMP))
    data = synthesise([image], tmp_path / "set", replace(CONFIG, patches=10))
    assert len(data.validation) > 0
    assert data.trained_on == {image.sha256}


def test_the_same_request_is_answered_from_disk_and_another_is_refused(made):
    before = (made.folder / "noisy.npy").stat().st_mtime_ns
    assert synthesise(IMAGES, made.folder, CONFIG).digest == made.digest
    assert (made.folder / "noisy.npy").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="holds a dataset of another request"):
        synthesise(IMAGES, made.folder, replace(CONFIG, seed=5))
    with pytest.raises(ValueError, match="holds a dataset of another request"):
        synthesise(IMAGES[1:], made.folder, CONFIG)


def test_a_folder_with_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="not a dataset that synth made"):
        synthesise(IMAGES, tmp_path, CONFIG)
    assert os.listdir(tmp_path) == ["thesis.tex"]  # noqa: PTH208


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lfranker.datasets.synthesis.draw_pair", fail)
    with pytest.raises(KeyboardInterrupt):
        synthesise(IMAGES, tmp_path / "set", CONFIG, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_damage_is_found(tmp_path):
    made = synthesise(IMAGES, tmp_path / "set", CONFIG)
    assert read_dataset(made.folder, verify=True).digest == made.digest
    with (made.folder / "noisy.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([int(made.noisy[-1, -1, -1]) ^ 1]))
    with pytest.raises(ValueError, match="not those of its manifest's digest"):
        read_dataset(made.folder, verify=True)
    np.save(made.folder / "noisy.npy", np.zeros((69, 32, 32), np.uint8))
    with pytest.raises(ValueError, match=r"noisy\.npy: uint8 \(69, 32, 32\), .* \(70, 32, 32\)"):
        read_dataset(made.folder)
    (made.folder / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="not a dataset"):
        read_dataset(made.folder)


def test_flat_and_small_images_are_left_out_by_name(tmp_path):
    flat = CleanImage("flat", "x", np.full((64, 64), 0.5, np.float32), "")
    small = CleanImage("small", "x", RAMP[:31], "")
    made = synthesise([*IMAGES, flat, small], tmp_path / "a", CONFIG)
    notices = " ".join(made.manifest["notices"])
    assert "flat: left out, no patch has the contrast 0.02" in notices
    assert "small: left out, 256 x 31 px is smaller than the patch of 32" in notices
    with pytest.raises(ValueError, match=r"is left for training: .*flat: left out"):
        synthesise([flat, replace(flat, name="even")], tmp_path / "b", CONFIG)
    assert not (tmp_path / "b").exists()


def test_a_single_image_serves_both_sides_by_parts(tmp_path):
    single = [CleanImage("a", ".", scene("powder", (96, 400), 0), "simulated")]
    made = synthesise(single, tmp_path / "a", CONFIG)
    pixels = quantised(single[0].image)
    assert all(holds(pixels[:, :340], made.clean[i]) for i in made.train[:8])
    assert all(holds(pixels[:, 340:], made.clean[i]) for i in made.validation)
    assert made.manifest["request"]["sources"][0]["side"] == "both"


@pytest.mark.parametrize(
    "change",
    [
        {"patch": 4},
        {"patches": 1},
        {"validation": 1.0},
        {"peak": (200.0, 20.0)},
        {"peak": (0.0, 20.0)},
        {"correlation": (0.0, 0.9)},
        {"noise": "white"},
        {"kernel": (0.5,)},
        {"sigma": (0.0, 2.0)},
        {"saturation": (0.0, 1.0)},
        {"alpha": (-1.0, 1.0)},
        {"seed": -1},
    ],
)
def test_impossible_settings_are_named(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name} is .*allowed (is|are)"):
        changed(DatasetConfig(), change)


def test_datasets_from_before_there_were_modes_keep_their_name_and_their_request():
    """The fingerprint was taken before `noise` and its parameters were settings."""
    assert fingerprint({**DatasetConfig().determining(), "sources": ["a"]}) == "5c04607ef35a3012"
    assert set(DatasetConfig().determining()) == {
        "patch", "patches", "validation", "max_noise", "minimum_contrast", "alpha", "beta", "peak",
        "speckle_variance", "correlation", "seed",
    }  # fmt: skip


def test_another_mode_makes_other_patches_and_is_read_back(made, tmp_path):
    config = changed(
        CONFIG, {"noise": "microscope", "kernel": (1.0, 0.2), "correlation": (0.4, 0.5)}
    )
    other = synthesise(IMAGES, tmp_path / "set", config)
    assert other.config == config
    np.testing.assert_array_equal(other.clean, made.clean)
    assert not np.array_equal(other.noisy, made.noisy)
    again = changed(config, {"line_offset": (0.0, 0.1)})
    assert again.determining() != config.determining()


def test_without_validation_all_pairs_are_for_training(tmp_path: Path):
    made = synthesise(IMAGES, tmp_path / "set", replace(CONFIG, validation=0.0, patches=9))
    assert (len(made.train), len(made.validation)) == (9, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_dataset_that_another_process_has_just_put_there_is_taken_if_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
):
    images, config = simulated_clean(1, 128, 0), DatasetConfig(patches=8, patch=32)
    out, elsewhere = tmp_path / "data", tmp_path / "other"
    other = synthesise(images, elsewhere, replace(config, seed=seed))

    def late(draft: Path, request: dict[str, Any]) -> str:
        shutil.copytree(elsewhere, out)  # between our look and our rename
        return digest_of(draft, request)

    monkeypatch.setattr(dataset, "digest_of", late)
    if seed == config.seed:
        assert synthesise(images, out, config).digest == other.digest
    else:
        with pytest.raises(FileExistsError, match="is there already"):
            synthesise(images, out, config)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "other"}


def rewritten(made: Dataset, **parameters: object) -> Path:
    """The dataset with other settings in its manifest, as an earlier version would have stored."""
    path = made.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["request"]["parameters"] |= parameters
    path.write_text(json.dumps(manifest))
    return made.folder


def test_stored_noises_that_have_no_name_of_their_own_any_more_are_read(tmp_path: Path):
    made = synthesise(IMAGES, tmp_path / "set", CONFIG)
    half = (0.5, 0.5)
    mixed = read_dataset(rewritten(made, noise="mix")).config.noise
    assert mixed == NoiseConfig(alpha=half, beta=half)
    gaussian = rewritten(made, noise="poisson-gaussian", sigma=[0.01, 0.02])
    assert read_dataset(gaussian).config.noise == NoiseConfig(mode="microscope", sigma=(0.01, 0.02))
    for name, settings in (("mix", mixed), ("poisson-gaussian", NoiseConfig(mode="microscope"))):
        assert changed(NoiseConfig(), parse_noise(name)) == settings


def test_stored_changes_of_clean_patches_are_read_where_they_changed_nothing(tmp_path: Path):
    made = synthesise(IMAGES, tmp_path / "set", CONFIG)
    usual = {"zoom": [1.0, 1.0], "blur": [0.0, 0.0], "contrast": [1.0, 1.0]}
    assert read_dataset(rewritten(made, **usual)).config == CONFIG
    for name in ("zoom", "blur", "contrast", "brightness"):
        with pytest.raises(ValueError, match=f"made with {name} 0.5:2, which is no longer done"):
            read_dataset(rewritten(made, **{**usual, name: [0.5, 2.0]}))


def test_settings_of_a_later_version_are_not_passed_over() -> None:
    with pytest.raises(ValueError, match="made with surprise, which this version does not know"):
        config_of({"patch": 32, "surprise": 1})
    assert config_of({"patch": 32}).patch == 32
