import os
import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.image_file import image_files, read_image, write_image

U8, U16 = np.dtype(np.uint8), np.dtype(np.uint16)
RAMP8 = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
RAMP16 = (np.arange(240, dtype=np.uint16) * 257).reshape(12, 20)


def png_16_bit_rgb(path: Path, rgb: np.ndarray) -> None:
    """Pillow cannot write one, so the chunks are put together here."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    height, width, _ = rgb.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", U8), ("a.png", U16), ("a.tif", U8), ("a.tiff", U16), ("a.bmp", U8)],
)
def test_what_is_written_reads_back_to_the_last_bit(tmp_path, name, dtype):
    top = np.iinfo(dtype).max
    levels = np.array([[0, 1, 2, top // 3], [top // 2, top - 2, top - 1, top]], dtype)
    write_image(tmp_path / name, (levels / top).astype(np.float32), dtype, top)
    read = read_image(tmp_path / name)

    assert read.dtype == dtype
    assert read.maximum == top
    assert read.notices == ()
    assert read.pixels.dtype == np.float32
    np.testing.assert_array_equal(np.rint(read.pixels.astype(np.float64) * top), levels)
    assert [p.name for p in tmp_path.iterdir()] == [name], "temporary files stayed behind"


def test_integers_are_divided_by_their_types_maximum_not_their_own(tmp_path):
    Pillow.fromarray(np.full((4, 5), 51, np.uint8)).save(tmp_path / "a.png")
    Pillow.fromarray(np.full((4, 5), 13107, np.uint16)).save(tmp_path / "b.png")
    assert np.all(read_image(tmp_path / "a.png").pixels == np.float32(0.2))  # 51 / 255
    assert np.all(read_image(tmp_path / "b.png").pixels == np.float32(0.2))  # 13107 / 65535


def test_twelve_bits_in_sixteen_are_divided_by_4095_where_the_tag_says_so(tmp_path):
    samples = np.array([[0, 819, 4095]], np.uint16)
    tag = [(281, "H", 1, 4095, True)]
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", extratags=tag)
    tag = [(281, "H", 1, 3000, True)]  # the brightest pixel of an exposure, not a bit depth
    tifffile.imwrite(tmp_path / "b.tif", samples // 2, photometric="minisblack", extratags=tag)
    tag = [(281, "H", 1, 1023, True)]  # contradicted by the samples
    tifffile.imwrite(tmp_path / "d.tif", samples, photometric="minisblack", extratags=tag)
    read = read_image(tmp_path / "a.tif")

    assert read.maximum == 4095
    np.testing.assert_array_equal(read.pixels, np.float32([[0, 0.2, 1]]))
    assert read_image(tmp_path / "b.tif").maximum == 65535
    assert read_image(tmp_path / "d.tif").maximum == 65535
    write_image(tmp_path / "c.tif", read.pixels, read.dtype, read.maximum)
    again = read_image(tmp_path / "c.tif")
    assert again.maximum == 4095
    np.testing.assert_array_equal(again.pixels, read.pixels)
    write_image(tmp_path / "c.png", read.pixels, read.dtype, read.maximum)  # cannot say 4095
    np.testing.assert_allclose(read_image(tmp_path / "c.png").pixels, read.pixels, atol=1e-5)


def test_writing_clips_and_rounds(tmp_path):
    write_image(tmp_path / "a.png", np.float32([[-0.5, 1.5, 0.6 / 255, 0.4 / 255]]), U8, 255)
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / "a.png")), [[0, 255, 1, 0]])
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) & 0o044, "others cannot read it"


def test_jpeg_keeps_gray_levels_to_its_own_precision(tmp_path):
    smooth = np.linspace(0.2, 0.8, 64, dtype=np.float32) * np.ones((64, 1), np.float32)
    write_image(tmp_path / "a.jpg", smooth, U8, 255)
    assert np.abs(read_image(tmp_path / "a.jpg").pixels - smooth).max() < 3 / 255


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colour_becomes_bt601_luma_with_a_notice(tmp_path, mode):
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [77, 77, 77]]], np.uint8)
    Pillow.fromarray(rgb).convert(mode).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(read.pixels, [[0.299, 0.587, 0.114, 77 / 255]], atol=1e-7)
    assert any("a.png: RGB read as gray" in notice for notice in read.notices)
    assert ("a.png: alpha channel not read" in read.notices) == (mode == "RGBA")


def test_equal_channels_are_kept_exactly(tmp_path):
    rgb = np.repeat(RAMP8[..., None], 3, axis=2)
    Pillow.fromarray(rgb).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", rgb, photometric="rgb")
    tifffile.imwrite(
        tmp_path / "c.tif", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate"
    )
    for name in ("a.png", "b.tif", "c.tif"):
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(read.pixels, RAMP8 / np.float32(255))
        assert read.notices == (f"{name}: RGB with equal channels read as gray, without loss",)


def test_sixteen_bit_colour_keeps_sixteen_bits(tmp_path):
    rgb = np.zeros((2, 2, 3), np.uint16)
    rgb[0, 0], rgb[0, 1], rgb[1, 0] = (65535, 0, 0), (0, 0, 65535), (300, 301, 300)
    png_16_bit_rgb(tmp_path / "a.png", rgb)
    tifffile.imwrite(tmp_path / "b.tif", rgb, photometric="rgb")
    expected = (rgb @ np.array([0.299, 0.587, 0.114])) / 65535
    for name in ("a.png", "b.tif"):
        read = read_image(tmp_path / name)
        assert read.dtype == U16
        np.testing.assert_allclose(read.pixels, expected, atol=1e-7)


def test_gray_with_alpha_and_palettes(tmp_path):
    Pillow.fromarray(RAMP8).convert("LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, RAMP8 / np.float32(255))
    indexed = Pillow.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    indexed.putpalette([0, 0, 0, 255, 0, 0, 90, 90, 90])
    indexed.save(tmp_path / "b.png")
    indexed.save(tmp_path / "c.bmp")
    indexed.save(tmp_path / "d.tif")
    indexed.save(tmp_path / "e.tif", compression="tiff_lzw")
    for name in ("b.png", "c.bmp", "d.tif", "e.tif"):
        read = read_image(tmp_path / name)
        np.testing.assert_allclose(read.pixels, [[0, 0.299, 90 / 255]], atol=1e-7)
        assert read.notices == (f"{name}: palette read as gray (luma)",)


def test_tiff_with_white_at_zero_and_with_compression(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP8, photometric="miniswhite")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif").pixels, (255 - RAMP8) / np.float32(255)
    )
    for number, compression in enumerate(("tiff_lzw", "tiff_adobe_deflate", "packbits")):
        for dtype, samples in ((U8, RAMP8), (U16, RAMP16)):
            path = tmp_path / f"{number}-{dtype}.tif"
            Pillow.fromarray(samples).save(path, compression=compression)
            read = read_image(path)
            assert read.dtype == dtype
            np.testing.assert_allclose(read.pixels, samples / np.iinfo(dtype).max, atol=1e-7)


def big_endian(path: Path) -> None:
    tifffile.imwrite(path, RAMP16, photometric="minisblack", byteorder=">")


def test_big_endian_samples_come_out_native(tmp_path):
    big_endian(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == U16
    assert read.dtype.isnative
    np.testing.assert_allclose(read.pixels, RAMP16 / 65535, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "pixels", "dtype", "maximum", "what"),
    [
        ("a.jpg", RAMP8 / 255, U16, 65535, "holds 8 bits"),
        ("a.bmp", RAMP8 / 255, U16, 65535, "holds 8 bits"),
        ("a.gif", RAMP8 / 255, U8, 255, "suffix"),
        ("a.png", RAMP8 / 255, np.dtype(np.float32), 1, "float32"),
        ("a.png", RAMP8 / 255, U8, 4095, "outside 1 to 255"),
        ("a.png", RAMP8 * np.nan, U8, 255, "non-finite"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, name, pixels, dtype, maximum, what):
    with pytest.raises(ValueError, match=what):
        write_image(tmp_path / name, pixels.astype(np.float32), dtype, maximum)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", RAMP8 / np.float32(255), U8, 255)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Pillow.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_image(tmp_path / "a.png", np.zeros((3, 3), np.float32), U8, 255)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert read_image(tmp_path / "a.png").pixels.shape == RAMP8.shape


def test_image_files_are_sorted_by_path_and_hidden_ones_skipped(tmp_path):
    for name in ("b/a.png", "a.TIF", "b.png", "notes.txt", ".hidden.png", ".cache/c.png",
                 "b/@eaDir/a.png/THUMB_XL.jpg", "#recycle/d.png"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert found == ["a.TIF", "b.png", "b/a.png"]
    with pytest.raises(ValueError, match="nowhere: not a folder"):
        image_files(tmp_path / "nowhere")


def found_below(folder):
    return [path.relative_to(folder).as_posix() for path in image_files(folder)]


def test_links_to_folders_are_followed_once_and_not_in_circles(tmp_path):
    scans, elsewhere = tmp_path / "scans", tmp_path / "elsewhere"
    for path in (scans / "b/f.png", scans / "z.png", elsewhere / "more/f.png", tmp_path / "no.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (scans / "a").symlink_to("b")  # its files are found below b
    (scans / "up").symlink_to(tmp_path)
    (scans / "c").symlink_to(elsewhere)
    (scans / "d").symlink_to(elsewhere / "more")  # found below c
    (elsewhere / "back").symlink_to(scans)
    (elsewhere / "over").symlink_to(tmp_path)
    (scans / "f2.png").symlink_to("b/f.png")  # a name of its own, as ever
    (scans / ".hidden").symlink_to(elsewhere)
    assert found_below(scans) == ["b/f.png", "c/more/f.png", "f2.png", "z.png"]
    (tmp_path / "way").symlink_to(scans)
    assert found_below(tmp_path / "way") == found_below(scans)


def test_links_to_nothing_are_found_and_named_when_they_are_read(tmp_path):
    lost = ["0.5us", "a.tif", "b", "round.png"]
    for name in (*lost, "notes.txt", ".c.png"):
        (tmp_path / name).symlink_to("round.png" if name == "round.png" else "gone")
    assert found_below(tmp_path) == lost
    for name in lost:
        with pytest.raises(ValueError, match=rf"{name}: a link to what is not there"):
            read_image(tmp_path / name)


def test_links_into_folders_that_are_not_ours_to_enter_are_named(tmp_path, monkeypatch):
    """The system refuses to look at them, also to say whether they are there."""
    (tmp_path / "a.png").symlink_to(tmp_path / "locked" / "a.png")
    (tmp_path / "more").symlink_to(tmp_path / "locked" / "more")
    looked_at = Path.stat

    def refused(path, **options):
        found = looked_at(path, follow_symlinks=False)
        if options.get("follow_symlinks", True) and stat.S_ISLNK(found.st_mode):
            raise PermissionError(13, "Permission denied", str(path))
        return looked_at(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert [path.name for path in image_files(tmp_path)] == ["a.png", "more"]


def test_a_name_that_is_not_utf8_is_named_in_a_way_that_can_be_printed(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xb5-scan.tif", "wb"):  # noqa: PTH123, a micro in Latin-1
        pass
    with pytest.raises(
        ValueError, match=r"\\xb5-scan.tif: the name is not UTF-8, rename it"
    ) as caught:
        image_files(tmp_path)
    str(caught.value).encode()
