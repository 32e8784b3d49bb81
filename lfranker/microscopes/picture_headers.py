"""Size and text in the headers of PNG, JPEG and BMP files, without decoding their pixels."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from lfranker.microscopes.metadata import Size
from lfranker.microscopes.packed_text import LARGEST, decoded

HEAD = 1 << 20  # bytes that are read; EXIF data have at most 64 kB
TAIL = 1 << 16  # bytes: some write their text behind the picture
PNG = b"\x89PNG\r\n\x1a\n"
EXIF = b"\xff\xe1"  # marker of the segment that holds it, its length behind it
USER_COMMENT = b"UNICODE\0"  # what begins a comment in EXIF data
XML = (b"<FeiImage", b"</FeiImage>")


def picture_size(path: Path) -> Size | None:
    """Return width and height in px; None where the header does not tell."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head.startswith(PNG):
            return struct.unpack(">II", head[16:24])
        if head.startswith(b"BM"):
            width, height = struct.unpack("<ii", head[18:26])
            return width, abs(height)
        return _jpeg_size(head)
    except (OSError, struct.error, IndexError):
        return None


def picture_texts(path: Path) -> Iterator[str]:
    """Yield the texts that are kept in a PNG's chunks, in EXIF comments or behind a JPEG."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(max(HEAD, path.stat().st_size - TAIL))
            tail = file.read(TAIL)
    except OSError:
        return
    if head.startswith(PNG):
        yield from _png_texts(head)
        return
    for part in (head, tail):
        start, end = part.find(XML[0]), part.find(XML[1])
        if 0 <= start < end:
            yield decoded(part[start : end + len(XML[1])])
    comment = head.find(USER_COMMENT)
    if comment >= 0:
        segment = head.rfind(EXIF, 0, comment)
        end = segment + 2 + int.from_bytes(head[segment + 2 : segment + 4])
        yield decoded(head[comment + len(USER_COMMENT) : end])


def _png_texts(head: bytes) -> Iterator[str]:
    at = len(PNG)
    while at + 8 <= len(head):
        length, kind = struct.unpack(">I4s", head[at : at + 8])
        content = head[at + 8 : at + 8 + length]
        _, _, value = content.partition(b"\0")
        if kind == b"tEXt":
            yield decoded(value)
        elif kind == b"zTXt":
            yield decoded(_inflated(value[1:]))
        elif kind == b"iTXt":
            compressed, text = value[:1] == b"\1", value[2:].split(b"\0", 2)[-1]
            yield decoded(_inflated(text) if compressed else text)
        at += length + 12


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, LARGEST)
    except zlib.error:
        return b""


def _jpeg_size(head: bytes) -> Size | None:
    """Return the size that the frame header says (ITU-T T.81, B.2.2)."""
    if not head.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
