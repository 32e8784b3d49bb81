"""Pixels of a TIFF as strips or tiles, stored as those of another file are."""

from collections.abc import Callable, Iterator
from functools import partial

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC

from lfranker.images.containers import JPEG_QUALITY

HORIZONTAL = 2  # predictor: each sample is stored as its difference to the one before
Encoded = bytes | bytearray
BYTES: dict[int, Callable[[bytes], Encoded]] = {
    COMPRESSION.NONE: bytes,
    COMPRESSION.LZW: imagecodecs.lzw_encode,
    COMPRESSION.ADOBE_DEFLATE: imagecodecs.zlib_encode,
    COMPRESSION.DEFLATE: imagecodecs.zlib_encode,
    COMPRESSION.LZMA: imagecodecs.lzma_encode,
    COMPRESSION.ZSTD: imagecodecs.zstd_encode,
    COMPRESSION.ZSTD_DEPRECATED: imagecodecs.zstd_encode,
}
_webp = partial(imagecodecs.webp_encode, lossless=True)
_jpeg_2000 = partial(imagecodecs.jpeg2k_encode, level=0, reversible=True, codecformat="j2k")
IMAGES: dict[int, Callable[..., Encoded]] = {
    COMPRESSION.JPEG2000: _jpeg_2000,
    COMPRESSION.JPEG_2000_LOSSY: _jpeg_2000,
    COMPRESSION.APERIO_JP2000_RGB: _jpeg_2000,
    COMPRESSION.WEBP: _webp,
    COMPRESSION.WEBP_DEPRECATED: _webp,
    COMPRESSION.PNG: imagecodecs.png_encode,
    COMPRESSION.JPEGXL: partial(imagecodecs.jpegxl_encode, lossless=True),
}


def compression_for(page: tifffile.TiffPage) -> int:
    """Return the compression of ``page``, or deflate where this is no JPEG that can be written."""
    if page.compression == COMPRESSION.JPEG and page.samplesperpixel not in (1, 3):
        return COMPRESSION.ADOBE_DEFLATE
    return int(page.compression)


def predictor_for(page: tifffile.TiffPage) -> int:
    """Return the predictor of ``page``; 1, none, where it is not used or another one."""
    compression = compression_for(page)
    usable = compression == page.compression and compression in BYTES
    return HORIZONTAL if usable and page.predictor == HORIZONTAL else 1


def is_exact(page: tifffile.TiffPage) -> bool:
    """Return whether what is written comes back to the last bit."""
    return compression_for(page) != COMPRESSION.JPEG


def encoded(page: tifffile.TiffPage, pixels: NDArray[np.generic], order: str) -> Iterator[bytes]:
    """Yield the strips or tiles of ``pixels``, which has the shape of ``page``, as it has them.

    ``order``: < or >, of the bytes of a sample.
    """
    for part in _parts(page, pixels):
        yield _encoded(page, part, order)


def _parts(page: tifffile.TiffPage, pixels: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """Yield (h, w, samples) for each strip or tile; tiles reach over the edge.

    There they are black, or in JPEG as the edge is, which then has no waves.
    """
    height, width = page.imagelength, page.imagewidth
    separate = page.axes == "SYX"
    planes = pixels[..., None] if separate else pixels.reshape(1, height, width, -1)
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip or height, height)
    columns = page.tilewidth if page.is_tiled else width
    for plane in planes:
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                part = plane[top : top + rows, left : left + columns]
                if page.is_tiled:
                    beyond = rows - part.shape[0], columns - part.shape[1]
                    width_of = ((0, beyond[0]), (0, beyond[1]), (0, 0))
                    part = np.pad(part, width_of, mode="constant" if is_exact(page) else "edge")
                yield np.ascontiguousarray(part)


def _encoded(page: tifffile.TiffPage, part: NDArray[np.generic], order: str) -> bytes:
    compression = compression_for(page)
    if compression == COMPRESSION.JPEG:
        return _jpeg(page, part)
    if compression in IMAGES:
        return bytes(IMAGES[compression](part[..., 0] if part.shape[-1] == 1 else part))
    if predictor_for(page) == HORIZONTAL:
        part = imagecodecs.delta_encode(part, axis=-2)
    stored = part.astype(part.dtype.newbyteorder(order))  # type: ignore[arg-type]
    if compression == COMPRESSION.PACKBITS:  # row by row, as TIFF wants it
        return b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in stored)
    return bytes(BYTES[compression](stored.tobytes()))


def _jpeg(page: tifffile.TiffPage, part: NDArray[np.generic]) -> bytes:
    if part.shape[-1] == 1:
        return bytes(imagecodecs.jpeg8_encode(part[..., 0], level=JPEG_QUALITY))
    in_ycbcr = page.photometric == PHOTOMETRIC.YCBCR
    across, down = page.subsampling or (2, 2)
    return bytes(
        imagecodecs.jpeg8_encode(
            part,
            level=JPEG_QUALITY,
            colorspace="rgb",
            outcolorspace="ycbcr" if in_ycbcr else "rgb",
            subsampling=(across, down) if in_ycbcr else None,
        )
    )
