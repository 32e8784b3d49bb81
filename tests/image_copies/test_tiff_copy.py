import itertools
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from imagecodecs import lzw_encode
from PIL import Image as Pillow

from lfranker.image_copies.tiff_copy import PROVENANCE, stored_pixels, write_copy
from lfranker.image_copies.tiff_encoding import BYTES
from lfranker.images.image_file import ColoursLost, read_image
from lfranker.microscopes.reading import read_metadata

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA names no folder of real scans")
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
RNG = np.random.default_rng(0)


def tags(path):
    """Code -> (type, count, bytes) of the first page, read by hand: TIFF 6.0, section 2."""
    data = path.read_bytes()
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    (version,) = struct.unpack(order + "H", data[2:4])
    first, number, pointer = ("4xI", "H", "I") if version == 42 else ("8xQ", "Q", "Q")
    (start,) = struct.unpack_from(order + first, data)
    assert start % 2 == 0, "TIFF wants lists of tags on even bytes"
    (count,) = struct.unpack_from(order + number, data, start)
    width, found = struct.calcsize("=" + pointer), {}
    for index in range(count):
        place = start + struct.calcsize("=" + number) + index * (4 + 2 * width)
        code, kind, length = struct.unpack_from(order + "HH" + pointer, data, place)
        size = SIZES[kind] * length
        value = place + 4 + width
        if size > width:
            (value,) = struct.unpack_from(order + pointer, data, value)
        assert value + size <= len(data)
        found[code] = kind, length, data[value : value + size]
    assert list(found) == sorted(found), "TIFF wants tags in order"
    return found


def random_like(path):
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        high = np.iinfo(page.dtype).max + 1
        return RNG.integers(0, high, page.shape).astype(page.dtype)


def checked_copy(source, destination, text="denoised by lfranker"):
    pixels = random_like(source)
    write_copy(source, pixels, destination, text)
    np.testing.assert_array_equal(tifffile.imread(destination, key=0), pixels)
    assert tags(destination)[PROVENANCE][2] == text.encode() + b"\0"
    return tags(source), tags(destination)


SHAPES = {
    "gray": {"shape": (31, 17)},
    "16 bit": {"shape": (31, 17), "dtype": np.uint16, "rowsperstrip": 4},
    "RGB": {"shape": (31, 17, 3), "photometric": "rgb", "rowsperstrip": 5},
    "planes": {"shape": (3, 31, 17), "photometric": "rgb", "planarconfig": "separate"},
    "inverted": {"shape": (31, 17), "photometric": "miniswhite"},
}


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("kind", SHAPES)
def test_uncompressed_files_keep_all_tags(tmp_path, kind, byteorder, bigtiff):
    options = {"dtype": np.uint8, **SHAPES[kind]}
    array = RNG.integers(0, 255, options.pop("shape")).astype(options.pop("dtype"))
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        byteorder=byteorder,
        bigtiff=bigtiff,
        description="vendor's",
        software="vendor",
        resolution=(3, 7),
        metadata=None,
        extratags=[(50431, 1, 9, b"\x00\x01\xffbinary", True), (60000, 3, 1, 7, True)],
        **options,
    )
    before, after = checked_copy(tmp_path / "a.tif", tmp_path / "b.tif")
    assert {code: after[code] for code in before} == before
    assert set(after) - set(before) == {PROVENANCE}
    assert after[PROVENANCE] == (2, 21, b"denoised by lfranker\0")


