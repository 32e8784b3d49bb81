import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from lfranker.arrays import Floats, Image
from lfranker.images.image_file import read_image
from lfranker.scans.field_matching import thumbnail
from lfranker.scans.overlap import Detail, detail_of, overlap


def specimen(seed: int, shape: tuple[int, int] = (400, 400), blur: float = 3) -> Floats:
    blurred = gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur)
    return np.asarray(0.5 + 0.15 * blurred / blurred.std())


def seen(image: Floats, noise: float = 0.02, seed: int = 0) -> Detail:
    noisy = image + np.random.default_rng(seed).normal(0, noise, image.shape)
    return detail_of(thumbnail(noisy.astype(np.float32)))


@pytest.mark.parametrize("blur", [2, 5])
@pytest.mark.parametrize(("down", "right"), [(150, 0), (0, -160), (110, 100), (-120, 90)])
def test_windows_of_one_specimen_overlap(blur: float, down: int, right: int) -> None:
    """200 x 200 px, 20 to 25 % of which are shared, each with noise of its own."""
    image = specimen(1, blur=blur)
    corners = [(max(-shift, 0), max(shift, 0)) for shift in (down, right)]
    a, b = (
        seen(image[top : top + 200, left : left + 200], seed=seed)
        for seed, (top, left) in enumerate(zip(*corners, strict=True))
    )
    assert overlap(a, b)
    assert overlap(b, a)


def test_fields_of_unequal_size_overlap() -> None:
    image = specimen(2)
    assert overlap(seen(image[:128, :100]), seen(image[40:160, 30:158]))


def test_fields_of_one_kind_of_specimen_do_not_overlap() -> None:
    """28 pairs at each blur, of which none is near the limits: half of the peak is reached."""
    for blur in (1, 3, 6):
        fields = [seen(specimen(seed, (128, 128), blur)) for seed in range(8)]
        assert not any(overlap(a, b) for a, b in itertools.combinations(fields, 2))


def test_what_repeats_or_shows_nothing_is_not_taken_for_overlap() -> None:
    """A grating is like itself at every period; what all scans have in common is weak."""
    y, x = np.indices((128, 128))
    grating = 0.5 + 0.3 * np.sin(x / 2) * np.sin(y / 3)
    assert not overlap(seen(grating), seen(np.roll(grating, 5, 1), seed=1))
    nothing = detail_of(np.full((128, 128), 0.5))
    assert not overlap(nothing, nothing)
    assert not overlap(nothing, seen(specimen(1)))
    four = np.tile(specimen(1, (128, 32)), (1, 4))  # 1.2 times as much speaks for no shift
    assert not overlap(seen(four, 0.1), seen(four, 0.1, seed=1))
    for strength, blur in ((0.1, 3), (0.8, 1)):
        mark = strength * specimen(9, (128, 128), blur)  # of the detector, in every scan
        with_mark = [seen(specimen(seed, (128, 128), blur) + mark) for seed in (1, 2)]
        assert not overlap(*with_mark)


@pytest.mark.slow
@pytest.mark.skipif("LFRANKER_SEM_DATA" not in os.environ, reason="LFRANKER_SEM_DATA is not set")
@pytest.mark.parametrize("speed", ["100ns", "30us"])
def test_of_real_scans_those_overlap_that_the_stage_says(speed: str) -> None:
    """Only 17 and 18, of 276 pairs, are less than 0.9 of a field's width apart: 0.59."""
    files = sorted((Path(os.environ["LFRANKER_SEM_DATA"]) / "scans" / speed).iterdir())
    details = {file.stem: detail_of(thumbnail(read_image(file).image)) for file in files}
    found = [
        (a, b) for a, b in itertools.combinations(details, 2) if overlap(details[a], details[b])
    ]
    assert found == [("field_017", "field_018")]


@pytest.mark.slow
@pytest.mark.skipif("LFRANKER_SEM_DATA" not in os.environ, reason="LFRANKER_SEM_DATA is not set")
def test_windows_of_real_images_that_share_15_percent_overlap() -> None:
    """Quarters of 30 images never overlap; of 25 that show no grating, all windows do."""
    files = sorted((Path(os.environ["LFRANKER_SEM_DATA"]) / "clean").glob("*.png"))[::3]
    for number, file in enumerate(files):
        image, rng = read_image(file).image, np.random.default_rng(number)
        height, width = (length // 2 for length in image.shape)
        quarters = [
            detail_of(thumbnail(image[top : top + height, left : left + width]))
            for top in (0, height)
            for left in (0, width)
        ]
        pairs = itertools.combinations(quarters, 2)
        assert not any(overlap(a, b) for a, b in pairs), file.name
        found = overlap(*(detail_of(thumbnail(window)) for window in windows(image, 0.15, rng)))
        assert found == (not file.name.startswith("deepsem_nw")), file.name


def windows(image: Image, share: float, rng: np.random.Generator) -> list[Image]:
    """Two windows side by side that share this part of their areas.

    Each has noise of its own; the second is larger by 0.4 % along y and smaller along x.
    """
    height, width = (int(0.54 * length) for length in image.shape)
    step = round((1 - share) * width)
    top = rng.integers(0, image.shape[0] - height)
    y, x = np.indices((height, width), dtype=np.float64)
    y, x = 1.004 * (y - height / 2) + height / 2, (x - width / 2) / 1.004 + width / 2
    second = map_coordinates(image, [top + y + 0.3, step + x + 0.4], order=1, mode="mirror")
    first = image[top : top + height, :width]
    return [(part + rng.normal(0, 0.02, part.shape)).astype(np.float32) for part in (first, second)]
