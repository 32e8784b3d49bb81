"""Whether the data of a JPEG are whole, which its decoders do not say.

libjpeg fills what is missing with gray, decodes zeros as if they were pixels, passes over what is
left, and warns of none of this where a program could hear it. So the markers are read here, and the
data are decoded with bytes more and with bytes less. No file that is whole is taken for damaged.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import imagecodecs
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from lfranker.images.containers import END_OF_IMAGE, MARKER, START_OF_SCAN, WITHOUT_LENGTH

END = bytes((0xFF, END_OF_IMAGE))
PROGRESSIVE = 0xC2
IN_HUFFMAN_CODE = (0xC0, 0xC1, PROGRESSIVE, 0xC3)  # frames, the last one lossless
TABLES = 0xC4  # of Huffman's code
AC = 0x10  # class of the tables of all coefficients but the first
END_OF_BLOCK, END_OF_MANY, MINUS_ONE = 0x00, range(0x10, 0xF0, 0x10), range(0x01, 0x10)  # codes
RESTARTS = range(0xD0, 0xD8)
# Between scans: tables, a number of lines, an interval of restarts, a comment, what vendors add.
AFTER_PIXELS = frozenset({TABLES, START_OF_SCAN, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
MORE = bytes(37 * k % 255 for k in range(1, 65))  # like pixels, without 255, which begins a marker
LESS = 16  # bytes that may be too many at the end: decoders look eight ahead
# Bytes of zeros in a row that no picture gives, where zeros are a code of what changes:
SOME_ZEROS = 32  # 15 coefficients of -1 or more, one after another
MANY_ZEROS = 256  # blocks that end, one by one; libjpeg keeps back 1000 bits before it says so


@dataclass(frozen=True)
class Scan:
    parts: list[tuple[int, int]]  # first byte, and the byte after the last one, between restarts
    zeros: int | None  # in a row, in bytes, that no picture gives; None: where it is flat it does


def require_whole(data: bytes, tables: bytes = b"") -> None:
    """Raise ValueError where the data of a JPEG end early, or cannot be those of a picture.

    ``tables``: a JPEG without pixels, which a TIFF keeps once for all of its strips or tiles.
    """
    if tables:
        data = (tables.rpartition(END)[0] or tables) + data[2:]
    frame, precision, scans = _scans(data)
    for scan in scans:
        (start, _), (_, end) = scan.parts[0], scan.parts[-1]
        if scan.zeros and data.find(bytes(scan.zeros), start, end) >= 0:
            raise ValueError("zeros in place of JPEG data")
    if frame not in IN_HUFFMAN_CODE or precision != 8:
        return
    if _need_more(data, scans):
        raise ValueError("JPEG data end early")
    if frame != PROGRESSIVE and len(scans) == 1 and _need_less(data, scans[0]):
        raise ValueError("more JPEG data than pixels")


def _need_more(data: bytes, scans: list[Scan]) -> bool:
    """Return whether bytes added at the end of what is stored show up in the picture."""
    ends = [0, *(end for scan in scans for _, end in scan.parts), len(data)]
    longer = MORE.join(data[start:end] for start, end in pairwise(ends))
    return not np.array_equal(imagecodecs.jpeg8_decode(data), imagecodecs.jpeg8_decode(longer))


def _need_less(data: bytes, scan: Scan) -> bool:
    """Return whether there is a whole picture without the last bytes of what is stored."""
    (start, _), (_, end) = scan.parts[0], scan.parts[-1]
    needed = data[start:end].rstrip(b"\0")[:-LESS]  # some fill up with zeros
    try:
        with JpegImageFile(io.BytesIO(data[:start] + needed)) as file:
            file.load()  # Pillow raises where data are missing and no marker ends them
    except (OSError, SyntaxError):
        return False
    return True


def _scans(data: bytes) -> tuple[int, int, list[Scan]]:
    """Return the marker of a JPEG's frame, its bits per sample, and its scans.

    Raises ValueError where markers are missing, or stand where none may be.
    """
    frame, precision, scans = 0, 0, list[Scan]()
    codes: dict[int, bytes] = {}
    at = 2
    while True:
        start, marker, after = _next_marker(data, at)
        if scans and at == scans[-1].parts[-1][0]:
            scans[-1].parts[-1] = (at, start)
        if marker == END_OF_IMAGE:
            if not scans:
                raise ValueError("JPEG without data")
            return frame, precision, scans
        if marker in RESTARTS and scans:
            if (len(scans[-1].parts) - 1) % len(RESTARTS) != marker - RESTARTS.start:
                raise ValueError("JPEG data miss a part")
            scans[-1].parts.append((after, after))
            at = after
            continue
        if scans and marker not in AFTER_PIXELS:
            raise ValueError(f"JPEG data broken by a marker (FF {marker:02X})")
        if marker in WITHOUT_LENGTH:
            at = after
            continue
        size = int.from_bytes(data[after : after + 2])
        segment, at = data[after + 2 : after + size], after + size
        if marker == TABLES:
            codes.update(_codes(segment))
        elif marker == START_OF_SCAN:
            scans.append(Scan([(at, at)], _zeros(segment, codes)))
        elif 0xC0 <= marker <= 0xCF and len(segment) > 0:
            frame, precision = marker, segment[0]


def _next_marker(data: bytes, at: int) -> tuple[int, int, int]:
    """Return where the next marker begins, what it is, and where it ends."""
    found = MARKER.search(data, at)
    if found is None:
        raise ValueError("JPEG data are cut short")
    return found.start(), found[1][0], found.end()


def _codes(segment: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield class and number of each of Huffman's tables, and what its codes say.

    The first is the shortest, and all zeros (ITU-T T.81, annex C).
    """
    at = 0
    while at + 17 < len(segment):
        count = sum(segment[at + 1 : at + 17])
        yield segment[at], segment[at + 17 : at + 17 + count]
        at += 17 + count


def _zeros(segment: bytes, codes: Mapping[int, bytes]) -> int | None:
    """Return how many bytes of zeros in a row no picture gives in a scan; None: it may be any.

    ``segment`` is the header of the scan. Zeros may say that a block is as the one before, which
    goes on for long where a picture is flat. They may also be coefficients of -1 without end, or
    the end of a single block again and again, where there is a code for the end of many.
    """
    count = segment[0] if segment else 0
    if len(segment) < 4 + 2 * count:
        raise ValueError("JPEG data broken by a marker")
    tables = [codes.get(AC | segment[2 + 2 * k] & 0x0F, b"") for k in range(count)]
    first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
    if first == 0 == last or not all(tables):
        return None
    if any(table[0] in MINUS_ONE for table in tables) and last - first >= 4 and bits >> 4 == 0:
        return SOME_ZEROS
    ends_many = any(code in END_OF_MANY for code in tables[0])
    return MANY_ZEROS if tables[0][0] == END_OF_BLOCK and ends_many else None
