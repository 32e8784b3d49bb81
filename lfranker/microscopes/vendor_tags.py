"""What the private TIFF tags of the vendors say.

Each reader takes the value of its tag as tifffile gives it and the size of the image in px.
Checked on files of a Quanta FEG (FEI), an Auriga, a 1550 and a Merlin (Zeiss), a VEGA3 (TESCAN)
and an Atlas 5 engine (Fibics).
"""

import math
from collections.abc import Callable
from xml.etree import ElementTree

from lfranker.microscopes.metadata import (
    FACTORS,
    LENGTHS,
    TIMES,
    VOLTAGES,
    Fields,
    ScanMetadata,
    key_values,
    times,
)

COUNT = {"": 1.0}


def read_fei(value: object, width: int, height: int) -> ScanMetadata:
    """FEI and Thermo: sections of NAME=VALUE, all in SI units."""
    sections = value if isinstance(value, dict) else {}
    fields = Fields(
        {
            f"{section}.{name}": str(content)
            for section, entries in sections.items()
            if isinstance(entries, dict)
            for name, content in entries.items()
        }
    )
    scan = fields.texts.get("Beam.Scan") or "EScan"  # electrons: EScan, ions: IScan
    dwell = fields.positive("Scan.Dwelltime", f"{scan}.Dwell", units=TIMES, default="s")
    lines = fields.count(f"{scan}.LineIntegration")
    integrated, averaged = fields.count("Scan.Integrate"), fields.count("Scan.Average")
    known = [passes for passes in (lines, integrated) if passes is not None]
    integrations = math.prod(known) if known else None
    field_width = fields.positive("Scan.HorFieldsize", units=LENGTHS, default="m")
    canvas = fields.positive("Image.MagCanvasRealWidth", units=LENGTHS, default="m")
    rows = fields.count("Image.ResolutionY")
    return ScanMetadata(
        vendor="FEI",
        pixel_size=fields.positive("Scan.PixelWidth", units=LENGTHS, default="m"),
        dwell_time=dwell,
        line_time=fields.positive(f"{scan}.LineTime", units=TIMES, default="s"),
        frame_time=fields.positive("Scan.FrameTime", units=TIMES, default="s"),
        integrations=integrations,
        averaging=averaged,
        exposure=times(dwell, integrations, averaged),
        data_bar=height - rows if rows is not None and height // 2 < rows <= height else None,
        high_voltage=fields.positive("Beam.HV", units=VOLTAGES, default="v"),
        magnification=canvas / field_width if canvas and field_width else None,
        stage=fields.point("Stage.StageX", "Stage.StageY", "m"),
        notices=tuple(fields.notices),
    )


def read_zeiss(value: object, width: int, height: int) -> ScanMetadata:
    """Zeiss SmartSEM. Its dp_dwell_time is not what a pixel got: the line time is.

    The line time is that of all averaged lines (63.43 ms for one and 126.86 ms for two at scan
    speed 10, and the cycle time is it times the lines), so line time / width is the exposure, in
    which the way back of the beam is counted. Frames are counted by their nominal number: no file
    with averaged or integrated frames was at hand.
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
    lines, frames, averages = _zeiss_passes(fields)
    exposure = times(line_time, frames)
    exposure = None if exposure is None else exposure / width
    return ScanMetadata(
        vendor="Zeiss",
        pixel_size=fields.positive("ap_image_pixel_size", "ap_pixel_size", units=LENGTHS),
        dwell_time=None if exposure is None else exposure / (lines * frames),
        line_time=line_time,
        frame_time=fields.positive("ap_frame_time", units=TIMES),
        integrations=1 if averages else lines * frames,
        averaging=lines * frames if averages else 1,
        scan_speed=fields.text("dp_scanrate"),
        exposure=exposure,
        high_voltage=fields.positive("ap_actualkv", units=VOLTAGES),
        magnification=fields.positive("ap_mag", units=FACTORS),
        stage=fields.point("ap_stage_at_x", "ap_stage_at_y", ""),
        notices=tuple(fields.notices),
    )


def _zeiss_passes(fields: Fields) -> tuple[int, int, bool]:
    """Lines and frames that were combined, and whether by averaging.

    The file holds a count for each way; only that of the way in use counts.
    """
    mode = (fields.text("dp_noise_reduction") or "pixel").lower()
    averages = "avg" in mode
    kind = "average" if averages else "int"
    if mode.startswith("line"):
        return fields.count(f"ap_line_{kind}_count") or 1, 1, averages
    if mode.startswith("frame"):
        return 1, fields.count(f"ap_frame_{kind}_count") or 1, averages
    if not mode.startswith("pixel"):
        fields.notices.append(f"dp_noise_reduction = {mode!r} is not known, counted as one pass")
    return 1, 1, True


def read_tescan(value: object, width: int, height: int) -> ScanMetadata:
    """TESCAN: a thumbnail, its length before it, then NAME=VALUE in SI units."""
    data = value if isinstance(value, bytes) else b""
    start = int.from_bytes(data[:4], "little")
    text = data[start if start < len(data) else 0 :].decode("latin-1")
    fields = Fields(key_values(text))
    dwell = fields.positive("DwellTime", units=TIMES, default="s")
    frames = fields.count("AccFrames")
    bar = fields.number("ImageStripSize", units=COUNT)
    return ScanMetadata(
        vendor="TESCAN",
        pixel_size=fields.positive("PixelSizeX", units=LENGTHS, default="m"),
        dwell_time=dwell,
        integrations=frames,
        scan_speed=fields.text("ScanSpeed"),
        exposure=times(dwell, frames),
        data_bar=int(bar) if bar is not None and 0 <= bar < height // 2 else None,
        high_voltage=fields.positive("HV", units=VOLTAGES, default="v"),
        magnification=fields.positive("Magnification", units=FACTORS, default="x"),
        stage=fields.point("StageX", "StageY", "m"),
        notices=tuple(fields.notices),
    )


def read_fibics(value: object, width: int, height: int) -> ScanMetadata:
    """Fibics Atlas: XML, with the unit as an attribute."""
    fields = Fields({})
    try:
        root = ElementTree.fromstring(value if isinstance(value, str | bytes) else "")
        texts = {
            f"{section.tag}.{entry.tag}": f"{entry.text or ''} {entry.get('units', '')}"
            for section in root
            for entry in section
        }
        fields = Fields(texts)
    except (ElementTree.ParseError, ValueError) as error:
        fields.notices.append(f"the XML cannot be read ({error})")
    dwell = fields.positive("Scan.Dwell", units=TIMES)
    lines = fields.count("Scan.LineAvg")
    field_width = fields.positive("Scan.FOV_X", units=LENGTHS)
    return ScanMetadata(
        vendor="Fibics",
        pixel_size=None if field_width is None else field_width / width,
        dwell_time=dwell,
        averaging=lines,
        exposure=times(dwell, lines),
        stage=fields.point("Stage.X", "Stage.Y", ""),
        notices=tuple(fields.notices),
    )


# Atlas drives microscopes that also write tags of their own, so it goes before them.
READERS: dict[int, Callable[[object, int, int], ScanMetadata]] = {
    51023: read_fibics,
    34682: read_fei,
    34680: read_fei,
    34118: read_zeiss,
    50431: read_tescan,
}
