"""Files of every kind: which page of a TIFF is the image, and writing whole or not at all.

What is new is written under a hidden temporary name in the same folder and renamed at the end, so
that an interrupted program leaves nothing that looks whole. Permissions are those of any new file.
"""

import errno
import hashlib
import itertools
import logging
import os
import secrets
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import tifffile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Both say on the log what is odd in a file, and the codecs do not say in which. Where nobody asked
# for a log this is not printed: what cannot be read is refused in one line.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("imagecodecs").addHandler(logging.NullHandler())

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # + is for BigTIFF
MOST_PAGES = 100  # that are looked at: a pyramid has some ten, and a stack shows by then
MOST_TAGS = 4096  # of a page; tifffile takes more for damage
PROPORTIONS = 0.02  # by which those of an image and of its thumbnail may differ
LONGEST_NAME = 50  # characters of a name that a temporary one keeps: systems allow 255 bytes
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOCKED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
GIGABYTE = 1e9
BLOCK = 2**20  # bytes written or read at a time


class StorageError(ValueError):
    """A disk that is full or cannot be written to."""


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF by its first bytes, whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(4) in TIFF_HEADS
    except OSError:
        return False


def full_size_pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Return the pages of the image's size, more than one in a stack; thumbnails are left out.

    The image is the first page that is not marked as reduced or as a mask, unless a later one is
    larger and of the same proportions: then the first is a thumbnail without its mark. Pages of
    other sizes are no part of it. Raises ValueError where the chain of pages has no end.
    """
    _require_end(tiff)
    pages = [page for page in _whole_pages(tiff) if not _is_marked(page)]
    if not pages:
        return []
    image = max((page for page in pages if _same_proportions(pages[0], page)), key=_pixels)
    size = image.imagewidth, image.imagelength
    return [page for page in pages if (page.imagewidth, page.imagelength) == size]


def full_size_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage | None:
    """Return the page that is the image; None where there is none."""
    return next(iter(full_size_pages(tiff)), None)


def larger_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage | None:
    """Return a page that is larger than the image, of other proportions; None where none is."""
    image = full_size_page(tiff)
    pages = [page for page in _whole_pages(tiff) if not _is_marked(page)]
    largest = max(pages, key=_pixels, default=None)
    larger = image is not None and largest is not None and _pixels(largest) > _pixels(image)
    return largest if larger else None


def _whole_pages(tiff: tifffile.TiffFile) -> Iterator[tifffile.TiffPage]:
    """Yield the pages up to one without a size: in a damaged file their chain leads anywhere."""
    for page in itertools.islice(tiff.pages, MOST_PAGES):
        if not isinstance(page, tifffile.TiffPage) or _pixels(page) == 0:
            return
        yield page


def _require_end(tiff: tifffile.TiffFile) -> None:
    """Raise ValueError where a page names an earlier one as the next: readers never come to an end.

    A pointer out of the file, or to what is no list of tags, ends the chain, as in tifffile.
    """
    form, file = tiff.tiff, tiff.filehandle
    place, seen = (8 if tiff.is_bigtiff else 4), set[int]()
    while True:
        file.seek(place)
        pointer = file.read(form.offsetsize)
        if len(pointer) < form.offsetsize:
            return
        (offset,) = struct.unpack(form.offsetformat, pointer)
        if offset in seen:
            raise ValueError("its pages lead in a circle")
        file.seek(offset)
        number = file.read(form.tagnosize)
        if offset == 0 or len(number) < form.tagnosize:
            return
        (count,) = struct.unpack(form.tagnoformat, number)
        if count > MOST_TAGS:
            return
        seen.add(offset)
        place = offset + form.tagnosize + count * form.tagsize


def _is_marked(page: tifffile.TiffPage) -> bool:
    """Return whether a tag, the new or the old one, says that a page is a thumbnail or a mask."""
    return bool(page.is_reduced or page.is_mask)


def _same_proportions(one: tifffile.TiffPage, other: tifffile.TiffPage) -> bool:
    """Return whether one is the other enlarged; a thumbnail's size is rounded."""
    across = one.imagewidth * other.imagelength
    along = one.imagelength * other.imagewidth
    return abs(across - along) <= PROPORTIONS * max(across, along)


