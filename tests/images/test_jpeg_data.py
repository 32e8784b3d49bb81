"""Damaged JPEGs are refused by name where libjpeg makes up pixels; no whole one is.

The data of an image are damaged by hand, or written by libjpeg (Pillow, OpenCV) and left alone.
"""

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.decoding import decode
from lfranker.images.jpeg_data import require_whole

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:120, :160]
WAVES = np.sin(COLUMNS / 9) * np.cos(ROWS / 7)
SCENE = (128 + 60 * WAVES + RNG.normal(0, 8, WAVES.shape)).clip(0, 255).astype(np.uint8)
END = b"\xff\xd9"


def jpeg(image: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def zeros_within(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(1500) + data[len(data) // 2 + 1500 :]


def zeros_behind(data: bytes) -> bytes:
    return data[: len(data) // 2].ljust(len(data), b"\0")


def cut_out(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[len(data) // 2 + 1000 :]


def ended_early(data: bytes) -> bytes:
    return data[: len(data) // 2] + END


def cut_off(data: bytes) -> bytes:
    return data[:-100]


def marker_within(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xc0" + data[len(data) // 2 :]


def twice(data: bytes) -> bytes:
    """Write the last bytes twice: the picture is there before they are read."""
    return data[:-2] + data[-102:]


DAMAGE = [
    (zeros_within, "damaged or cut short"),
    (zeros_behind, "cut short"),
    (cut_out, "damaged or cut short"),
    (ended_early, "damaged or cut short"),
    (cut_off, "cut short"),
    (marker_within, "corrupt or not an image"),
    (twice, "damaged or cut short"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGE)
def test_damaged_jpegs_are_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes], what: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(damage(jpeg(SCENE)))
    with pytest.raises(ValueError, match=rf"a\.jpg: .*{what}.*; allowed is one"):
        decode(tmp_path / "a.jpg")


@pytest.mark.parametrize(("damage", "what"), DAMAGE)
@pytest.mark.parametrize(
    ("layout", "places", "sizes"), [({}, 273, 279), ({"tile": (96, 128)}, 324, 325)]
)
def test_damaged_jpegs_in_a_tiff_are_refused(
    tmp_path: Path, layout: dict[str, object], places: int, sizes: int,
    damage: Callable[[bytes], bytes], what: str,
) -> None:  # fmt: skip
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, SCENE, compression="jpeg", metadata=None, **layout)
    decode(path)
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    data = path.read_bytes()
    broken = damage(data[start : start + size])
    path.write_bytes(data + broken)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tags = tiff.pages[0].tags
        for code, value in ((places, len(data)), (sizes, len(broken))):
            tags[code].overwrite((value, *tags[code].value[1:]))
    with pytest.raises(ValueError, match=rf"a\.tif: .*{what}.*; allowed is one"):
        decode(path)


def test_parts_between_restarts_are_all_there() -> None:
    data = jpeg(SCENE, restart_marker_rows=1)
    require_whole(data)
    second, third = data.index(b"\xff\xd1"), data.index(b"\xff\xd2")
    with pytest.raises(ValueError, match="instead of RST1"):
        require_whole(data[:second] + data[third:])
    with pytest.raises(ValueError, match="premature end"):
        require_whole(data[: third - 100] + data[third:])


def test_lossless_jpegs_that_are_damaged_are_refused() -> None:
    data = bytes(imagecodecs.jpeg8_encode(SCENE, lossless=True))
    for damage, what in (
        (cut_out, "premature end"),
        (ended_early, "premature end"),
        (zeros_within, "extraneous bytes"),
        (zeros_behind, "Premature end"),
    ):
        with pytest.raises(ValueError, match=what):
            require_whole(damage(data))


def test_progressive_jpegs_that_end_early_are_refused() -> None:
    data = jpeg(SCENE, progressive=True)
    require_whole(data)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for scan in scans:  # each ends 20 bytes early
        with pytest.raises(ValueError, match="premature end"):
            require_whole(data[: scan + 20] + END)


def pictures() -> list[np.ndarray]:
    """Return what is noisy, flat, half flat, of a period of a block, or has an edge of a pixel."""
    grating = (128 + 100 * np.cos(2 * np.pi * (COLUMNS + 0.5) / 8)).astype(np.uint8)
    barred = np.where(ROWS < 60, SCENE, 0).astype(np.uint8)
    colours = np.stack([SCENE, 255 - SCENE, barred], axis=-1)
    flat = [np.full((130, 90), level, np.uint8) for level in (0, 128, 255)]
    thin = [SCENE[:1], SCENE[:, :1], SCENE[:1, :1], SCENE[:9, :17]]
    noise = RNG.integers(0, 256, (40, 50)).astype(np.uint8)
    return [SCENE, barred, barred[::-1], grating, noise, colours, *flat, *thin]


def refusal(data: bytes) -> str | None:
    """Return why a JPEG is refused, None where it is whole."""
    try:
        require_whole(data)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("quality", [5, 50, 75, 95, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_whole_jpegs_are_never_refused(quality: int, subsampling: int) -> None:
    kinds = [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 3}]
    for image, kind in itertools.product(pictures(), kinds):
        colour = {"subsampling": subsampling} if image.ndim == 3 else {}
        assert refusal(jpeg(image, quality=quality, **colour, **kind)) is None
    for image, option in itertools.product(
        pictures(), (cv2.IMWRITE_JPEG_RST_INTERVAL, cv2.IMWRITE_JPEG_PROGRESSIVE)
    ):
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, option, 1])[1]
        assert refusal(data.tobytes()) is None
    for image in pictures():
        assert refusal(bytes(imagecodecs.jpeg8_encode(image, lossless=True))) is None


def test_a_few_bytes_behind_the_pixels_are_padding() -> None:
    data = jpeg(SCENE)
    assert refusal(data[:-2] + bytes(40) + END) is None
    with pytest.raises(ValueError, match="extraneous bytes"):
        require_whole(data[:-2] + bytes(200) + END)


def test_what_stands_behind_a_jpeg_is_not_its_data() -> None:
    for behind in (b"\0" * 1000, b"a vendor's text", jpeg(SCENE[:9])):
        assert refusal(jpeg(SCENE) + behind) is None
