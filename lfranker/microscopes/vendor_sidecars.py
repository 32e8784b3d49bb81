"""What the text files say that Hitachi and JEOL write beside an image.

Written from descriptions of these files: no file of a real microscope was at hand, so neither
reader has been tested on one.
"""

import re
from pathlib import Path

from lfranker.microscopes.metadata import (
    FACTORS,
    LENGTHS,
    VOLTAGES,
    Fields,
    ScanMetadata,
    key_values,
)

LARGEST = 1 << 20  # bytes read of a text file; real ones have some kB
HITACHI = "[SemImageFile]"
JEOL = re.compile(r"^(\$+(?:CM|SM)_\w+)[ \t]*(.*)$", re.MULTILINE | re.ASCII)


def read_sidecar(image: Path, height: int | None) -> ScanMetadata | None:
    """Of the text file that is called like ``image``, for an image of ``height`` px if known.

    None where there is no such file, or none of Hitachi or JEOL.
    """
    for suffix in (".txt", ".TXT"):
        path = image.with_suffix(suffix)
        try:
            with path.open("rb") as file:
                text = _decoded(file.read(LARGEST))
        except OSError:
            continue
        if HITACHI in text:
            return _hitachi(text, height)
        if found := JEOL.findall(text):
            return _jeol({name: value.strip() for name, value in found}, height)
    return None


def _decoded(data: bytes) -> str:
    """Hitachi writes either 8-bit text or UTF-16."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8", errors="replace")


def _hitachi(text: str, height: int | None) -> ScanMetadata:
    """NAME=VALUE; the pixel size and the stage position come in nm, without a unit."""
    fields = Fields(key_values(text))
    size = re.fullmatch(r"\d+\s*x\s*(\d{1,9})", fields.text("DataSize") or "")
    return ScanMetadata(
        vendor="Hitachi",
        pixel_size=fields.positive("PixelSize", units=LENGTHS, default="nm"),
        scan_speed=fields.text("ScanSpeed"),
        data_bar=_bar(height, size[1] if size else None),
        high_voltage=fields.positive("AcceleratingVoltage", units=VOLTAGES, default="v"),
        magnification=fields.positive("Magnification", units=FACTORS, default="x"),
        stage=fields.point("StagePositionX", "StagePositionY", "nm"),
        notices=tuple(fields.notices),
    )


def _jeol(texts: dict[str, str], height: int | None) -> ScanMetadata:
    """``$NAME VALUE``; pixels are measured by the scale bar: its length in px and its label."""
    fields = Fields(_with_stage(texts))
    pixels = fields.positive("$$SM_MICRON_BAR", units={"": 1.0})
    length = fields.positive("$$SM_MICRON_MARKER", units=LENGTHS)
    size = re.fullmatch(r"\d+\s+(\d{1,9})", fields.text("$CM_FULL_SIZE") or "")
    return ScanMetadata(
        vendor="JEOL",
        pixel_size=length / pixels if length and pixels else None,
        averaging=fields.count("$CM_SCAN_AVERAGE"),
        scan_speed=fields.text("$CM_SCAN_SPEED"),
        data_bar=_bar(height, size[1] if size else None),
        high_voltage=fields.positive("$CM_ACCEL_VOLT", units=VOLTAGES, default="kv"),
        magnification=fields.positive("$CM_MAG", units=FACTORS, default="x"),
        stage=fields.point("stage x", "stage y", "mm"),
        notices=tuple(fields.notices),
    )


def _with_stage(texts: dict[str, str]) -> dict[str, str]:
    """Two forms are in use: "2.044 0.704 10.2 ..." and "X=2.044, Y=0.704, R=...", both in mm."""
    plain = texts.get("$CM_STAGE_POS", "").split()
    named = key_values(texts.get("$CM_STAGE_POSITION", "").replace(",", "\n"))
    x, y = plain[:2] if len(plain) > 1 else (named.get("X"), named.get("Y"))
    return texts | {"stage x": x or "", "stage y": y or ""}


def _bar(height: int | None, rows: str | None) -> int | None:
    """What the file has more in rows than the scan had; at most as much as that."""
    if height is None or rows is None:
        return None
    return height - int(rows) if height // 2 < int(rows) <= height else None
