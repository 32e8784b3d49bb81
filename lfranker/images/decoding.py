"""Decode image files into integer arrays with their bit depth; refuse what is not supported.

Allowed is one 8- or 16-bit unsigned image, gray, gray + alpha, RGB, RGBA or palette.
"""

import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from lfranker.files import TIFF_SUFFIXES, full_size_page

ALLOWED = "one 8- or 16-bit gray, gray + alpha, RGB, RGBA or palette image"
MAX_SAMPLE_VALUE = 281  # baseline TIFF tag: the largest value a sample can take
PILLOW_MODES = {"L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B", "I;16L"}


@dataclass(frozen=True)
class Decoded:
    """``samples``: (h, w) or (h, w, channels), uint8 or uint16, native byte order."""

    samples: NDArray[np.integer]
    maximum: int  # value of full brightness
    palette: bool  # the colours came from a palette
    page: tifffile.TiffPage | None  # what a TIFF says of how its pixels are stored


def unsupported(path: Path, what: str) -> ValueError:
    return ValueError(f"{path}: {what}; allowed is {ALLOWED}")


def decode(path: Path) -> Decoded:
    """Read one file; ValueError names it, says what it is and what is allowed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unsupported(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise unsupported(path, "empty file")
    decoder = _decode_tiff if path.suffix.lower() in TIFF_SUFFIXES else _decode_pillow
    try:
        return decoder(path, data)
    except (
        OSError,
        SyntaxError,
        tifffile.TiffFileError,
        EOFError,
        zlib.error,
        IndexError,
        Pillow.DecompressionBombError,
    ) as error:
        raise unsupported(path, f"corrupt or not an image ({error})") from error


def _checked(path: Path, samples: NDArray[np.generic]) -> NDArray[np.integer]:
    if samples.dtype == bool:
        raise unsupported(path, "1-bit image")
    if samples.dtype.kind != "u" or samples.dtype.itemsize > 2:
        raise unsupported(path, f"{samples.dtype.name} image")
    if samples.ndim not in (2, 3) or (samples.ndim == 3 and samples.shape[2] > 4):
        raise unsupported(path, f"image of shape {samples.shape}")
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _decode_pillow(path: Path, data: bytes) -> Decoded:
    """PNG, JPEG, BMP. Pillow cuts 16-bit colour to 8 bits, so 16-bit PNG go through OpenCV."""
    with Pillow.open(io.BytesIO(data)) as file:
        mode, frames = file.mode, getattr(file, "n_frames", 1)
        if frames > 1:
            raise unsupported(path, f"stack of {frames} images")
        if mode == "1" or (mode == "P" and _png_depth(data) == 1):
            raise unsupported(path, "1-bit image")
        if mode not in PILLOW_MODES and not (mode == "I" and _png_depth(data) == 16):
            raise unsupported(path, f"image of mode {mode}")
        samples: NDArray[np.generic]
        if _png_depth(data) == 16:
            samples = _decode_opencv(path, data)
        else:
            samples = np.asarray(file.convert("RGB") if mode == "P" else file)
    samples = _checked(path, samples)
    return Decoded(samples, int(np.iinfo(samples.dtype).max), mode == "P", None)


def _png_depth(data: bytes) -> int | None:
    """Bits per sample from a PNG's header (the byte after width and height), else None."""
    return data[24] if data[:8] == b"\x89PNG\r\n\x1a\n" else None


def _decode_opencv(path: Path, data: bytes) -> NDArray[np.generic]:
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise unsupported(path, "corrupt or of an unknown compression")
    if samples.ndim == 3 and samples.shape[2] >= 3:  # OpenCV's order is blue, green, red
        samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    return samples


def _decode_tiff(path: Path, data: bytes) -> Decoded:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = full_size_page(tiff)
        if page is None:
            raise unsupported(path, "TIFF without a full-size image")
        thumbnails = sum(isinstance(p, tifffile.TiffPage) and p.is_reduced for p in tiff.pages)
        series = tiff.series[0]  # ImageJ keeps whole stacks in one page
        planes = (n for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS")
        layers = max(len(tiff.pages) - thumbnails, math.prod(planes))
        if layers > 1:
            raise unsupported(path, f"stack of {layers} images")
        if page.dtype is None or page.bitspersample not in (8, 16) or page.sampleformat != 1:
            raise unsupported(path, f"{page.bitspersample}-bit {page.dtype} image")
        samples = _checked(path, np.moveaxis(_tiff_samples(path, page, data), *_channel_axis(page)))
        maximum = _tiff_maximum(page, samples)
        palette = page.photometric == tifffile.PHOTOMETRIC.PALETTE
        if palette:
            samples = _look_up(path, page, samples)
        elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            samples = (maximum - samples).astype(samples.dtype)
        elif page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            raise unsupported(path, f"{tifffile.PHOTOMETRIC(page.photometric).name} image")
        return Decoded(samples, maximum, palette, page)


def _channel_axis(page: tifffile.TiffPage) -> tuple[int, int]:
    """Return the axis of the channels and where it belongs: planar files have them first."""
    return (0, -1) if page.axes.startswith("S") else (0, 0)


def _tiff_samples(path: Path, page: tifffile.TiffPage, data: bytes) -> NDArray[np.generic]:
    try:
        return page.asarray()
    except ValueError as error:  # tifffile needs an optional package for LZW and JPEG
        if "imagecodecs" not in str(error):
            raise unsupported(path, f"corrupt TIFF ({error})") from error
    if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
        with Pillow.open(io.BytesIO(data)) as file:  # indices, not looked up; white is not 0
            samples = np.asarray(file)
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        return np.iinfo(samples.dtype).max - samples if inverted else samples
    return _decode_opencv(path, data)


def _tiff_maximum(page: tifffile.TiffPage, samples: NDArray[np.integer]) -> int:
    """Return the divisor of a TIFF: its type's maximum, or less where a tag says so.

    A MaxSampleValue of 2^k - 1 in an image of 16 bits means that k of them are used. Other values
    say how bright this one image happened to be, and do not count.
    """
    largest = int(np.iinfo(samples.dtype).max)
    tag = page.tags.get(MAX_SAMPLE_VALUE)
    value = int(np.max(tag.value)) if tag is not None else largest
    bits = value.bit_length()
    if samples.dtype == np.uint16 and 8 < bits < 16 and value == 2**bits - 1:
        return value if int(samples.max()) <= value else largest
    return largest


def _look_up(
    path: Path, page: tifffile.TiffPage, samples: NDArray[np.integer]
) -> NDArray[np.integer]:
    if page.colormap is None or samples.dtype != np.uint8 or samples.ndim != 2:
        raise unsupported(path, "palette TIFF that is not 8-bit, or lacks its palette")
    colours = (page.colormap >> 8).astype(np.uint8).T  # (256, 3)
    return colours[samples]
