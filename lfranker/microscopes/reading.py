"""Read how a scan was taken, whichever vendor's file it is: exposure, pixel size, stage, ..."""

import dataclasses
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import tifffile

from lfranker.files import TIFF_SUFFIXES, full_size_page, is_tiff
from lfranker.folders import leads_nowhere
from lfranker.microscopes import fei, fibics, hitachi, jeol, tescan, unbranded, zeiss
from lfranker.microscopes.metadata import ScanMetadata, Size
from lfranker.microscopes.packed_text import decoded
from lfranker.microscopes.picture_headers import picture_size, picture_texts
from lfranker.microscopes.sidecars import sidecars

__all__ = ["ScanMetadata", "read_metadata", "shared_notices"]

NOWHERE = (0.0, 0.0)  # m: what microscopes write whose stage has no motor, or was not read

# The first tag that says anything counts. Atlas drives microscopes that write tags of their own,
# too, so it is first.
TAG_READERS: dict[int, Callable[[bytes, Size], ScanMetadata]] = {
    fibics.TAG: fibics.read_tag,
    **dict.fromkeys(fei.TAGS, fei.read_tag),
    **dict.fromkeys(zeiss.TAGS, zeiss.read_tag),
    tescan.TAG: tescan.read_tag,
    jeol.TAG: jeol.read_tag,
}
TEXT_READERS = (
    hitachi.read_text,
    jeol.read_text,
    fei.read_text,
    tescan.read_text,
    zeiss.read_text,
)
LARGEST_TEXT = 1 << 20  # bytes that are read; real files have some kB
LARGEST_TAG = 1 << 24  # bytes: TESCAN keeps a picture in it

# What tifffile raises on files that are cut off or have been written over.
UNREADABLE = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    ZeroDivisionError,
    struct.error,
)


def read_metadata(path: Path) -> ScanMetadata:
    """Return what ``path``, or the text file beside it, says; an empty record where nothing does.

    Never raises on the content of a file: what is missing or illegible is None, and named in
    ``notices``. Raises OSError where there is neither such a file nor such a link.
    """
    if leads_nowhere(path):
        return ScanMetadata(notices=(f"{path.name}: a link to what is not there",))
    path.stat()
    found, size = _read_tiff(path) if _should_be_tiff(path) else _read_picture(path)
    records = [*found, *_read_texts(_texts_beside(path), size)]
    best = next((record for record in records if _says_something(record)), None)
    best = best or _unknown_form(records)
    width = size[0] * best.pixel_size if size and best.pixel_size else None
    stage = None if best.stage == NOWHERE else best.stage
    named = tuple(f"{path.name}: {notice}" for notice in best.notices)
    return dataclasses.replace(best, field_width=width, stage=stage, notices=named)


def shared_notices(records: Mapping[Path, ScanMetadata]) -> list[str]:
    """Return the notices of several files, each once: of one file with its name, else a count."""
    files: dict[str, list[str]] = defaultdict(list)
    for path, record in records.items():
        for notice in record.notices:
            files[notice.removeprefix(f"{path.name}: ")].append(path.name)
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} files'}: {notice}"
        for notice, names in files.items()
    ]


def _says_something(record: ScanMetadata) -> bool:
    said = dataclasses.replace(record, vendor=None, passes=1, notices=())
    return said != ScanMetadata()


def _unknown_form(records: list[ScanMetadata]) -> ScanMetadata:
    """Return the record of metadata that none can read: one notice in place of one a field."""
    if not records:
        return ScanMetadata()
    if records[0].vendor is None:
        return records[0]
    return ScanMetadata(
        vendor=records[0].vendor,
        notices=(f"its metadata ({records[0].vendor}) are of a form that is not known",),
    )


def _should_be_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF by its first bytes, or by its name and is nothing else."""
    return is_tiff(path) or (path.suffix.lower() in TIFF_SUFFIXES and picture_size(path) is None)


def _read_tiff(path: Path) -> tuple[list[ScanMetadata], Size | None]:
    """Return what tags and text in a TIFF say, and the size of the image; None: not known."""
    try:
        with tifffile.TiffFile(path) as tiff:
            page = full_size_page(tiff)
            if page is None:
                raise tifffile.TiffFileError("no full-size image")
            size = int(page.imagewidth), int(page.imagelength)
            if min(size) <= 0:
                return [], None
            return list(_records(tiff, page, size)), size
    except UNREADABLE as error:
        return [ScanMetadata(notices=(f"the TIFF's tags cannot be read ({error})",))], None


def _records(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage, size: Size
) -> Iterator[ScanMetadata]:
    for code, reader in TAG_READERS.items():
        if tag := page.tags.get(code):
            yield reader(_content(tiff, tag), size)
    yield from _read_texts([unbranded.description(tiff)], size)
    if found := unbranded.read_tiff(tiff, page, size):
        yield found


def _content(tiff: tifffile.TiffFile, tag: tifffile.TiffTag) -> bytes:
    """Return the bytes of a tag, as tifffile parses some of its own accord."""
    tiff.filehandle.seek(tag.valueoffset)
    return tiff.filehandle.read(min(tag.valuebytecount, LARGEST_TAG))


def _read_picture(path: Path) -> tuple[list[ScanMetadata], Size | None]:
    """Return what texts in a PNG, JPEG or BMP say, and the size of the image."""
    size = picture_size(path)
    return list(_read_texts(picture_texts(path), size)), size


def _read_texts(texts: Iterable[str], size: Size | None) -> Iterator[ScanMetadata]:
    """Yield what the vendors' readers find; nothing for texts that none of them wrote."""
    for text in texts:
        for reader in TEXT_READERS:
            if found := reader(text, size):
                yield found
                break


def _texts_beside(image: Path) -> Iterator[str]:
    for path in sidecars(image):
        try:
            with path.open("rb") as file:
                yield decoded(file.read(LARGEST_TEXT))
        except OSError:
            continue
