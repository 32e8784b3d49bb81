"""What is in a folder and below, with the folders that links lead to."""

import heapq
import os
from collections.abc import Iterator
from pathlib import Path

# what systems keep in a folder of the user's: thumbnails, what was thrown away, halves of files
OF_SYSTEMS = frozenset({
    "@eaDir", "@Recycle", "#recycle", "@tmp", "#snapshot", "$RECYCLE.BIN",
    "System Volume Information", "__MACOSX", "lost+found",
})  # fmt: skip


def is_hidden(path: Path) -> bool:
    """Return whether a path is none that a user put there: its name says so."""
    return path.name.startswith(".") or path.name in OF_SYSTEMS


def visible_below(folder: Path) -> Iterator[Path]:
    """Yield all below ``folder`` that is no folder, in no order, without what is hidden.

    A folder that several ways lead to is entered once: by a way without links where there is one,
    else by the first by name. A link to a folder that it lies in is not followed.
    """
    entered: set[tuple[int, int]] = set()
    folders, links = [folder], list[Path]()
    while folders or links:
        at = folders.pop() if folders else heapq.heappop(links)
        try:
            status, inside = at.stat(), list(at.iterdir())
        except OSError:  # not ours to read, or gone since
            continue
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for path in inside:
            if is_hidden(path):
                continue
            if not _is_folder(path):
                yield path
            elif not path.is_symlink():
                folders.append(path)
            elif not real(at).is_relative_to(real(path)):
                heapq.heappush(links, path)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # a link into a folder that is not ours to enter
        return False


def leads_nowhere(path: Path) -> bool:
    """Return whether a path is a link to what is not there, or not ours to see."""
    try:
        return path.is_symlink() and not path.exists()
    except PermissionError:
        return True


def was_perhaps_folder(path: Path) -> bool:
    """Return whether a path is a link to what is not there, without a suffix such as ".txt"."""
    return leads_nowhere(path) and not path.suffix[1:].isalpha()  # a speed may be "0.5us"


def real(path: Path) -> Path:
    """Return an absolute path without links. A link that leads to itself is no error."""
    return Path(os.path.realpath(path))