@pytest.mark.parametrize(
    "options", [{"compression": "zlib", "byteorder": ">"}, {"tile": (16, 16), "byteorder": "<"}]
)
@pytest.mark.parametrize("kind", ["16 bit", "RGB", "planes"])
def test_compressed_and_tiled_files_keep_all_but_their_storage(tmp_path, kind, options):
    array = RNG.integers(0, 255, SHAPES[kind]["shape"]).astype(SHAPES[kind].get("dtype", np.uint8))
    layout = {k: v for k, v in SHAPES[kind].items() if k in ("photometric", "planarconfig")}
    vendor = [(34118, 1, 5, b"ab\0cd", True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, extratags=vendor, metadata=None, **layout, **options)
    before, after = checked_copy(path, tmp_path / "b.tif")
    changed = {273, 279, 324, 325}  # where strips and tiles are
    assert {c: v for c, v in after.items() if c not in changed | {PROVENANCE}} == {
        c: v for c, v in before.items() if c not in changed
    }
    assert after[34118] == (1, 5, b"ab\0cd")


def test_bits_in_reverse_are_stored_in_order(tmp_path):
    path = tmp_path / "a.tif"
    other = [(269, 3, 1, 2, True)]  # tifffile writes no FillOrder, 266
    tifffile.imwrite(path, np.full((8, 8), 1, np.uint8), extratags=other, metadata=None)
    entry = struct.pack("<HHI", 269, 3, 1)
    assert path.read_bytes().count(entry) == 1
    path.write_bytes(path.read_bytes().replace(entry, struct.pack("<HHI", 266, 3, 1)))
    assert (tifffile.imread(path) == 128).all()
    _, after = checked_copy(path, tmp_path / "b.tif")
    assert after[266] == (3, 1, b"\1\0")


def test_strips_of_no_rows_are_one_strip(tmp_path):
    """RowsPerStrip 0, which readers take for the height."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RNG.integers(0, 255, (31, 17)).astype(np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags[278].overwrite(0)
    before, after = checked_copy(path, tmp_path / "b.tif")
    assert {code: after[code] for code in before} == before


def noisy(shape, dtype=np.uint8):
    top = np.iinfo(dtype).max
    ramp = np.linspace(0, 0.7 * top, shape[1])[None, :] * np.ones(shape[:2])
    ramp = ramp if len(shape) == 2 else ramp[..., None]
    return (ramp + RNG.integers(0, top // 4, shape)).astype(dtype)


LAYOUTS = {"one strip": {}, "strips": {"rowsperstrip": 5}, "tiles": {"tile": (16, 32)}}
KINDS = {
    "gray": ((61, 83), {"photometric": "minisblack"}),
    "inverted": ((61, 83), {"photometric": "miniswhite"}),
    "alpha": ((61, 83, 2), {"photometric": "minisblack", "extrasamples": ["unassalpha"]}),
    "rgb": ((61, 83, 3), {"photometric": "rgb"}),
}


@pytest.mark.parametrize("dtype", [np.uint8, pytest.param(np.uint16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_compression_layout_and_size_are_those_of_the_input(tmp_path, kind, dtype):
    """Copies are read back by OpenCV (libtiff), and by tifffile where OpenCV cannot."""
    source, copy, read = tmp_path / "a.tif", tmp_path / "b.tif", 0
    shape, options = KINDS[kind]
    array = noisy(shape, dtype)
    pixels = (array // 2).astype(dtype)
    for compression, layout, (order, big), separate, predictor in itertools.product(
        (None, "lzw", "zlib", "packbits", "lzma", "zstd"),
        LAYOUTS,
        (("<", True), (">", False)),
        (False, True) if kind == "rgb" else (False,),
        (False, True),
    ):
        if predictor and compression not in ("lzw", "zlib"):
            continue
        planes = (lambda a: np.moveaxis(a, -1, 0)) if separate else (lambda a: a)
        tifffile.imwrite(
            source, planes(array), compression=compression, byteorder=order, bigtiff=big,
            planarconfig="separate" if separate else None, predictor=predictor, metadata=None,
            extratags=[(34118, 2, 40, b"C" * 40, True)], **options, **LAYOUTS[layout],
        )  # fmt: skip
        cell = str((compression, layout, order, big, separate, predictor))
        write_copy(source, planes(pixels), copy, "x")
        np.testing.assert_array_equal(tifffile.imread(copy), planes(pixels), cell)
        other = cv2.imread(str(copy), cv2.IMREAD_UNCHANGED)
        mixed_up = (separate and dtype is np.uint16) or kind in ("inverted", "alpha")
        if other is not None and not mixed_up:
            other = other if kind == "gray" else other[..., ::-1]
            np.testing.assert_array_equal(other, pixels, cell)
            read += 1
        before, after = tags(source), tags(copy)
        places = {273, 279, 324, 325}
        assert {c for c in before if after.get(c) != before[c]} <= places, cell
        assert set(after) - set(before) == {PROVENANCE}, cell
        lists = 600 + 40 * len(before)  # the list of tags is there twice
        assert copy.stat().st_size <= source.stat().st_size * 1.05 + lists, cell
    assert read >= (30 if kind in ("gray", "rgb") else 0)


def test_of_the_old_pixels_nothing_stays(tmp_path):
    """LZW of noise is larger than of a flat image: the rest is cut off, or zeros."""
    array = RNG.integers(0, 256, (64, 64)).astype(np.uint8)
    for name in ("pixels last", "tags last"):
        path, copy = tmp_path / f"{name}.tif", tmp_path / f"{name} copy.tif"
        if name == "tags last":  # as libtiff writes
            Pillow.fromarray(array).save(path, compression="tiff_lzw")
        else:
            tifffile.imwrite(path, array, compression="lzw", metadata=None)
        with tifffile.TiffFile(path) as tiff:
            (offset,), (size,) = tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts
        old = path.read_bytes()[offset : offset + size]
        write_copy(path, np.full_like(array, 9), copy, "x")
        np.testing.assert_array_equal(np.asarray(Pillow.open(copy)), 9)
        data = copy.read_bytes()
        assert not any(old[i : i + 16] in data for i in range(0, size - 16, 16)), name
        assert len(data) <= len(path.read_bytes()) + 500
        assert name == "tags last" or len(data) < size / 2


def test_what_is_larger_than_before_goes_to_the_end(tmp_path):
    path, copy = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="lzw", rowsperstrip=8)
    pixels = RNG.integers(0, 256, (64, 64)).astype(np.uint8)
    write_copy(path, pixels, copy, "x")
    np.testing.assert_array_equal(np.asarray(Pillow.open(copy)), pixels)


@pytest.mark.parametrize("strip", [64, 9])
def test_larger_pixels_at_the_end_of_a_file_stay_there(tmp_path, strip):
    """The file is no larger than its pixels want it: nothing is left of their old place."""
    path, copy = tmp_path / "a.tif", tmp_path / "b.tif"
    pixels = RNG.integers(0, 256, (64, 64)).astype(np.uint8)
    half_flat = np.where(np.arange(64)[:, None] < 32, pixels, 0).astype(np.uint8)
    for array, file in ((half_flat, path), (pixels, tmp_path / "c.tif")):
        tifffile.imwrite(file, array, compression="packbits", rowsperstrip=strip, metadata=None)
    write_copy(path, pixels, copy, "x")
    np.testing.assert_array_equal(np.asarray(Pillow.open(copy)), pixels)
    assert copy.stat().st_size <= (tmp_path / "c.tif").stat().st_size + 600


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "RGBA"])
def test_jpeg_in_a_tiff_stays_jpeg(tmp_path, mode):
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32, 0], rgb[:, 32:, 2] = 200, 200
    Pillow.fromarray(rgb).convert(mode).save(tmp_path / "a.tif", compression="jpeg")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        shape = tiff.pages[0].shape
    gray = np.linspace(20, 220, 64)[None, :] * np.ones((48, 1))
    pixels = (gray if len(shape) == 2 else gray[..., None] * np.ones(shape[2])).astype(np.uint8)
    write_copy(tmp_path / "a.tif", pixels, tmp_path / "b.tif", "x")
    with Pillow.open(tmp_path / "b.tif") as file:
        assert file.info["compression"] == ("tiff_adobe_deflate" if mode == "RGBA" else "jpeg")
        shown = np.asarray(file.convert("L" if mode == "L" else "RGB"))
    wanted = pixels if mode == "L" else pixels[..., :3]
    assert np.abs(shown.astype(int) - wanted).max() <= 3
    assert (347 in tags(tmp_path / "b.tif")) is False, "the tables of the old strips"


@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "png", "jpegxl"])
def test_compressions_of_whole_images_are_kept(tmp_path, compression):
    array = noisy((40, 56, 3))
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", compression=compression)
    write_copy(tmp_path / "a.tif", array // 2, tmp_path / "b.tif", "x")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), array // 2)
    assert tags(tmp_path / "b.tif")[259] == tags(tmp_path / "a.tif")[259]


def test_what_does_not_come_back_is_not_written(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", noisy((40, 56)), compression="lzw")
    monkeypatch.setitem(BYTES, 5, lambda data: lzw_encode(bytes(len(data))))
    with pytest.raises(ValueError, match=r"b\.tif: what was written is not what is read back"):
        write_copy(tmp_path / "a.tif", noisy((40, 56)), tmp_path / "b.tif", "x")
    assert not (tmp_path / "b.tif").exists()


def with_reserved_colours():
    """A palette like that of Zeiss: a ramp of gray with some indices for annotations."""
    colours = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    for index, colour in {9: (1, 0, 0), 18: (0, 1, 0), 54: (1, 1, 0), 243: (1, 1, 1)}.items():
        colours[:, index] = np.uint16(65535) * np.uint16(colour)
    return colours


def test_indices_of_annotations_are_kept_and_never_given_to_grays(tmp_path):
    path, copy = tmp_path / "a.tif", tmp_path / "b.tif"
    indices = RNG.integers(60, 240, (16, 256)).astype(np.uint8)
    indices[3, 10:40], indices[5, 10:40] = 9, 243  # a red line and a white one
    vendor = [(34118, 2, 6, b"CZ_SEM", True)]
    tifffile.imwrite(
        path, indices, photometric="palette", colormap=with_reserved_colours(), extratags=vendor
    )
    scan = read_image(path)
    ramp = np.tile(np.arange(256, dtype=np.float32) / 255, (16, 1))
    write_copy(path, stored_pixels(path, scan, ramp), copy, "x")
    written = tifffile.imread(copy)
    assert (written[3, 10:40] == 9).all()
    assert (written[5, 10:40] == 243).all()
    others = np.ones_like(written, bool)
    others[3, 10:40] = others[5, 10:40] = False
    assert not set(np.unique(written[others])) & {9, 18, 54, 243}
    shown = np.asarray(Pillow.open(copy).convert("RGB")).astype(int)
    assert np.abs(shown - (255 * ramp[..., None]))[others].max() <= 1 + 1e-4
    before, after = tags(path), tags(copy)
    assert {code: after[code] for code in before} == before
    assert len(before[320][2]) == 3 * 256 * 2


def test_other_pages_are_kept(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        small = np.full((4, 4), 9, np.uint8)
        file.write(small, subfiletype=1, metadata=None)
        file.write(np.zeros((8, 8), np.uint8), metadata=None)
        file.write(small + 1, subfiletype=1, metadata=None)
    pixels = random_like(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"holds uint8 \(8, 8\), got uint8 \(4, 4\)"):
        write_copy(tmp_path / "a.tif", pixels, tmp_path / "b.tif", "x")
    pixels = RNG.integers(0, 255, (8, 8)).astype(np.uint8)
    write_copy(tmp_path / "a.tif", pixels, tmp_path / "b.tif", "x")
    pages = [tifffile.imread(tmp_path / "b.tif", key=key) for key in range(3)]
    for page, expected in zip(pages, (small, pixels, small + 1), strict=True):
        np.testing.assert_array_equal(page, expected)


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_small_pages_and_levels_of_a_pyramid_are_kept(tmp_path, compression):
    path, copy, array = tmp_path / "a.tif", tmp_path / "b.tif", noisy((64, 96))
    options = {"photometric": "minisblack", "compression": compression, "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(array, subifds=1, rowsperstrip=7, **options)
        file.write(array[::2, ::2], subfiletype=1, **options)
        file.write(array[:16, :24], **options)  # a thumbnail without its mark
    scan = read_image(path)
    assert scan.pixels.shape == (64, 96)
    pixels = RNG.integers(0, 256, (64, 96)).astype(np.uint8)  # larger than before under LZW
    write_copy(path, pixels, copy, "x")
    with tifffile.TiffFile(copy) as tiff:
        np.testing.assert_array_equal(tiff.pages[0].asarray(), pixels)
        np.testing.assert_array_equal(tiff.pages[0].pages[0].asarray(), array[::2, ::2])
        np.testing.assert_array_equal(tiff.pages[1].asarray(), array[:16, :24])


def test_pixels_that_another_page_shares_are_kept(tmp_path):
    path, copy, array = tmp_path / "a.tif", tmp_path / "b.tif", noisy((16, 16))
    with tifffile.TiffWriter(path) as file:
        file.write(array, photometric="minisblack", metadata=None)
        file.write(array[:2] + 1, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        inside = tiff.pages[0].dataoffsets[0] + 32
        tiff.pages[1].tags[273].overwrite(inside)
    np.testing.assert_array_equal(tifffile.imread(path, key=1), array[2:4])
    write_copy(path, array // 2, copy, "x")
    np.testing.assert_array_equal(tifffile.imread(copy, key=0), array // 2)
    np.testing.assert_array_equal(tifffile.imread(copy, key=1), array[2:4])


def test_a_second_note_follows_the_first(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    checked_copy(tmp_path / "a.tif", tmp_path / "b.tif", "first")
    write_copy(tmp_path / "b.tif", random_like(tmp_path / "b.tif"), tmp_path / "c.tif", "µ")
    assert tags(tmp_path / "c.tif")[PROVENANCE] == (2, 11, b"first\n\\xb5\0")


def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    before = (tmp_path / "a.tif").read_bytes()
    for pixels in (np.zeros((8, 9), np.uint8), np.zeros((8, 8), np.uint16)):
        with pytest.raises(ValueError, match=r"a\.tif: holds uint8 \(8, 8\), got"):
            write_copy(tmp_path / "a.tif", pixels, tmp_path / "b.tif", "x")
    with pytest.raises(ValueError, match="not written over"):
        write_copy(tmp_path / "a.tif", np.zeros((8, 8), np.uint8), tmp_path / "a.tif", "x")
    (tmp_path / "c.tif").write_text("text")
    with pytest.raises(ValueError, match=r"c\.tif: not a TIFF"):
        write_copy(tmp_path / "c.tif", np.zeros((8, 8), np.uint8), tmp_path / "b.tif", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "c.tif"]
    assert (tmp_path / "a.tif").read_bytes() == before


def test_gray_values_are_stored_as_the_file_does(tmp_path):
    path, image = tmp_path / "a.tif", np.array([[0, 0.5, 1, 2]], np.float32)
    array = np.array([[9, 8, 7, 6]], np.uint8)

    def stored(array, **options):
        tifffile.imwrite(path, array, metadata=None, **options)
        return stored_pixels(path, read_image(path), image).tolist()

    assert stored(array) == [[0, 128, 255, 255]]
    assert stored(array, photometric="miniswhite") == [[255, 127, 0, 0]]
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    assert stored(array, photometric="palette", colormap=ramp) == [[0, 128, 255, 255]]
    alpha = np.stack([array] * 3 + [array], axis=-1)
    expected = [[[v, v, v, a] for v, a in zip([0, 128, 255, 255], [9, 8, 7, 6], strict=True)]]
    assert stored(alpha, photometric="rgb", extrasamples=["unassalpha"]) == expected
    planes = np.moveaxis(alpha[..., :3], -1, 0)
    assert stored(planes, photometric="rgb", planarconfig="separate") == [[[0, 128, 255, 255]]] * 3
    twelve = [(281, 3, 1, 4095, True)]
    wide = array.astype(np.uint16)
    assert stored(wide, extratags=twelve) == [[0, 2048, 4095, 4095]]
    assert stored(wide, extratags=twelve, photometric="miniswhite") == [[4095, 2047, 0, 0]]
    assert stored(array, photometric="palette", colormap=ramp[:, ::-1]) == [[255, 127, 0, 0]]
    with pytest.raises(ColoursLost, match="too few grays"):
        stored(array, photometric="palette", colormap=ramp * np.uint16([[1], [1], [0]]))
    with pytest.raises(ValueError, match=r"specimen is \(1, 4\), got \(1, 3\)"):
        stored_pixels(path, read_image(path), image[:, :3])


@real
@pytest.mark.parametrize(
    "path",
    [
        *sorted(Path(SEM or "/nowhere").glob("vendor/*.tif")),
        *(Path(SEM or "/nowhere", "scans", s, "field_004.tif") for s in ("100ns", "30us")),
    ],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_real_files_keep_all_tags_and_their_data_bar(tmp_path, path):
    scan = read_image(path)
    pixels = stored_pixels(path, scan, np.float32(1) - scan.image)
    copy = tmp_path / path.name
    write_copy(path, pixels, copy, "denoised")
    before, after = tags(path), tags(copy)
    assert set(after) - set(before) == {PROVENANCE}
    changed = {code for code in before if after[code] != before[code]}
    assert changed == set(), "though the last byte of a Merlin's tag is the first of its pixels"
    assert copy.stat().st_size <= 1.1 * path.stat().st_size + 2000
    assert read_metadata(copy) == read_metadata(path)
    again = read_image(copy)
    assert (again.dtype, again.maximum) == (scan.dtype, scan.maximum)
    assert again.content == scan.content
    np.testing.assert_allclose(again.image, 1 - scan.image, atol=0.5 / scan.maximum + 1e-6)
    outside = np.ones(scan.pixels.shape, bool)
    outside[scan.content] = False
    np.testing.assert_array_equal(tifffile.imread(copy)[outside], tifffile.imread(path)[outside])
    with Pillow.open(copy) as other:  # another reader agrees
        np.testing.assert_array_equal(np.asarray(other), tifffile.imread(copy))


def test_a_tag_whose_value_lies_within_the_pixels_keeps_it(tmp_path: Path) -> None:
    """As in a file of a Merlin (Zeiss): the new pixels are written where the value is."""
    before, after = tmp_path / "in.tif", tmp_path / "out.tif"
    pixels = (np.arange(2000) % 256).astype(np.uint8).reshape(40, 50)
    tifffile.imwrite(before, pixels, extratags=[(65000, "B", 64, bytes(64), True)], metadata=None)
    with tifffile.TiffFile(before) as tiff:
        entry, start = tiff.pages[0].tags[65000].offset, tiff.pages[0].dataoffsets[0]
    stored = bytearray(before.read_bytes())
    stored[entry + 8 : entry + 12] = (start + 100).to_bytes(4, "little")
    before.write_bytes(stored)
    write_copy(before, 255 - pixels, after, "inverted")
    with tifffile.TiffFile(after) as tiff:
        assert bytes(tiff.pages[0].tags[65000].value) == bytes(range(100, 164))
        assert np.array_equal(tiff.asarray(), 255 - pixels)