def _pixels(page: tifffile.TiffPage) -> int:
    return int(page.imagewidth * page.imagelength)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the suffix of ``path``; the block has to write a file there.

    When the block ends, the file takes the place of ``path``. When the block fails, the file is
    removed and ``path`` stays as it was. Folders above are made.
    """
    draft = _draft_of(path)
    try:
        with _explained(path):
            yield draft
            draft.replace(path)
    finally:
        if draft.exists():  # else a read-only disk would refuse what there is no need for
            draft.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends.

    When the block fails, the temporary folder is removed. Raises FileExistsError where ``path`` is
    by then more than an empty folder; it stays as it was.
    """
    draft = _draft_of(path)
    with _explained(path):
        draft.mkdir()
    try:
        with _explained(path):
            yield draft
        try:
            draft.replace(path)
        except OSError as error:
            if path.exists():
                raise FileExistsError(f"{path} is there already") from error
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in place of ``path``."""
    with new_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block, of those that name this file; it stays there.

    Where there are no such locks, nobody waits.
    """
    with path.open("a") as file:
        if fcntl is not None:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def reserve(file: BinaryIO, size: int) -> None:
    """Give an open file ``size`` more bytes of the disk, zeros, from where it stands.

    A sparse file takes them page by page; a process that writes into it by a memory map dies of
    SIGBUS when the disk is full by then. Raises OSError while nothing is lost.
    """
    file.flush()
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), file.tell(), size)
            return
        except OSError as error:
            if error.errno in FULL:
                raise
    for start in range(0, size, BLOCK):
        file.write(bytes(min(BLOCK, size - start)))
    file.flush()


def require_space(path: Path, size: int) -> None:
    """Raise StorageError where the disk has no room for ``size`` bytes at ``path``."""
    free = _free(path)
    if free < size:
        raise StorageError(
            f"disk full at {path}: {size / GIGABYTE:.3g} GB needed, {free / GIGABYTE:.3g} GB "
            f"free; make room there, and the same command goes on"
        )


def inside(folder: Path, name: str) -> Path:
    """Return the file called ``name`` in ``folder``. Raises ValueError where it is elsewhere.

    That is: by a path in its name, or by a link.
    """
    path = folder / name
    if path.resolve() != folder.resolve() / name or Path(name).name != name:
        raise ValueError(f"{path}: leaves its folder; only files in {folder} itself are read")
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def looked_for(path: Path) -> str:
    """Return where a relative path was looked for, to follow the name of a file that is missing.

    Under `mlflow run` relative paths are not those of the caller.
    """
    if path.is_absolute():
        return ""
    return (
        f", looked for in {Path.cwd()}, which under `mlflow run` is the folder of the "
        f"project, wherever you are: give an absolute path"
    )


def _draft_of(path: Path) -> Path:
    """Return a hidden name beside ``path`` that nothing else has, and that is not too long."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: cannot be made ({error.strerror})") from error
    stem, suffix = path.stem[:LONGEST_NAME], path.suffix[:LONGEST_NAME]
    return path.with_name(f".{stem}-{secrets.token_hex(4)}{suffix}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of a disk that is full or locked into a StorageError that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            free = _free(path) / GIGABYTE
            raise StorageError(
                f"disk full at {path} ({error.strerror}, {free:.3g} GB free): make room there, "
                f"and the same command goes on"
            ) from error
        if error.errno in LOCKED and Path(str(error.filename)).is_relative_to(path.parent):
            raise StorageError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def _free(path: Path) -> int:
    """Bytes that are free where ``path`` is or will be."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free
