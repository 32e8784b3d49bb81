"""Copy a microscope's TIFF with other pixels: every tag of its vendor stays, byte for byte.

The file is copied, not written anew. Pixels that are not compressed are replaced where they lie.
Compressed ones, and pixels into which a tag's value reaches, are appended as one strip per plane:
only the tags that say where and how pixels are stored change, and the old pixels stay in the file,
unused. Then the list of tags is appended again with one tag more, and the pointer to it is
changed. Values stay where they were, so offsets inside of private tags remain right.

How the pixels were made is written into a private tag of its own, and not into Software or
ImageDescription: vendors use both (Fibics, Zeiss), and neither may be lost.
"""

import shutil
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.files import full_size_page, new_file
from lfranker.images.decoding import decode, inverted
from lfranker.images.image_file import Micrograph
from lfranker.images.tiff_directory import Entry, append_entries, append_value, end_of, read_entries

# How the pixels were made; in the range for private use, 65000 to 65535 (Adobe, TIFF 6.0), and
# no vendor's in the list of exiftool.
PROVENANCE = 65350
ASCII = 2  # TIFF type of a tag
STORED_AS_SHOWN = (
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
    tifffile.PHOTOMETRIC.RGB,
    tifffile.PHOTOMETRIC.PALETTE,
)
PLAIN = {259: 1, 266: 1, 317: 1}  # Compression, FillOrder, Predictor: none
STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTES = 273, 278, 279
TILES = frozenset({322, 323, 324, 325})  # TileWidth, TileLength, TileOffsets, TileByteCounts


class TagsLost(ValueError):  # noqa: N818  not a mistake of the user
    """Error on a kind of TIFF whose pixels cannot be replaced; only its image can be written."""


def write_copy(
    source: Path, pixels: NDArray[np.generic], destination: Path, provenance: str
) -> None:
    """Copy the TIFF ``source`` to ``destination`` with ``pixels`` in its first full-size page.

    ``pixels`` has shape and dtype of that page as tifffile reads it, data bar included (see
    ``stored_pixels``). ``provenance`` goes into tag 65350, after what is there already. Other
    pages, such as thumbnails, are kept. Raises ValueError where
    shape or dtype differ, or the file is not a TIFF, or both paths are one file.
    """
    if destination.exists() and destination.samefile(source):
        raise ValueError(f"{destination}: the scan itself is not written over")
    with new_file(destination) as draft:
        shutil.copyfile(source, draft)
        with _opened(source) as tiff, draft.open("r+b") as file:
            page = full_size_page(tiff)
            if page is None:
                raise ValueError(f"{source}: TIFF without a full-size image")
            _rewrite(file, tiff, page, pixels, provenance)


def stored_pixels(source: Path, scan: Micrograph, image: Image) -> NDArray[np.generic]:
    """Return the pixels of the TIFF ``source`` with ``image`` in place of the specimen.

    ``scan`` is what ``read_image`` made of it, ``image`` float32 (h, w) in [0, 1], of the shape of
    ``scan.image``. All colour channels get the gray value; data bar, frame and alpha stay. Shape
    and dtype are those of the file. Raises ValueError for a palette that is not a ramp of gray.
    """
    rows, columns = scan.content
    if image.shape != scan.image.shape:
        raise ValueError(f"{source}: specimen is {scan.image.shape}, got {image.shape}")
    decoded = decode(source)
    page = decoded.page
    if page is None:
        raise ValueError(f"{source}: not a TIFF")
    if decoded.palette and not _is_gray_ramp(page):
        raise TagsLost(f"{source}: its palette is no ramp of gray, so its colours would be lost")
    pixels = decoded.palette.indices.copy() if decoded.palette else decoded.samples.copy()
    specimen = pixels[rows, columns]
    for line, values in zip(specimen, image, strict=True):  # a large scan has no room for copies
        levels = np.rint(np.clip(values, 0, 1).astype(np.float64) * scan.maximum)
        if line.ndim == 1:
            line[:] = levels
        else:
            line[:, : 3 if line.shape[1] > 2 else 1] = levels[:, None]
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = inverted(pixels, scan.maximum)
    return np.moveaxis(pixels, -1, 0) if page.axes.startswith("S") else pixels


