"""Zeiss SmartSEM: names, labels and values with units in a TIFF tag, and again in UTF-16.

Checked on files of an Auriga, a 1550 and a Merlin (SmartSEM 5.5 to 6.3).

It says nothing of its data bar: the stored size counts the bar in, so the picture is searched.
"""

import re

from lfranker.microscopes.metadata import LENGTHS, TIMES, Fields, ScanMetadata, Size
from lfranker.microscopes.packed_text import decoded

TAGS = (34118, 34119)
LEAST_NAMES = 3  # in a text that is taken for one of SmartSEM
NAMED = re.compile(r"^((?:AP|DP|SV)_\w+)[ \t]*[\r\n]+([^\r\n]*)", re.MULTILINE | re.ASCII)
LABELLED = re.compile(r"^[ \t]*([A-Za-z][^=:\r\n]*)[=:]([^\r\n\0]*)", re.MULTILINE)


def read_tag(data: bytes, size: Size) -> ScanMetadata:
    """Read the content of the tag of an image of ``size``."""
    return _read(decoded(data), size)


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read the text beside an image, or of its tag in ImageJ; None where no Zeiss wrote it."""
    if size is None or len(NAMED.findall(text)) < LEAST_NAMES:
        return None
    return _read(text, size)


def _read(text: str, size: Size) -> ScanMetadata:
    """Read names, labels and values.

    The exposure of a pixel is not dp_dwell_time; it is line time / width. The line time is that of
    all averaged lines (63.43 ms for one and 126.86 ms for two at scan speed 10, and the cycle time
    is the line time x the number of lines), and it counts the way back of the beam. Frames are
    counted by their nominal number: no file with averaged or integrated frames was at hand.
    """
    fields = Fields(_texts(text))
    scan = _stored_size(fields)
    frames = _frames(fields)
    return ScanMetadata(
        pixel_size=_pixel_size(fields, scan, size),
        exposure=_exposure(fields, scan or size, frames),
        scan_speed=fields.text("dp_scanrate", "scan speed"),
        passes=max(_lines(fields), frames),
        stage=fields.point("ap_stage_at_x", "ap_stage_at_y", ""),
        vendor="Zeiss",
        notices=tuple(fields.notices),
    )


def _texts(text: str) -> dict[str, str]:
    """Return the values by name, and by label: not every version writes all names."""
    texts: dict[str, str] = {}
    for name, line in NAMED.findall(text):
        labelled = LABELLED.match(line)
        texts.setdefault(name.lower(), labelled[2].strip() if labelled else "")
    for label, value in LABELLED.findall(text):
        texts.setdefault(label.strip().lower(), value.strip())
    for axis in "xy":
        if f"stage at {axis}" in texts:
            texts.setdefault(f"ap_stage_at_{axis}", texts[f"stage at {axis}"])
    return texts


def _stored_size(fields: Fields) -> Size | None:
    """Return the size at which the scan was stored, "1024 * 768"."""
    names = ("dp_image_store", "store resolution")
    return next((fields.size(name) for name in names if fields.has(name)), None)


def _pixel_size(fields: Fields, scan: Size | None, size: Size) -> float | None:
    """Return the pixel size of the image; "Pixel Size" by itself is that of the display."""
    image, width = ("ap_image_pixel_size", "image pixel size"), ("ap_width", "width")
    has_width = fields.has(*width)
    names = image if fields.has(*image) or has_width else (*image, "ap_pixel_size", "pixel size")
    return fields.pixel_size(
        size,
        stated=fields.positive(*names, units=LENGTHS) if fields.has(*names) else None,
        width=fields.positive(*width, units=LENGTHS) if has_width else None,
        scan=scan,
    )


def _exposure(fields: Fields, scan: Size, frames: int) -> float | None:
    line, frame = ("ap_line_time", "line time"), ("ap_frame_time", "cycle time")
    if not fields.has(*line) and fields.has(*frame):
        cycle = fields.positive(*frame, units=TIMES)
        return None if cycle is None else cycle * frames / (scan[0] * scan[1])
    line_time = fields.positive(*line, units=TIMES)
    return None if line_time is None else line_time * frames / scan[0]


def _mode(fields: Fields) -> str:
    names = ("dp_noise_reduction", "noise reduction")
    return (fields.text(*names) or "").lower() if fields.has(*names) else "pixel"


def _lines(fields: Fields) -> int:
    mode = _mode(fields)
    names = ("ap_line_average_count", "ap_line_int_count")
    return fields.passes(names["int" in mode]) if mode.startswith("line") else 1


def _frames(fields: Fields) -> int:
    """Return how many frames were averaged or added up.

    The file holds a count for each way of noise reduction; only that of the way in use counts.
    """
    mode = _mode(fields)
    if "frame" in mode:
        kind = "average" if "avg" in mode or "average" in mode else "int"
        return fields.count(f"ap_frame_{kind}_count") or 1
    if not mode.startswith(("pixel", "line", "none", "off")):
        fields.notices.append(f"dp_noise_reduction = {mode!r} is not known, counted as one pass")
    return 1
