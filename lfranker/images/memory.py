"""Memory that is free, compared with what an image needs before it is decoded."""

import os
from pathlib import Path

# Bytes for each pixel beside the samples themselves: the image, the denoised one, the float64 of
# a colour, and what the search for a data bar makes of them.
WORKING = 24
MEMINFO = Path("/proc/meminfo")


def free_memory() -> int | None:
    """Return how many bytes of memory are free; None where the system does not say."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        names = getattr(os, "sysconf_names", {})
        if "SC_AVPHYS_PAGES" not in names:
            return None
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sizes = (line.split() for line in lines if line.startswith("MemAvailable:"))
    return next((int(words[1]) * 1024 for words in sizes), None)


def shortage(width: int, height: int, bytes_per_pixel: int) -> str | None:
    """Return why an image is too large for the memory that is free; None where it fits."""
    needed = width * height * (2 * bytes_per_pixel + WORKING)
    free = free_memory()
    if free is None or needed <= free:
        return None
    return (
        f"{width:,} x {height:,} px need about {needed / 1e9:.1f} GB of memory, "
        f"{free / 1e9:.1f} GB are free: cut it into parts, or take a machine with more memory"
    )
