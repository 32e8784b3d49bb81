"""What is written is whole or not there, and readable as files normally are."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfranker.files import new_file, new_folder, write_text


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
