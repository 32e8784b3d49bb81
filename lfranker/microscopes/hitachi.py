"""Hitachi: NAME=VALUE in a text file beside the image; pixel size and stage position in nm.

Written from descriptions of these files: no file of a real microscope was at hand.
"""

from math import dist

from lfranker.microscopes.metadata import (
    LENGTHS,
    Fields,
    ScanMetadata,
    Size,
    key_values,
    rows_below,
)

MARK = "[SemImageFile]"
CENTRE = (17_500_000e-9, 17_500_000e-9)  # m; a TM4000 without a motor stage writes it in every file


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read the text beside an image of ``size`` (None: unknown); None where no Hitachi wrote it."""
    if MARK not in text:
        return None
    fields = Fields(key_values(text))
    return ScanMetadata(
        pixel_size=fields.positive("PixelSize", units=LENGTHS, default="nm"),
        scan_speed=fields.text("ScanSpeed"),
        stage=_stage(fields),
        data_bar=_data_bar(fields, size),
        notices=tuple(fields.notices),
    )


def _stage(fields: Fields) -> tuple[float, float] | None:
    """Return the position of the stage; None where it is the centre that stands for none."""
    stage = fields.point("StagePositionX", "StagePositionY", "nm")
    if stage is None or dist(stage, CENTRE) > 0.5e-9:
        return stage
    fields.notices.append("StagePositionX and StagePositionY are those of a stage without a motor")
    return None


def _data_bar(fields: Fields, size: Size | None) -> int | None:
    """Return the rows that the image has more than the scan; None where both have as many.

    The DataSize of a TM4000 counts the bar in, so equal numbers do not say that there is none.
    """
    scan = fields.size("DataSize")
    return rows_below(scan, size) or None if scan and size else None
