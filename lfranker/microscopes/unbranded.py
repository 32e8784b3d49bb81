"""Pixel sizes in files that no microscope's own software wrote: OME-TIFF, ImageJ, Olympus SIS."""

import math
import re

import tifffile

from lfranker.microscopes.metadata import LENGTHS, Fields, ScanMetadata, Size

UNNAMED = ("pixel", "pixels", "inch", "", "none")  # units of ImageJ that are no length in space


def read_tiff(tiff: tifffile.TiffFile, page: tifffile.TiffPage, size: Size) -> ScanMetadata | None:
    """Return the pixel size of an image of ``size``; None where none is said."""
    pixel_size = _ome(tiff) or _imagej(tiff, page) or _olympus(tiff)
    return ScanMetadata(pixel_size=pixel_size) if pixel_size else None


def description(tiff: tifffile.TiffFile) -> str:
    """Return what ImageJ keeps of the file that it read: there may be a vendor's text in it."""
    kept = (tiff.imagej_metadata or {}).get("Info", "")
    return kept if isinstance(kept, str) else ""


def _ome(tiff: tifffile.TiffFile) -> float | None:
    """OME keeps the size in an attribute, in µm where none for the unit is beside it."""
    text = tiff.ome_metadata or ""
    size, unit = (re.search(rf'\bPhysicalSizeX{end}="([^"]*)"', text) for end in ("", "Unit"))
    if size is None:
        return None
    length = Fields({"size": f"{size[1]} {unit[1] if unit else ''}"})
    return length.positive("size", units=LENGTHS, default="um")


def _imagej(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    unit = (tiff.imagej_metadata or {}).get("unit")
    resolution = page.tags.valueof("XResolution")
    if not isinstance(unit, str) or unit.lower() in UNNAMED or not resolution:
        return None
    pixels, units = resolution
    if not pixels or not units:
        return None
    unit = unit.replace("\\u00B5", "u")
    return Fields({"unit": f"{units / pixels:.12g} {unit}"}).positive("unit", units=LENGTHS)


def _olympus(tiff: tifffile.TiffFile) -> float | None:
    size = (tiff.sis_metadata or {}).get("pixelsizex")
    return size if isinstance(size, float) and math.isfinite(size) and size > 0 else None
