"""Decode image files into integer arrays with their bit depth; refuse what is not supported.

Allowed is one 8- or 16-bit unsigned image, gray, gray + alpha, RGB, RGBA or palette.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from lfranker.files import TIFF_HEADS, full_size_page, full_size_pages, larger_page
from lfranker.images.containers import BMP, DEPTH, JPEG, PNG, without_transparency
from lfranker.images.jpeg_data import require_whole
from lfranker.images.palettes import Palette
from lfranker.images.stated_bits import Levels, levels_of, png_bits, tiff_bits
from lfranker.images.tiff_pixels import reason_to_refuse, stored_samples
from lfranker.processes.free_memory import free_memory

ALLOWED = "one 8- or 16-bit gray, gray + alpha, RGB, RGBA or palette image"
# Bytes for each pixel beside the samples themselves: the image, the denoised one, the float64 of
# a colour, and what the search for a data bar makes of them.
WORKING = 24
PILLOW_MODES = {"L", "LA", "P", "RGB", "RGBA", "I;16"}


@dataclass(frozen=True)
class Decoded:
    """``samples``: (h, w) or (h, w, channels), uint8 or uint16, native byte order."""

    samples: NDArray[np.integer]  # as shown: looked up in the palette, white above black
    levels: Levels
    palette: Palette | None  # where the colours came from
    page: tifffile.TiffPage | None  # what a TIFF says of how its pixels are stored
    notices: tuple[str, ...] = ()  # what of the file was left out

    @property
    def maximum(self) -> int:
        """The value of full brightness."""
        return self.levels.full


class Unsupported(ValueError):  # noqa: N818  not a mistake of the program
    """Error on a file that is not read, whatever its decoder thinks of it."""


def unsupported(path: Path, what: str) -> ValueError:
    return Unsupported(f"{path}: {what}; allowed is {ALLOWED}")


def decode(path: Path, white: int | None = None) -> Decoded:
    """Read one file; ValueError names it, says what it is and what is allowed.

    The format is that of the first bytes, whatever the suffix says. ``white`` is the value of full
    brightness of a file of 16 bits, whatever the file says of it.
    """
    return _decoded(path, white, DECODERS)[0]


def decode_pages(path: Path, white: int | None = None) -> list[Decoded]:
    """Read a file as `decode` does, but of a stack of pages of one size each page.

    A stack that is kept in a single page, as ImageJ does with large ones, is refused here too.
    """
    return _decoded(path, white, DECODERS_OF_STACKS)


def _decoded(path: Path, white: int | None, decoders: Mapping[bytes, "Decoder"]) -> list[Decoded]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unsupported(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise unsupported(path, "empty file")
    decoder = next((decoders[head] for head in decoders if data.startswith(head)), None)
    if decoder is None:
        raise unsupported(path, "corrupt or not an image (no PNG, TIFF, JPEG or BMP)")
    try:
        return decoder(path, data, white)
    except Unsupported:
        raise
    except MemoryError as error:
        raise unsupported(path, "too large for the memory that is free") from error
    except Exception as error:  # each codec raises errors of its own kind
        words = " ".join(str(error).split()) or type(error).__name__
        raise unsupported(path, f"corrupt or not an image ({words})") from error


def is_wide(path: Path) -> bool:
    """Return whether a file may have 16 bits, by its header; True where only decoding it tells."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
        if head.startswith(PNG):
            return _png_depth(head) == 16
        if head[:4] not in TIFF_HEADS:
            return False
        with tifffile.TiffFile(path) as tiff:
            page = full_size_page(tiff)
            return page is None or page.bitspersample != 8
    except Exception:  # of any kind in a broken file: decoding says what is wrong
        return True


def _check_room(path: Path, width: int, height: int, bytes_per_pixel: int) -> None:
    if missing := _shortage(width, height, bytes_per_pixel):
        raise Unsupported(f"{path}: {missing}")


def _decode_pillow(
    path: Path, data: bytes, white: int | None, plugin: type[ImageFile]
) -> list[Decoded]:
    """PNG, JPEG, BMP. Pillow cuts 16-bit colour to 8 bits, so 16-bit PNG go through libpng.

    The plugin is called by itself, since Pillow's limit on the number of pixels is one for all
    of a program; here the memory is the limit.
    """
    with plugin(io.BytesIO(data)) as file:
        mode, frames = file.mode, getattr(file, "n_frames", 1)
        if frames > 1:
            raise unsupported(path, f"stack of {frames} images")
        if mode == "1" or (mode == "P" and _png_depth(data) == 1):
            raise unsupported(path, "1-bit image")
        if mode not in PILLOW_MODES and not (mode == "I" and _png_depth(data) == 16):
            raise unsupported(path, f"image of mode {mode}")
        wide = _png_depth(data) == 16
        _check_room(path, *file.size, (2 if wide else 1) * len(file.getbands()))
        if plugin is JpegImageFile:
            require_whole(data)
        samples = imagecodecs.png_decode(without_transparency(data)) if wide else np.asarray(file)
        palette = _pillow_palette(file, samples) if mode == "P" else None
    samples = palette.looked_up() if palette else samples
    return [Decoded(samples, _levels(path, samples, png_bits(data, samples), white), palette, None)]