def _opened(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise ValueError(f"{path}: not a TIFF ({error})") from error


def _is_gray_ramp(page: tifffile.TiffPage) -> bool:
    """Return whether index i looks as bright as i: Zeiss writes such a palette."""
    map_ = None if page.colormap is None else page.colormap >> 8
    return map_ is not None and bool(np.all(map_ == np.arange(map_.shape[1])))


def _rewrite(
    file: BinaryIO,
    tiff: tifffile.TiffFile,
    page: tifffile.TiffPage,
    pixels: NDArray[np.generic],
    provenance: str,
) -> None:
    if pixels.shape != page.shape or pixels.dtype != page.dtype:
        raise ValueError(
            f"{tiff.filename}: holds {page.dtype} {page.shape}, got {pixels.dtype} {pixels.shape}"
        )
    if page.photometric not in STORED_AS_SHOWN:
        kind = tifffile.PHOTOMETRIC(page.photometric).name
        raise TagsLost(f"{tiff.filename}: {kind} image; allowed are gray, RGB and palette")
    stored = np.ascontiguousarray(pixels).reshape(-1)
    order = np.dtype(stored.dtype).newbyteorder(tiff.byteorder)
    entries = read_entries(file, tiff, page)
    if page.compression == 1 and not page.is_tiled and page.fillorder == 1 and _apart(page):
        _replace_strips(file, page, stored, order)
    else:
        entries = _append_strips(file, tiff, page, stored, order, entries)
    earlier = page.tags.valueof(PROVENANCE, "")
    text = "\n".join(filter(None, (earlier, provenance))).encode("ascii", "backslashreplace")
    entries = [entry for entry in entries if entry[0] != PROVENANCE]
    entries.append(append_value(file, tiff, PROVENANCE, ASCII, text + b"\0", len(text) + 1))
    append_entries(file, tiff, page, sorted(entries))


def _apart(page: tifffile.TiffPage) -> bool:
    """Return whether no tag's value reaches into the pixels; one of a Merlin (Zeiss) does."""
    strips = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    return not any(
        tag.valueoffset < offset + size and offset < tag.valueoffset + tag.valuebytecount
        for tag in page.tags
        for offset, size in strips
    )


def _replace_strips(
    file: BinaryIO, page: tifffile.TiffPage, stored: NDArray[np.generic], order: np.dtype
) -> None:
    done = 0
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        strip = stored[done : done + size // stored.itemsize]
        file.seek(offset)
        file.write(strip.astype(order).tobytes())
        done += strip.size
    if done != stored.size:
        raise ValueError(f"{file.name}: the strips hold {done} of {stored.size} samples")


def _append_strips(
    file: BinaryIO,
    tiff: tifffile.TiffFile,
    page: tifffile.TiffPage,
    stored: NDArray[np.generic],
    order: np.dtype,
    entries: list[Entry],
) -> list[Entry]:
    """Append one strip, or one per plane, without compression; return the tags that say so."""
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    size = stored.nbytes // planes
    start = end_of(file)
    for plane in stored.reshape(planes, -1):
        file.write(plane.astype(order).tobytes())
    kind, code = (16, "Q") if tiff.is_bigtiff else (4, "I")
    offsets = struct.pack(
        f"{tiff.byteorder}{planes}{code}", *(start + i * size for i in range(planes))
    )
    sizes = struct.pack(f"{tiff.byteorder}{planes}{code}", *[size] * planes)
    changed = [
        append_value(file, tiff, STRIP_OFFSETS, kind, offsets, planes),
        append_value(file, tiff, STRIP_BYTES, kind, sizes, planes),
        append_value(
            file, tiff, ROWS_PER_STRIP, 4, struct.pack(tiff.byteorder + "I", page.imagelength), 1
        ),
    ]
    present = {entry[0] for entry in entries}
    changed += [
        append_value(file, tiff, tag, 3, struct.pack(tiff.byteorder + "H", value), 1)
        for tag, value in PLAIN.items()
        if tag in present
    ]
    gone = TILES | {entry[0] for entry in changed}
    return [entry for entry in entries if entry[0] not in gone] + changed
