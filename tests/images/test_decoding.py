import io
import logging
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.decoding import decode, decode_pages
from lfranker.images.image_file import page_count, read_image

RAMP8 = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)


def cut_short(path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Pillow.fromarray(noise).save(buffer, "TIFF" if path.suffix == ".tif" else path.suffix[1:])
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])


def cut_short_16_bit(path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64), np.uint16)
    Pillow.fromarray(noise).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue()[:4000])


def one_bit(path: Path) -> None:
    Pillow.fromarray(RAMP8 > 100).save(path)


def stack(path: Path) -> None:
    tifffile.imwrite(path, np.stack([RAMP8, RAMP8]), photometric="minisblack")


def imagej_stack(path: Path) -> None:
    tifffile.imwrite(path, np.stack([RAMP8, RAMP8]), imagej=True)


def imagej_stack_in_one_page(path: Path) -> None:
    tifffile.imwrite(path, np.stack([RAMP8, RAMP8]), imagej=True)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].is_contiguous
        end = tiff.pages[0].offset + 2 + 12 * len(tiff.pages[0].tags)
    data[end : end + 4] = bytes(4)  # no next page: ImageJ's way above 4 GB
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "what"),
    [
        ("a.png", lambda path: path.write_bytes(b""), "empty file"),
        ("a.tif", lambda path: path.write_bytes(b""), "empty file"),
        ("a.png", lambda path: path.write_bytes(b"no image"), "corrupt or not an image"),
        ("a.tif", lambda path: path.write_bytes(b"no image"), "corrupt or not an image"),
        ("a.png", cut_short, "corrupt"),
        ("a.png", cut_short_16_bit, "corrupt"),
        ("a.tif", cut_short, "corrupt"),
        ("a.bmp", cut_short, "corrupt"),
        ("a.png", one_bit, "1-bit"),
        ("a.bmp", one_bit, "1-bit"),
        ("a.tif", one_bit, "1-bit"),
        ("a.tif", stack, "stack of 2 images"),
        ("a.tif", imagej_stack, "stack of 2 images"),
        ("a.tif", imagej_stack_in_one_page, "stack of 2 images"),
        ("a.tif", lambda path: tifffile.imwrite(path, RAMP8.astype(np.float32)), "float32"),
        ("a.tif", lambda path: tifffile.imwrite(path, RAMP8.astype(np.uint32)), "uint32"),
        ("a.tif", lambda path: tifffile.imwrite(path, RAMP8.astype(np.int16)), "int16"),
        ("a.jpg", lambda path: Pillow.new("CMYK", (8, 8)).save(path), "mode CMYK"),
        ("a.gif", lambda path: Pillow.fromarray(RAMP8).save(path), "suffix '.gif'"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    tmp_path: Path, name: str, make: Callable[[Path], object], what: str
):
    make(tmp_path / name)
    with pytest.raises(ValueError, match="allowed is one 8- or 16-bit") as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert what in str(caught.value)


def written(path: Path, *pages: np.ndarray, **tags: object) -> Path:
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, metadata=None, photometric="minisblack", **tags)
    return path


