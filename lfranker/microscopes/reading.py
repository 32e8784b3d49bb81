"""Read how a scan was taken, whichever vendor's file it is: exposure, pixel size, stage, ..."""

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path

import tifffile

from lfranker.files import TIFF_SUFFIXES, full_size_page
from lfranker.microscopes import fei, fibics, hitachi, jeol, tescan, zeiss
from lfranker.microscopes.metadata import ScanMetadata, Size

__all__ = ["ScanMetadata", "read_metadata"]

# The first tag that a file has counts. Atlas drives microscopes that write tags of their own, too,
# so it is first.
TAG_READERS: dict[int, Callable[[object, Size], ScanMetadata]] = {
    fibics.TAG: fibics.read_tag,
    **dict.fromkeys(fei.TAGS, fei.read_tag),
    zeiss.TAG: zeiss.read_tag,
    tescan.TAG: tescan.read_tag,
}
TEXT_READERS = (hitachi.read_text, jeol.read_text)
LARGEST_TEXT = 1 << 20  # bytes that are read; real files have some kB

# What tifffile raises on files that are cut off or have been written over.
UNREADABLE = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    ZeroDivisionError,
    struct.error,
)


def read_metadata(path: Path) -> ScanMetadata:
    """Return what ``path``, or the text file beside it, says; an empty record where nothing does.

    Never raises on the content of a file: what is missing or illegible is None, and named in
    ``notices``. Raises OSError where there is no such file.
    """
    path.stat()
    found, size = _read_tags(path) if path.suffix.lower() in TIFF_SUFFIXES else (None, None)
    found = found or _read_text_beside(path, size) or ScanMetadata()
    width = size[0] * found.pixel_size if size and found.pixel_size else None
    named = tuple(f"{path.name}: {notice}" for notice in found.notices)
    return dataclasses.replace(found, field_width=width, notices=named)


def _read_tags(path: Path) -> tuple[ScanMetadata | None, Size | None]:
    """Return what the vendor's tag says and the size of the image; None for what is not there."""
    try:
        with tifffile.TiffFile(path) as tiff:
            page = full_size_page(tiff)
            if page is None:
                raise tifffile.TiffFileError("no full-size image")
            size = int(page.imagewidth), int(page.imagelength)
            for code, reader in TAG_READERS.items():
                tag = page.tags.get(code)
                if tag is not None and size[0] > 0:
                    return reader(tag.value, size), size
            return None, size
    except UNREADABLE as error:
        return ScanMetadata(notices=(f"the TIFF's tags cannot be read ({error})",)), None


def _read_text_beside(image: Path, size: Size | None) -> ScanMetadata | None:
    """Return what the text file of the same name says; None where no vendor wrote one."""
    for suffix in (".txt", ".TXT"):
        try:
            with image.with_suffix(suffix).open("rb") as file:
                text = _decoded(file.read(LARGEST_TEXT))
        except OSError:
            continue
        for reader in TEXT_READERS:
            if found := reader(text, size):
                return found
    return None


def _decoded(data: bytes) -> str:
    """Decode 8-bit text or UTF-16: Hitachi writes either."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8", errors="replace")
