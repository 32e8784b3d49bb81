"""How a scan was taken, as the microscope's own file says: exposure, pixel size, stage, ...

FEI and Thermo, Zeiss, TESCAN and Fibics Atlas write it into private tags of their TIFFs, Hitachi
and JEOL into a text file beside the image.
"""

import dataclasses
import struct
from pathlib import Path

import tifffile

from lfranker.files import TIFF_SUFFIXES
from lfranker.microscopes.metadata import ScanMetadata
from lfranker.microscopes.vendor_sidecars import read_sidecar
from lfranker.microscopes.vendor_tags import READERS

__all__ = ["ScanMetadata", "read_metadata"]

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
    """What ``path``, or the text file beside it, says; an empty record where there is nothing.

    Never raises on the content of a file: what is missing or illegible is None, and named in
    ``notices``. Raises OSError where there is no such file.
    """
    path.stat()
    found, size = _read_tags(path) if path.suffix.lower() in TIFF_SUFFIXES else (None, None)
    found = found or read_sidecar(path, size[1] if size else None) or ScanMetadata()
    width = size[0] * found.pixel_size if size and found.pixel_size else None
    named = tuple(f"{path.name}: {notice}" for notice in found.notices)
    return dataclasses.replace(found, field_width=width, notices=named)


def _read_tags(path: Path) -> tuple[ScanMetadata | None, tuple[int, int] | None]:
    """And width and height of the image in px, where they can be had."""
    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            width, height = int(page.imagewidth), int(page.imagelength)
            for code, reader in READERS.items():
                tag = page.tags.get(code)
                if tag is not None and width > 0:
                    return reader(tag.value, width, height), (width, height)
            return None, (width, height)
    except UNREADABLE as error:
        return ScanMetadata(notices=(f"the TIFF's tags cannot be read ({error})",)), None
