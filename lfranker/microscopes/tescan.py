"""TESCAN: in a TIFF tag a thumbnail, its length before it, then NAME=VALUE in SI units.

Beside PNG and JPEG (and TIFFs of older software) the same lines lie in NAME-png.hdr. Checked on a
file of a VEGA3.
"""

from lfranker.microscopes.metadata import (
    LENGTHS,
    PLAIN,
    TIMES,
    Fields,
    ScanMetadata,
    Size,
    key_values,
    times,
)
from lfranker.microscopes.packed_text import decoded

TAG = 50431
SIGNS = ("PixelSizeX", "ScanSpeed", "AccFrames", "ImageStripSize")  # two of them are written by it


def read_tag(data: bytes, size: Size) -> ScanMetadata:
    """Read the content of the tag of an image of ``size``."""
    start = int.from_bytes(data[:4], "little")
    return _read(decoded(data[start if start < len(data) else 0 :]), size)


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read the text beside an image of ``size`` (None: unknown); None where no TESCAN wrote it."""
    return _read(text, size) if sum(f"\n{sign}=" in text for sign in SIGNS) >= 2 else None


def _read(text: str, size: Size | None) -> ScanMetadata:
    fields = Fields(key_values(text))
    dwell_time = fields.positive("DwellTime", units=TIMES, default="s")
    passes = fields.passes("AccFrames")
    return ScanMetadata(
        pixel_size=fields.positive("PixelSizeX", units=LENGTHS, default="m"),
        exposure=times(dwell_time, passes),
        scan_speed=fields.text("ScanSpeed"),
        passes=passes,
        stage=fields.point("StageX", "StageY", "m"),
        data_bar=_data_bar(fields, size),
        vendor="TESCAN",
        notices=tuple(fields.notices),
    )


def _data_bar(fields: Fields, size: Size | None) -> int | None:
    """Return ImageStripSize, the height of the data bar, where it is less than half the image."""
    height = fields.number("ImageStripSize", units=PLAIN)
    return int(height) if size and height is not None and 0 <= height < size[1] // 2 else None
