"""Datasets of noisy scans alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfranker.arrays import Image
from lfranker.datasets.clean_images import CleanImage, simulated_clean
from lfranker.datasets.noisy_scans import NoisyScan, split_scans
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.patch_sampling import (
    Source,
    make_source,
    structure,
    structure_across_lines,
)
from lfranker.datasets.synthesis import request_of, synthesise
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.scan_correlation import filter_fast_axis, taps_for
from lfranker.simulation.scenes import scene

CONFIG = DatasetConfig(patch=16, patches=60, minimum_contrast=0, noise=NoiseConfig(mode="frames"))
SHAPE = 64, 80


def frames(field: str, speed: str = "100ns", seed: int = 0) -> list[NoisyScan]:
    """Two frames of a field, either as the target of the other; the first has even values."""
    rng = np.random.default_rng(seed)
    even = (2 * rng.integers(0, 100, SHAPE) / 255).astype(np.float32)
    odd = even + np.float32(1 / 255)
    covered = np.ones(SHAPE, np.bool_)
    covered[:, :30] = covered[:, 67:] = False  # the other frame does not show it
    return [
        NoisyScan(f"{speed}/{field}#{n}", speed, image, "file", None, field, target, covered)
        for n, (image, target) in enumerate(((even, odd), (odd, even)), 1)
    ]


def single(scans: Sequence[NoisyScan]) -> list[NoisyScan]:
    return [replace(scan, target=None, covered=None) for scan in scans]


def fields(count: int, **more: str) -> list[NoisyScan]:
    return [scan for n in range(count) for scan in frames(f"field_{n}", seed=n, **more)]


def test_each_frame_is_the_target_of_the_other_where_both_show_the_specimen(tmp_path: Path) -> None:
    scans = fields(4)
    data = synthesise(scans, tmp_path / "set", CONFIG)
    noisy, target = data.noisy.astype(int), data.clean.astype(int)
    forth = (noisy % 2 == 0).all(axis=(1, 2))
    assert 0.3 < forth.mean() < 0.7
    np.testing.assert_array_equal(target[forth], noisy[forth] + 1)
    np.testing.assert_array_equal(target[~forth], noisy[~forth] - 1)
    outside = {
        np.rint(scan.image[y : y + 16, x : x + 16] * 255).astype(np.uint8).tobytes()
        for scan in scans
        for y in range(49)
        for x in (*range(30), *range(52, 65))
    }
    assert not any(patch.tobytes() in outside for patch in data.noisy)


def test_a_scan_alone_is_its_own_target(tmp_path: Path) -> None:
    config = replace(CONFIG, noise=NoiseConfig(mode="blind", blind_radius=2))
    data = synthesise(single(fields(3)), tmp_path / "set", config)
    np.testing.assert_array_equal(data.noisy, data.clean)


def test_all_scans_of_a_field_are_on_one_side() -> None:
    scans = [*fields(6), *fields(6, speed="280ns")]
    training, validation = split_scans(scans, 0.3, seed=1)
    sides = [{scan.field for scan in side} for side in (training, validation)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 2
    assert len(training) + len(validation) == len(scans) == 24
    lone = split_scans(fields(1), 0.25, seed=0)
    assert [[len(scan.image) for scan in side] for side in lone] == [[48, 48], [16, 16]]
    for side in lone:
        for scan in side:
            assert scan.target is not None
            assert scan.covered is not None
            assert scan.target.shape == scan.covered.shape == scan.image.shape
            assert abs(scan.target - scan.image).max() < 1.1 / 255


def test_speeds_take_turns_and_each_pair_knows_its_own(tmp_path: Path) -> None:
    """Bright scans are those of one speed; the noise of each is measured by itself."""
    scans = []
    for speed, level, deviation in (("100ns", 0.3, 0.05), ("2us", 0.7, 0.02)):
        for n in range(4):
            rng = np.random.default_rng(n)
            ramp = level + np.linspace(-0.1, 0.1, 160, dtype=np.float32)[None].repeat(160, 0)
            noise = rng.normal(size=ramp.shape) * deviation * np.sqrt(ramp / level)
            image = (ramp + noise).astype(np.float32)
            scans.append(NoisyScan(f"{speed}/{n}", speed, image, "file", field=str(n)))
    config = replace(CONFIG, validation=0.25, noise=NoiseConfig(mode="recorrupted"))
    data = synthesise(scans, tmp_path / "set", config)
    bright = [bool(patch.mean() > 128) for patch in data.noisy]
    assert sum(bright) == len(bright) / 2
    for index, is_bright in enumerate(bright):
        expected = 0.02**2 / 0.7 if is_bright else 0.05**2 / 0.3
        assert data.noise_in(index).gamma == pytest.approx(expected, rel=0.3)
    sides = {"training": ["100ns", "2us"], "validation": ["2us"]}
    other = replace(data, manifest={**data.manifest, "speeds": sides})
    assert {other.noise_in(index).gamma for index in data.validation} == {
        data.measured["2us"].gamma
    }
    assert {other.noise_in(index).gamma for index in data.train} == {
        noise.gamma for noise in data.measured.values()
    }


def test_a_dataset_is_named_by_frames_targets_and_what_is_hidden() -> None:
    scans = fields(4)
    shifted = [replace(scan, target=np.roll(scan.image, 1, axis=0)) for scan in scans]
    known = [request_of(scans, CONFIG), request_of(shifted, CONFIG)]
    for radius in (0, 2):
        noise = NoiseConfig(mode="blind", blind_radius=radius)
        known.append(request_of(single(scans), replace(CONFIG, noise=noise)))
    assert all(a != b for n, a in enumerate(known) for b in known[:n])
    assert request_of(fields(4), CONFIG) == known[0]


def noisy(image: Image, deviation: float) -> np.ndarray:
    white = np.random.default_rng(0).standard_normal(image.shape, dtype=np.float32)
    noise = filter_fast_axis(white, taps_for(0.48, (1.0, 0.1))) * np.float32(deviation)
    return np.rint(np.clip(image + noise, 0, 1) * 255).astype(np.uint8)


def test_noise_is_no_structure() -> None:
    flat = noisy(np.full((192, 192), 0.5, np.float32), 0.08)
    assert structure(flat, 96).min() > DatasetConfig().minimum_contrast  # it would be kept
    assert structure_across_lines(flat, 96).max() < DatasetConfig().minimum_contrast
    scan = flat / np.float32(255)
    refused = make_source(NoisyScan("a", "100ns", scan, "file"), 96, 0.02)
    assert "no patch has the contrast 0.02 asked for" in str(refused)
    assert isinstance(make_source(CleanImage("a", ".", scan, "file"), 96, 0.02), Source)
    image = scene("particles", (192, 192), 0, 0)
    without = np.rint(image * 255).astype(np.uint8)
    expected, found = structure(without, 96), structure_across_lines(noisy(image, 0.08), 96)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_clean_images_and_noisy_scans_are_not_taken_for_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"noise 'eq1' is added to clean images.*frames, blind"):
        synthesise(fields(2), tmp_path / "set", replace(CONFIG, noise=NoiseConfig()))
    with pytest.raises(ValueError, match="noise 'frames' is of noisy scans"):
        synthesise(simulated_clean(1, 64, 0), tmp_path / "set", CONFIG)


def test_what_only_one_frame_shows_is_left_out_by_name(tmp_path: Path) -> None:
    nothing = [replace(scan, covered=np.zeros(SHAPE, np.bool_)) for scan in frames("gone", seed=9)]
    config = replace(CONFIG, validation=0)
    data = synthesise([*fields(3), *nothing], tmp_path / "set", config)
    assert data.notices == [
        f"100ns/gone#{n}: left out, its other frame shows too little of it" for n in (1, 2)
    ]
