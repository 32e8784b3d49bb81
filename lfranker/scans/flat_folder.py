"""A flat folder of mixed scans: which file shows which field at which speed.

The speed is the exposure of a pixel or the vendor's scan speed, as the files tell. Fields are
matched by file name, else by stage position, else by what the images show; each only where it
leaves no choice.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lfranker.microscopes.reading import ScanMetadata, read_metadata, shared_notices
from lfranker.microscopes.scan_speed import (
    SPEED,
    TIME,
    by_speed,
    exposure_name,
    time_name,
    vendor_speed_name,
)
from lfranker.scans.field_matching import Group, Scan, by_content, by_name, by_number, by_stage
from lfranker.text import listed

TOKEN = re.compile(rf"(?<![^\W_])(?:{TIME.pattern}|{SPEED.pattern})(?![^\W_])", re.IGNORECASE)

MATCHES: dict[str, Callable[[list[Scan], list[str]], list[Group]]] = {
    "name": by_name,
    "name without its number": by_number,
    "stage position": by_stage,
    "image content": by_content,
}


@dataclass(frozen=True)
class ScanPlan:
    """``files``: speed, fast to slow where known -> field -> file; ``table`` says it to people."""

    files: dict[str, dict[str, Path]]
    table: tuple[str, ...]  # a line per field


def group_scans(paths: list[Path]) -> ScanPlan:
    """Speeds and fields of ``paths``. A field is called like its slowest scan, without suffix.

    Scans without a partner make fields of their own. Raises ValueError, and lists the candidates,
    where speeds or fields cannot be told, or could be told in more than one way.
    """
    scans = _with_speeds(paths)
    speeds = by_speed(list(dict.fromkeys(scan.speed for scan in scans)))
    if len(speeds) < 2:
        raise ValueError(
            f"all {len(scans)} scans have the speed {', '.join(speeds)}; two speeds are needed, or "
            f"--target none where none of the scans is clean"
        )
    rest, matched = scans, list[tuple[Group, str]]()
    for way, match in MATCHES.items():
        groups = match(rest, speeds)
        matched += [(group, way) for group in groups]
        taken = {scan.path for group in groups for scan in group.values()}
        rest = [scan for scan in rest if scan.path not in taken]
    if not matched:
        raise ValueError(
            "no two scans of different speeds show the same field by name, stage position or "
            f"content: {_listed(scans)}"
        )
    matched += [({scan.speed: scan}, "nothing, it has no partner") for scan in rest]
    return _plan(matched, speeds)


def order_by_exposure(files: dict[str, dict[str, Path]]) -> list[str] | None:
    """The speeds, fast to slow, by the exposure in their files.

    None where a file does not tell its own, or the files of one speed differ, or those of two
    speeds do not.
    """
    exposures: dict[str, float] = {}
    for speed, scans in files.items():
        found = [read_metadata(path).exposure for path in scans.values()]
        known = [exposure for exposure in found if exposure is not None]
        if not known or len(known) < len(found) or len({time_name(e) for e in known}) > 1:
            return None
        exposures[speed] = median(known)
    if len({time_name(exposure) for exposure in exposures.values()}) < len(exposures):
        return None
    return sorted(exposures, key=exposures.__getitem__)


def _with_speeds(paths: list[Path]) -> list[Scan]:
    """Every scan's speed, told in the same way for all: what mixes ways cannot be ordered."""
    records = [read_metadata(path) for path in paths]
    ways: tuple[Callable[[Path, ScanMetadata], str | None], ...] = (
        lambda _, metadata: exposure_name(metadata) if metadata.exposure else None,
        lambda _, metadata: vendor_speed_name(metadata),
        lambda path, _: _speed_in(path.stem),
    )
    told = [[way(p, m) for p, m in zip(paths, records, strict=True)] for way in ways]
    for names in told:
        if all(names):
            speeds = [name for name in names if name]
            keys = [_key(path.stem) for path in paths]
            return [Scan(*of) for of in zip(paths, speeds, keys, records, strict=True)]
    best = min(told, key=lambda names: names.count(None))
    silent = [n for n, name in enumerate(best) if name is None]
    missing = listed(shared_notices({paths[n]: records[n] for n in silent}))
    raise ValueError(
        f"the speed of {len(silent)} of {len(paths)} scans is unknown, neither exposure nor scan "
        f"speed is in the file or its name: {', '.join(paths[n].name for n in silent[:10])}"
        + (f" ({missing})" if missing else "")
    )


def _key(stem: str) -> str:
    """A file name without its speed, separators made equal; "" where it holds no speed."""
    rest = TOKEN.sub(" ", stem)
    return re.sub(r"[ _\-.]+", "_", rest).strip("_") if rest != stem else ""


def _speed_in(stem: str) -> str | None:
    """A speed that stands in a file name by itself: "a_100ns" but not "a100ns"."""
    tokens = [found[0] for found in TOKEN.finditer(stem)]
    return tokens[0] if len(tokens) == 1 else None


def _plan(matched: list[tuple[Group, str]], speeds: list[str]) -> ScanPlan:
    slowest = [next(group[s] for s in reversed(speeds) if s in group) for group, _ in matched]
    stems = Counter(scan.path.stem for scan in slowest)
    files: dict[str, dict[str, Path]] = {speed: {} for speed in speeds}
    rows = [["field", *speeds, "matched by"]]
    for (group, way), scan in sorted(
        zip(matched, slowest, strict=True), key=lambda entry: entry[1].path.name
    ):
        field = scan.path.stem if stems[scan.path.stem] == 1 else scan.path.name
        for speed, member in group.items():
            files[speed][field] = member.path
        names = [group[speed].path.name if speed in group else "-" for speed in speeds]
        rows.append([field, *names, way])
    return ScanPlan(files, tuple(_aligned(rows)))


def _aligned(rows: list[list[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _listed(scans: list[Scan]) -> str:
    return ", ".join(f"{scan.path.name} ({scan.speed})" for scan in scans[:20])
