"""Pixels of a TIFF as they are stored, checked against what its tags promise.

tifffile fills what is missing in a file with zeros, and casts what a strip holds to the type that
the tags name. Here each strip or tile has to be there, whole, and of the promised type.
"""

import itertools
import math

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC

from lfranker.files import MOST_PAGES, full_size_pages
from lfranker.images.jpeg_data import require_whole

# What is read. The old JPEG (6) is not: there are as many ways to read it as there are readers.
COMPRESSIONS = frozenset({
    COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS, COMPRESSION.LZMA, COMPRESSION.ZSTD, COMPRESSION.ZSTD_DEPRECATED,
    COMPRESSION.JPEG, COMPRESSION.JPEG2000, COMPRESSION.JPEG_2000_LOSSY,
    COMPRESSION.APERIO_JP2000_RGB, COMPRESSION.WEBP, COMPRESSION.WEBP_DEPRECATED,
    COMPRESSION.PNG, COMPRESSION.JPEGXL,
})  # fmt: skip
SAMPLES = {  # how many are allowed for a pixel, the last with alpha
    PHOTOMETRIC.MINISBLACK: (1, 2),
    PHOTOMETRIC.MINISWHITE: (1, 2),
    PHOTOMETRIC.PALETTE: (1,),
    PHOTOMETRIC.RGB: (3, 4),
    PHOTOMETRIC.YCBCR: (3,),  # of JPEG, decoded to RGB
}
# decoders of these make up what is missing in the middle of a strip
MAKING_UP = frozenset({
    COMPRESSION.JPEG2000, COMPRESSION.JPEG_2000_LOSSY, COMPRESSION.APERIO_JP2000_RGB,
    COMPRESSION.WEBP, COMPRESSION.WEBP_DEPRECATED, COMPRESSION.JPEGXL,
})  # fmt: skip
HOLE = bytes(128)  # the data of a picture, also of a black one, had at most 11 zeros in a row
AXES = ("YX", "YXS", "SYX")  # rows, columns, samples
PHOTOMETRIC_TAG = 262


def reason_to_refuse(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage, *, of_stack: bool = False
) -> str | None:
    """Return what is not supported in ``page``, a full-size one; None where all is.

    ``of_stack``: it may be one of several, each of which is an image.
    """
    layers = max(1 if of_stack else len(full_size_pages(tiff)), _planes(tiff, page))
    if layers > 1:
        return f"stack of {layers} images"
    if page.bitspersample not in (8, 16) or page.sampleformat != 1 or page.dtype is None:
        return f"{page.bitspersample}-bit {page.dtype} image"
    if page.axes not in AXES:
        return f"image of shape {page.shape}, axes {page.axes}"
    if PHOTOMETRIC_TAG not in page.tags:
        return "TIFF that does not say what black is (PhotometricInterpretation is missing)"
    colours = _name(PHOTOMETRIC, page.photometric)
    if page.photometric not in SAMPLES:
        return f"{colours} image"
    if page.samplesperpixel not in SAMPLES[PHOTOMETRIC(page.photometric)]:
        return f"{colours} image of {page.samplesperpixel} samples"
    if page.compression not in COMPRESSIONS:
        return f"TIFF with compression {_name(COMPRESSION, page.compression)}"
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG:
        return f"YCBCR image with compression {_name(COMPRESSION, page.compression)}"
    return None


def stored_samples(page: tifffile.TiffPage, data: bytes) -> NDArray[np.integer]:
    """Return the samples of ``page``, (h, w) or (h, w, samples), as the file ``data`` has them.

    Neither inverted nor looked up in a palette; YCbCr comes out as RGB. Raises ValueError, or
    whatever a decoder raises, where they are not all there.
    """
    if page.is_contiguous:
        samples = page.asarray()
    else:
        _check_places(page, data)
        samples = _assembled(page).reshape(page.shape)
    if samples.shape != page.shape or samples.dtype != page.dtype:
        raise ValueError(
            f"decoded to {samples.dtype} {samples.shape}, its tags say {page.dtype} {page.shape}"
        )
    return np.moveaxis(samples, 0, -1) if page.axes == "SYX" else samples


def _planes(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Return how many images ``page`` holds: ImageJ keeps whole stacks in one page.

    A description may speak of pages in other files, or of a stack that this page was taken from:
    what counts are the bytes.
    """
    for series in tiff.series:  # None is for a page that is not in the file
        if page.index in (part.index for part in series.pages if part is not None):
            sizes = zip(series.axes, series.shape, strict=True)
            images = math.prod(size for axis, size in sizes if axis not in "YXS")
            stated = images // len(series.pages)
            needed = stated * page.nbytes
            return stated if page.is_contiguous and needed <= _bytes_from(tiff, page) else 1
    return 1


def _bytes_from(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Return how many bytes there are from the pixels of ``page`` to what is not its pixels."""
    start, others = page.dataoffsets[0], itertools.islice(tiff.pages, MOST_PAGES)
    places = [place for other in others for place in (other.offset, *other.dataoffsets[:1])]
    behind = (place for place in (*places, tiff.filehandle.size) if place > start)
    return min(behind, default=start) - start


def _check_places(page: tifffile.TiffPage, data: bytes) -> None:
    """Raise ValueError where strips or tiles are missing, outside of the file, or damaged."""
    promised = math.prod(page.chunked)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if len(places) < promised:
        raise ValueError(f"holds {len(places)} of {promised} strips or tiles")
    for offset, size in places[:promised]:
        if not 0 < offset < len(data) or size <= 0:
            raise ValueError("strips or tiles without data, cut short")
        if page.compression == COMPRESSION.JPEG:
            require_whole(data[offset : offset + size], page.jpegtables or b"")
        elif page.compression in MAKING_UP and HOLE in data[offset : offset + size]:
            raise ValueError("the data of strips or tiles are zeros in part: not copied whole")


def _assembled(page: tifffile.TiffPage) -> NDArray[np.integer]:
    """Decode strip by strip, or tile by tile. Shape: (planes, 1, h, w, samples of a plane)."""
    samples = np.empty(page.shaped, page.dtype)
    _, _, height, width, _ = page.shaped
    for part, (plane, depth, row, column, _), _ in page.segments():
        if part is None:
            raise ValueError("strips or tiles without data")
        if part.dtype != samples.dtype:
            raise ValueError(f"a strip holds {part.dtype}, its tags say {samples.dtype}")
        # (1, rows, columns, samples); tiles reach over the edge
        inside = part[0, : height - row, : width - column]
        samples[plane, depth, row : row + inside.shape[0], column : column + inside.shape[1]] = (
            inside
        )
    return samples


def _name(names: type[COMPRESSION] | type[PHOTOMETRIC], value: int) -> str:
    known = value in names._value2member_map_
    return names(value).name if known else f"number {value}"
