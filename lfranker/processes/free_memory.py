"""Memory that is free for this process.

A container or a batch job may have less than its machine: on Linux, processes are in groups, and
those groups in others, each of which may have a limit.
"""

import os
from collections.abc import Iterator
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
# files of a group, in the newer and the older hierarchy: limit, use, and the name in memory.stat of
# what of the use is only files that may be read again
UNIFIED = ("memory.max", "memory.current", "inactive_file")
FORMER = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_memory() -> int | None:
    """Return how many bytes of memory are free; None where the system does not say."""
    left = [max(0, limit - used) for limit, used in group_limits()]
    free = _free_in_machine()
    return min(left if free is None else [*left, free], default=None)


def _free_in_machine() -> int | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        names = getattr(os, "sysconf_names", {})
        if "SC_AVPHYS_PAGES" not in names:
            return None
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sizes = (line.split() for line in lines if line.startswith("MemAvailable:"))
    return next((int(words[1]) * 1024 for words in sizes), None)


def group_limits() -> Iterator[tuple[int, int]]:
    """Yield limit and use in bytes, of each group of this process that has a limit."""
    for folder, (most, current, cached) in _groups():
        limit = _text(folder / most).strip()
        used = _text(folder / current).strip()
        if limit.isdigit() and used.isdigit():
            words = _text(folder / "memory.stat").split()
            stat = dict(zip(words[::2], words[1::2], strict=False))
            yield int(limit), int(used) - int(stat.get(cached, 0))


def _groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the folders of this process's groups, and how their files are called.

    In a container the own group is the top folder, whatever path the system tells.
    """
    for line in _text(OWN_GROUPS).splitlines():
        _, kinds, own = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top, names = (GROUPS / "memory", FORMER) if kinds else (GROUPS, UNIFIED)
        folder = top / own.strip("/")
        yield from ((at, names) for at in (folder, *folder.parents) if at.is_relative_to(top))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""
