"""PNG, JPEG and BMP files with other pixels: whatever else is in them stays, byte for byte.

Texts, resolution, orientation, colour profiles, parts that only a vendor knows and what stands
behind the image are copied as they are, since no library writes all that it can read. Each function
takes a file's bytes and samples of the kind that it holds, (h, w) or (h, w, channels), or the
indices of its palette, and returns the new file's bytes.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from lfranker.images.stated_bits import levels_of, png_bits

Samples = NDArray[np.generic]
PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
JPEG_QUALITY = 95
OF_PIXELS = {b"IHDR", b"IDAT", b"IEND"}  # chunks of a PNG that are written anew
OF_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
OF_PALETTE = {b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT"}  # in units of samples or indices
OF_COLOUR = {b"iCCP", b"cHRM"}  # which a gray image has no use for
DEPTH = 24  # place in a PNG of the bits of a sample
COLOUR_TYPE, INDEXED = 9, 3  # place in a PNG's header, and its value for a palette
APP0, APP2, APP14, APP15, COMMENT, START_OF_SCAN = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE, 0xDA
PICTURES_BEHIND = b"MPF\0"  # what begins a list of them
MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)  # in the data of a scan, zeros follow 255
END_OF_IMAGE, WITHOUT_LENGTH = 0xD9, {1, *range(0xD0, 0xD9)}  # markers of a JPEG
RED_GREEN_BLUE = (0xFF0000, 0x00FF00, 0x0000FF)  # masks of a BMP of 32 bits


def png_with(data: bytes, samples: Samples, as_gray: bool = False) -> bytes:
    """Return a PNG like ``data``. ``as_gray``: ``samples`` are gray, and its palette is left out.

    Depths below 8 bits become 8.
    """
    old, new = list(_chunks(data)), list(_chunks(bytes(imagecodecs.png_encode(samples))))
    header = bytearray(new[0][1])
    indexed = old[0][1][COLOUR_TYPE] == INDEXED
    dropped = OF_PIXELS | OF_ANIMATION
    if as_gray:
        dropped |= OF_PALETTE | OF_COLOUR
    elif indexed:
        header[COLOUR_TYPE] = INDEXED
    elif data[DEPTH] < 8:  # values in other units
        dropped |= OF_PALETTE
    elif data[DEPTH] == 16 and _uses_more_than_it_says(data):
        dropped |= {b"sBIT"}
    first = next(number for number, (kind, _) in enumerate(old) if kind == b"IDAT")
    chunks = [
        (b"IHDR", bytes(header)),
        *(chunk for chunk in old[:first] if chunk[0] not in dropped),
        *(chunk for chunk in new if chunk[0] == b"IDAT"),
        *(chunk for chunk in old[first:] if chunk[0] not in dropped),
        (b"IEND", b""),
    ]
    behind = data[_end_of_png(old) :]
    return PNG + b"".join(_chunk(kind, content) for kind, content in chunks) + behind


def _uses_more_than_it_says(data: bytes) -> bool:
    """Return whether the samples fill all 16 bits, be they scaled, though fewer are stated.

    Other samples in their place need not be scaled, and would be read by what is stated.
    """
    samples = imagecodecs.png_decode(without_transparency(data))
    bits = png_bits(data, samples)
    return bits is not None and levels_of(samples, bits, None).full == 2**16 - 1


def without_transparency(data: bytes) -> bytes:
    """Return a PNG without its transparent colour, which decoders make a channel of."""
    chunks = list(_chunks(data))
    if all(kind != b"tRNS" for kind, _ in chunks):
        return data
    return PNG + b"".join(_chunk(*chunk) for chunk in chunks if chunk[0] != b"tRNS")


def jpeg_with(data: bytes, samples: Samples, finer: bool = False) -> bytes:
    """Return a JPEG like ``data``, with its quantisation and its subsampling of colours.

    ``finer``, or where ``data`` is lossless: of quality 95.
    """
    buffer = io.BytesIO()
    with JpegImageFile(io.BytesIO(data)) as file:
        sampling, progressive = get_sampling(file), "progressive" in file.info
        tables = None if finer else file.quantization or None  # none where it is lossless
    Pillow.fromarray(samples).save(
        buffer,
        "JPEG",
        quality=-1 if tables else JPEG_QUALITY,
        qtables=tables,
        subsampling=sampling,
        progressive=progressive,
    )
    kept = [segment for segment in _segments(data) if _stays(segment)]
    has_jfif = any(segment[1] == APP0 for segment in kept)
    new = buffer.getvalue()
    written = [segment for segment in _segments(new) if not (has_jfif and segment[1] == APP0)]
    jfif = [segment for segment in written if segment[1] == APP0]
    others = [segment for segment in written if segment[1] != APP0]
    head = sum(map(len, _segments(new)))
    has_more = any(_lists_pictures(segment) for segment in _segments(data))
    behind = b"" if has_more else data[_end_of_jpeg(data) :]
    return b"\xff\xd8" + b"".join([*jfif, *kept, *others]) + new[2 + head :] + behind


def bmp_with(data: bytes, samples: Samples) -> bytes:
    """Return a BMP like ``data``; what is compressed, or below 8 bits, is written as 8 or 24."""
    (start,) = struct.unpack_from("<I", data, 10)
    (size,) = struct.unpack_from("<I", data, 14)
    form = "<iiHHI" if size >= 40 else "<HHHH"
    width, height, _, bits, *compression = struct.unpack_from(form, data, 18)
    plain = compression in ([], [0]) or (bits == 32 and _has_usual_masks(data, *compression))
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if not plain or (bits, channels) not in ((8, 1), (24, 3), (32, 3), (32, 4)):
        return _new_bmp(data, samples)
    stride = (width * bits + 31) // 32 * 4
    changed = bytearray(data)
    rows = np.frombuffer(changed, np.uint8, stride * abs(height), start).reshape(-1, stride)
    rows = rows[::-1] if height > 0 else rows  # the last row comes first
    pixels = rows[:, : width * bits // 8].reshape(abs(height), width, bits // 8)
    if channels == 1:
        pixels[..., 0] = samples
    else:
        pixels[..., :3] = samples[..., 2::-1]  # blue, green, red
    return bytes(changed)


def _new_bmp(data: bytes, samples: Samples) -> bytes:
    buffer = io.BytesIO()
    with Pillow.open(io.BytesIO(data), formats=["BMP"]) as file:
        image, palette = Pillow.fromarray(samples), file.getpalette()
        if file.mode == "P" and palette is not None:
            image.putpalette(palette)
        image.save(buffer, "BMP", dpi=file.info.get("dpi", (96, 96)))
    return buffer.getvalue()


def _has_usual_masks(data: bytes, compression: int) -> bool:
    return compression == 3 and struct.unpack_from("<III", data, 54) == RED_GREEN_BLUE


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the chunks of a PNG, up to the one that ends it."""
    at, kind = len(PNG), b""
    while at + 8 <= len(data) and kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def _end_of_png(chunks: list[tuple[bytes, bytes]]) -> int:
    return len(PNG) + sum(12 + len(content) for _, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _segments(data: bytes) -> Iterator[bytes]:
    """Yield the segments of a JPEG up to its first scan, each with its marker and length."""
    at = 2
    while at + 4 <= len(data):
        marker, size = struct.unpack_from(">HH", data, at)
        if marker & 0xFF == START_OF_SCAN or marker < 0xFF01:
            return
        yield data[at : at + 2 + size]
        at += 2 + size


def _stays(segment: bytes) -> bool:
    """Return whether a segment says nothing of how pixels are coded, nor of pictures behind."""
    marker = segment[1]
    if _lists_pictures(segment):
        return False
    return marker == COMMENT or (APP0 <= marker <= APP15 and marker != APP14)


def _lists_pictures(segment: bytes) -> bool:
    return segment[1] == APP2 and segment[4:].startswith(PICTURES_BEHIND)


def _end_of_jpeg(data: bytes) -> int:
    """Return where the image ends: some write their text behind it."""
    at = 2
    while found := MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == END_OF_IMAGE:
            return at
        if marker not in WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2])
    return len(data)


# by the start of a file; one after another, until what was written is what is read back
WRITERS: dict[bytes, Sequence[Callable[[bytes, Samples], bytes]]] = {
    PNG: [png_with],
    JPEG: [jpeg_with, partial(jpeg_with, finer=True)],
    BMP: [bmp_with],
}
