"""Read the list of tags of a page in a TIFF file, and append another in its place.

Entries are kept as they are in the file, so that values and types that nobody knows survive.
"""

import os
import struct
from typing import BinaryIO

import tifffile

Entry = tuple[int, int, int, bytes]  # code, type, count, value or its offset


def read_entries(file: BinaryIO, tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> list[Entry]:
    """Return the tags of ``page`` as they are in the file."""
    form = tiff.tiff
    file.seek(page.offset)
    (count,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    entries = []
    for _ in range(count):
        entry = file.read(form.tagsize)
        code, kind = struct.unpack(tiff.byteorder + "HH", entry[:4])
        (number,) = struct.unpack(form.offsetformat, entry[4 : 4 + form.offsetsize])
        entries.append((code, kind, number, entry[4 + form.offsetsize :]))
    return entries


def append_value(
    file: BinaryIO, tiff: tifffile.TiffFile, code: int, kind: int, value: bytes, count: int
) -> Entry:
    """Return an entry of the list; a value that does not fit into it is appended to the file."""
    if len(value) <= tiff.tiff.offsetsize:
        return code, kind, count, value.ljust(tiff.tiff.offsetsize, b"\0")
    start = end_of(file)
    file.write(value)
    return code, kind, count, struct.pack(tiff.tiff.offsetformat, start)


def append_entries(
    file: BinaryIO, tiff: tifffile.TiffFile, page: tifffile.TiffPage, entries: list[Entry]
) -> None:
    """Append a list of tags, and let the pointer to the old list of ``page`` lead to it."""
    form = tiff.tiff
    file.seek(page.offset)
    (count,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(count * form.tagsize, os.SEEK_CUR)
    following = file.read(form.offsetsize)
    (offset,) = struct.unpack(form.offsetformat, following)
    if offset >= tiff.filehandle.size:  # what is appended now would be taken for a page
        following = bytes(form.offsetsize)
    pointer = _pointer_to(file, tiff, page.offset)
    start = end_of(file)
    file.write(struct.pack(form.tagnoformat, len(entries)))
    for code, kind, number, value in entries:
        head = struct.pack(tiff.byteorder + "HH", code, kind)
        file.write(head + struct.pack(form.offsetformat, number) + value)
    file.write(following)
    file.seek(pointer)
    file.write(struct.pack(form.offsetformat, start))


def _pointer_to(file: BinaryIO, tiff: tifffile.TiffFile, target: int) -> int:
    """Return where the file says that a list of tags begins at ``target``."""
    form = tiff.tiff
    place = 8 if tiff.is_bigtiff else 4
    for _ in range(len(tiff.pages) + 1):
        file.seek(place)
        (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
        if offset == target:
            return place
        file.seek(offset)
        (count,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
        place = offset + form.tagnosize + count * form.tagsize
    raise ValueError(f"{tiff.filename}: its pages are not linked as TIFF wants it")


def end_of(file: BinaryIO) -> int:
    """Go to the end of the file, made even as TIFF wants it, and return where that is."""
    end = file.seek(0, os.SEEK_END)
    if end % 2:
        file.write(b"\0")
    return end + end % 2
