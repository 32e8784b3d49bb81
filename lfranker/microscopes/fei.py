"""FEI and Thermo Fisher: sections of NAME=VALUE in a TIFF tag, all in SI units; or XML.

Checked on files of a Quanta FEG. Of the XML, two kinds are known from descriptions: `Metadata` of
xT (Helios, Scios, Apreo; also in base64) and `FeiImage` of the Phenom, which has units.
"""

import re

from lfranker.microscopes.metadata import (
    LENGTHS,
    PLAIN,
    TIMES,
    Fields,
    ScanMetadata,
    Size,
    rows_below,
    times,
)
from lfranker.microscopes.packed_text import decoded, xml_texts

TAGS = (34682, 34683, 34680)
VENDOR = "Thermo Fisher"
BEAMS = ("EScan", "IScan", "EBeam", "IBeam")  # e: electrons, i: ions
XML_MARKS = ("<FeiImage", "schemas.fei.com", "<ScanSettings")
LINE = re.compile(r"^[ \t]*(?:\[([^\]\r\n]+)\]|([^=\r\n]+)=([^\r\n\0]*))", re.MULTILINE)


def read_tag(data: bytes, size: Size) -> ScanMetadata:
    """Read the content of the tag of an image of ``size``."""
    text = decoded(data)
    return _read_xml(text, size) if text.lstrip("\0 \r\n\t").startswith("<") else _read(text, size)


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read a text beside the image or in a PNG; None where it is not of this vendor."""
    if size is None:
        return None
    if any(mark in text for mark in XML_MARKS):
        return _read_xml(text, size)
    return _read(text, size) if "[Scan]" in text and "[Beam]" in text else None


def _read(text: str, size: Size) -> ScanMetadata:
    fields = Fields(_sections(text))
    beam = fields.text("Beam.Scan") if fields.has("Beam.Scan") else None
    scans = [f"{name}." for name in dict.fromkeys((beam or "EScan", "Scan", *BEAMS))]
    dwell_time = fields.positive(
        "Scan.Dwelltime", *_each(scans, "Dwell", "DwellTime"), units=TIMES, default="s"
    )
    lines = fields.passes(*_each(scans[:1], "LineIntegration"), "Scan.LineIntegration")
    frames = ("Integrate", "Average", "FrameIntegration", "FrameAverage")
    passes = fields.passes(*_each(["Scan.", "Image.", scans[0]], *frames))
    columns, rows = fields.count("Image.ResolutionX"), fields.count("Image.ResolutionY")
    scan = (columns, rows) if columns and rows else None
    return ScanMetadata(
        pixel_size=fields.pixel_size(
            size,
            stated=_optional(fields, *_each(["Scan.", *scans], "PixelWidth")),
            width=_optional(fields, *_each(["Scan.", *scans], "HorFieldsize", "HFW")),
            scan=scan,
        ),
        exposure=times(dwell_time, lines, passes),
        stage=fields.point("Stage.StageX", "Stage.StageY", "m"),
        data_bar=_data_bar(fields, scan, size),
        vendor=VENDOR,
        notices=tuple(fields.notices),
    )


def _sections(text: str) -> dict[str, str]:
    """Return the values by "Section.Name"; the first of equal names counts."""
    texts: dict[str, str] = {}
    section = ""
    for heading, name, value in LINE.findall(text):
        if heading:
            section = heading.strip()
        else:
            texts.setdefault(f"{section}.{name.strip()}", value.strip())
    return texts


def _each(sections: list[str], *names: str) -> list[str]:
    return [section + name for section in sections for name in names]


def _optional(fields: Fields, *names: str) -> float | None:
    return fields.positive(*names, units=LENGTHS, default="m") if fields.has(*names) else None


def _data_bar(fields: Fields, scan: Size | None, size: Size) -> int | None:
    """Return the rows that the image has more than the scan: the stored size is the scan's."""
    if scan is not None:
        return rows_below(scan, size)
    return _stated_bar(fields, "PrivateFei.DatabarHeight", size)


def _stated_bar(fields: Fields, name: str, size: Size) -> int | None:
    """Return the height of a bar that is stated itself; 0 is no news of the picture."""
    height = fields.number(name, units=PLAIN) if fields.has(name) else None
    return int(height) if height and 0 < height < size[1] // 2 else None


def _read_xml(text: str, size: Size) -> ScanMetadata:
    try:
        fields = Fields(xml_texts(text))
    except ValueError as error:
        return ScanMetadata(vendor=VENDOR, notices=(f"the XML cannot be read ({error})",))
    phenom = fields.has("pixelWidth")
    return _read_phenom(fields, size) if phenom else _read_metadata(fields, size)


def _read_metadata(fields: Fields, size: Size) -> ScanMetadata:
    dwell_time = fields.positive("ScanSettings.DwellTime", units=TIMES, default="s")
    columns = fields.count("BinaryResult.ImageSize.X", "ScanSettings.ScanSize.Width")
    rows = fields.count("BinaryResult.ImageSize.Y", "ScanSettings.ScanSize.Height")
    scan = (columns, rows) if columns and rows else None
    return ScanMetadata(
        pixel_size=fields.pixel_size(
            size,
            stated=_optional(fields, "BinaryResult.PixelSize.X"),
            width=_optional(fields, "Optics.ScanFieldOfView.X"),
            scan=scan,
        ),
        exposure=times(
            dwell_time,
            fields.passes("ScanSettings.LineIntegrationCount", "ScanSettings.LineIntegration"),
            fields.passes("BinaryResult.FilterFrameCount"),
        ),
        stage=fields.point("StageSettings.StagePosition.X", "StageSettings.StagePosition.Y", "m"),
        data_bar=rows_below(scan, size) if scan else None,
        vendor=VENDOR,
        notices=tuple(fields.notices),
    )


def _read_phenom(fields: Fields, size: Size) -> ScanMetadata:
    dwell_time = fields.positive("acquisition.scan.dwellTime", units=TIMES)
    return ScanMetadata(
        pixel_size=fields.positive("pixelWidth", units=LENGTHS),
        exposure=times(dwell_time, fields.passes("integrations")),
        stage=fields.point("multiStage.axis[X]", "multiStage.axis[Y]", "m"),
        data_bar=_stated_bar(fields, "databarHeight", size),
        vendor=VENDOR,
        notices=tuple(fields.notices),
    )
