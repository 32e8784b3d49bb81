"""Fibics Atlas, which drives other vendors' microscopes: XML in a TIFF tag, units as attributes.

Checked on a file of an Atlas 5 engine. It says nothing of a data bar.
"""

from lfranker.microscopes.metadata import LENGTHS, TIMES, Fields, ScanMetadata, Size, times
from lfranker.microscopes.packed_text import decoded, xml_texts

TAG = 51023


def read_tag(data: bytes, size: Size) -> ScanMetadata:
    """Read the content of the tag of an image of ``size``."""
    fields = Fields({})
    try:
        fields = Fields(xml_texts(decoded(data)))
    except ValueError as error:
        fields.notices.append(f"the XML cannot be read ({error})")
    dwell_time = fields.positive("Scan.Dwell", units=TIMES)
    field_width = fields.positive("Scan.FOV_X", units=LENGTHS)
    return ScanMetadata(
        pixel_size=None if field_width is None else field_width / size[0],
        exposure=times(dwell_time, fields.passes("Scan.LineAvg"), fields.passes("Scan.FrameAvg")),
        stage=fields.point("Stage.X", "Stage.Y", ""),
        vendor="Fibics",
        notices=tuple(fields.notices),
    )
