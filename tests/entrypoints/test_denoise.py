"""What `denoise` takes and refuses before any model is loaded."""

import os
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from torch import nn

from entrypoints.denoise import _check_free, _files, main
from lfranker.denoiser.likeness import likeness_of
from lfranker.images.decoding import ALLOWED
from lfranker.images.image_file import read_image
from lfranker.tracking.registry import Choice


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


def test_the_output_may_be_the_folder_above_but_not_that_of_the_scans(tmp_path: Path) -> None:
    source = touched(tmp_path / "in", "a.tif")
    assert _files(source, tmp_path) == [(source / "a.tif", tmp_path / "a.tif")]
    with pytest.raises(click.UsageError, match="is the folder of the scans"):
        _files(source, tmp_path / "in/../in")


def test_where_nothing_can_be_written_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = touched(tmp_path, "a.tif") / "a.tif"
    with pytest.raises(click.UsageError, match=r"a\.tif is no folder"):
        _check_free([(file, file / "sub/b.tif")], overwrite=False)
    (tmp_path / "locked").mkdir()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "locked" and may(path, mode))
    with pytest.raises(click.UsageError, match="locked cannot be written to"):
        _check_free([(file, tmp_path / "locked/sub/b.tif")], overwrite=False)
    _check_free([(file, tmp_path / "new/sub/b.tif")], overwrite=False)


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
    with pytest.raises(click.UsageError, match=r"out/a.tif exists; allowed: another"):
        _check_free(files, overwrite=False)
    _check_free(files, overwrite=True)


def test_a_single_file_goes_into_a_folder_or_under_a_name(tmp_path: Path) -> None:
    source = touched(tmp_path, "a.tif") / "a.tif"
    (tmp_path / "out").mkdir()
    assert _files(source, tmp_path / "out") == [(source, tmp_path / "out/a.tif")]
    assert _files(source, tmp_path / "b.png") == [(source, tmp_path / "b.png")]
    with pytest.raises(click.UsageError, match="allowed suffixes"):
        _files(source, tmp_path / "b.txt")
    with pytest.raises(
        click.UsageError, match=r"new: no folder that is there, to write a\.tif into"
    ):
        _files(source, tmp_path / "new")
    with pytest.raises(click.UsageError, match="no images"):
        _files(tmp_path / "out", tmp_path / "elsewhere")


@pytest.mark.parametrize("name", [b"\xff", b"\x1b[31m", b"a\nskipped: b"])
def test_names_of_any_kind_are_refused_in_one_line(tmp_path: Path, name: bytes) -> None:
    odd = tmp_path / os.fsdecode(name)
    scan = touched(odd, "a.tif", "out/a.tif") / "a.tif"
    refused: list[Callable[[], object]] = [
        lambda: _files(scan, odd / "new"),
        lambda: _files(odd, odd),
        lambda: _files(odd / "out" / os.fsdecode(name), odd),
        lambda: _check_free([(scan, scan / "b.tif")], overwrite=False),
        lambda: _check_free([(scan, scan)], overwrite=True),
        lambda: _check_free([(scan, odd / "out/a.tif")], overwrite=False),
    ]
    touched(odd, f"out/{os.fsdecode(name)}/a.txt")
    for refuse in refused:
        with pytest.raises(click.UsageError) as caught:
            refuse()
        said = caught.value.format_message()
        assert said.encode()
        assert said.isprintable()


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_no_files_at_a_time_are_refused(tmp_path: Path, jobs: str) -> None:
    scan = touched(tmp_path, "scan.tif") / "scan.tif"
    words = ["--input", str(scan), "--output", str(tmp_path / "out.tif"), "--jobs", jobs]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "at least 1" in result.stderr


