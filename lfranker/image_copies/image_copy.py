"""Copies of image files with another specimen: format, depth, colours and metadata stay."""

from pathlib import Path

import numpy as np

from lfranker.arrays import Image
from lfranker.files import TIFF_HEADS, TIFF_SUFFIXES, StorageError, new_file
from lfranker.image_copies.tiff_copy import stored_pixels, write_copy
from lfranker.images.containers import BMP, JPEG, PNG, WRITERS, png_with
from lfranker.images.decoding import decode
from lfranker.images.image_file import (
    ColoursLost,
    Micrograph,
    came_back,
    levels,
    with_specimen,
    write_image,
)

SUFFIXES_OF = {PNG: {".png"}, JPEG: {".jpg", ".jpeg"}, BMP: {".bmp"}}
LONGEST_HEAD = 8  # bytes that tell a format


def copy_with(
    source: Path, scan: Micrograph, image: Image, destination: Path, provenance: str
) -> tuple[str, ...]:
    """Copy ``source`` to ``destination`` with ``image`` as its specimen; return what was lost.

    ``scan`` is what ``read_image`` made of ``source``. What is not the specimen stays to the last
    byte, but for the losses of JPEG. In another format than that of ``source`` gray is written,
    without metadata. ``provenance`` is kept in TIFFs. Raises ValueError, which names a file, or
    OSError where this fails; nothing is written then.
    """
    try:
        return _copied(source, scan, image, destination, provenance)
    except (OSError, StorageError):
        raise
    except Exception as error:  # each codec raises errors of its own kind
        words = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ValueError) and words.startswith((str(source), str(destination))):
            raise
        raise ValueError(f"{source}: cannot be written with other pixels ({words})") from error


def _copied(
    source: Path, scan: Micrograph, image: Image, destination: Path, provenance: str
) -> tuple[str, ...]:
    with source.open("rb") as file:
        head = file.read(LONGEST_HEAD)
    suffix = destination.suffix.lower()
    if head.startswith(TIFF_HEADS) and suffix in TIFF_SUFFIXES:
        return _copy_tiff(source, scan, image, destination, provenance)
    for start, suffixes in SUFFIXES_OF.items():
        if head.startswith(start) and suffix in suffixes:
            return _copy_container(start, source, scan, image, destination)
    whole, full = _whole(scan, image), scan.maximum
    if suffix not in TIFF_SUFFIXES:  # which cannot say what full brightness is,
        full = int(np.iinfo(scan.dtype).max)  # type: ignore[type-var]
        whole *= np.float32(scan.maximum / full)  # so that values stay in the file's range
    write_image(destination, whole, scan.dtype, full)
    return (f"{source.name}: written in another format, without its metadata",)


def _copy_tiff(
    source: Path, scan: Micrograph, image: Image, destination: Path, provenance: str
) -> tuple[str, ...]:
    try:
        pixels = stored_pixels(source, scan, image)
    except ColoursLost as error:
        gray = levels(_whole(scan, image), scan.maximum).astype(scan.dtype)
        write_copy(source, gray, destination, provenance, as_gray=True)
        return (f"{source.name}: its colours are lost ({error})",)
    write_copy(source, pixels, destination, provenance)
    return ()


def _copy_container(
    start: bytes, source: Path, scan: Micrograph, image: Image, destination: Path
) -> tuple[str, ...]:
    data, decoded = source.read_bytes(), decode(source, scan.maximum)
    try:
        samples = with_specimen(source, decoded, scan, image)
    except ColoursLost as error:
        gray = levels(_whole(scan, image), scan.maximum).astype(scan.dtype)
        if start == PNG:
            with new_file(destination) as draft:
                draft.write_bytes(png_with(data, gray, as_gray=True))
        else:
            write_image(destination, _whole(scan, image), scan.dtype, scan.maximum)
        return (f"{source.name}: its colours are lost ({error})",)
    with new_file(destination) as draft:
        for write in WRITERS[start]:
            draft.write_bytes(write(data, samples))
            again = decode(draft)
            got = again.samples if again.palette is None else again.palette.indices
            if came_back(got, samples, exact=start != JPEG):
                break
        else:
            raise ValueError(f"{destination}: what was written is not what is read back")
    return ()


def _whole(scan: Micrograph, image: Image) -> Image:
    """Return the whole of ``scan``, as gray, with ``image`` in place of the specimen."""
    whole = np.array(scan.pixels)
    whole[scan.content] = image
    return whole
