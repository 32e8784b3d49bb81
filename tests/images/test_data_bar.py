import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from lfranker.images.data_bar import Bars, bar_from_picture, bars_of
from lfranker.images.drawn_text import rows_of_text
from lfranker.images.folder_bars import folder_bars
from lfranker.images.image_file import image_files, read_image
from lfranker.microscopes.reading import read_metadata
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


def ticks(height: int, paper: float, ink: float, *, longer: bool = False) -> np.ndarray:
    """A bar as Hitachi draws it: the marks of the scale hang from its first row."""
    drawn = bar(height, paper, ink)
    drawn[0] = paper
    for number, column in enumerate(range(250, 360, 11)):
        drawn[: 10 if longer and number % 5 == 0 else 6, column : column + 2] = ink
    return drawn


@pytest.mark.parametrize("longer", [False, True])
@pytest.mark.parametrize(("paper", "ink"), [(0.0, 1.0), (1.0, 0.0), (0.2, 1.0)])
def test_marks_of_a_scale_are_a_part_of_the_bar(paper, ink, longer):
    drawn = ticks(40, paper, ink, longer=longer)
    assert bar_from_picture(np.vstack([SPECIMEN, drawn])) == 40
    dark = np.full((150, 400), paper, np.float32)  # nothing but the marks tells where it begins
    assert bar_from_picture(np.vstack([SPECIMEN, dark, drawn])) == 40


def test_few_marks_may_hang_from_a_bar_right_above_its_text():
    """Marks of one pixel in the right half cover 1.25 % of a row: the rest is one long run."""
    drawn = bar(24, 0, 1)  # its letters begin in row 3
    drawn[0] = 0
    drawn[:3, 310:360:10] = 1
    assert bar_from_picture(np.vstack([SPECIMEN, drawn])) == 24


