"""Denoise image files: bit depth, data bar and every tag of a microscope's TIFF stay."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import nn

from lfranker.arrays import Image
from lfranker.denoiser.likeness import Likeness, unlike
from lfranker.denoiser.tiling import denoise
from lfranker.image_copies.image_copy import copy_with
from lfranker.images.data_bar import Bars
from lfranker.images.folder_bars import folder_bars
from lfranker.images.image_file import Micrograph, check_depth, read_image
from lfranker.microscopes.sidecars import copy_sidecars

LARGE = 2**26  # px: outputs above 256 MiB go through a file


@dataclass(frozen=True)
class Work:
    before: Path
    after: Path
    network: nn.Module
    provenance: str  # what was done and by which model; kept in TIFFs
    white: int | None = None  # gray value of full brightness in a file of 16 bits
    bars: Bars | None = None  # what is not specimen, as the other files of the folder show it
    trained_on: Likeness | None = None  # what the training images of the network look like


@dataclass(frozen=True)
class Done:
    work: Work
    notices: tuple[str, ...]
    error: Exception | None  # nothing was written


def denoise_file(work: Work, on_tile: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Denoise one file, and what the user should know of it.

    The file is copied with other pixels; whatever else is in it stays. Raises ValueError or
    OSError on a file that cannot be read or written.
    """
    if work.after.exists() and work.after.samefile(work.before):
        raise ValueError(f"{work.after}: the scan itself is not written over")
    try:
        scan = read_image(work.before, work.white, work.bars)
        check_depth(work.after, scan.dtype)
        with _room_for(scan.image.shape) as room:
            denoised = denoise(work.network, scan.image, out=room, on_tile=on_tile)
            return (*_write(work, scan, denoised), *_unlike(work, scan.image))
    except MemoryError as error:
        raise ValueError(
            f"{work.before}: too large for the memory that is free; allowed: parts of it, or "
            f"fewer files at a time (--jobs 1)"
        ) from error


def _unlike(work: Work, image: Image) -> tuple[str, ...]:
    """Warn where a scan is not like what the network was trained on."""
    if work.trained_on is None:
        return ()
    reasons = unlike(image, work.network, work.trained_on)
    if not reasons:
        return ()
    return (
        f"{work.before.name}: the model was trained on other images than this one, which has "
        f"{'; '.join(reasons)}: compare the result with the scan before you trust it",
    )


@contextmanager
def _room_for(shape: tuple[int, ...]) -> Iterator[Image]:
    """An array to denoise into; in a file where it is large."""
    if np.prod(shape) <= LARGE:
        yield np.empty(shape, np.float32)
        return
    with TemporaryDirectory() as folder:
        yield np.lib.format.open_memmap(Path(folder) / "denoised.npy", "w+", np.float32, shape)


def _write(work: Work, scan: Micrograph, denoised: Image) -> tuple[str, ...]:
    if not all(np.isfinite(line).all() for line in denoised):
        raise ValueError(f"{work.before}: the model's output is not finite; nothing was written")
    lost = copy_with(work.before, scan, denoised, work.after, work.provenance)
    return (*scan.notices, *lost, *copy_sidecars(work.before, work.after))


def denoise_files(work: Sequence[Work], jobs: int) -> Iterator[Done]:
    """Denoise ``jobs`` files at a time, in threads; yields them as they are done.

    A file that fails does not stop the others. What was not begun when the caller stops listening
    is not begun any more.
    """
    bars = folder_bars({item.before: item.white for item in work})
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(denoise_file, replace(item, bars=bars.get(item.before))): item
            for item in work
        }
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