def test_pages_of_other_sizes_make_no_stack(tmp_path: Path):
    """A thumbnail without its mark, before or after; a photo of the stage; a label."""
    large, photo = np.kron(RAMP8, np.ones((4, 4), np.uint8)), np.full((90, 30), 7, np.uint8)
    for pages in ((large, RAMP8), (RAMP8, large), (large, photo), (large, RAMP8, RAMP8 // 2)):
        read = read_image(written(tmp_path / "a.tif", *pages))
        np.testing.assert_array_equal(read.pixels, large / np.float32(255))


def test_a_later_page_of_other_proportions_is_not_the_image(tmp_path: Path):
    photo = np.full((90, 300), 7, np.uint8)
    read = read_image(written(tmp_path / "a.tif", RAMP8, photo))
    np.testing.assert_array_equal(read.pixels, RAMP8 / np.float32(255))
    (notice,) = decode(tmp_path / "a.tif").notices
    assert notice == "page 2 (300 x 90 px) is larger and is not read"
    assert read.notices == (f"a.tif: {notice}",)
    assert decode(written(tmp_path / "b.tif", RAMP8, photo[:9, :9])).notices == ()
    first, second = decode_pages(written(tmp_path / "c.tif", RAMP8, photo, RAMP8))
    assert (first.notices, second.notices) == ((notice,), ())


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("pages", [1, 2, 3])
def test_pages_that_lead_in_a_circle_are_refused(tmp_path: Path, pages: int, bigtiff: bool):
    """The last page names each page as the next; tifffile would follow it without end."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as file:
        for shrink in range(1, pages + 1):
            file.write(RAMP8[::shrink], metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        offsets, size = [page.offset for page in tiff.pages], tiff.tiff.offsetsize
        place = tiff.pages.next_page_offset
    data = bytearray(path.read_bytes())
    for offset in offsets:
        data[place : place + size] = offset.to_bytes(size, "little")
        path.write_bytes(data)
        assert page_count(path) == 1
        for read in (decode, decode_pages):
            with pytest.raises(ValueError, match=r"a\.tif: .*its pages lead in a circle"):
                read(path)


def test_true_stacks_are_refused_with_a_thumbnail_too(tmp_path: Path):
    path = written(tmp_path / "a.tif", RAMP8[:6, :10], RAMP8, RAMP8, RAMP8)
    with pytest.raises(ValueError, match="stack of 3 images"):
        read_image(path)


@pytest.mark.parametrize("kind", ["ome", "shaped", "imagej"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_one_image_of_a_stack_is_read_whatever_its_description_says(
    tmp_path: Path, kind: str, compression: str | None
):
    """Programs that take a page out of a stack, or split it into files, keep the description."""
    source, path = tmp_path / f"a{'.ome' * (kind == 'ome')}.tif", tmp_path / "b.tif"
    kinds = {"imagej": kind == "imagej", "ome": kind == "ome"}
    tifffile.imwrite(source, np.stack([RAMP8] * 3), photometric="minisblack", **kinds)
    with tifffile.TiffFile(source) as tiff:
        text = tiff.pages[0].description
    assert re.search(r'Size[TZCQ]="3"|3, 12, 20|images=3', text)
    written(path, RAMP8, description=text, compression=compression)
    np.testing.assert_array_equal(read_image(path).pixels, RAMP8 / np.float32(255))
    assert page_count(path) == len(decode_pages(path)) == 1
    written(path, RAMP8, RAMP8, description=text, compression=compression)
    with pytest.raises(ValueError, match="stack of 2 images"):
        read_image(path)
    assert page_count(path) == len(decode_pages(path)) == 2
    assert page_count(path.rename(path.with_suffix(".png"))) == 2


def test_a_stack_within_one_page_counts_where_its_bytes_are_there(tmp_path: Path):
    """One page, of which tifffile's own description says that it holds three images."""
    path = tmp_path / "a.tif"
    for images, same in ((3, False), (1, True)):
        text = '{"shape": [3, 12, 20]}'
        written(path, np.concatenate([RAMP8] * images), description=text)
        with tifffile.TiffFile(path, mode="r+b") as tiff:
            for code, value in ((257, 12), (278, 12), (279, RAMP8.nbytes)):
                tiff.pages[0].tags[code].overwrite(value)
        if same:
            np.testing.assert_array_equal(decode(path).samples, RAMP8)
            continue
        for read in (decode, decode_pages):
            with pytest.raises(ValueError, match="stack of 3 images"):
                read(path)


def test_masks_and_thumbnails_marked_in_the_old_way_are_no_images(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        old_mark = [(255, 3, 1, 2, True)]
        file.write(RAMP8 > 9, subfiletype=4, photometric="minisblack", metadata=None)
        file.write(RAMP8 + 1, extratags=old_mark, photometric="minisblack", metadata=None)
        file.write(RAMP8, photometric="minisblack", metadata=None)
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, RAMP8 / np.float32(255))


def test_pyramids_are_read_at_full_size(tmp_path: Path):
    large = np.kron(RAMP8, np.ones((4, 4), np.uint8))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(large, subifds=1, photometric="minisblack", metadata=None)
        file.write(large[::2, ::2], subfiletype=1, photometric="minisblack", metadata=None)
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, large / np.float32(255))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_large_images_are_read_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    """Pillow warns from its limit on and refuses from twice its limit on; ours is the memory."""
    Pillow.fromarray(np.full((20, 30), 51, np.uint8)).save(tmp_path / f"a.{suffix}")
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    read = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read.pixels, np.float32(0.2))
    assert Pillow.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_what_the_memory_cannot_hold_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    Pillow.new("RGB", (300, 200)).save(tmp_path / f"a.{suffix}")
    needed = 300 * 200 * (2 * 3 + 24)
    monkeypatch.setattr("lfranker.images.decoding.free_memory", lambda: needed)
    assert read_image(tmp_path / f"a.{suffix}").pixels.shape == (200, 300)
    monkeypatch.setattr("lfranker.images.decoding.free_memory", lambda: needed - 1)
    with pytest.raises(ValueError, match=r"300 x 200 px need about 0\.0 GB.*cut it into parts"):
        read_image(tmp_path / f"a.{suffix}")


