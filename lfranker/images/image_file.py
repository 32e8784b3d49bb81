"""Read and write image files: formats, bit depths, colours, data bars.

Everywhere else an image is float32 (h, w) in [0, 1].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from lfranker.arrays import Image
from lfranker.files import TIFF_SUFFIXES, full_size_pages, is_tiff, new_file
from lfranker.folders import leads_nowhere, visible_below, was_perhaps_folder
from lfranker.images.containers import JPEG_QUALITY
from lfranker.images.data_bar import Bars, bars_of, content_of
from lfranker.images.decoding import Decoded, decode, decode_pages, unsupported
from lfranker.images.palettes import Palette
from lfranker.images.stated_bits import MAX_SAMPLE_VALUE
from lfranker.microscopes.reading import read_metadata
from lfranker.text import check_name, printable

SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"})
READ = ", ".join(sorted(SUFFIXES))
EIGHT_BIT_ONLY = frozenset({".jpg", ".jpeg", ".bmp"})
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601-7, of red, green, blue
JPEG_LOSS = 8  # of 255, mean: more means that it came out as something else
ROWS_AT_A_TIME = 256


class ColoursLost(ValueError):  # noqa: N818  not a mistake of the user
    """Error on a palette that has no index for most grays: its image can be written gray only."""


@dataclass(frozen=True)
class Micrograph:
    pixels: Image  # the whole file as gray, data bar and frame included
    dtype: np.dtype[np.generic]  # of the file: uint8 or uint16
    maximum: int  # the divisor: 255, 65535, or 4095 where the file's metadata say 12 bits
    content: tuple[slice, slice]  # rows, columns of the specimen: without data bar and frame
    notices: tuple[str, ...]  # what was converted or cropped, each naming the file

    @property
    def image(self) -> Image:
        """Return the specimen alone, contiguous."""
        return np.ascontiguousarray(self.pixels[self.content])


def image_files(folder: Path, any_name: bool = False) -> list[Path]:
    """List the image files below ``folder`` by relative path, without hidden ones.

    Links to folders are followed, as `visible_below` says. A link to what is not there is listed
    where it may have been an image or a folder of images: reading it says so. Raises ValueError
    naming a file whose name is not UTF-8, unless ``any_name``.
    """
    if not folder.is_dir():
        raise ValueError(f"{printable(str(folder))}: not a folder of images")
    found = [
        path
        for path in visible_below(folder)
        if (path.suffix.lower() in SUFFIXES and (leads_nowhere(path) or path.is_file()))
        or was_perhaps_folder(path)
    ]
    for path in () if any_name else found:
        check_name(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read_image(path: Path, white: int | None = None, bars: Bars | None = None) -> Micrograph:
    """Read a file as gray, divided by its type's maximum, never by its own brightest pixel.

    ``white`` is the value of full brightness of a file of 16 bits; None: what the file says of it.
    ``bars``: what is not specimen, as `folder_bars` found it. Else the data bar is as high as
    the microscope's metadata say; where they do not, it is looked for in the picture. ValueError
    names the file where it is not one 8- or 16-bit image, is corrupt or empty.
    """
    return _micrograph(path, _decode(path, white), bars)


def read_pages(path: Path, white: int | None = None, bars: Bars | None = None) -> list[Micrograph]:
    """Read a file as `read_image` does, but of a stack each page, which shows the same field."""
    _check_suffix(path)
    return [_micrograph(path, page, bars) for page in decode_pages(path, white)]


def _micrograph(path: Path, decoded: Decoded, bars: Bars | None) -> Micrograph:
    pixels, colour, notices = _to_gray(path, decoded)
    notices += decoded.notices
    bars = bars or bars_of(pixels, colour, read_metadata(path).data_bar)
    content = content_of(pixels, colour, bars)
    whole = (slice(0, pixels.shape[0]), slice(0, pixels.shape[1]))
    if content != whole:
        rows, columns = content
        notices.append(
            f"data bar or frame left out: {columns.stop - columns.start} x "
            f"{rows.stop - rows.start} of {pixels.shape[1]} x {pixels.shape[0]} px are specimen"
        )
    if bars.notice:
        notices.append(bars.notice)
    named = tuple(f"{printable(path.name)}: {notice}" for notice in notices)
    return Micrograph(pixels, decoded.samples.dtype, decoded.maximum, content, named)


def page_count(path: Path) -> int:
    """Return how many images `read_pages` would read; 1 where it could not, which it then says."""
    if not is_tiff(path):
        return 1
    try:
        with tifffile.TiffFile(path) as tiff:
            return max(len(full_size_pages(tiff)), 1)
    except (OSError, ValueError):  # tifffile's own error is a ValueError
        return 1


def read_gray(
    path: Path, white: int | None = None
) -> tuple[Image, NDArray[np.bool_] | None, list[str]]:
    """Return a file as gray in [0, 1], data bar and all, its coloured pixels, and notices."""
    return _to_gray(path, _decode(path, white))


def _decode(path: Path, white: int | None) -> Decoded:
    _check_suffix(path)
    return decode(path, white)


def _check_suffix(path: Path) -> None:
    if leads_nowhere(path):
        raise unsupported(path, "a link to what is not there")
    if path.suffix.lower() not in SUFFIXES:
        raise unsupported(path, f"suffix {path.suffix!r} is not one of {READ}")


def _to_gray(path: Path, decoded: Decoded) -> tuple[Image, NDArray[np.bool_] | None, list[str]]:
    """Return gray in [0, 1], the coloured pixels (None in a gray file), and notices."""
    if decoded.samples.size == 0:
        raise unsupported(path, f"image of shape {decoded.samples.shape}")
    samples, full = decoded.samples, np.float32(decoded.maximum)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    notices = [_of_last_channel(decoded)] if channels in (2, 4) else []
    first = samples if samples.ndim == 2 else samples[..., 0]
    if channels < 3:
        return first.astype(np.float32) / full, None, notices
    kind = "palette" if decoded.palette else "RGB"
    colour = (samples[..., 0] != samples[..., 1]) | (samples[..., 1] != samples[..., 2])
    if not colour.any():
        notice = f"{kind} with equal channels read as gray, without loss"
        return first.astype(np.float32) / full, None, [notice, *notices]
    luma = np.empty(colour.shape, np.float32)
    for top in range(0, len(luma), ROWS_AT_A_TIME):  # in float64, for which a mosaic has no room
        rows = slice(top, top + ROWS_AT_A_TIME)
        luma[rows] = samples[rows, :, :3] @ np.asarray(LUMA) / full
    return luma, colour, [f"{kind} read as gray (luma)", *notices]


def _of_last_channel(decoded: Decoded) -> str:
    """Say that what is beside the image is not read: alpha, or samples of no stated meaning."""
    kinds = decoded.page.extrasamples if decoded.page is not None else ()
    unnamed = tifffile.EXTRASAMPLE.UNSPECIFIED in kinds
    return "extra channel of no stated meaning not read" if unnamed else "alpha channel not read"


def with_specimen(
    source: Path, decoded: Decoded, scan: Micrograph, image: Image
) -> NDArray[np.integer]:
    """Return the samples of ``decoded`` with ``image`` in place of the specimen.

    ``scan`` is what ``read_image`` made of ``source``, ``image`` float32 (h, w) in [0, 1], of the
    shape of ``scan.image``. All colour channels get the gray value; where there is a palette,
    indices are returned, those of the gray values. Data bar, frame, alpha and annotations in
    colours of a palette stay. Raises ColoursLost for a palette with too few grays.
    """
    if image.shape != scan.image.shape:
        raise ValueError(f"{source}: specimen is {scan.image.shape}, got {image.shape}")
    if decoded.palette is not None:
        return _indices(source, decoded.palette, scan.content, image)
    samples = decoded.samples.copy()
    for line, values in zip(samples[scan.content], image, strict=True):
        gray = levels(values, scan.maximum)  # a large scan has no room for copies
        if line.ndim == 1:
            line[:] = gray
        else:
            line[:, : 3 if line.shape[1] > 2 else 1] = gray[:, None]
    return samples


def _indices(
    source: Path, palette: Palette, content: tuple[slice, slice], image: Image
) -> NDArray[np.uint8]:
    """Return the indices of ``palette`` with those of ``image`` in place of the specimen's grays.

    An index that no gray value has is an annotation's, and stays.
    """
    index_of = palette.index_of_gray()
    if index_of is None:
        raise ColoursLost(f"{source}: its palette has too few grays")
    annotates = np.isin(np.arange(256), index_of, invert=True)
    indices = palette.indices.copy()
    for line, values in zip(indices[content], image, strict=True):
        line[:] = np.where(annotates[line], line, index_of[levels(values, 255)])
    return indices


def levels(values: Image, maximum: int) -> NDArray[np.uint16]:
    """Return values in [0, 1] as integers, 1 as ``maximum``."""
    return np.rint(np.clip(values, 0, 1).astype(np.float64) * maximum).astype(np.uint16)


def came_back(again: NDArray[np.generic], written: NDArray[np.generic], exact: bool) -> bool:
    """Return whether what is read ``again`` is what was ``written``, but for the loss of a JPEG."""
    if exact or again.shape != written.shape:
        return np.array_equal(again, written)
    difference = again.astype(np.float32) - written.astype(np.float32)
    return float(np.abs(difference).mean()) <= JPEG_LOSS


def check_depth(path: Path, dtype: np.dtype[np.generic]) -> None:
    """Raise ValueError where files of the suffix of ``path`` cannot hold such samples."""
    if path.suffix.lower() in EIGHT_BIT_ONLY and dtype != np.uint8:
        raise ValueError(
            f"{path}: {path.suffix.lower()} holds 8 bits, not {dtype.name}; use .png or .tif"
        )


def write_image(path: Path, pixels: Image, dtype: np.dtype[np.generic], maximum: int) -> None:
    """Write ``pixels`` (h, w), clipped to [0, 1] and rounded, in the format of the suffix.

    TIFF keeps ``maximum`` (in MaxSampleValue where it is not the type's own); other formats
    cannot, so there full brightness is the type's maximum.
    """
    suffix, kind = path.suffix.lower(), np.dtype(dtype)
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: suffix {path.suffix!r} is not one of {READ}")
    if kind not in (np.uint8, np.uint16):
        raise ValueError(f"{path}: cannot write {kind.name}; allowed are uint8 and uint16")
    check_depth(path, kind)
    if pixels.ndim != 2 or pixels.size == 0 or not np.isfinite(pixels).all():
        raise ValueError(f"{path}: cannot write shape {pixels.shape} or non-finite values")
    full = int(np.iinfo(kind).max)  # type: ignore[type-var]
    if not 1 <= maximum <= full:
        raise ValueError(f"{path}: maximum {maximum} is outside 1 to {full} of {kind.name}")
    scale = maximum if suffix in TIFF_SUFFIXES else full
    values = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * scale).astype(kind)
    with new_file(path) as draft:
        _encode(draft, suffix, values, scale)


def _encode(path: Path, suffix: str, values: NDArray[np.generic], maximum: int) -> None:
    if suffix in TIFF_SUFFIXES:
        narrowed = maximum != np.iinfo(values.dtype).max  # type: ignore[type-var]
        tags = [(MAX_SAMPLE_VALUE, "H", 1, maximum, True)] if narrowed else []
        tifffile.imwrite(path, values, photometric="minisblack", extratags=tags)
    elif suffix in {".jpg", ".jpeg"}:
        Pillow.fromarray(values).save(path, quality=JPEG_QUALITY)
    else:
        Pillow.fromarray(values).save(path)
