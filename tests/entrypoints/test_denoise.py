"""What `denoise` takes and refuses before any model is loaded."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from entrypoints.denoise import _check_free, _files, main


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_a_folder_keeps_its_structure(tmp_path: Path) -> None:
    source = touched(tmp_path / "in", "a.tif", "sub/b.png", "notes.txt")
    assert _files(source, tmp_path / "out") == [
        (source / "a.tif", tmp_path / "out/a.tif"),
        (source / "sub/b.png", tmp_path / "out/sub/b.png"),
    ]


def test_outputs_inside_of_the_input_are_no_inputs_of_the_next_time(tmp_path: Path) -> None:
    source = touched(tmp_path / "in", "a.tif", "denoised/a.tif")
    assert _files(source, source / "denoised") == [(source / "a.tif", source / "denoised/a.tif")]


def test_no_scan_is_written_over_even_if_told(tmp_path: Path) -> None:
    source = touched(tmp_path / "in", "a.tif", "b.tif")
    itself = [(source / "a.tif", source / "a.tif")]
    another = [(source / "a.tif", source / "b.tif"), (source / "b.tif", source / "c.tif")]
    for files in (itself, another):
        with pytest.raises(click.UsageError, match="is a scan itself"):
            _check_free(files, overwrite=True)


def test_what_exists_stays_unless_told(tmp_path: Path) -> None:
    folder = touched(tmp_path, "a.tif", "out/a.tif")
    files = [(folder / "a.tif", folder / "out/a.tif")]
    with pytest.raises(click.UsageError, match=r"out/a.tif exists \(1 such"):
        _check_free(files, overwrite=False)
    _check_free(files, overwrite=True)


def test_a_single_file_goes_into_a_folder_or_under_a_name(tmp_path: Path) -> None:
    source = touched(tmp_path, "a.tif") / "a.tif"
    (tmp_path / "out").mkdir()
    assert _files(source, tmp_path / "out") == [(source, tmp_path / "out/a.tif")]
    assert _files(source, tmp_path / "b.png") == [(source, tmp_path / "b.png")]
    with pytest.raises(click.UsageError, match="allowed suffixes"):
        _files(source, tmp_path / "b.txt")
    with pytest.raises(click.UsageError, match="no images"):
        _files(tmp_path / "out", tmp_path / "elsewhere")


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_no_files_at_a_time_are_refused(tmp_path: Path, jobs: str) -> None:
    scan = touched(tmp_path, "scan.tif") / "scan.tif"
    words = ["--input", str(scan), "--output", str(tmp_path / "out.tif"), "--jobs", jobs]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "at least 1" in result.stderr
