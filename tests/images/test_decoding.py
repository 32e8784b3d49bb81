import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.images.image_file import read_image

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
