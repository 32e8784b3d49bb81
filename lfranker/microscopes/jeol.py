"""JEOL: ``$NAME VALUE`` in a text file beside the image.

Written from descriptions of these files: no file of a real microscope was at hand.
"""

import re

from lfranker.microscopes.metadata import (
    LENGTHS,
    PLAIN,
    Fields,
    ScanMetadata,
    Size,
    key_values,
    rows_below,
)

LINE = re.compile(r"^(\$+(?:CM|SM)_\w+)[ \t]*(.*)$", re.MULTILINE | re.ASCII)


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read the text beside an image of ``size`` (None: unknown); None where no JEOL wrote it.

    The pixel size comes from the scale bar: its length in px and its label.
    """
    texts = {name: value.strip() for name, value in LINE.findall(text)}
    if not texts:
        return None
    fields = Fields(_with_stage(texts))
    pixels = fields.positive("$$SM_MICRON_BAR", units=PLAIN)
    length = fields.positive("$$SM_MICRON_MARKER", units=LENGTHS)
    return ScanMetadata(
        pixel_size=length / pixels if length and pixels else None,
        scan_speed=fields.text("$CM_SCAN_SPEED"),
        stage=fields.point("stage x", "stage y", "mm"),
        data_bar=_data_bar(fields, size),
        notices=tuple(fields.notices),
    )


def _with_stage(texts: dict[str, str]) -> dict[str, str]:
    """Add the stage's x and y, in mm, under names of their own.

    Two forms are in use: "2.044 0.704 10.2 ..." and "X=2.044, Y=0.704, R=...".
    """
    plain = texts.get("$CM_STAGE_POS", "").split()
    named = key_values(texts.get("$CM_STAGE_POSITION", "").replace(",", "\n"))
    x, y = plain[:2] if len(plain) > 1 else (named.get("X"), named.get("Y"))
    return texts | {"stage x": x or "", "stage y": y or ""}


def _data_bar(fields: Fields, size: Size | None) -> int | None:
    """Return the rows that the image has more than the scan; None where both have as many.

    Whether $CM_FULL_SIZE then counts a bar in, or there is none, is not known.
    """
    scan = fields.size("$CM_FULL_SIZE")
    return rows_below(scan, size) or None if scan and size else None