def test_the_first_bytes_say_the_format_and_not_the_suffix(tmp_path: Path):
    for kind, suffix in (("PNG", "tif"), ("TIFF", "png"), ("BMP", "jpg")):
        Pillow.fromarray(RAMP8).save(tmp_path / f"a.{suffix}", kind)
        read = read_image(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(read.pixels, RAMP8 / np.float32(255))
    Pillow.fromarray(RAMP8).save(tmp_path / "b.png", "GIF")
    with pytest.raises(ValueError, match="no PNG, TIFF, JPEG or BMP"):
        read_image(tmp_path / "b.png")


def test_white_at_zero_with_alpha_turns_the_gray_alone(tmp_path: Path):
    both = np.stack([RAMP8, RAMP8 // 2], axis=-1)
    options = {"photometric": "miniswhite", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", both, **options)
    expected = np.stack([255 - RAMP8, RAMP8 // 2], axis=-1)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").samples, expected)


def test_a_channel_that_is_no_alpha_is_not_called_so(tmp_path: Path):
    both = np.stack([RAMP8, RAMP8 // 2], axis=-1)
    for kind, word in (("unspecified", "extra channel"), ("unassalpha", "alpha channel")):
        tifffile.imwrite(tmp_path / "a.tif", both, photometric="minisblack", extrasamples=[kind])
        (notice,) = read_image(tmp_path / "a.tif").notices
        assert word in notice


@pytest.mark.slow  # 182 million pixels
@pytest.mark.filterwarnings("error")
def test_a_mosaic_beyond_twice_the_limit_of_pillow_is_read(tmp_path: Path):
    mosaic = np.zeros((13500, 13500), np.uint8)
    mosaic[-1, -3:] = 51, 102, 255
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(mosaic, 1))
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read.pixels[-1, -4:], np.float32([0, 0.2, 0.4, 1]))


def interlaced(image: np.ndarray) -> bytes:
    """A gray PNG of 16 bits in seven passes (PNG, section 8.2), by hand."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    parts = [image[top::down, left::across] for top, left, down, across in passes]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts for row in part)
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 16, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )


def test_interlaced_pngs_of_16_bits_are_read_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """The library libpng warns of them; where there is no log that is printed, without a name."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    image = np.random.default_rng(0).integers(0, 2**16, (13, 21)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(interlaced(image))
    np.testing.assert_array_equal(decode(tmp_path / "a.png").samples, image)
    assert capfd.readouterr() == ("", "")
