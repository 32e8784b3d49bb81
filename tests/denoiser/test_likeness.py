"""Traits of made images whose traits are known, and what is said of images that have others."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lfranker.datasets.clean_images import load_clean
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.denoiser.bundled import bundled_network
from lfranker.denoiser.likeness import (
    LEAST_PATCHES,
    TRAITS,
    Likeness,
    brightness,
    contrast,
    likeness_of,
    noise_correlation,
    noise_level,
    read_likeness,
    structure_size,
    unlike,
)
from lfranker.denoiser.likeness import _features as likeness_features
from lfranker.denoiser.scunet import SCUNet
from lfranker.images.image_file import read_image
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.parsing import parse_noise
from lfranker.options import changed
from lfranker.training.batches import to_batch

SIDE = 512
Pixels = NDArray[np.float32]


def network() -> SCUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SCUNet(config=[0, 0, 0, 1, 0, 0, 0], dim=16, head_dim=8).eval()


NETWORK = network()


def image(
    seed: int,
    sigma: float = 0.05,
    size: float = 5.0,
    mean: float = 0.45,
    depth: float = 0.1,
    correlated: bool = False,
) -> Pixels:
    """Blobs of one size with white noise, or noise whose neighbours along x are averaged."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal((SIDE, SIDE)), size)
    noise = rng.standard_normal((SIDE, SIDE))
    if correlated:
        noise = (noise + np.roll(noise, 1, axis=1)) / np.sqrt(2)
    made = mean + depth * blobs / blobs.std() + sigma * noise
    return made.clip(0, 1).astype(np.float32)


def patches(images: list[Pixels]) -> Pixels:
    cut = [own.reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64) for own in images]
    return np.concatenate(cut)


@pytest.fixture(scope="module")
def trained_on() -> Likeness:
    found = likeness_of(patches([image(seed) for seed in range(8)]), NETWORK)
    assert found is not None
    return found


def test_traits_are_those_that_images_were_made_with() -> None:
    own = patches([image(3, sigma=0.08, size=20)])
    assert noise_level(own).mean() == pytest.approx(0.08, rel=0.02)
    # second differences of a patch: 64 x 62 values, of which three of a column share a line
    assert noise_correlation(own).mean() == pytest.approx(0, abs=0.02)
    correlated = patches([image(3, sigma=0.08, size=20, correlated=True)])
    assert noise_correlation(correlated).mean() == pytest.approx(0.5, abs=0.02)
    assert brightness(own).mean() == pytest.approx(0.45, abs=0.05)
    # a sine of amplitude a has the deviation a / sqrt(2), and 1 / its wave number as its size
    wave = 2 * np.pi / 32
    sine = np.tile((0.5 + 0.2 * np.sin(wave * np.arange(256))).astype(np.float32), (1, 64, 1))
    damped = np.exp(-((2.0 * wave) ** 2) / 2)
    assert contrast(sine)[0] == pytest.approx(0.2 * damped / np.sqrt(2), rel=0.03)
    assert structure_size(sine)[0] == pytest.approx(1 / wave, rel=0.05)


@pytest.mark.parametrize(
    "seed", [20, 21, 22, *(pytest.param(n, marks=pytest.mark.slow) for n in range(23, 30))]
)
def test_images_of_the_same_kind_are_like_them(trained_on: Likeness, seed: int) -> None:
    assert unlike(image(seed), NETWORK, trained_on) == []


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda: image(40, sigma=0.1),
            "more noise (0.1 of full scale, where 99 of 100 training patches have 0.05",
        ),
        (lambda: image(40, sigma=0.02), "less noise (0.02"),
        (lambda: image(40, correlated=True), "noise that is more correlated along the lines"),
        (lambda: image(40, mean=0.8), "a higher brightness"),
        (lambda: image(40, mean=0.15), "a lower brightness"),
        (lambda: image(40, depth=0.02), "less contrast"),
        (lambda: image(40, size=1.5), "finer structure"),
        (lambda: image(40, size=25, depth=0.15), "coarser structure"),
    ],
)
def test_images_of_another_kind_are_not_and_it_is_said_why(
    trained_on: Likeness, made: Callable[[], Pixels], said: str
) -> None:
    assert any(reason.startswith(said) for reason in unlike(made(), NETWORK, trained_on))


def test_features_alone_tell_an_image_apart(trained_on: Likeness) -> None:
    """A vertical grating under the same noise, its contrast and size within the others'."""
    ranges = dict.fromkeys(TRAITS, (-np.inf, np.inf))
    blind = replace(trained_on, ranges=ranges)
    stripes = 0.45 + 0.4 * np.sign(np.sin(np.arange(SIDE) / 1.2))
    rng = np.random.default_rng(0)
    other = (stripes + 0.05 * rng.standard_normal((SIDE, SIDE))).clip(0, 1).astype(np.float32)
    (reason,) = unlike(other, NETWORK, blind)
    assert "first layer" in reason
    assert unlike(image(31), NETWORK, blind) == []
    headless = torch.nn.Identity()
    assert unlike(other, headless, blind) == []


def test_it_is_read_as_it_was_written(trained_on: Likeness) -> None:
    assert read_likeness(trained_on.to_json()) == trained_on
    torn = replace(trained_on, precision=trained_on.precision[1:]).to_json()
    for text in ("{}", "no JSON", '{"patch": 64, "ranges": {"noise": [1]}}', "[]", torn):
        with pytest.raises(ValueError, match="not what training images look like"):
            read_likeness(text)


@pytest.mark.slow
def test_the_covariance_of_features_is_hardly_changed_to_be_inverted(trained_on: Likeness) -> None:
    """A hundredth of the mean variance is added to each; the precision is stored in few digits."""
    features = likeness_features(patches([image(seed) for seed in range(8)]), NETWORK)
    variance = np.trace(np.cov(features, rowvar=False))
    inverted = np.trace(np.linalg.inv(np.array(trained_on.precision)))
    assert inverted / variance == pytest.approx(1.01, abs=0.005)


def test_what_tells_too_little_is_not_judged(trained_on: Likeness) -> None:
    few = patches([image(0)])[: LEAST_PATCHES - 1]
    assert likeness_of(few, NETWORK) is None
    assert unlike(image(40, sigma=0.2)[:63], NETWORK, trained_on) == []


@pytest.mark.slow
@pytest.mark.skipif("LFRANKER_SEM_DATA" not in os.environ, reason="no real scans")
def test_real_scans_are_like_patches_of_their_kind_and_those_of_other_vendors_are_not(
    tmp_path: Path,
) -> None:
    folder = Path(os.environ["LFRANKER_SEM_DATA"])
    fast, slow = (sorted((folder / "scans" / speed).iterdir()) for speed in ("100ns", "30us"))
    (tmp_path / "clean").mkdir()
    for path in slow[:12]:
        (tmp_path / "clean" / path.name).symlink_to(path)
    images = load_clean(tmp_path / "clean", 0.05)[0]
    noise = changed(NoiseConfig(), parse_noise("microscope@100ns"))
    data = synthesise(images, tmp_path / "data", DatasetConfig(patches=600, noise=noise))
    network = bundled_network()
    looks = likeness_of(to_batch(data.noisy[data.train])[:, 0].numpy(), network)
    assert looks is not None
    flagged = [path.name for path in fast[12:] if unlike(read_image(path).image, network, looks)]
    assert len(flagged) <= 0.05 * len(fast[12:])
    others = sorted((folder / "vendor").rglob("*.tif"))
    assert len(others) >= 5
    passed = [path.name for path in others if not unlike(read_image(path).image, network, looks)]
    assert passed == []
