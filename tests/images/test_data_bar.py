import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from lfranker.images.data_bar import bar_from_picture
from lfranker.images.image_file import image_files, read_image
from lfranker.simulation.scenes import KINDS, scene

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA does not name the real SEM data")
SPECIMEN = (np.random.default_rng(0).random((300, 400)) * 0.4 + 0.3).astype(np.float32)


def bar(height: int, paper: float, ink: float) -> np.ndarray:
    """A bar as instruments draw it: a line, then text."""
    drawn = np.full((height, 400), paper, np.float32)
    drawn[0] = ink
    for column, text in enumerate(("10.00 kV", "50 000 x", "WD 10.0")):
        cv2.putText(drawn, text, (8 + 130 * column, height - 8), 0, 0.6, ink, 1, cv2.LINE_AA)
    return drawn


@pytest.mark.parametrize("height", [24, 40, 70])
@pytest.mark.parametrize(("paper", "ink"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_bar_of_text_is_found_to_the_row(height, paper, ink):
    assert bar_from_picture(np.vstack([SPECIMEN, bar(height, paper, ink)])) == height


def test_a_bar_under_a_plain_dark_bottom_is_cut_at_its_line():
    dark = np.zeros((150, 400), np.float32)
    assert bar_from_picture(np.vstack([SPECIMEN, dark, bar(40, 0, 1)])) == 40


def test_no_bar_is_found_where_there_is_none():
    flat = np.zeros((40, 400), np.float32)
    line = flat.copy()
    line[0] = 1
    spots = flat.copy()
    for row, column in np.random.default_rng(1).integers(4, 36, (60, 2)) * [1, 10]:
        cv2.circle(spots, (int(column), int(row)), 3, 1.0, -1)
    spots = cv2.GaussianBlur(spots, (0, 0), 1.5)  # bright particles on black, from a black row on
    spots[0] = 0
    grays = flat.copy()  # sharp particles of many brightnesses: more than paper and ink
    rng = np.random.default_rng(2)
    for row, column in rng.integers(3, 37, (150, 2)) * [1, 10]:
        cv2.circle(grays, (int(column), int(row)), 4, float(rng.uniform(0.4, 1)), -1)
    grays[0] = 0
    assert 0.5 < (grays == 0).mean() < 0.75
    for below in (flat, line, spots, grays, SPECIMEN[:40]):
        assert bar_from_picture(np.vstack([SPECIMEN, below])) == 0
    mask = (SPECIMEN > 0.5).astype(np.float32)
    assert bar_from_picture(np.vstack([mask, bar(40, 0, 1)])) == 0, "two levels everywhere"
    assert bar_from_picture(bar(40, 0, 1)) == 0, "nothing would be left"


@pytest.mark.parametrize("kind", KINDS)
def test_simulated_scenes_keep_every_row(kind):
    assert bar_from_picture(scene(kind, (256, 256), 3)) == 0


def test_a_coloured_frame_and_the_black_lines_beside_it_go(tmp_path):
    gray = np.rint(SPECIMEN * 255).astype(np.uint8)
    framed = np.repeat(np.pad(gray, ((2, 1), (2, 1)))[..., None], 3, axis=2)
    for line in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        framed[line] = (0, 255, 0)
    tifffile.imwrite(tmp_path / "a.tif", framed, photometric="rgb")
    read = read_image(tmp_path / "a.tif")
    assert read.content == (slice(2, 302), slice(2, 402))
    np.testing.assert_array_equal(read.image, gray / np.float32(255))
    assert read.image.flags.c_contiguous
    assert any("a.tif: data bar or frame cropped" in notice for notice in read.notices)

    framed[5, -1] = 128  # a frame with a gap is no frame
    tifffile.imwrite(tmp_path / "b.tif", framed, photometric="rgb")
    assert read_image(tmp_path / "b.tif").image.shape == framed.shape[:2]


def test_tescans_own_strip_size_is_believed(tmp_path):
    tag = [(50431, "B", 29, b"\0\1\2Magnifi\nImageStripSize=37\n", True)]
    gray = np.rint(SPECIMEN * 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", gray, photometric="minisblack", extratags=tag)
    assert read_image(tmp_path / "a.tif").image.shape == (263, 400)


@real
def test_every_real_scan_loses_bar_and_frame_and_nothing_else():
    files = image_files(Path(SEM or "") / "scans")
    assert len(files) == 48
    for path in files:
        # 442 rows above the bar: 1 of frame on each side, 1 of dead scan at the top and the left
        read = read_image(path)
        assert read.content == (slice(2, 441), slice(2, 511)), path
        raw = tifffile.imread(path)[2:441, 2:511, 0]
        np.testing.assert_array_equal(read.image, raw / np.float32(255))
        assert bar_from_picture(read.pixels) == 30, "the bar and the frame's lowest line"


@real
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("1-as-cast_16_Sch_10k_InLens", (690, 1024)),
        ("FeMoOx_AntiA_04_1k5x_CN", (690, 1024)),
        ("aquami_Sample", (691, 1024)),
        ("fei_lineintegration50", (439, 509)),
        ("fibics_atlas_inlens", (1023, 1023)),
        ("kit_merlin_test", (768, 1024)),
        ("tescan_Co_200x_BSE", (768, 768)),
    ],
)
def test_data_bars_of_other_instruments(name, shape):
    assert read_image(Path(SEM or "") / "vendor" / f"{name}.tif").image.shape == shape


@real
def test_no_image_without_a_bar_loses_anything():
    files = image_files(Path(SEM or "") / "clean")
    assert len(files) == 89
    for path in files:
        read = read_image(path)
        assert read.image.shape == read.pixels.shape, path
