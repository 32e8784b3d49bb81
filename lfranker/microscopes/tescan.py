"""TESCAN: in a TIFF tag a thumbnail, its length before it, then NAME=VALUE in SI units.

Checked on a file of a VEGA3.
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

TAG = 50431


def read_tag(value: object, size: Size) -> ScanMetadata:
    """Read the tag's ``value`` as tifffile gives it, of an image of ``size``."""
    data = value if isinstance(value, bytes) else b""
    start = int.from_bytes(data[:4], "little")
    text = data[start if start < len(data) else 0 :].decode("latin-1")
    fields = Fields(key_values(text))
    dwell_time = fields.positive("DwellTime", units=TIMES, default="s")
    return ScanMetadata(
        pixel_size=fields.positive("PixelSizeX", units=LENGTHS, default="m"),
        exposure=times(dwell_time, fields.count("AccFrames")),
        scan_speed=fields.text("ScanSpeed"),
        stage=fields.point("StageX", "StageY", "m"),
        data_bar=_data_bar(fields, size),
        notices=tuple(fields.notices),
    )


def _data_bar(fields: Fields, size: Size) -> int | None:
    """Return ImageStripSize, the height of the data bar, where it is less than half the image."""
    height = fields.number("ImageStripSize", units=PLAIN)
    return int(height) if height is not None and 0 <= height < size[1] // 2 else None