def test_a_pipe_is_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    words = ["--input", str(tmp_path / "pipe.tif"), "--output", str(tmp_path / "out.tif")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"neither a file nor a folder: {tmp_path}/pipe.tif" in result.stderr


class Darker(nn.Module):
    def forward(self, x):
        return x / 2


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrypoints.denoise.named_model", lambda uri: Choice(uri, uri, "as asked"))
    monkeypatch.setattr("entrypoints.denoise.load_network", lambda uri, **_: Darker())
    monkeypatch.setattr("entrypoints.denoise.load_likeness", lambda uri: None)


def noise(path: Path, compression: str | None = None) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    tifffile.imwrite(path, pixels, compression=compression, metadata=None)
    return pixels


@pytest.mark.usefixtures("model")
def test_an_output_that_exists_is_replaced_only_when_told(tmp_path: Path) -> None:
    pixels = noise(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_text("mine")
    words = ["--input", str(tmp_path / "a.tif"), "--output", str(tmp_path / "b.tif"), "--model"]
    result = CliRunner().invoke(main, [*words, "m"])
    assert result.exit_code == 2
    assert "b.tif exists" in result.stderr
    assert (tmp_path / "b.tif").read_text() == "mine"
    result = CliRunner().invoke(main, [*words, "m", "--overwrite", "true"])
    assert result.exit_code == 0, result.output
    assert read_image(tmp_path / "b.tif").pixels.shape == pixels.shape


@pytest.mark.usefixtures("model")
def test_files_that_fail_are_named_in_a_line_and_the_others_are_done(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    sound = {name: noise(source / name, compression) for name, compression in
             (("b.tif", "lzw"), ("d.tif", "zstd"), (os.fsdecode(b"\xff.tif"), None))}  # fmt: skip
    for name in ("a.tif", "c.tif", "e.tif"):
        noise(source / name, "zstd")
        data = (source / name).read_bytes()
        (source / name).write_bytes(data[: len(data) // 2])
    words = ["--input", str(source), "--output", str(target), "--model", "m", "--jobs", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    failed = [line for line in lines if line.startswith("skipped: ")]
    assert [Path(line.removeprefix("skipped: ").split(": ")[0]).name for line in failed] == [
        "a.tif", "c.tif", "e.tif"
    ]  # fmt: skip
    assert lines[-1] == f"3 of 6 images denoised into {target}; 3 failed"
    assert "Traceback" not in result.output
    for name, pixels in sound.items():
        halved = read_image(target / name).pixels * 255
        np.testing.assert_allclose(halved, pixels / 2, atol=0.5 + 1e-4)  # rounded


@pytest.mark.usefixtures("model")
def test_folders_behind_links_are_denoised_and_links_to_nothing_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    touched(tmp_path, "in/empty", "elsewhere/empty")
    for folder in (source, tmp_path / "elsewhere"):
        noise(folder / "a.tif")
    (source / "c").symlink_to(tmp_path / "elsewhere")
    (source / "d").symlink_to("gone")
    (source / "e.tif").symlink_to("e.tif")
    monkeypatch.setattr("entrypoints.denoise.choose_model", lambda *_: Choice("m", "m", "no other"))
    result = CliRunner().invoke(main, ["--input", str(source), "--output", str(target)])
    assert sorted(line for line in result.output.splitlines() if "skipped" in line) == [
        f"skipped: {source / name}: a link to what is not there; allowed is {ALLOWED}"
        for name in ("d", "e.tif")
    ]
    assert result.output.splitlines()[-1].startswith("2 of 4 images denoised")
    assert sorted(path.name for path in target.rglob("*")) == ["a.tif", "a.tif", "c"]


def test_outputs_behind_a_link_are_no_inputs_of_the_next_time(tmp_path: Path) -> None:
    source = touched(tmp_path / "in", "a.tif")
    (source / "disk").symlink_to(touched(tmp_path / "disk", "b.tif", "denoised/b.tif"))
    for target in (tmp_path / "disk/denoised", source / "disk/denoised"):
        assert [before for before, _ in _files(source, target)] == [
            source / "a.tif",
            source / "disk/b.tif",
        ]
    assert len(_files(source, tmp_path)) == 3


@pytest.mark.usefixtures("model")
def test_a_model_of_a_demo_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise(tmp_path / "a.tif")
    chosen = Choice("models:/m/1", "m", "as asked", "a demonstration, trained for 200 steps")
    monkeypatch.setattr("entrypoints.denoise.named_model", lambda _: chosen)
    words = ["--input", str(tmp_path / "a.tif"), "--output", str(tmp_path / "b.tif"), "--model"]
    result = CliRunner().invoke(main, [*words, "m"])
    assert "note: models:/m/1 is a demonstration, trained for 200 steps" in result.stderr


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("name", [b"\xff\xfe.tif", b"n" * 251 + b".tif", "µ#%'\".tif".encode()])
def test_names_of_any_kind_are_said_without_a_traceback(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "in" / os.fsdecode(b"\xfa")
    folder.mkdir(parents=True)
    path = folder / os.fsdecode(name)
    noise(path)
    for source, target in (
        (path, tmp_path / "out.tif"),
        (folder, tmp_path / os.fsdecode(b"\xfb")),
        (path, tmp_path / os.fsdecode(b"\xfc" + name[-50:])),
    ):
        words = ["--input", str(source), "--output", str(target), "--model", "m"]
        result = CliRunner().invoke(main, words)
        assert isinstance(result.exception, SystemExit | None)  # no traceback
        if result.exit_code == 2:  # a path given that is not UTF-8
            assert "not UTF-8, rename it" in result.output
            continue
        assert result.output.splitlines()[-1].startswith("1 of 1 images denoised into ")


@pytest.mark.usefixtures("model")
def test_no_name_of_a_file_begins_a_line_or_colours_the_terminal(tmp_path: Path) -> None:
    source = tmp_path / "in\x1b[31m"
    source.mkdir()
    noise(source / "a\nskipped: b.tif")
    (source / "c\n1 of 1 images.tif").touch()
    words = ["--input", str(source), "--output", str(tmp_path / "out\n"), "--model", "m"]
    lines = CliRunner().invoke(main, words).output.splitlines()
    assert lines[0] == "2 files: m, as asked"
    assert lines[1].startswith(f"skipped: {tmp_path}/in\\x1b[31m/c\\n1 of 1 images.tif: empty file")
    assert lines[2:] == [f"1 of 2 images denoised into {tmp_path}/out\\n; 1 failed"]


@pytest.mark.usefixtures("model")
def test_a_scan_unlike_the_training_images_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise(tmp_path / "a.tif")
    rng = np.random.default_rng(0)
    quiet = 0.5 + 0.02 * rng.standard_normal((60, 16, 16), dtype=np.float32)
    looks = {"m": likeness_of(quiet, Darker())}
    monkeypatch.setattr("entrypoints.denoise.load_likeness", looks.__getitem__)
    words = ["--input", str(tmp_path / "a.tif"), "--output", str(tmp_path / "b.tif"), "--model"]
    result = CliRunner().invoke(main, [*words, "m"])
    assert result.exit_code == 0
    (warning,) = (line for line in result.stderr.splitlines() if "a.tif: the model" in line)
    assert warning.startswith("note: a.tif: the model was trained on other images than this one")
    # 256 even levels: 1/sqrt(12)
    assert "more noise (0.29 of full scale, where 99 of 100 training patches have 0.0" in warning
