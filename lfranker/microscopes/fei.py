"""FEI and Thermo Fisher: sections of NAME=VALUE in a TIFF tag, all in SI units.

Checked on files of a Quanta FEG.
"""

from lfranker.microscopes.metadata import (
    LENGTHS,
    TIMES,
    Fields,
    ScanMetadata,
    Size,
    rows_below,
    times,
)

TAGS = (34682, 34680)


def read_tag(value: object, size: Size) -> ScanMetadata:
    """Read the tag's ``value`` as tifffile gives it, of an image of ``size``."""
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
    dwell_time = fields.positive("Scan.Dwelltime", f"{scan}.Dwell", units=TIMES, default="s")
    passes = (
        fields.count(f"{scan}.LineIntegration"),
        fields.count("Scan.Integrate"),
        fields.count("Scan.Average"),
    )
    return ScanMetadata(
        pixel_size=fields.positive("Scan.PixelWidth", units=LENGTHS, default="m"),
        exposure=times(dwell_time, *passes),
        stage=fields.point("Stage.StageX", "Stage.StageY", "m"),
        data_bar=_data_bar(fields, size),
        notices=tuple(fields.notices),
    )


def _data_bar(fields: Fields, size: Size) -> int | None:
    """Return the rows that the image has more than the scan: the stored size is the scan's."""
    columns, rows = fields.count("Image.ResolutionX"), fields.count("Image.ResolutionY")
    return None if columns is None or rows is None else rows_below((columns, rows), size)
