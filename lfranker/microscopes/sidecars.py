"""Text files that microscopes write beside an image: their names, and copies for another image."""

from pathlib import Path

from lfranker.files import new_file

SUFFIXES = (".txt", ".hdr", ".xml", ".ini")


def sidecars(image: Path) -> list[Path]:
    """List the text files that belong to ``image``: a.txt, a.tif.txt, a-tif.hdr (TESCAN), ..."""
    kind = image.suffix.removeprefix(".")
    stems = (image.stem, image.name, f"{image.stem}-{kind}")
    names = [stem + form for stem in stems for suffix in SUFFIXES for form in _cases(suffix)]
    return [path for name in names if _is_there(path := image.with_name(name))]


def copy_sidecars(before: Path, after: Path) -> tuple[str, ...]:
    """Copy the text files of the image ``before`` beside ``after``; return notices of what stays.

    A file of other content that is there already may be the user's own, and is not written over.
    Nothing is copied where both images are in one folder under one name.
    """
    notices = []
    for source in sidecars(before):
        target = _renamed(source, before, after)
        content = source.read_bytes()
        if _is_there(target):
            if target.read_bytes() != content:
                notices.append(
                    f"{before.name}: its {source.name} is not copied, {target} is there already"
                )
            continue
        with new_file(target) as draft:
            draft.write_bytes(content)
    return tuple(notices)


def _renamed(sidecar: Path, before: Path, after: Path) -> Path:
    """Return where ``sidecar`` of the image ``before`` belongs beside the image ``after``."""
    rest = sidecar.name.removeprefix(before.stem)
    old, new = before.suffix.removeprefix("."), after.suffix.removeprefix(".")
    for mark in (".", "-"):
        if rest.startswith(f"{mark}{old}."):
            rest = mark + new + rest.removeprefix(mark + old)
            break
    return after.with_name(after.stem + rest)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long with what was added to it
        return False


def _cases(suffix: str) -> tuple[str, str]:
    return suffix, suffix.upper()
