"""Zeiss SmartSEM: names, labels and values with units in a TIFF tag.

Checked on files of an Auriga, a 1550 and a Merlin.

It says nothing of its data bar: the stored size counts the bar in, so the picture is searched.
"""

from lfranker.microscopes.metadata import LENGTHS, TIMES, Fields, ScanMetadata, Size

TAG = 34118


def read_tag(value: object, size: Size) -> ScanMetadata:
    """Read the tag's ``value`` as tifffile gives it, of an image of ``size``.

    The exposure of a pixel is not dp_dwell_time; it is line time / width. The line time is that of
    all averaged lines (63.43 ms for one and 126.86 ms for two at scan speed 10, and the cycle time
    is the line time x the number of lines), and it counts the way back of the beam. Frames are
    counted by their nominal number: no file with averaged or integrated frames was at hand.
    """
    entries = value if isinstance(value, dict) else {}
    fields = Fields(
        {
            name: " ".join(str(part) for part in entry[1:])
            for name, entry in entries.items()
            if name and isinstance(entry, tuple)
        }
    )
    line_time = fields.positive("ap_line_time", units=TIMES)
    frames = _frames(fields)
    return ScanMetadata(
        pixel_size=fields.positive("ap_image_pixel_size", "ap_pixel_size", units=LENGTHS),
        exposure=None if line_time is None else line_time * frames / size[0],
        scan_speed=fields.text("dp_scanrate"),
        stage=fields.point("ap_stage_at_x", "ap_stage_at_y", ""),
        notices=tuple(fields.notices),
    )


def _frames(fields: Fields) -> int:
    """Return how many frames were averaged or added up.

    The file holds a count for each way of noise reduction; only that of the way in use counts.
    """
    mode = (fields.text("dp_noise_reduction") or "pixel").lower()
    if mode.startswith("frame"):
        kind = "average" if "avg" in mode else "int"
        return fields.count(f"ap_frame_{kind}_count") or 1
    if not mode.startswith(("pixel", "line")):
        fields.notices.append(f"dp_noise_reduction = {mode!r} is not known, counted as one pass")
    return 1
