"""Nothing but the pixels of the specimen changes, whatever the format."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from lfranker.image_copies.image_copy import copy_with
from lfranker.images.decoding import decode
from lfranker.images.image_file import read_image, write_image

RNG = np.random.default_rng(0)
H, W = 24, 40
# what is written as the specimen: no row or column is like another
RAMP = np.float32(np.linspace(0, 1, W) * np.linspace(0.5, 1, H)[:, None])
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


END_OF = {".png": b"\0\0\0\0IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}


def png_of(path: Path, parts: list[tuple[bytes, bytes]]) -> Path:
    """Write a PNG of these kinds and contents of chunks."""
    data = b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )  # fmt: skip
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def chunks(path: Path) -> list[tuple[bytes, bytes]]:
    """Kind and content of a PNG's chunks, each with its sum checked (PNG, section 5.3)."""
    data, at, found = path.read_bytes(), 8, []
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        at += 12 + size
    return found


def copied(path: Path, notices: tuple[str, ...] = ()) -> Path:
    copy = path.with_name(f"copy{path.suffix}")
    scan = read_image(path)
    assert scan.image.shape == (H, W)
    assert copy_with(path, scan, RAMP, copy, "by a test") == notices
    return copy


def levels(dtype: type = np.uint8) -> np.ndarray:
    return np.rint(RAMP.astype(np.float64) * np.iinfo(dtype).max).astype(dtype)


def noise(*channels: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max + 1, (H, W, *channels)).astype(dtype)


def with_texts(image: Pillow.Image, path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "grid")
    texts.add_itxt("Beschreibung", "µm", lang="de")
    texts.add_text("Long", "x" * 500, zip=True)
    texts.add(b"gAMA", struct.pack(">I", 45455))
    texts.add(b"veNd", b"a vendor's own")
    texts.add(b"tIME", b"\x07\xe8\1\2\3\4\5")
    texts.add(b"afTr", b"behind the pixels", after_idat=True)  # only a vendor's own goes there
    exif = Pillow.Exif()
    exif[0x0112] = 6
    image.save(path, pnginfo=texts, dpi=(300, 150), icc_profile=PROFILE, exif=exif)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_all_parts_of_a_png_stay_byte_for_byte(tmp_path: Path, mode: str) -> None:
    path, channels = tmp_path / "a.png", len(mode)
    array = noise(*((channels,) if channels > 1 else ()))
    with_texts(Pillow.fromarray(array), path)
    copy = copied(path)
    before, after = chunks(path), chunks(copy)
    assert after[0] == before[0], "size, depth, kind of colour"
    assert [kind for kind, _ in before[-3:]] == [b"IDAT", b"afTr", b"IEND"]
    others = [chunk for chunk in before if chunk[0] not in (b"IDAT", b"IHDR")]
    assert [chunk for chunk in after if chunk[0] not in (b"IDAT", b"IHDR")] == others
    assert {kind for kind, _ in others} >= {
        b"tEXt", b"iTXt", b"zTXt", b"pHYs", b"iCCP", b"gAMA", b"veNd", b"tIME", b"eXIf"
    }  # fmt: skip
    with Pillow.open(copy) as image:
        assert (image.mode, image.info["dpi"], image.text["Title"]) == (
            mode, pytest.approx((300, 150), abs=0.02), "grid"
        )  # fmt: skip
        got = np.asarray(image).reshape(H, W, -1)
    colours = {1: 1, 2: 1, 3: 3, 4: 3}[channels]
    assert (got[..., :colours] == levels()[..., None]).all()
    if channels in (2, 4):
        np.testing.assert_array_equal(got[..., -1], array[..., -1])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_a_png_stay(tmp_path: Path, channels: int) -> None:
    array = noise(*((channels,) if channels > 1 else ()), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    copy = copied(tmp_path / "a.png")
    assert chunks(copy)[0] == chunks(tmp_path / "a.png")[0]
    got = cv2.imread(str(copy), cv2.IMREAD_UNCHANGED).reshape(H, W, -1)  # gray + alpha as four
    assert (got[..., : min(3, got.shape[2])] == levels(np.uint16)[..., None]).all()
    if channels in (2, 4):
        np.testing.assert_array_equal(got[..., 3], array[..., -1])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_of_sixteen_bits_is_no_channel(tmp_path: Path, channels: int) -> None:
    array = noise(*((channels,) if channels > 1 else ()), dtype=np.uint16)
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(array))
    header, *others = chunks(tmp_path / "b.png")
    path = png_of(tmp_path / "a.png", [header, (b"tRNS", b"\0\3" * channels), *others])
    before, after = chunks(path), chunks(copied(path))
    assert after[:2] == before[:2]
    assert decode(tmp_path / "copy.png").samples.shape == array.shape


