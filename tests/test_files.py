"""What is written is whole or not there, and readable as files normally are."""

import errno
import os
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from lfranker.files import (
    StorageError,
    inside,
    new_file,
    new_folder,
    require_space,
    reserve,
    write_text,
)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def interrupted_file(path: Path) -> None:
    with new_file(path) as draft:
        draft.write_text("hal")
        raise KeyboardInterrupt


def interrupted_folder(path: Path) -> None:
    with new_folder(path) as draft:
        (draft / "a").write_text("a")
        raise KeyboardInterrupt


def folder_with(path: Path, text: str) -> None:
    with new_folder(path) as draft:
        (draft / "a").write_text(text)


def test_a_file_takes_its_place_at_the_end_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with new_file(path) as draft:
        draft.write_text("whole")
        assert draft.parent == path.parent
        assert draft.suffix == ".csv", "encoders choose the format by it"
        assert draft.name.startswith("."), "folders of images are listed without hidden files"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["table.csv"]


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(KeyboardInterrupt):
        interrupted_file(path)
    assert names(tmp_path) == []
    write_text(path, "äß")
    with pytest.raises(KeyboardInterrupt):
        interrupted_file(path)
    assert names(tmp_path) == ["table.csv"]
    assert path.read_bytes() == "äß".encode()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with new_file(path) as one, new_file(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one", "of the one that ended last"
    assert names(tmp_path) == ["table.csv"]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "above" / "set"
    with new_folder(path) as draft:
        (draft / "a").write_text("a")
        assert not path.exists()
        (draft / "b").write_text("b")
    assert names(path) == ["a", "b"]
    assert names(path.parent) == ["set"]


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_folder(tmp_path / "set")
    assert names(tmp_path) == []


def test_an_empty_folder_gives_way_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.mkdir()
    folder_with(path, "first")
    with pytest.raises(FileExistsError, match="set is there already"):
        folder_with(path, "second")
    assert (path / "a").read_text() == "first"
    assert names(tmp_path) == ["set"]


@pytest.mark.usefixtures("umask")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "")
    with new_folder(tmp_path / "folder"):
        pass
    assert mode(tmp_path / "file") == 0o640
    assert mode(tmp_path / "folder") == 0o750


@pytest.mark.parametrize(
    "name", ["n" * 251 + ".tif", "µ" * 125 + ".tif", "a." + "s" * 250, "# % ? ' \" <b>.tif"]
)
def test_names_as_long_as_the_system_allows_can_be_written(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "whole")
    assert names(tmp_path) == [name]
    with new_folder(tmp_path / "above" / name):
        pass
    assert names(tmp_path / "above") == [name]


def test_names_that_are_no_utf8_can_be_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.tif")
    write_text(tmp_path / name, "whole")
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.tif"]  # noqa: PTH208


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A limit on the size of files, at which writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_with_its_place_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with files_up_to(1000), pytest.raises(StorageError, match=f"disk full at {path} .*make room"):
        write_text(path, "x" * 5000)
    assert names(tmp_path) == []
    write_text(path, "x" * 5000)


@pytest.mark.parametrize("has_call", [True, False])
def test_reserved_space_is_there_and_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_call: bool
) -> None:
    """Also where the system has no call for it."""
    if not has_call:
        monkeypatch.delattr(os, "posix_fallocate")
    with (tmp_path / "file").open("wb") as file:
        file.write(b"head")
        reserve(file, 3 * 2**20 + 5)
    stored = (tmp_path / "file").stat()
    assert stored.st_size == 4 + 3 * 2**20 + 5
    assert stored.st_blocks * 512 >= stored.st_size, "it is sparse"
    assert (tmp_path / "file").read_bytes() == b"head" + bytes(3 * 2**20 + 5)


def test_more_than_the_disk_has_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_space(tmp_path / "new" / "folder", 1)
    with pytest.raises(StorageError, match=r"new: 1e\+06 GB needed, [0-9.]+ GB free"):
        require_space(tmp_path / "new", 10**15)
    assert free < 10**15


def test_a_place_where_no_folder_can_be_made_is_named() -> None:
    with pytest.raises(StorageError, match="/proc/none: cannot be made"):
        write_text(Path("/proc/none/file"), "x")


def test_a_file_on_a_read_only_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a disk refuses to remove what is not there, too."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)
    path = tmp_path / "a.txt"
    with pytest.raises(StorageError, match=f"{path}: cannot be written \\(Read-only"):
        write_text(path, "new")


def test_a_folder_that_is_read_only_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set"
    error = OSError(errno.EROFS, os.strerror(errno.EROFS), str(tmp_path / ".set-1"))
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=[None, error]))
    message = f"{path}: cannot be written \\(Read-only"
    with pytest.raises(StorageError, match=message), new_folder(path):
        pass


@pytest.mark.parametrize("name", ["../other", "/etc/passwd", "sub/file", ".", "..", "link"])
def test_no_name_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "set" / "sub").mkdir(parents=True)
    (tmp_path / "other").touch()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(ValueError, match="leaves its folder"):
        inside(tmp_path / "set", name)
    assert inside(tmp_path / "set", "file") == tmp_path / "set" / "file"
