"""Copy a microscope's TIFF with other pixels: every tag of its vendor stays, byte for byte.

The file is copied, not written anew, so offsets inside of private tags remain right. The pixels are
compressed as those of the file are and written where these were; what finds no room there goes to
the end, and of the old pixels nothing stays. Then the list of tags is appended with one tag more,
and the pointer to it is changed. Only tags that say where and how pixels are stored change.

How the pixels were made is written into a private tag of its own, and not into Software or
ImageDescription: vendors use both (Fibics, Zeiss), and neither may be lost.
"""

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC

from lfranker.arrays import Image
from lfranker.files import full_size_page, new_file
from lfranker.image_copies.tiff_directory import Entry, append_entries, append_value, read_entries
from lfranker.image_copies.tiff_encoding import compression_for, encoded, is_exact, predictor_for
from lfranker.image_copies.tiff_space import free_spans, overlapping_tags, pixel_spans, place
from lfranker.images.decoding import decode, inverted
from lfranker.images.image_file import Micrograph, came_back, with_specimen
from lfranker.images.tiff_pixels import reason_to_refuse, stored_samples

# How the pixels were made; in the range for private use, 65000 to 65535 (Adobe, TIFF 6.0), and
# no vendor's in the list of exiftool.
PROVENANCE = 65350
ASCII, SHORT, LONG, LONG8 = 2, 3, 4, 16  # TIFF types of tags
FORMATS = {SHORT: "H", LONG: "I", LONG8: "Q"}
COMPRESSION, PHOTOMETRIC_TAG, FILL_ORDER, PREDICTOR, COLOURS = 259, 262, 266, 317, 320
JPEG_TABLES = 347  # for all strips; those that are written have their own
STRIPS, TILES = (273, 279), (324, 325)  # offsets, byte counts


def write_copy(
    source: Path,
    pixels: NDArray[np.generic],
    destination: Path,
    provenance: str,
    as_gray: bool = False,
) -> None:
    """Copy the TIFF ``source`` to ``destination`` with ``pixels`` in its full-size page.

    ``pixels`` has shape and dtype of that page as tifffile reads it, data bar included (see
    ``stored_pixels``). ``provenance`` goes into tag 65350, after what is there already. Other
    pages, such as thumbnails, are kept. ``as_gray``: the page has a palette, which is left out.
    Raises ValueError where shape or dtype differ, the file is not a TIFF, or both paths are one
    file.
    """
    if destination.exists() and destination.samefile(source):
        raise ValueError(f"{destination}: the scan itself is not written over")
    with new_file(destination) as draft:
        shutil.copyfile(source, draft)
        with _opened(source) as tiff, draft.open("r+b") as file:
            page = full_size_page(tiff)
            if page is None:
                raise ValueError(f"{source}: TIFF without a full-size image")
            if pixels.shape != page.shape or pixels.dtype != page.dtype:
                raise ValueError(
                    f"{source}: holds {page.dtype} {page.shape}, got {pixels.dtype} {pixels.shape}"
                )
            _rewrite(file, tiff, page, pixels, provenance, as_gray)
            compressed = page.compression != tifffile.COMPRESSION.NONE
            exact = is_exact(page)
        _check(draft, destination, pixels if compressed else None, exact)


def stored_pixels(source: Path, scan: Micrograph, image: Image) -> NDArray[np.generic]:
    """Return the pixels of the TIFF ``source`` with ``image`` in place of the specimen.

    As ``with_specimen`` does, in the shape and the sense of black that the file has.
    """
    decoded = decode(source, scan.maximum)
    page = decoded.page
    if page is None:
        raise ValueError(f"{source}: not a TIFF")
    pixels = with_specimen(source, decoded, scan, image)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        pixels = inverted(pixels, scan.maximum)
    return np.moveaxis(pixels, -1, 0) if page.axes == "SYX" else pixels


