"""Denoise image files: bit depth, data bar and every tag of a microscope's TIFF stay."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from lfranker.decoding import TIFF_SUFFIXES
from lfranker.images import read_image, write_image
from lfranker.inference import denoise
from lfranker.tiff_copy import stored_pixels, write_copy


@dataclass(frozen=True)
class Work:
    before: Path
    after: Path
    network: nn.Module
    provenance: str  # what was done and by which model; kept in TIFFs


@dataclass(frozen=True)
class Done:
    work: Work
    notices: tuple[str, ...]
    error: Exception | None  # nothing was written


def denoise_file(work: Work, on_tile: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Denoise one file, and what the user should know of it.

    A TIFF is copied with other pixels, all tags as they were; where its kind of pixels cannot be
    written, and in other formats, only the image is kept. Raises ValueError or OSError on a file
    that cannot be read or written.
    """
    scan = read_image(work.before)
    denoised = denoise(work.network, scan.image, on_tile=on_tile)
    notices = scan.notices
    if {work.before.suffix.lower(), work.after.suffix.lower()} <= TIFF_SUFFIXES:
        try:
            pixels = stored_pixels(work.before, scan, denoised)
            write_copy(work.before, pixels, work.after, work.provenance)
        except ValueError as error:
            notices = (*notices, f"{work.before.name}: its tags are lost ({error})")
        else:
            return notices
    whole = np.array(scan.pixels)
    whole[scan.content] = denoised
    write_image(work.after, whole, scan.dtype, scan.maximum)
    return notices


def denoise_files(work: Sequence[Work], jobs: int) -> Iterator[Done]:
    """Denoise ``jobs`` files at a time, in threads; yields them as they are done.

    A file that fails does not stop the others. What was not begun when the caller stops listening
    is not begun any more.
    """
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(denoise_file, item): item for item in work}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is None:
                    yield Done(futures[future], future.result(), None)
                elif isinstance(error, ValueError | OSError):
                    yield Done(futures[future], (), error)
                else:
                    raise error
        finally:
            pool.shutdown(cancel_futures=True)