@pytest.mark.parametrize("behind", [b"!", b"<FeiImage></FeiImage>" * 9])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_what_stands_behind_the_image_stays(tmp_path: Path, suffix: str, behind: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    Pillow.fromarray(np.rint(RAMP * 200).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes() + behind)
    copy = copied(path)
    assert copy.read_bytes().endswith(END_OF.get(suffix, b"") + behind)
    assert np.abs(decode(copy).samples.astype(int) - levels()).max() <= 4


def test_of_pictures_behind_a_jpeg_none_stays(tmp_path: Path) -> None:
    """They would show the specimen as it was."""
    images = [Pillow.fromarray(noise() // 8 + 100) for _ in range(2)]
    images[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=images[1:])
    first = (tmp_path / "a.jpg").read_bytes()
    with Pillow.open(copied(tmp_path / "a.jpg")) as after:
        assert after.format == "JPEG"
    assert first.count(b"\xff\xd8\xff") == 2
    assert (tmp_path / "copy.jpg").read_bytes().count(b"\xff\xd8\xff") == 1


def palette_image(indices: np.ndarray) -> Pillow.Image:
    colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    colours[9], colours[200] = (255, 0, 0), (0, 255, 0)
    image = Pillow.frombytes("P", (W, H), indices.tobytes())
    image.putpalette(colours.tobytes())
    return image


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_palettes_stay_and_annotations_in_their_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    indices = RNG.integers(60, 190, (H, W)).astype(np.uint8)
    indices[5, 4:30] = 9
    palette_image(indices).save(path)
    copy = copied(path)
    with Pillow.open(path) as before, Pillow.open(copy) as after:
        assert after.mode == "P"
        assert after.getpalette() == before.getpalette()
        got, shown = np.asarray(after), np.asarray(after.convert("RGB")).astype(int)
    assert (got[5, 4:30] == 9).all()
    others = np.ones((H, W), bool)
    others[5, 4:30] = False
    assert not set(np.unique(got[others])) & {9, 200}
    assert np.abs(shown - levels()[..., None].astype(int))[others].max() <= 1
    if suffix == "png":
        assert [c for c in chunks(copy) if c[0] == b"PLTE"] == [
            c for c in chunks(path) if c[0] == b"PLTE"
        ]


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_a_palette_without_grays_becomes_gray_with_a_word(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Pillow.frombytes("P", (W, H), noise().tobytes())
    image.putpalette(RNG.integers(0, 256, 768).astype(np.uint8).tobytes())
    image.save(path, **({"icc_profile": PROFILE} if suffix == "png" else {}))
    scan = read_image(path)
    (notice,) = copy_with(path, scan, RAMP, tmp_path / f"b.{suffix}", "x")
    assert "its colours are lost" in notice
    with Pillow.open(tmp_path / f"b.{suffix}") as copy:
        assert copy.mode == "L"
        np.testing.assert_array_equal(np.asarray(copy), levels())


@pytest.mark.parametrize("bits", [2, 4])
def test_shallow_pngs_become_eight_bits(tmp_path: Path, bits: int) -> None:
    gray = RNG.integers(0, 2**bits, (H, W)).astype(np.uint8)
    packed = np.zeros((H, W * bits // 8), np.uint8)
    for place in range(8 // bits):
        packed |= gray[:, place :: 8 // bits] << (8 - bits * (place + 1))
    rows = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, bits, 0, 0, 0, 0))
        + chunk(b"tRNS", b"\0\1")
        + chunk(b"tEXt", b"Title\0grid")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    copy = copied(tmp_path / "a.png")
    assert [kind for kind, _ in chunks(copy)] == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    np.testing.assert_array_equal(np.asarray(Pillow.open(copy)), levels())


def segments(data: bytes) -> list[bytes]:
    """Application and comment segments of a JPEG (T.81, B.1.1.4)."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] in (*range(0xE0, 0xF0), 0xFE):
            found.append(data[at : at + 2 + size])
        at += 2 + size
    return found


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_keep_orientation_texts_resolution_and_profile(
    tmp_path: Path, mode: str, progressive: bool
) -> None:
    smooth = Pillow.fromarray(np.rint(RAMP.T[:H] * 200).astype(np.uint8)).resize((W, H))
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010E] = 6, "grid"
    smooth.convert(mode).save(
        tmp_path / "a.jpg",
        exif=exif,
        icc_profile=PROFILE,
        dpi=(300, 150),
        comment=b"a comment",
        progressive=progressive,
        subsampling="4:2:0",
    )
    copy = copied(tmp_path / "a.jpg")
    assert segments(copy.read_bytes()) == segments((tmp_path / "a.jpg").read_bytes())
    with Pillow.open(copy) as after, Pillow.open(tmp_path / "a.jpg") as before:
        assert after.getexif()[0x0112] == 6
        assert after.mode == mode
        assert after.info["dpi"] == (300, 150)
        assert after.info["comment"] == b"a comment"
        assert after.info["icc_profile"] == PROFILE
        assert ("progressive" in after.info) == progressive
        assert mode == "L" or after.layer == before.layer, "subsampling"
        difference = np.abs(np.asarray(after.convert("L")).astype(int) - levels())
    assert difference.max() <= 4


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [50, 75, 98])
def test_jpegs_are_as_coarse_as_their_source(tmp_path: Path, mode: str, quality: int) -> None:
    gray = Pillow.fromarray(np.rint(RAMP * 200).astype(np.uint8))
    gray.convert(mode).save(tmp_path / "a.jpg", quality=quality)
    copy = copied(tmp_path / "a.jpg")
    with Pillow.open(copy) as after, Pillow.open(tmp_path / "a.jpg") as before:
        assert after.quantization == before.quantization
        assert after.mode == mode
    assert copy.stat().st_size < 1.2 * (tmp_path / "a.jpg").stat().st_size


@pytest.mark.parametrize("channels", [1, 3])
def test_a_lossless_jpeg_is_written_as_a_fine_one(tmp_path: Path, channels: int):
    """It has no quantisation that a copy could keep."""
    gray = np.rint(RAMP * 200).astype(np.uint8)
    samples = gray if channels == 1 else np.stack([gray] * channels, axis=-1)
    data = bytes(imagecodecs.jpeg8_encode(samples, lossless=True))
    assert b"\xff\xc3" in data, "a frame that is lossless"
    (tmp_path / "a.jpg").write_bytes(data)
    notices = read_image(tmp_path / "a.jpg").notices
    assert len(notices) == (channels == 3)
    copy = copied(tmp_path / "a.jpg")
    with Pillow.open(copy) as after:
        assert np.asarray(after).shape == samples.shape
    assert np.abs(read_image(copy).pixels - RAMP).max() < 3 / 255


def test_a_jpeg_too_coarse_for_the_new_pixels_is_written_finer(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.jpg", tmp_path / "b.jpg"
    Pillow.fromarray(np.rint(RAMP * 200).astype(np.uint8)).save(path, quality=5)
    image = RNG.random((H, W), np.float32)
    assert copy_with(path, read_image(path), image, copy, "by a test") == ()
    with Pillow.open(copy) as after:
        assert np.abs(np.asarray(after) / np.float32(255) - image).mean() < 0.01


def test_a_jpeg_of_adobe_in_plain_rgb_comes_out_right(tmp_path: Path) -> None:
    data = imagecodecs.jpeg8_encode(noise(3) // 8 + 100, 95, colorspace="rgb", outcolorspace="rgb")
    assert any(segment[1] == 0xEE for segment in segments(bytes(data)))
    (tmp_path / "a.jpg").write_bytes(data)
    with Pillow.open(copied(tmp_path / "a.jpg")) as after:
        shown = np.asarray(after).astype(int)
    assert np.abs(shown - levels()[..., None].astype(int)).max() <= 4


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("top_down", [False, True])
def test_bmps_change_in_their_pixels_alone(tmp_path: Path, mode: str, top_down: bool) -> None:
    array = noise(*((len(mode),) if mode != "L" else ()))[:, : W - 1]  # rows are padded
    path, copy = tmp_path / "a.bmp", tmp_path / "b.bmp"
    Pillow.fromarray(array).save(path, dpi=(300, 300))
    data = bytearray(path.read_bytes())
    start = int.from_bytes(data[10:14], "little")
    if top_down:
        data[22:26] = struct.pack("<i", -H)
        path.write_bytes(data)
    ramp = RAMP[:, : W - 1]
    assert copy_with(path, read_image(path), ramp, copy, "x") == ()
    changed = copy.read_bytes()
    assert changed[:start] == bytes(data[:start])
    assert len(changed) == len(data)
    got = cv2.imread(str(copy), cv2.IMREAD_UNCHANGED).reshape(H, W - 1, -1)
    assert (got[..., :3] == levels()[:, : W - 1, None]).all()


def test_compressed_bmps_are_written_anew_with_their_resolution(tmp_path: Path) -> None:
    rows = b"".join(bytes([W, row * 4]) + b"\0\0" for row in range(H)) + b"\0\1"  # RLE8
    grays = b"".join(bytes([value, value, value, 0]) for value in range(256))
    start = 54 + len(grays)
    header = struct.pack("<IiiHHIIiiII", 40, W, H, 1, 8, 1, len(rows), 11811, 11811, 256, 0)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    (tmp_path / "a.bmp").write_bytes(head + header + grays + rows)
    expected = (np.arange(H, dtype=np.uint8)[::-1, None] * 4) * np.ones((1, W), np.uint8)
    np.testing.assert_array_equal(decode(tmp_path / "a.bmp").samples, expected)
    with Pillow.open(copied(tmp_path / "a.bmp")) as copy:
        np.testing.assert_array_equal(np.asarray(copy), levels())
        assert copy.info["dpi"] == pytest.approx((300, 300), abs=0.02)


def test_another_format_is_written_with_a_word(tmp_path: Path) -> None:
    with_texts(Pillow.fromarray(noise()), tmp_path / "a.png")
    (notice,) = copy_with(
        tmp_path / "a.png", read_image(tmp_path / "a.png"), RAMP, tmp_path / "a.tif", "x"
    )
    assert "a.png: written in another format, without its metadata" in notice
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").samples, levels())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_values_of_twelve_bits_stay_in_their_range(tmp_path: Path, suffix: str) -> None:
    """A PNG says nothing of bits: full brightness is the gray value 4095, as in the other file."""
    full, expected = 4095, RAMP * 4095
    write_image(tmp_path / "a.tif", RAMP, np.dtype(np.uint16), full)
    source = tmp_path / "a.tif" if suffix == ".png" else tmp_path / "a.png"
    if suffix == ".tif":
        Pillow.fromarray(np.round(expected).astype(np.uint16)).save(source)
    scan = replace(read_image(source), maximum=full)
    copy_with(source, scan, RAMP, tmp_path / f"b{suffix}", "x")
    written = decode(tmp_path / f"b{suffix}").samples
    np.testing.assert_allclose(written, expected, atol=0.501)  # half a gray value


def test_what_does_not_come_back_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix in ("png", "jpg", "bmp"):
        path, copy = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
        Pillow.fromarray(noise()).save(path)
        scan = read_image(path)
        with monkeypatch.context() as patch:
            for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"):
                patch.setitem(copy_with.__globals__["WRITERS"], start, [lambda data, _: data])
            with pytest.raises(ValueError, match="is not what is read back"):
                copy_with(path, scan, RAMP, copy, "x")
        assert not copy.exists()


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_errors_of_every_kind_name_the_file_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path, copy = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    Pillow.fromarray(noise()).save(path)
    scan = read_image(path)
    for error in (RuntimeError, TypeError, struct.error, KeyError, ValueError):

        def fail(*_: object, error: type[Exception] = error, **__: object) -> None:
            raise error("two\nlines")

        monkeypatch.setattr("lfranker.image_copies.tiff_copy.encoded", fail)
        monkeypatch.setattr("lfranker.images.containers._chunk", fail)
        monkeypatch.setattr("lfranker.images.containers._has_usual_masks", fail)
        monkeypatch.setattr("lfranker.images.containers.struct.unpack_from", fail)
        with pytest.raises(ValueError, match=rf"a\.{suffix}: cannot be written .*two"):
            copy_with(path, scan, RAMP, copy, "x")
        assert not copy.exists()


def test_of_tags_that_are_there_twice_the_first_counts(tmp_path: Path) -> None:
    """As for tifffile and libtiff; a copy that another page or depth is read from is none."""
    path, copy = tmp_path / "a.tif", tmp_path / "b.tif"
    array = noise()
    tifffile.imwrite(path, array, metadata=None, extratags=[(259 + 3 * 0x1000, 3, 1, 7, True)])
    data = path.read_bytes()
    vendor = struct.pack("<HH", 259 + 3 * 0x1000, 3)
    assert data.count(vendor) == 1
    path.write_bytes(data.replace(vendor, struct.pack("<HH", 258, 3)))  # 7 bits, at the end
    np.testing.assert_array_equal(decode(path).samples, array)
    copy_with(path, read_image(path), RAMP, copy, "x")
    np.testing.assert_array_equal(decode(copy).samples, levels())


@pytest.mark.parametrize("beyond", [0, 20])
def test_a_next_page_beyond_the_end_is_none(tmp_path: Path, beyond: int) -> None:
    """Such files are read; in the longer copy there would be something at that place."""
    path, copy = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(path, noise(), metadata=None)
    with tifffile.TiffFile(path) as tiff:
        end = tiff.pages[0].offset + 2 + 12 * len(tiff.pages[0].tags)
    data = bytearray(path.read_bytes())
    data[end : end + 4] = struct.pack("<I", len(data) + beyond)
    path.write_bytes(data)
    assert copy_with(path, read_image(path), RAMP, copy, "x") == ()
    with tifffile.TiffFile(copy) as tiff:
        assert len(tiff.pages) == 1
    np.testing.assert_array_equal(decode(copy).samples, levels())


def test_a_place_that_cannot_be_written_is_said_in_a_word(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Pillow.fromarray(noise()).save(path)
    scan = read_image(path)
    (tmp_path / "b").touch()
    with pytest.raises(ValueError, match=r"^\S+b: cannot be made \(File exists\)$"):
        copy_with(path, scan, RAMP, tmp_path / "b/copy.png", "by a test")
