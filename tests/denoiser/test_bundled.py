"""The network that comes with the package does what it is there for."""

import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from lfranker.arrays import Image
from lfranker.denoiser.bundled import FOLDER, NETWORK, WEIGHTS, denoise_bundled
from lfranker.evaluation.baselines import FAMILIES
from lfranker.evaluation.metrics import psnr, ssim
from lfranker.noise.noise_config import NoiseConfig, add_noise
from lfranker.scans.preparation import prepare_scans
from lfranker.simulation.scans import simulated_fields

PACKAGE = Path(__file__).parents[2]


def test_it_is_small_in_half_precision_and_part_of_the_package() -> None:
    assert WEIGHTS.stat().st_size <= 3e6
    with safe_open(WEIGHTS, framework="pt") as stored:
        assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"F16"}  # noqa: SIM118
    settings = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["tool"]["setuptools"]
    (pattern,) = (p for p in settings["package-data"]["lfranker"] if "bundled" in p)
    shipped = {path.name for path in (PACKAGE / "lfranker").glob(pattern)}
    assert shipped == {WEIGHTS.name, NETWORK.name, "training_images.json", "README.md"}


def test_its_page_names_every_source_with_its_licence() -> None:
    rows = [line for line in (FOLDER / "README.md").read_text().splitlines() if "](http" in line]
    assert sum(int(row.split("|")[1]) for row in rows) == 89, "images"
    assert all("MIT" in row or "CC0" in row for row in rows)


def scores(denoised: Image, clean: Image) -> tuple[float, float]:
    everywhere = np.ones(clean.shape, np.bool_)
    return psnr(denoised, clean, everywhere), ssim(denoised, clean, everywhere)


@pytest.mark.slow
@pytest.mark.parametrize("peak", [25.0, 76.0, 800.0])
def test_it_beats_gaussian_and_median_of_every_width_on_simulated_scans(peak: float) -> None:
    """At noise of several strengths, each correlated as that of real scans at 100 ns."""
    config = NoiseConfig(mode="microscope", peak=(peak, peak), correlation=(0.49, 0.49))
    for number, clean in enumerate(simulated_fields(2, 160, seed=7).values()):
        noisy = add_noise(clean, config, np.random.default_rng(number))
        own = scores(denoise_bundled(noisy), clean)
        for name in ("gaussian-tuned", "median-tuned"):
            family = FAMILIES[name]
            for value in family.values:
                other = scores(family.function(noisy, value), clean)
                assert own[0] > other[0], (name, value)
                assert own[1] > other[1], (name, value)


@pytest.mark.slow
@pytest.mark.skipif("LFRANKER_SEM_DATA" not in os.environ, reason="no real scans")
def test_it_beats_gaussian_and_median_of_every_width_on_real_scans(tmp_path: Path) -> None:
    """On the mean over fields: of a field that is partly saturated, a median may be ahead."""
    there = Path(os.environ["LFRANKER_SEM_DATA"]) / "scans"
    for speed in ("100ns", "30us"):
        (tmp_path / "scans" / speed).mkdir(parents=True)
        for field in ("field_016.tif", "field_022.tif"):
            (tmp_path / "scans" / speed / field).symlink_to(there / speed / field)
    pairs = list(prepare_scans(tmp_path / "scans", "30us", tmp_path / "prepared"))
    own = np.mean([scores(denoise_bundled(pair.noisy), pair.clean) for pair in pairs], axis=0)
    for name in ("gaussian-tuned", "median-tuned"):
        family = FAMILIES[name]
        for value in family.values:
            filtered = [family.function(pair.noisy, value) for pair in pairs]
            both = zip(filtered, pairs, strict=True)
            other = np.mean([scores(image, pair.clean) for image, pair in both], axis=0)
            assert (own > other).all(), (name, value, own, other)
