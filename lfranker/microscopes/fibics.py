"""Fibics Atlas, which drives other vendors' microscopes: XML in a TIFF tag, units as attributes.

Checked on a file of an Atlas 5 engine. It says nothing of a data bar.
"""

from xml.etree import ElementTree

from lfranker.microscopes.metadata import LENGTHS, TIMES, Fields, ScanMetadata, Size, times

TAG = 51023


def read_tag(value: object, size: Size) -> ScanMetadata:
    """Read the tag's ``value`` as tifffile gives it, of an image of ``size``."""
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
    dwell_time = fields.positive("Scan.Dwell", units=TIMES)
    field_width = fields.positive("Scan.FOV_X", units=LENGTHS)
    return ScanMetadata(
        pixel_size=None if field_width is None else field_width / size[0],
        exposure=times(dwell_time, fields.count("Scan.LineAvg")),
        stage=fields.point("Stage.X", "Stage.Y", ""),
        notices=tuple(fields.notices),
    )