def _opened(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise ValueError(f"{path}: not a TIFF ({error})") from error


def _rewrite(
    file: BinaryIO,
    tiff: tifffile.TiffFile,
    page: tifffile.TiffPage,
    pixels: NDArray[np.generic],
    provenance: str,
    as_gray: bool,
) -> None:
    entries = {entry[0]: entry for entry in reversed(read_entries(file, tiff, page))}
    for tag in overlapping_tags(page):
        file.seek(tag.valueoffset)
        moved = file.read(tag.valuebytecount)
        entries[tag.code] = append_value(file, tiff, tag.code, tag.dtype, moved, tag.count)
    parts = list(encoded(page, pixels, tiff.byteorder))
    offsets = _placed(file, tiff, page, parts)
    for code, values in zip(
        TILES if page.is_tiled else STRIPS, (offsets, list(map(len, parts))), strict=True
    ):
        entries[code] = _numbers(file, tiff, page, code, values, entries.get(code))
    storage = {COMPRESSION: compression_for(page), FILL_ORDER: 1, PREDICTOR: predictor_for(page)}
    storage |= {PHOTOMETRIC_TAG: int(PHOTOMETRIC.MINISBLACK)} if as_gray else {}
    for code, value in storage.items():
        if code in entries:
            short = struct.pack(tiff.byteorder + "H", value)
            entries[code] = append_value(file, tiff, code, SHORT, short, 1)
    for code in (JPEG_TABLES, COLOURS) if as_gray else (JPEG_TABLES,):
        entries.pop(code, None)
    earlier = page.tags.valueof(PROVENANCE, "")
    text = "\n".join(filter(None, (earlier, provenance))).encode("ascii", "backslashreplace")
    entries[PROVENANCE] = append_value(file, tiff, PROVENANCE, ASCII, text + b"\0", len(text) + 1)
    append_entries(file, tiff, page, sorted(entries.values()))


def _placed(
    file: BinaryIO, tiff: tifffile.TiffFile, page: tifffile.TiffPage, parts: Sequence[bytes]
) -> list[int]:
    """Write ``parts`` and return where: each in its old place where all have kept their size."""
    old = pixel_spans(page)
    free = free_spans(tiff, page, tiff.filehandle.size)
    whole = sum(end - start for start, end in free) == sum(map(len, parts))
    if whole and [end - start for start, end in old] == list(map(len, parts)):
        for (start, _), part in zip(old, parts, strict=True):
            file.seek(start)
            file.write(part)
        return [start for start, _ in old]
    return place(file, parts, free)


def _numbers(
    file: BinaryIO,
    tiff: tifffile.TiffFile,
    page: tifffile.TiffPage,
    code: int,
    values: Sequence[int],
    old: Entry | None,
) -> Entry:
    """Return the tag of offsets or sizes; its values are written where they were, if they fit."""
    kind = LONG8 if tiff.is_bigtiff else LONG
    if (
        old is not None
        and old[1] in FORMATS
        and max(values) < 256 ** struct.calcsize("=" + FORMATS[old[1]])
    ):
        kind = old[1]
    try:
        data = struct.pack(f"{tiff.byteorder}{len(values)}{FORMATS[kind]}", *values)
    except struct.error as error:
        raise ValueError(f"{tiff.filename}: more than 4 GB, for which TIFF has no room") from error
    if old is not None and old[1:3] == (kind, len(values)) and len(data) > tiff.tiff.offsetsize:
        file.seek(page.tags[code].valueoffset)
        file.write(data)
        return old
    return append_value(file, tiff, code, kind, data, len(values))


def _check(draft: Path, destination: Path, pixels: NDArray[np.generic] | None, exact: bool) -> None:
    """Raise ValueError where what was written is not read back as ``pixels``; None: as any."""
    with _opened(draft) as tiff:
        page = full_size_page(tiff)
        if page is not None and reason_to_refuse(tiff, page) is None:
            if pixels is None:
                return
            again = stored_samples(page, draft.read_bytes())
            again = np.moveaxis(again, -1, 0) if page.axes == "SYX" else again
            if came_back(again, pixels, exact):
                return
    raise ValueError(f"{destination}: what was written is not what is read back")
