"""JEOL: ``$NAME VALUE`` in a text file beside the image, or ``$NAME=VALUE`` in an EXIF comment.

Written from descriptions of these files: no file of a real microscope was at hand. One or two
dollars before a name mean nothing: JSM-7000, InTouchScope and EPMA write the same fields with
either. Lengths have units in newer files ("128.00µm 96.00µm").
"""

import re

from lfranker.microscopes.metadata import (
    LENGTHS,
    PLAIN,
    TIMES,
    Fields,
    ScanMetadata,
    Size,
    key_values,
    rows_below,
    times,
)
from lfranker.microscopes.packed_text import decoded

TAG = 37500  # MakerNote, of newer files without a text file
MARKS = (b"UNICODE\0", b"UNICODE")
LINE = re.compile(
    r"^[ \t]*\$*((?:CM|SM|MP|FE|SEM)_[\w%]+)[ \t]*=?[ \t]*(.*)$", re.MULTILINE | re.ASCII
)
SIGN = re.compile(r"^[ \t]*\$+(?:CM|SM)_\w+", re.MULTILINE)  # what no other vendor writes
MAGNIFIED = (128e-3, 120e-3)  # m: what is that wide at magnification 1; newer, and older (EPMA)
DISPLAY = 1280  # px: the scale bar is measured on the display or in the image
SPEED_NAMES = ("CM_SCAN_SPEED", "CM_INSTRUMENT_SCAN_SPEED", "SM_SCAN_SPEED")
PASS_NAMES = ("SM_INTEG_NO", "SM_INTEGRATION_NUMBER", "CM_SCAN_AVERAGE", "CM_INTEG_NO")


def read_tag(data: bytes, size: Size) -> ScanMetadata:
    """Read the content of the tag of an image of ``size``."""
    for mark in MARKS:
        data = data.removeprefix(mark)
    return read_text(decoded(data), size) or ScanMetadata()


def read_text(text: str, size: Size | None) -> ScanMetadata | None:
    """Read the text beside an image of ``size`` (None: unknown); None where no JEOL wrote it."""
    lines = text.replace("\t", "\n") if re.search(r"=[^\r\n]*\t", text) else text
    if not SIGN.search(lines):
        return None
    texts: dict[str, str] = {}
    for name, value in LINE.findall(lines):
        texts[name] = texts.get(name) or value.strip().strip("\0")
    fields = Fields(_with_parts(texts))
    scan = _scan_size(fields)
    dwell = ("SM_DWELL_TIME", "CM_DWELL_TIME")
    dwell_time = fields.positive(*dwell, units=TIMES) if fields.has(*dwell) else None
    passes = fields.passes(*PASS_NAMES)
    return ScanMetadata(
        pixel_size=_pixel_size(fields, scan, size) if size else None,
        exposure=times(dwell_time, passes),
        scan_speed=fields.text(*SPEED_NAMES),
        passes=passes,
        stage=fields.point("stage x", "stage y", "mm"),
        data_bar=rows_below(scan, size) or None if scan and size else None,
        vendor="JEOL",
        notices=tuple(fields.notices),
    )


def _with_parts(texts: dict[str, str]) -> dict[str, str]:
    """Add the parts of the stage's position, in mm, and the first of two lengths, by their names.

    Two forms of the stage are in use: "2.044 0.704 10.2 ..." and "X=2.044, Y=0.704, R=...".
    """
    position = texts.get("CM_STAGE_POS") or texts.get("CM_STAGE_POSITION") or ""
    named = key_values(re.sub(r",(?=\s*[A-Za-z])", "\n", position))
    plain = position.split()
    x, y = (named["X"], named["Y"]) if {"X", "Y"} <= named.keys() else (*plain, "", "")[:2]
    others = {f"stage {n}": part for n, part in enumerate([*named.values()] or plain)}
    lengths = {
        f"first {name}": re.sub(r"\s+(?=[^\d\s.])", "", texts.get(name, "")).split(" ")[0]
        for name in ("CM_FIELD_OF_VIEW", "CM_PIXEL_SIZE")
    }
    return texts | lengths | others | {"stage x": x, "stage y": y}


def _scan_size(fields: Fields) -> Size | None:
    """Return the size of the scan. Newer files say it as CM_IMAGE_SIZE.

    Whether a size equal to the image's counts a bar in, or there is none, is not known.
    """
    names = ("CM_IMAGE_SIZE", "CM_FULL_SIZE", "CM_IMAGE_RES")
    sizes = (fields.size(name) for name in names if fields.has(name))
    return next((size for size in sizes if size), None)


def _pixel_size(fields: Fields, scan: Size | None, size: Size) -> float | None:
    """Return the pixel size: from the field's width, the pixel's, or the magnification.

    The scale bar only tells which magnification is meant: how wide it is in px holds at one
    resolution, and that is not always the image's.
    """
    width = _length(fields, "first CM_FIELD_OF_VIEW", "um")
    stated = _length(fields, "first CM_PIXEL_SIZE", "nm")
    if width or stated:
        return fields.pixel_size(size, stated=None if width else stated, width=width, scan=scan)
    magnification = fields.magnification("CM_MAG") if fields.has("CM_MAG") else None
    has_bar = fields.has("SM_MICRON_BAR") or magnification is None
    bar = fields.positive("SM_MICRON_BAR", units=PLAIN) if has_bar else None
    marker = fields.positive("SM_MICRON_MARKER", units=LENGTHS) if has_bar else None
    measured = marker / bar if marker and bar else None
    if magnification is not None:
        widths = [base / magnification for base in MAGNIFIED]
        columns = scan[0] if scan else size[0]
        shown = [measured * across for across in (columns, DISPLAY)] if measured else widths[:1]
        width = min(widths, key=lambda width: min(abs(width / seen - 1) for seen in shown))
        return fields.pixel_size(size, stated=None, width=width, scan=scan)
    if bar and bar > size[0]:
        fields.notices.append(f"the scale bar of {bar:g} px is that of a larger picture")
        return None
    return fields.pixel_size(size, stated=measured, width=None, scan=scan)


def _length(fields: Fields, name: str, unit: str) -> float | None:
    return fields.positive(name, units=LENGTHS, default=unit) if fields.has(name) else None