def _png_depth(data: bytes) -> int | None:
    """Bits per sample from a PNG's header, else None."""
    return data[DEPTH] if data.startswith(PNG) else None


def _pillow_palette(file: ImageFile, indices: NDArray[np.uint8]) -> Palette:
    """Return the palette of a file, with black for indices that it does not name."""
    colours = np.zeros((256, 3), np.uint8)
    given = np.array(file.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[: len(given)] = given
    return Palette(colours, indices)


def _why_no_page(tiff: tifffile.TiffFile, data: bytes) -> str:
    start, end = (8, 16) if tiff.is_bigtiff else (4, 8)
    first = int.from_bytes(data[start:end], "little" if tiff.byteorder == "<" else "big")
    if first >= len(data):
        return f"TIFF that was cut short ({len(data):,} bytes, its tags should be at {first:,})"
    return "TIFF without a full-size image"


def _decode_tiff(
    path: Path, data: bytes, white: int | None, *, of_stack: bool = False
) -> list[Decoded]:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        pages = full_size_pages(tiff)
        if not pages:
            raise unsupported(path, _why_no_page(tiff, data))
        pages = pages if of_stack else pages[:1]
        for page in pages:
            if reason := reason_to_refuse(tiff, page, of_stack=of_stack):
                raise unsupported(path, reason)
        first, *others = (_decode_page(path, page, data, white) for page in pages)
        return [replace(first, notices=_left_out(tiff)), *others]


def _left_out(tiff: tifffile.TiffFile) -> tuple[str, ...]:
    page = larger_page(tiff)
    if page is None:
        return ()
    size = f"{page.imagewidth} x {page.imagelength} px"
    return (f"page {page.index + 1} ({size}) is larger and is not read",)


def _decode_page(path: Path, page: tifffile.TiffPage, data: bytes, white: int | None) -> Decoded:
    _check_room(
        path, page.imagewidth, page.imagelength, page.samplesperpixel * page.bitspersample // 8
    )
    samples = stored_samples(page, data)
    levels = _levels(path, samples, tiff_bits(page), white)
    palette = None
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        palette = _tiff_palette(path, page, samples)
        samples = palette.looked_up()
    elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        samples = inverted(samples, levels.full)
    return Decoded(samples, levels, palette, page)


def inverted(samples: NDArray[np.integer], maximum: int) -> NDArray[np.integer]:
    """Return ``samples`` with black and white changed over; alpha stays."""
    gray = samples if samples.ndim == 2 else samples[..., 0]
    changed = samples.copy()
    (changed if samples.ndim == 2 else changed[..., 0])[...] = maximum - gray
    return changed


def _levels(
    path: Path, samples: NDArray[np.integer], bits: int | None, white: int | None
) -> Levels:
    try:
        return levels_of(samples, bits, white)
    except ValueError as error:
        raise unsupported(path, str(error)) from error


def _tiff_palette(path: Path, page: tifffile.TiffPage, samples: NDArray[np.integer]) -> Palette:
    map_ = page.colormap
    if map_ is None or samples.dtype != np.uint8 or map_.shape != (3, 256):
        raise unsupported(path, "palette TIFF that is not 8-bit, or lacks its palette")
    # 16 bits as TIFF wants it, or 8: libtiff tells them apart in the same way
    colours = (map_ >> 8 if map_.max() > 255 else map_).astype(np.uint8).T
    return Palette(colours, samples.astype(np.uint8, copy=False))


Decoder = Callable[[Path, bytes, int | None], list[Decoded]]
DECODERS: Mapping[bytes, Decoder] = {
    PNG: partial(_decode_pillow, plugin=PngImageFile),
    JPEG: partial(_decode_pillow, plugin=JpegImageFile),
    BMP: partial(_decode_pillow, plugin=BmpImageFile),
    **dict.fromkeys(TIFF_HEADS, _decode_tiff),
}
DECODERS_OF_STACKS: Mapping[bytes, Decoder] = {
    **DECODERS,
    **dict.fromkeys(TIFF_HEADS, partial(_decode_tiff, of_stack=True)),
}


def _shortage(width: int, height: int, bytes_per_pixel: int) -> str | None:
    """Return why an image is too large for the memory that is free; None where it fits."""
    needed = width * height * (2 * bytes_per_pixel + WORKING)
    free = free_memory()
    if free is None or needed <= free:
        return None
    return (
        f"{width:,} x {height:,} px need about {needed / 1e9:.1f} GB of memory, "
        f"{free / 1e9:.1f} GB are free: cut it into parts, or take a machine with more memory"
    )
