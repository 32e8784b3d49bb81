"""Hitachi: NAME=VALUE in a text file beside the image; pixel size and stage position in nm.

Written from descriptions of these files (S-3400 to S-4800, SU, Regulus, TM3000, TM4000): no file of
a real microscope was at hand.
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

MARKS = ("[SemImageFile]", "[TemImageFile]")
MAGNIFIED = 127e-3  # m: what is that wide at magnification 1
DISPLAYS = (640, 1280)  # px: where PixelSize may hold, whatever DataSize says
TOLERANCE = 0.01  # of the width: magnifications have three digits
CENTRES = (  # m: what a TM writes in every file whose stage has no motor, and others do
    (17_500_000e-9, 17_500_000e-9),
    (0.0, 0.0),
)


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read the text beside an image of ``size`` (None: unknown); None where no Hitachi wrote it."""
    if not any(mark in text for mark in MARKS):
        return None
    fields = Fields(key_values(text))
    scan = fields.size("DataSize") if fields.has("DataSize") else None
    return ScanMetadata(
        pixel_size=_pixel_size(fields, scan, size),
        scan_speed=fields.text("ScanSpeed", "CalibrationScanSpeed"),
        stage=_stage(fields),
        data_bar=_data_bar(scan, size),
        vendor="Hitachi",
        notices=tuple(fields.notices),
    )


def _pixel_size(fields: Fields, scan: Size | None, size: Size | None) -> float | None:
    """Return PixelSize where it holds in the image, else what the magnification says.

    The S-4700 and others write no PixelSize; some write that of their display.
    """
    has_size, has_magnification = fields.has("PixelSize"), fields.has("Magnification")
    stated = None
    if has_size or not has_magnification:
        stated = fields.positive("PixelSize", units=LENGTHS, default="nm")
    if size is None:
        return stated
    magnification = fields.magnification("Magnification") if has_magnification else None
    width = MAGNIFIED / magnification if magnification else None
    if stated and width and any(_equal(stated * columns, width) for columns in DISPLAYS):
        stated = None
    stated_width = stated * scan[0] if stated and scan else None
    return fields.pixel_size(
        size, stated=stated, width=stated_width if stated else width, scan=scan
    )


def _equal(one: float, other: float) -> bool:
    return abs(one / other - 1) < TOLERANCE


def _stage(fields: Fields) -> tuple[float, float] | None:
    """Return the position of the stage; None where it is the centre that stands for none."""
    stage = fields.point("StagePositionX", "StagePositionY", "nm")
    if stage is None or all(dist(stage, centre) > 0.5e-9 for centre in CENTRES):
        return stage
    fields.notices.append("StagePositionX and StagePositionY are those of a stage without a motor")
    return None


def _data_bar(scan: Size | None, size: Size | None) -> int | None:
    """Return the rows that the image has more than the scan; None where both have as many.

    The DataSize of a TM4000 counts the bar in, so equal numbers do not say that there is none.
    """
    return rows_below(scan, size) or None if scan and size else None
