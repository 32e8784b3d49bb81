"""Every way to store a TIFF gives the pixels that were written, or a refusal by name.

The pixels are compared with what was written, and with what libtiff reads through OpenCV or
Pillow, which share no code with the reader here.
"""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.decoding import decode
from lfranker.images.image_file import read_image

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 37, 53  # no multiples of a tile
COMPRESSIONS = ("none", "lzw", "zlib", "packbits", "lzma", "zstd")
LAYOUTS = ("one strip", "strips", "tiles")
KINDS = {
    "gray": {"photometric": "minisblack"},
    "inverted": {"photometric": "miniswhite"},
    "gray + alpha": {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
    "rgb": {"photometric": "rgb"},
    "rgba": {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    "palette": {"photometric": "palette"},
}
SAMPLES = {"gray": 1, "inverted": 1, "gray + alpha": 2, "rgb": 3, "rgba": 4, "palette": 1}
COLOURS = RNG.integers(0, 65536, (3, 256)).astype(np.uint16)


def pixels(samples: int, dtype: type) -> np.ndarray:
    """Noise on a ramp: neighbours are alike, as predictors expect, and rows differ."""
    top = np.iinfo(dtype).max
    shape = (HEIGHT, WIDTH) if samples == 1 else (HEIGHT, WIDTH, samples)
    ramp = np.linspace(0, 0.8 * top, WIDTH)[None, :] * np.ones((HEIGHT, 1))
    ramp = ramp if samples == 1 else ramp[..., None]
    return (ramp + RNG.integers(0, top // 5, shape)).astype(dtype)


def options(kind: str, compression: str, layout: str, predictor: bool) -> dict[str, object]:
    return {
        **KINDS[kind],
        "compression": None if compression == "none" else compression,
        "predictor": predictor,
        **({"tile": (16, 32)} if layout == "tiles" else {}),
        **({"rowsperstrip": 5} if layout == "strips" else {}),
        **({"colormap": COLOURS} if kind == "palette" else {}),
    }


def cells(kind: str) -> Iterator[tuple[str, str, bool, bool, str, bool]]:
    planar = (False, True) if SAMPLES[kind] > 1 else (False,)
    for compression, layout, separate, (order, big) in itertools.product(
        COMPRESSIONS, LAYOUTS, planar, (("<", True), (">", False))
    ):
        for predictor in (False, True) if compression in ("lzw", "zlib", "zstd") else (False,):
            yield compression, layout, predictor, separate, order, big


def libtiff(path: Path) -> np.ndarray | None:
    """Read with OpenCV, in the order red, green, blue, alpha; None where it cannot."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image if image is None or image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[2]]]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, dtype) for kind in KINDS for dtype in (np.uint8, np.uint16)
     if (kind, dtype) != ("palette", np.uint16)],
)  # fmt: skip
def test_what_was_written_is_read_however_it_is_stored(
    tmp_path: Path, kind: str, dtype: type
) -> None:
    path, agreed, count = tmp_path / "a.tif", 0, 0
    written = pixels(SAMPLES[kind], dtype)
    shown = written
    if kind == "inverted":
        shown = np.iinfo(dtype).max - written
    elif kind == "palette":
        shown = (COLOURS >> 8).astype(np.uint8).T[written]
    for compression, layout, predictor, separate, order, big in cells(kind):
        tifffile.imwrite(
            path,
            np.moveaxis(written, -1, 0) if separate else written,
            byteorder=order,
            bigtiff=big,
            planarconfig="separate" if separate else None,
            metadata=None,
            **options(kind, compression, layout, predictor),
        )
        cell = (kind, compression, layout, predictor, separate, order, big)
        np.testing.assert_array_equal(decode(path).samples, shown, str(cell))
        count += 1
        mixed_up = separate and dtype is np.uint16  # by OpenCV
        if kind in ("gray", "rgb") and not mixed_up and (other := libtiff(path)) is not None:
            np.testing.assert_array_equal(other, shown, str(cell))
            agreed += 1
    assert count == (108 if SAMPLES[kind] > 1 else 54)
    assert agreed >= (36 if kind in ("gray", "rgb") else 0)


@pytest.mark.parametrize(
    ("compression", "predictor"),
    [
        ("raw", 1), ("packbits", 1), ("lzma", 1), ("zstd", 1), ("tiff_lzw", 1), ("tiff_lzw", 2),
        ("tiff_adobe_deflate", 1), ("tiff_adobe_deflate", 2), ("tiff_deflate", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "I;16", "LA", "RGB", "RGBA", "P"])
def test_what_libtiff_wrote_is_read(
    tmp_path: Path, mode: str, compression: str, predictor: int
) -> None:
    samples = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)
    array = pixels(samples, np.uint16 if mode == "I;16" else np.uint8)
    image = Pillow.fromarray(array)
    if mode == "P":
        image = Pillow.fromarray(array, mode="L").copy()
        image.putpalette((COLOURS >> 8).astype(np.uint8).T.tobytes())
    assert image.mode == mode
    image.save(tmp_path / "a.tif", compression=compression, tiffinfo={317: predictor})
    expected = np.asarray(image.convert("RGB")) if mode == "P" else array
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").samples, expected)


@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize(
    ("photometric", "subsampling"),
    [
        ("minisblack", (1, 1)),
        ("rgb", (1, 1)),
        ("ycbcr", (1, 1)),
        ("ycbcr", (2, 2)),
        ("ycbcr", (2, 1)),
    ],
)
def test_jpeg_in_a_tiff_looks_as_in_another_reader(
    tmp_path: Path, photometric: str, subsampling: tuple[int, int], tile: tuple[int, int] | None
) -> None:
    smooth = np.linspace(0, 250, 64)[None, :] * np.linspace(0.2, 1, 48)[:, None]
    array = smooth.astype(np.uint8)
    if photometric != "minisblack":
        array = np.stack([array, 255 - array, array // 2], axis=-1)
    in_ycbcr = photometric == "ycbcr"  # tifffile wants them as they are to be stored
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.asarray(Pillow.fromarray(array).convert("YCbCr")) if in_ycbcr else array,
        photometric=photometric,
        compression="jpeg",
        compressionargs={"level": 95},
        subsampling=subsampling if in_ycbcr else None,
        tile=tile,
    )
    got = decode(tmp_path / "a.tif").samples.astype(int)
    with Pillow.open(tmp_path / "a.tif") as file:
        other = np.asarray(file.convert("L" if photometric == "minisblack" else "RGB")).astype(int)
    assert np.abs(got - other).max() <= 2  # two versions of libjpeg round differently
    assert np.abs(got - array).mean() < 3, "red is red"


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr"])
def test_jpeg_that_libtiff_wrote_is_read(tmp_path: Path, mode: str) -> None:
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:, :16, 0], rgb[:, 16:32, 1], rgb[:, 32:, 2] = 200, 200, 200
    image = Pillow.fromarray(rgb).convert(mode)
    image.save(tmp_path / "a.tif", compression="jpeg", quality=95)
    with Pillow.open(tmp_path / "a.tif") as file:
        other = np.asarray(file.convert("L" if mode == "L" else "RGB")).astype(int)
    assert np.abs(decode(tmp_path / "a.tif").samples.astype(int) - other).max() <= 2


@pytest.mark.parametrize(
    ("compression", "samples", "dtype"),
    [
        *itertools.product(("jpeg2000", "png", "jpegxl"), (1, 3, 4), (np.uint8, np.uint16)),
        ("webp", 3, np.uint8),
        ("webp", 4, np.uint8),
    ],
)
def test_compressions_of_whole_images_are_read(
    tmp_path: Path, compression: str, samples: int, dtype: type
) -> None:
    array = pixels(samples, dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        photometric="minisblack" if samples == 1 else "rgb",
        extrasamples=["unassalpha"] if samples == 4 else None,
        compression=compression,
        compressionargs={"lossless": True} if compression in ("webp", "jpegxl") else {},
    )
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").samples, array)


@pytest.mark.parametrize(
    ("compression", "options"),
    [("jpeg2000", {}), ("webp", {"lossless": True}), ("webp", {"level": 80}), ("jpegxl", {})],
)
def test_a_hole_in_data_whose_decoder_fills_it_in_is_refused(
    tmp_path: Path, compression: str, options: dict[str, object]
) -> None:
    file, colours = tmp_path / "a.tif", 3 if compression == "webp" else 1
    array = np.random.default_rng(0).integers(0, 256, (128, 128, colours), np.uint8).squeeze()
    kind = "rgb" if colours == 3 else "minisblack"
    tifffile.imwrite(
        file, array, photometric=kind, compression=compression, compressionargs=options
    )
    with tifffile.TiffFile(file) as tiff:
        (start,), (size,) = tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts
    assert decode(file).samples.shape == array.shape
    data = bytearray(file.read_bytes())
    data[start + size // 2 : start + size // 2 + 200] = bytes(200)
    file.write_bytes(data)
    with pytest.raises(ValueError, match="zeros in part"):
        decode(file)


@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "jpegxl"])
def test_black_images_have_no_holes(tmp_path: Path, compression: str) -> None:
    array = np.zeros((700, 900, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", compression=compression)
    assert not decode(tmp_path / "a.tif").samples.any()


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}])
def test_a_file_that_ends_before_its_tags_is_called_so(
    tmp_path: Path, options: dict[str, object]
) -> None:
    """Many writers put them behind the pixels."""
    file, array = tmp_path / "a.tif", np.zeros((40, 50), np.uint8)
    with tifffile.TiffWriter(file, **options) as tiff:
        tiff.write(array, photometric="minisblack")
    with tifffile.TiffFile(file) as tiff:
        tags = tiff.pages[0].offset
    data = bytearray(file.read_bytes())
    start, size = (8, 8) if "bigtiff" in options else (4, 4)
    order = "big" if "byteorder" in options else "little"
    data[start : start + size] = len(data).to_bytes(size, order)  # as if they came last
    file.write_bytes(data)
    assert tags < len(data)
    with pytest.raises(ValueError, match=f"cut short .{len(data):,} bytes, .* at {len(data):,}."):
        decode(file)


def test_bits_in_reverse_order_are_turned(tmp_path: Path) -> None:
    array = pixels(1, np.uint8)
    for compression in ("tiff_lzw", "packbits"):
        Pillow.fromarray(array).save(tmp_path / "a.tif", compression=compression, tiffinfo={266: 2})
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            assert tiff.pages[0].fillorder == 2
        np.testing.assert_array_equal(decode(tmp_path / "a.tif").samples, array)


@pytest.mark.parametrize("compression", ["none", "lzw", "zlib", "packbits", "lzma", "zstd", "jpeg"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_what_is_cut_short_is_refused(
    tmp_path: Path, compression: str, layout: str, share: float
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        RNG.integers(0, 256, (64, 64)).astype(np.uint8),
        metadata=None,
        **options("gray", compression, layout, predictor=False),
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"a\.tif: .*allowed is one 8- or 16-bit"):
        read_image(path)


def with_tag(path: Path, code: int, value: object) -> None:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags[code].overwrite(value)


def test_strips_without_data_are_refused_and_not_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for compression, layout in itertools.product(("lzw", "jpeg", "none"), ("strips", "tiles")):
        tifffile.imwrite(
            path, pixels(1, np.uint8), metadata=None, **options("gray", compression, layout, False)
        )
        sizes, offsets = (325, 324) if layout == "tiles" else (279, 273)
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages[0].tags
            no_size = (*tags[sizes].value[:-1], 0)
            no_place = (0, *tags[offsets].value[1:])
        before = path.read_bytes()
        for code, value in ((sizes, no_size), (offsets, no_place)):
            path.write_bytes(before)
            with_tag(path, code, value)
            with pytest.raises(ValueError, match=r"without data|corrupt"):
                read_image(path)


def test_a_jpeg_that_ends_early_is_refused_and_not_gray(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    array = RNG.integers(0, 256, (64, 64)).astype(np.uint8)
    tifffile.imwrite(path, array, compression="jpeg", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        (size,) = tiff.pages[0].databytecounts
    with_tag(path, 279, size // 2)  # libjpeg fills the rest, with a warning that nobody sees
    with pytest.raises(ValueError, match="cut short"):
        read_image(path)


def test_a_strip_of_another_type_than_promised_is_refused(tmp_path: Path) -> None:
    """A JPEG 2000 of 16 bits under tags that say 8: a cast would wrap its values."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(1, np.uint16), compression="jpeg2000", metadata=None)
    with_tag(path, 258, 8)
    with pytest.raises(ValueError, match="holds uint16, its tags say uint8"):
        read_image(path)


@pytest.mark.parametrize(
    ("array", "chosen", "what"),
    [
        (np.zeros((8, 8), np.float32), {"compression": "lzw", "predictor": 3}, "32-bit float32"),
        (np.zeros((8, 8), np.float16), {}, "16-bit float16"),
        (np.zeros((8, 8), np.uint32), {}, "32-bit uint32"),
        (np.zeros((8, 8), np.int8), {}, "8-bit int8"),
        (np.zeros((8, 8, 4), np.uint8), {"photometric": "separated"}, "SEPARATED image"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "cielab"}, "CIELAB image"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "minisblack",
         "planarconfig": "contig"}, "MINISBLACK image of 3 samples"),
        (np.zeros((8, 8, 5), np.uint8), {"photometric": "rgb"}, "RGB image of 5 samples"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "ycbcr", "compression": "lzw"}, "YCBCR"),
        (np.zeros((16, 16), np.uint8), {"compression": "jpegxr"}, "compression JPEGXR"),
        (np.zeros((2, 8, 8), np.uint8), {"volumetric": True}, "image"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(
    tmp_path: Path, array: np.ndarray, chosen: dict[str, object], what: str
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, **{"photometric": "minisblack", "metadata": None, **chosen})
    with pytest.raises(ValueError, match=rf"a\.tif: .*{what}.*; allowed is one"):
        read_image(path)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "raw"])
def test_bilevel_images_are_refused_by_name(tmp_path: Path, compression: str) -> None:
    Pillow.new("1", (40, 30)).save(tmp_path / "a.tif", compression=compression)
    with pytest.raises(ValueError, match=r"a\.tif: 1-bit .*; allowed is one"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_that_does_not_say_what_black_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(1, np.uint8), metadata=None)
    data = path.read_bytes()
    tag = (262).to_bytes(2, "little") + (3).to_bytes(2, "little") + (1).to_bytes(4, "little")
    assert data.count(tag) == 1
    path.write_bytes(data.replace(tag, (261).to_bytes(2, "little") + tag[2:]))
    with pytest.raises(ValueError, match="PhotometricInterpretation is missing"):
        read_image(path)


def test_a_palette_of_eight_bits_is_read_as_libtiff_does(tmp_path: Path) -> None:
    colours = (COLOURS >> 8).astype(np.uint16)
    indices = pixels(1, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours)
    expected = libtiff(tmp_path / "a.tif")
    assert expected is not None
    np.testing.assert_array_equal(expected, colours.astype(np.uint8).T[indices])
    np.testing.assert_array_equal(decode(tmp_path / "a.tif").samples, expected)


def test_errors_of_every_kind_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels(1, np.uint8)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    tifffile.imwrite(tmp_path / "a.tif", pixels(1, np.uint8), compression="zstd")
    errors = (ImportError, KeyError, RuntimeError, imagecodecs.ZstdError, AssertionError, TypeError)
    for error in (*errors, MemoryError):

        def fail(*_: object, error: type[Exception] = error, **__: object) -> None:
            raise error("two\nlines")

        monkeypatch.setattr("lfranker.images.decoding.stored_samples", fail)
        monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
        for name in ("a.tif", "a.png"):
            with pytest.raises(ValueError, match=rf"{name}: .*; allowed is one") as caught:
                read_image(tmp_path / name)
            assert "\n" not in str(caught.value)
