"""Whoever reads a folder crops what `folder_bars` says of it, in every file."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from torch import nn

from lfranker.arrays import Image
from lfranker.datasets import clean_images
from lfranker.denoiser import denoise_files
from lfranker.images.data_bar import Bars
from lfranker.images.image_file import read_image, write_image
from lfranker.noise import profile_measurement
from lfranker.scans import preparation
from lfranker.simulation.scenes import scene

TOP, BOTTOM, SIZE = 24, 40, 192
SCENE = scene("particles", (SIZE, SIZE), 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two fields at two speeds, without a bar that the pictures show."""
    rng = np.random.default_rng(0)
    for speed in ("spd2", "spd8"):
        for field in "ab":
            noisy = SCENE + rng.normal(0, 0.01, SCENE.shape)
            image = np.clip(noisy, 0, 1).astype(np.float32)
            path = tmp_path / "scans" / speed / f"{field}.png"
            write_image(path, image, np.dtype(np.uint8), 255)
    return tmp_path / "scans"


def say_bars(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    def stated(paths: Iterable[Path]) -> dict[Path, Bars]:
        return dict.fromkeys(paths, Bars(TOP, BOTTOM, "as I say"))

    monkeypatch.setattr(module, "folder_bars", stated)


def test_clean_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say_bars(monkeypatch, clean_images)
    loaded, notices = clean_images.load_clean(folder, max_noise=1)
    assert {image.image.shape for image in loaded} == {(SIZE - TOP - BOTTOM, SIZE)}
    assert sum("as I say" in notice for notice in notices) == 4


def test_scans(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    say_bars(monkeypatch, preparation)
    scans = preparation.prepare_scans(folder, None, tmp_path)
    rows = SIZE - TOP - BOTTOM
    assert {(len(pair.noisy), len(pair.original)) for pair in scans} == {(rows, rows)}
    assert "4 scans: as I say" in scans.warnings


def test_single_scans_of_a_noise_measurement(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say_bars(monkeypatch, profile_measurement)
    shapes = []

    def measure(images: Iterable[Image]) -> None:
        shapes.extend(image.shape for image in images)
        raise ValueError("enough")

    monkeypatch.setattr(profile_measurement, "measure_scans", measure)
    with pytest.raises(ValueError, match="enough"):
        profile_measurement.fit_singles(folder, 0)
    assert shapes == [(SIZE - TOP - BOTTOM, SIZE)] * 2


class Darken(nn.Module):
    def forward(self, x):
        return x / 2


def test_files_that_are_denoised(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    say_bars(monkeypatch, denoise_files)
    before = folder / "spd2/a.png"
    work = denoise_files.Work(before, tmp_path / "a.png", Darken(), "halved")
    (done,) = denoise_files.denoise_files([work], 1)
    assert done.error is None
    assert any("as I say" in notice for notice in done.notices)
    old, new = read_image(before).pixels, read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(new[:TOP], old[:TOP])
    np.testing.assert_array_equal(new[-BOTTOM:], old[-BOTTOM:])
    np.testing.assert_allclose(new[TOP:-BOTTOM], old[TOP:-BOTTOM] / 2, atol=0.5 / 255 + 1e-6)
