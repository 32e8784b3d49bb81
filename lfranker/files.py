"""Files of every kind: which page of a TIFF is the image, and writing whole or not at all.

What is new is written under a hidden temporary name in the same folder and renamed at the end, so
that an interrupted program leaves nothing that looks whole. Permissions are those of any new file.
"""

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile

# tifffile says on the log what is odd in a file. Where nobody asked for a log this is not printed:
# what cannot be read is refused in one line.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
PROPORTIONS = 0.02  # by which those of an image and of its thumbnail may differ
LONGEST_NAME = 50  # characters of a name that a temporary one keeps: systems allow 255 bytes


def full_size_pages(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """Return the pages of the image's size, more than one in a stack; thumbnails are left out.

    The image is the first page that is not marked as reduced or as a mask, unless a later one is
    larger and of the same proportions: then the first is a thumbnail without its mark. Pages of
    other sizes are no part of it.
    """
    pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
    pages = [page for page in pages if not _is_marked(page)]
    if not pages:
        return []
    image = max((page for page in pages if _same_proportions(pages[0], page)), key=_pixels)
    size = image.imagewidth, image.imagelength
    return [page for page in pages if (page.imagewidth, page.imagelength) == size]


def full_size_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage | None:
    """Return the page that is the image; None where there is none."""
    return next(iter(full_size_pages(tiff)), None)


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
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends.

    When the block fails, the temporary folder is removed. Raises FileExistsError where ``path`` is
    by then more than an empty folder; it stays as it was.
    """
    draft = _draft_of(path)
    draft.mkdir()
    try:
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


def looked_for(path: Path) -> str:
    """Return where a relative path was looked for, to follow the name of a file that is missing.

    Under `mlflow run` relative paths are not those of the caller.
    """
    if path.is_absolute():
        return ""
    return (
        f", looked for in {Path.cwd()}, which under `mlflow run` is the folder of the project and "
        f"not yours: give an absolute path"
    )


def _draft_of(path: Path) -> Path:
    """Return a hidden name beside ``path`` that nothing else has, and that is not too long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, suffix = path.stem[:LONGEST_NAME], path.suffix[:LONGEST_NAME]
    return path.with_name(f".{stem}-{secrets.token_hex(4)}{suffix}")