@pytest.mark.parametrize("line", [True, False])
@pytest.mark.parametrize(("paper", "ink"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("quality", [80, 90, 95])
def test_a_jpeg_has_the_whole_of_its_bar(quality, paper, ink, line):
    """Blocks of 8 x 8 px hold the specimen and the first rows of the bar, which are wavy then."""
    drawn = bar(44, paper, ink)
    drawn[0] = ink if line else paper
    image = np.rint(255 * np.vstack([SPECIMEN, drawn])).astype(np.uint8)
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    for turned in (1, -1):
        seen = np.float32(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)[::turned]) / 255
        found = bars_of(seen, None, None)
        assert sorted((found.top, found.bottom)) == [0, 44], turned


@pytest.mark.parametrize("below", [1, 6, 20])
def test_a_bar_need_not_reach_the_bottom(below):
    image = np.vstack([SPECIMEN, bar(40, 0, 1), SPECIMEN[:below]])
    assert bar_from_picture(image) == 40 + below


@pytest.mark.parametrize(("left", "right"), [(1, 399), (20, 390), (0, 380), (30, 400)])
def test_a_bar_may_be_a_box_on_the_specimen(left, right):
    image = SPECIMEN.copy()
    image[255:295, left:right] = bar(40, 0, 1)[:, : right - left]
    image[255, left:right] = 1
    image[280, [left, right - 1]] = 0.5  # as JPEG or a logo may do
    assert bar_from_picture(image) == 45


@pytest.mark.parametrize("drawn", [bar(40, 0, 1), bar(40, 1, 0), ticks(40, 0, 1)[::-1]])
def test_a_bar_may_be_at_the_top(drawn):
    image = np.vstack([drawn, SPECIMEN])
    assert bars_of(image, None, None) == Bars(top=40)
    assert bars_of(np.vstack([image, bar(30, 0, 1)]), None, None) == Bars(40, 30)
    assert bars_of(image, None, 25) == Bars(0, 25), "the metadata are trusted"


def write_over(image: np.ndarray, row: int, ink: float, scale: float = 0.5) -> np.ndarray:
    """Draw text over the specimen, with an outline of the opposite brightness, as JEOL does."""
    drawn = image.copy()
    for width, level in ((4, 1 - ink), (1, ink)):
        for column, text in enumerate(("SEI 5.0kV", "X10,000", "WD 8.1mm")):
            cv2.putText(drawn, text, (8 + 130 * column, row), 0, scale, level, width, cv2.LINE_AA)
    return drawn


@pytest.mark.parametrize("ink", [0.0, 1.0])
@pytest.mark.parametrize("scale", [0.4, 0.5, 0.6])
def test_text_that_is_drawn_over_the_specimen_is_none_of_it(ink, scale):
    """In rows 285 to 290, letters of 9 to 13 px above them, outlines of 2 px."""
    found = bars_of(write_over(SPECIMEN, 285, ink, scale), None, None)
    assert found.top == 0
    assert 300 - 285 + 9 <= found.bottom <= 300 - 285 + 18
    found = bars_of(write_over(SPECIMEN, 20, ink, scale), None, None)
    assert found.bottom == 0
    assert 20 <= found.top <= 26


@pytest.mark.parametrize(
    ("heights", "bottoms", "words", "stroke", "found"),
    [
        ([13] * 4 + [14] * 4, [0], [4, 4], 2, True),
        ([13] * 4 + [16] * 4, [0], [4, 4], 2, False),  # more than 0.15 higher
        ([13], [0] * 4 + [1] * 4, [4, 4], 2, True),
        ([13], [0] * 4 + [2] * 4, [4, 4], 2, False),
        ([13], [0], [7], 2, True),
        ([13], [0], [6], 2, False),
        ([13], [0], [3, 4], 2, True),
        ([13], [0], [2, 2, 2, 2], 2, False),
        ([13], [0], [7], 3, True),
        ([13], [0], [7], 5, False),  # more than 0.36 of the height
    ],
)
def test_seven_letters_of_one_height_on_one_row_are_text(heights, bottoms, words, stroke, found):
    """Each letter is an L of strokes in px, 14 px after the last; words are 42 px apart."""
    drawn, column = SPECIMEN.copy(), 10
    rows = []
    for number in range(sum(words)):
        height = heights[number * len(heights) // sum(words)]
        row = 280 + bottoms[number * len(bottoms) // sum(words)]
        drawn[row - height : row, column : column + stroke] = 1
        drawn[row - stroke : row, column : column + 9] = 1
        column += 14 + 28 * (number + 1 in np.cumsum(words))
        rows.append(300 - row + height)
    assert rows_of_text(drawn) == (max(rows) + 2) * found


def test_text_in_the_middle_and_bright_particles_stay():
    assert bars_of(write_over(SPECIMEN, 150, 1), None, None) == Bars()
    particles, rng = SPECIMEN.copy(), np.random.default_rng(3)
    for row, column in rng.integers(4, 296, (300, 2)):
        cv2.circle(particles, (int(column), int(row)), int(rng.integers(3, 8)), 1.0, -1)
    rims = SPECIMEN.copy()
    for row, column in rng.integers(4, 296, (300, 2)):
        cv2.circle(rims, (int(column), int(row)), int(rng.integers(4, 12)), 1.0, 1, cv2.LINE_AA)
    for image in (particles, rims):
        assert rows_of_text(image[-75:]) == 0
        assert bars_of(image, None, None) == Bars()


def test_what_is_drawn_in_colours_over_the_bottom_is_no_specimen(tmp_path):
    levels = np.rint(SPECIMEN * 255).astype(np.uint8)
    rgb = np.repeat(levels[..., None], 3, axis=2)
    cv2.putText(rgb, "gold", (20, 280), 0, 0.6, (255, 255, 0), 2)
    rgb[40:45, 100:110] = (0, 0, 255)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    rows = read_image(tmp_path / "a.tif").content[0]
    assert (rows.start, 260 <= rows.stop <= 268) == (45, True)
    tinted = rgb.copy()
    tinted[..., 0] //= 2  # a picture in colours
    tifffile.imwrite(tmp_path / "b.tif", tinted, photometric="rgb")
    assert read_image(tmp_path / "b.tif").image.shape == (300, 400)


def write_folder(folder: Path, images: list[np.ndarray]) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), np.rint(image * 255).astype(np.uint8))
    return paths


def test_the_files_of_a_folder_have_the_bar_of_most_of_them(tmp_path):
    plain = np.vstack([SPECIMEN, bar(40, 0, 1)])
    blurred = plain.copy()  # as by JPEG: the bar's first rows have no single value
    rng = np.random.default_rng(4)
    blurred[300:] = np.clip(blurred[300:] + rng.normal(0, 0.012, (40, 400)), 0, 1)
    assert bar_from_picture(blurred) == 0
    without = np.vstack([SPECIMEN, SPECIMEN[:40]])
    paths = write_folder(tmp_path, [plain, plain, plain, blurred, without])
    found = folder_bars(dict.fromkeys(paths))
    assert [found[path].bottom for path in paths] == [40, 40, 40, 40, 0]
    assert [found[path].notice for path in paths[:3]] == [None] * 3
    assert "taken from that of 3 of 5 files" in found[paths[3]].notice
    assert "unlike that of 3 of 5 files" in found[paths[4]].notice
    read = read_image(paths[3], bars=found[paths[3]])
    assert read.image.shape == (300, 400)
    assert sum("taken from that of 3 of 5" in notice for notice in read.notices) == 1


def test_there_is_no_majority_of_other_sizes_or_of_two(tmp_path):
    plain, without = np.vstack([SPECIMEN, bar(40, 0, 1)]), np.vstack([SPECIMEN, SPECIMEN[:40]])
    small = [image[:, :390] for image in (plain, plain)]
    paths = write_folder(tmp_path, [*small, plain, without])
    found = folder_bars(dict.fromkeys(paths))
    assert [found[path].bottom for path in paths] == [40, 40, 40, 0]
    assert {found[path].notice for path in paths} == {None}


def test_half_of_the_files_are_no_majority(tmp_path):
    plain, without = np.vstack([SPECIMEN, bar(40, 0, 1)]), np.vstack([SPECIMEN, SPECIMEN[:40]])
    paths = write_folder(tmp_path, [plain, plain, without, without])
    found = folder_bars(dict.fromkeys(paths))
    assert [found[path].bottom for path in paths] == [40, 40, 0, 0]
    assert {found[path].notice for path in paths} == {None}


def test_a_bar_that_only_few_files_have_stays_cropped_in_them(tmp_path):
    without = np.vstack([SPECIMEN, SPECIMEN[:40]])
    below, above = np.vstack([SPECIMEN, bar(40, 0, 1)]), np.vstack([bar(40, 0, 1)[::-1], SPECIMEN])
    paths = write_folder(tmp_path, [without, without, below, without, above])
    found = folder_bars(dict.fromkeys(paths))
    bars = [(found[path].top, found[path].bottom) for path in paths]
    assert bars == [(0, 0), (0, 0), (0, 40), (0, 0), (40, 0)]
    for path in (paths[2], paths[4]):
        assert "unlike that of 3 of 5 files" in found[path].notice


def test_stated_bars_are_not_changed_by_a_majority_and_what_is_unreadable_waits(tmp_path):
    plain = np.vstack([SPECIMEN[:260], bar(40, 0, 1)])
    paths = write_folder(tmp_path, [plain, plain, plain])
    stated = write_scan(tmp_path / "stated.tif", plain, 34682, FEI.format(400, 290))
    (tmp_path / "broken.png").write_bytes(b"no image")
    found = folder_bars(dict.fromkeys([*paths, stated, tmp_path / "broken.png"]))
    assert set(found) == set(paths)
    assert read_image(stated, bars=found.get(stated)).image.shape == (290, 400)


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
        assert bars_of(np.vstack([below, SPECIMEN, below]), None, None) == Bars()
    mask = (SPECIMEN > 0.5).astype(np.float32)
    assert bar_from_picture(np.vstack([mask, bar(40, 0, 1)])) == 0, "two levels everywhere"
    assert bar_from_picture(bar(40, 0, 1)) == 0, "nothing would be left"


@pytest.mark.parametrize("kind", KINDS)
def test_simulated_scenes_keep_every_row(kind):
    assert bars_of(scene(kind, (256, 256), 3), None, None) == Bars()


@pytest.mark.parametrize("shade", [85, 150])
@pytest.mark.parametrize("cut", [None, "bottom", "top", "left"])
def test_a_frame_that_was_made_gray_goes_too(shade, cut, tmp_path):
    """As a mean of the channels, or as seen; a side may have been cut off with the data bar."""
    inner = np.rint(SPECIMEN * 255).clip(1, 254).astype(np.uint8)
    inner[:, 5] = shade  # which is no frame
    framed = np.pad(np.pad(inner, ((1, 0), (1, 0))), 1, constant_values=shade)
    sides = {None: np.s_[:, :], "bottom": np.s_[:-1, :], "top": np.s_[2:, :], "left": np.s_[:, 2:]}
    cv2.imwrite(str(tmp_path / "a.png"), framed[sides[cut]])
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(np.rint(read.image * 255), inner)
    assert any("frame left out" in notice for notice in read.notices)


@pytest.mark.parametrize("shade", [0, 255])
def test_a_black_or_white_border_may_be_background_and_stays(shade, tmp_path):
    framed = np.pad(np.rint(SPECIMEN * 200).astype(np.uint8), 3, constant_values=shade)
    cv2.imwrite(str(tmp_path / "a.png"), framed)
    assert read_image(tmp_path / "a.png").image.shape == framed.shape


def test_two_sides_are_no_frame(tmp_path):
    framed = np.pad(np.rint(SPECIMEN * 200).astype(np.uint8), ((0, 0), (1, 1)), constant_values=85)
    cv2.imwrite(str(tmp_path / "a.png"), framed)
    assert read_image(tmp_path / "a.png").image.shape == framed.shape


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
    assert any("a.tif: data bar or frame left out" in notice for notice in read.notices)

    framed[5, -1] = 128  # a frame with a gap is no frame
    tifffile.imwrite(tmp_path / "b.tif", framed, photometric="rgb")
    assert read_image(tmp_path / "b.tif").image.shape == framed.shape[:2]


FEI = "[Image]\nResolutionX={}\nResolutionY={}\n"
HITACHI = "[SemImageFile]\nDataSize={}x{}\n"
JEOL = "$CM_FULL_SIZE {} {}\n"


def write_scan(path: Path, image: np.ndarray, code: int | None, said: str) -> Path:
    """Write a TIFF with the vendor's tag ``code``, or without one and a text file beside it."""
    data = said.encode()
    tags = [] if code is None else [(code, "B", len(data), data, True)]
    levels = np.rint(image * 255).astype(np.uint8)
    tifffile.imwrite(path, levels, photometric="minisblack", extratags=tags)
    if code is None:
        path.with_suffix(".txt").write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (34682, FEI.format(400, 263)),
        (34680, FEI.format(400, 263)),
        (50431, "\0\1\2Magnifi\nImageStripSize=37\n"),
        (None, HITACHI.format(400, 263)),
        (None, JEOL.format(400, 263)),
    ],
)
@pytest.mark.parametrize("below", [SPECIMEN[:37], bar(37, 0, 1), bar(24, 0, 1)])
def test_the_bar_of_the_metadata_is_cropped_whatever_the_picture_shows(tmp_path, code, said, below):
    image = np.vstack([SPECIMEN[: 300 - len(below)], below])
    path = write_scan(tmp_path / "a.tif", image, code, said)
    assert read_metadata(path).data_bar == 37
    assert read_image(path).content == (slice(0, 263), slice(0, 400))


