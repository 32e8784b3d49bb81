"""Gray value of full brightness: what files say, what a folder shows, what the user gives."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.containers import png_with
from lfranker.images.image_file import read_image
from lfranker.images.white_level import white_levels

OME = (
    '<?xml version="1.0"?><OME><Image ID="Image:0"><Pixels DimensionOrder="XYCZT" ID="Pixels:0" '
    'SignificantBits="{}" SizeC="1" SizeT="1" SizeX="20" SizeY="12" SizeZ="1" Type="uint16"/>'
    "</Image></OME>"
)


def samples(top: int) -> np.ndarray:
    return np.linspace(0, top, 240).round().astype(np.uint16).reshape(12, 20)


def tiff(path: Path, top: int, **tags: object) -> Path:
    tifffile.imwrite(path, samples(top), photometric="minisblack", metadata=None, **tags)
    return path


def png(path: Path, top: int, bits: int | None = None) -> Path:
    return stored_png(path, samples(top), bits)


def stored_png(path: Path, stored: np.ndarray, bits: int | None) -> Path:
    Pillow.fromarray(stored.astype(np.uint16)).save(path)
    if bits is not None:  # the chunk comes after the header, which ends at 33
        data = b"sBIT" + bytes([bits])
        chunk = struct.pack(">I", 1) + data + struct.pack(">I", zlib.crc32(data))
        stored = path.read_bytes()
        path.write_bytes(stored[:33] + chunk + stored[33:])
    return path


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_file_that_says_its_bits_is_divided_by_them(tmp_path: Path, bits: int) -> None:
    full = 2**bits - 1
    said = [
        tiff(tmp_path / "tag.tif", full, extratags=[(281, "H", 1, full, True)]),
        tiff(tmp_path / "ome.tif", full, description=OME.format(bits)),
        tiff(tmp_path / "vendor.tif", full, description=f"[Scan]\nBit Depth = {bits}\nMag=5000"),
        png(tmp_path / "sbit.png", full, bits),
    ]
    for path in said:
        assert read_image(path).maximum == full, path.name
        assert white_levels([path]).of(path) == full
        assert white_levels([path]).notices == ()
        contradicted = path.with_stem("more")
        if path.suffix == ".png":
            png(contradicted, full + 1, bits)
        else:
            tags = {"extratags": [(281, "H", 1, full, True)]} if path.stem == "tag" else {}
            text = {"ome": OME.format(bits), "vendor": f"BitsPerPixel: {bits}"}.get(path.stem)
            tiff(contradicted, full + 1, description=text, **tags)
        assert read_image(contradicted).maximum == 65535, f"{path.name}, with a brighter pixel"


SCALED = {
    "shifted": lambda values: values << 4,
    "repeated": lambda values: (values << 4) | (values >> 8),
    "rounded": lambda values: np.floor(values * 65535 / 4095 + 0.5),
    "rounded down": lambda values: values * 65535 // 4095,
}


@pytest.mark.parametrize("way", SCALED)
@pytest.mark.parametrize("top", [200, 4095])
def test_bits_of_a_png_that_are_scaled_to_sixteen_are_read_so(
    tmp_path: Path, way: str, top: int
) -> None:
    values = samples(top).astype(int)
    path = stored_png(tmp_path / "a.png", SCALED[way](values), 12)
    read = read_image(path)
    assert read.maximum == 65535
    np.testing.assert_allclose(read.pixels, values / 4095, atol=16 / 65535)
    assert white_levels([path]).of(path) == 65535
    one_low = (values << 4) + (values == 100)  # a sample that was not scaled
    assert read_image(stored_png(tmp_path / "b.png", one_low, 12)).maximum == (
        4095 if top == 200 else 65535
    )


def test_black_png_keeps_what_it_says(tmp_path: Path) -> None:
    assert read_image(stored_png(tmp_path / "a.png", 0 * samples(1), 12)).maximum == 4095


@pytest.mark.parametrize(("shift", "kept"), [(0, True), (4, False)])
def test_a_png_with_other_samples_is_read_at_the_brightness_of_the_old(
    tmp_path: Path, shift: int, kept: bool
) -> None:
    path = stored_png(tmp_path / "a.png", samples(200).astype(int) << shift, 12)
    changed = png_with(path.read_bytes(), samples(3000))
    assert (b"sBIT" in changed) == kept


@pytest.mark.parametrize(
    ("top", "full"),
    [(900, 4095), (1023, 1023), (1024, 4095), (4095, 4095), (4096, 65535), (16383, 16383)],
)
def test_the_brightest_pixel_tells_where_nothing_is_said(
    tmp_path: Path, top: int, full: int
) -> None:
    path = tiff(tmp_path / "a.tif", top)
    assert white_levels([path]).of(path) == full


@pytest.mark.parametrize(
    "text", ["Bit Depth = 16", "BitsPerPixel=8", "bits per pixel: 12.5", "Significant bits: many"]
)
def test_texts_that_name_no_fewer_bits_say_nothing(tmp_path: Path, text: str) -> None:
    path = tiff(tmp_path / "a.tif", 40000, description=text)
    assert read_image(path).maximum == 65535


def test_a_folder_without_a_value_above_4095_has_twelve_bits_and_says_so(tmp_path: Path) -> None:
    dark, bright = tiff(tmp_path / "dark.tif", 700), png(tmp_path / "bright.png", 4000)
    eight = tmp_path / "eight.png"
    Pillow.fromarray(np.full((8, 8), 255, np.uint8)).save(eight)
    levels = white_levels([dark, bright, eight])
    assert [levels.of(path) for path in (dark, bright, eight)] == [4095, 4095, None]
    (notice,) = levels.notices
    assert "2 files of 16 bits: the largest value is 4000, so they are read as 12 bits" in notice
    assert "white=65535" in notice
    assert read_image(dark, levels.of(dark)).pixels.max() == pytest.approx(700 / 4095)
    assert read_image(eight, levels.of(eight)).pixels.max() == 1


def test_one_brighter_file_shows_that_all_bits_are_used_and_the_dark_one_is_named(
    tmp_path: Path,
) -> None:
    dark, bright = tiff(tmp_path / "dark.tif", 4000), tiff(tmp_path / "bright.tif", 50000)
    levels = white_levels([dark, bright])
    assert (levels.of(dark), levels.of(bright)) == (65535, 65535)
    (notice,) = levels.notices
    assert "dark.tif uses 6% of the range of 16 bits" in notice
    assert "bright.tif" not in notice
    assert "white=4095" in notice
    fourteen = white_levels([tiff(tmp_path / "some.tif", 12000)])
    assert "uses 18% of the range" in fourteen.notices[0]
    assert "white=16383" in fourteen.notices[0]
    assert white_levels([bright]).notices == ()


def test_a_dark_file_is_told_from_a_bright_one_of_the_same_name(tmp_path: Path) -> None:
    files = []
    for speed, top in (("100ns", 4000), ("30us", 56000)):
        (tmp_path / speed / "b").mkdir(parents=True)
        files += [tiff(tmp_path / speed / "b" / name, top) for name in ("f0.tif", "f1.tif")]
    (notice,) = white_levels(files).notices
    assert notice.startswith(
        "100ns/b/f0.tif, 100ns/b/f1.tif use 6% of the range of 16 bits (no value above 4000), "
        "though others of these files use more: if 12 bits are meant, give white=4095"
    )


@pytest.mark.parametrize(("top", "full"), [(1023, 1023), (16383, 16383), (1000, 4095)])
def test_pixels_clipped_at_ten_or_fourteen_bits_show_them(
    tmp_path: Path, top: int, full: int
) -> None:
    path = tiff(tmp_path / "a.tif", top)
    levels = white_levels([path])
    assert levels.of(path) == full
    assert ("white=1023" in levels.notices[0]) == (top == 1000)


def test_what_the_user_gives_wins_and_a_brighter_pixel_is_refused(tmp_path: Path) -> None:
    tagged = tiff(tmp_path / "a.tif", 900, extratags=[(281, "H", 1, 4095, True)])
    levels = white_levels([tagged], 1023)
    assert levels.of(tagged) == 1023
    assert levels.notices == ()
    assert read_image(tagged, 1023).pixels.max() == pytest.approx(900 / 1023)
    with pytest.raises(ValueError, match=r"a.tif: has pixels of 900, above the white level of 800"):
        read_image(tagged, 800)
    eight = tmp_path / "eight.png"
    Pillow.fromarray(np.full((8, 8), 255, np.uint8)).save(eight)
    assert read_image(eight, 1023).maximum == 255


def test_scans_of_one_set_are_divided_alike(tmp_path: Path) -> None:
    noisy = tiff(tmp_path / "noisy.tif", 4000, extratags=[(281, "H", 1, 4095, True)])
    clean = tiff(tmp_path / "clean.tif", 60000)
    apart, alike = white_levels([noisy, clean]), white_levels([noisy, clean], alike=True)
    assert (apart.of(noisy), apart.of(clean)) == (4095, 65535)
    assert (alike.of(noisy), alike.of(clean)) == (65535, 65535)
    assert "4095 and 65535" in alike.notices[-1]


def test_alpha_and_white_as_zero_do_not_hide_twelve_bits(tmp_path: Path) -> None:
    both = np.dstack([samples(3000), np.full((12, 20), 65535, np.uint16)])
    tifffile.imwrite(tmp_path / "a.tif", both, photometric="minisblack", extrasamples=[2])
    tifffile.imwrite(tmp_path / "b.tif", samples(3000), photometric="miniswhite")
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    levels = white_levels(files)
    assert [levels.of(path) for path in files] == [4095, 4095]
    inverted = read_image(files[1], 4095).pixels
    assert (inverted.max(), inverted.min()) == (1, pytest.approx(1095 / 4095))
