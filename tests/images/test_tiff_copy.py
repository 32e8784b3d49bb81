import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.image_file import read_image
from lfranker.images.tiff_copy import PROVENANCE, stored_pixels, write_copy
from lfranker.microscopes.reading import read_metadata

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA names no folder of real scans")
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
STORAGE = {259, 273, 278, 279, 317}  # compression, where strips are, predictor
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
    changed = STORAGE | {322, 323, 324, 325}
    assert {c: v for c, v in after.items() if c not in changed | {PROVENANCE}} == {
        c: v for c, v in before.items() if c not in changed
    }
    assert after[34118] == (1, 5, b"ab\0cd")
    order = {"<": "little", ">": "big"}[options["byteorder"]]
    assert int.from_bytes(after[259][2], order) == 1  # not compressed
    planes = 3 if kind == "planes" else 1
    assert (after[273][1], after[279][1]) == (planes, planes)  # a strip each


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


def test_lzw_files_can_be_copied(tmp_path):
    array = RNG.integers(0, 255, (31, 17)).astype(np.uint8)
    Pillow.fromarray(array).save(tmp_path / "a.tif", compression="tiff_lzw")
    scan = read_image(tmp_path / "a.tif")
    pixels = stored_pixels(tmp_path / "a.tif", scan, np.zeros((31, 17), np.float32))
    write_copy(tmp_path / "a.tif", pixels, tmp_path / "b.tif", "x")
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / "b.tif")), 0)


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
    assert stored(array.astype(np.uint16), extratags=twelve) == [[0, 2048, 4095, 4095]]
    with pytest.raises(ValueError, match="no ramp of gray"):
        stored(array, photometric="palette", colormap=ramp[:, ::-1])
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
    # the last byte of a tag of this file is the first of its pixels
    assert changed == ({273, 278} if path.stem == "kit_merlin_test" else set())
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