@pytest.mark.parametrize(
    ("code", "said", "stated"),
    [
        (34682, FEI.format(400, 300), 0),
        (34682, FEI.format(800, 263), None),  # the image was rescaled
        (34682, FEI.format(400, 140), None),
        (50431, "\0\1\2Magnifi\nImageStripSize=0\n", 0),
        (50431, "\0\1\2Magnifi\nImageStripSize=150\n", None),
        (None, HITACHI.format(400, 300), None),  # its size counts the bar in
        (None, HITACHI.format(200, 263), None),
        (None, JEOL.format(400, 300), None),
    ],
)
def test_the_picture_is_searched_where_the_metadata_state_no_bar(tmp_path, code, said, stated):
    image = np.vstack([SPECIMEN[:260], bar(40, 0, 1)])
    path = write_scan(tmp_path / "a.tif", image, code, said)
    assert read_metadata(path).data_bar == stated
    rows = 260 if stated is None else 300 - stated
    assert read_image(path).content == (slice(0, rows), slice(0, 400))


def test_a_thumbnail_before_the_image_does_not_change_its_bar(tmp_path):
    data = FEI.format(400, 263).encode()
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((30, 40), np.uint8), subfiletype=1, metadata=None)
        levels = np.rint(SPECIMEN * 255).astype(np.uint8)
        file.write(levels, extratags=[(34682, "B", len(data), data, True)], metadata=None)
    assert read_metadata(tmp_path / "a.tif").data_bar == 37
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


@pytest.mark.slow
@real
def test_no_image_without_a_bar_loses_anything():
    files = image_files(Path(SEM or "") / "clean")
    assert len(files) == 89
    for number, path in enumerate(files):
        read = read_image(path)
        assert read.image.shape == read.pixels.shape, path
        # half of them turned, the others as negatives
        changed = 1 - read.pixels if number % 2 else np.ascontiguousarray(read.pixels.T)
        assert bars_of(changed, None, None) == Bars(), path
