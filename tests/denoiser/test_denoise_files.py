import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Pillow
from torch import nn

from lfranker.denoiser.denoise_files import Work, denoise_file, denoise_files
from lfranker.denoiser.tiling import denoise
from lfranker.image_copies.tiff_copy import PROVENANCE
from lfranker.images.image_file import read_image

DATA = os.environ.get("LFRANKER_SEM_DATA")


class Blur(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def work(before, after):
    return Work(before, after, Blur(), "by a blur")


def gray(shape=(40, 50), dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint8), (".png", np.uint16)])
def test_other_formats_keep_their_depth(tmp_path, suffix, dtype):
    before, after = tmp_path / f"in{suffix}", tmp_path / f"out/in{suffix}"
    Pillow.fromarray(gray(dtype=dtype)).save(before)
    assert denoise_file(work(before, after)) == ()
    got = read_image(after)
    assert got.dtype == dtype
    expected = denoise(Blur(), read_image(before).image)
    assert np.abs(got.image - expected).max() <= 0.5 / np.iinfo(dtype).max + 1e-7


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_a_format_of_too_few_bits_is_refused_before_the_network_is_asked(tmp_path, suffix):
    class Unasked(nn.Module):
        def forward(self, x):
            raise AssertionError

    tifffile.imwrite(tmp_path / "in.tif", gray(dtype=np.uint16))
    after = tmp_path / f"out{suffix}"
    with pytest.raises(ValueError, match=rf"out{suffix}: {suffix} holds 8 bits, not uint16; use"):
        denoise_file(Work(tmp_path / "in.tif", after, Unasked(), ""))


def write_twelve_bits(path: Path) -> None:
    """Write gray values up to 4095 as 16 bits, in the format of the suffix."""
    stored = (gray(dtype=np.uint16) >> 4).astype(np.uint16)
    if path.suffix == ".tif":
        tifffile.imwrite(path, stored, photometric="minisblack")
    else:
        Pillow.fromarray(stored).save(path)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_twelve_bits_in_sixteen_are_denoised_at_full_brightness_and_keep_their_range(
    tmp_path, suffix
):
    before, after = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write_twelve_bits(before)
    denoise_file(Work(before, after, Blur(), "by a blur", white=4095))
    expected = denoise(Blur(), read_image(before, 4095).image)
    assert expected.mean() == pytest.approx(0.5, abs=0.02)
    got = read_image(after, 65535).image * 65535  # gray values as they are stored
    assert np.abs(got - 4095 * expected).max() <= 0.51


@pytest.mark.parametrize(("suffix", "to"), [(".tif", ".tif"), (".png", ".png"), (".tif", ".png")])
def test_full_brightness_is_the_white_level_that_is_given(tmp_path, suffix, to):
    class White(nn.Module):
        def forward(self, x):
            return torch.ones_like(x)

    before, after = tmp_path / f"in{suffix}", tmp_path / f"out{to}"
    write_twelve_bits(before)
    denoise_file(Work(before, after, White(), "by a white", white=5000))
    values = read_image(after, 65535).image * 65535
    assert np.abs(values - 5000).max() < 0.1


def test_a_tiff_keeps_its_tags_and_is_marked(tmp_path):
    before, after = tmp_path / "in.tif", tmp_path / "out.tif"
    secret = (65000, "s", 0, "vendor's own\n", True)
    tifffile.imwrite(
        before, gray(dtype=np.uint16), extratags=[secret], software="maker", metadata=None
    )
    denoise_file(work(before, after))
    with tifffile.TiffFile(before) as old, tifffile.TiffFile(after) as new:
        for tag in old.pages[0].tags:
            assert new.pages[0].tags[tag.code].value == tag.value
        assert {t.code for t in new.pages[0].tags} - {t.code for t in old.pages[0].tags} == {
            PROVENANCE
        }
        assert new.pages[0].tags[PROVENANCE].value == "by a blur"
    expected = denoise(Blur(), read_image(before).image)
    assert np.abs(read_image(after).image - expected).max() <= 0.5 / 65535 + 1e-7


def test_a_tiff_whose_colours_cannot_be_kept_is_written_gray_with_a_notice(tmp_path):
    before, after = tmp_path / "in.tif", tmp_path / "out.tif"
    colours = gray((3, 256), np.uint16)
    vendor = (34118, 2, 6, b"CZ_SEM", True)
    tifffile.imwrite(before, gray(), photometric="palette", colormap=colours, extratags=[vendor])
    notices = denoise_file(work(before, after))
    assert any("in.tif: its colours are lost" in notice for notice in notices)
    expected = denoise(Blur(), read_image(before).image)
    assert np.abs(read_image(after).image - expected).max() <= 0.5 / 255 + 1e-7
    with tifffile.TiffFile(after) as tiff:
        assert tiff.pages[0].photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert 320 not in tiff.pages[0].tags
        assert 34118 in tiff.pages[0].tags


def test_the_scan_itself_is_never_written_over(tmp_path):
    for name in ("in.tif", "in.png"):
        path = tmp_path / name
        Pillow.fromarray(gray()).save(path)
        content = path.read_bytes()
        with pytest.raises(ValueError, match="not written over"):
            denoise_file(work(path, tmp_path / "." / name))
        assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_an_output_that_is_not_finite_is_an_error(tmp_path, suffix):
    class Broken(nn.Module):
        def forward(self, x):
            return x / 0 * 0

    Pillow.fromarray(gray()).save(tmp_path / f"in{suffix}")
    item = Work(tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", Broken(), "")
    with pytest.raises(ValueError, match="not finite"):
        denoise_file(item)
    assert not item.after.exists()


def test_large_outputs_go_through_a_file(tmp_path, monkeypatch):
    Pillow.fromarray(gray()).save(tmp_path / "in.png")
    denoise_file(work(tmp_path / "in.png", tmp_path / "small.png"))
    monkeypatch.setattr("lfranker.denoiser.denoise_files.LARGE", 100)
    denoise_file(work(tmp_path / "in.png", tmp_path / "large.png"))
    small, large = (read_image(tmp_path / f"{n}.png").image for n in ("small", "large"))
    assert np.array_equal(small, large)


def test_a_corrupt_file_is_reported_and_the_others_are_done(tmp_path):
    files = [tmp_path / f"{n}.png" for n in range(5)]
    for path in files:
        Pillow.fromarray(gray()).save(path)
    files[2].write_bytes(b"not an image")
    done = list(denoise_files([work(p, tmp_path / "out" / p.name) for p in files], jobs=2))
    failed = [item for item in done if item.error is not None]
    assert [item.work.before for item in failed] == [files[2]]
    assert "2.png" in str(failed[0].error)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "0.png", "1.png", "3.png", "4.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["µm #1 100% 'a' \"b\" <i>.tif", "n" * 246 + ".png", os.fsdecode(b"\xff\xfe.tif")],
)
def test_files_of_any_name_are_denoised_or_named(tmp_path, name):
    for folder, sound in (("sound", True), ("broken", False)):
        path = tmp_path / folder / name
        path.parent.mkdir()
        if sound:
            Pillow.fromarray(gray()).save(path)
        else:
            path.write_bytes(b"II*\0broken")
        (done,) = denoise_files([work(path, tmp_path / "out" / folder / name)], jobs=1)
        assert (done.error is None) == sound
        assert sound or name in str(done.error)
        assert (tmp_path / "out" / folder / name).exists() == sound


def test_a_file_for_which_the_memory_is_too_small_is_named(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    for name in ("a.png", "b.png"):
        Pillow.fromarray(gray()).save(tmp_path / name)
    monkeypatch.setattr("lfranker.denoiser.denoise_files.denoise", fail)
    items = [work(tmp_path / name, tmp_path / "out" / name) for name in ("a.png", "b.png")]
    done = list(denoise_files(items, jobs=1))
    assert all(str(item.work.before) in str(item.error) for item in done)
    assert all("too large for the memory" in str(item.error) for item in done)


def test_any_other_error_stops_all(tmp_path):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("out of memory")

    Pillow.fromarray(gray()).save(tmp_path / "a.png")
    item = Work(tmp_path / "a.png", tmp_path / "b.png", Broken(), "")
    with pytest.raises(RuntimeError, match="out of memory"):
        list(denoise_files([item], jobs=1))
    assert not (tmp_path / "b.png").exists()


def test_files_at_a_time_give_what_one_at_a_time_gives(tmp_path):
    threads = torch.get_num_threads()
    files = [tmp_path / f"{n}.png" for n in range(6)]
    for number, path in enumerate(files):
        Pillow.fromarray(np.roll(gray(), number, axis=1)).save(path)
    for jobs in (1, 3):
        out = tmp_path / str(jobs)
        assert all(
            d.error is None for d in denoise_files([work(p, out / p.name) for p in files], jobs)
        )
    for path in files:
        one, three = (read_image(tmp_path / jobs / path.name).image for jobs in ("1", "3"))
        assert np.array_equal(one, three)
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(DATA is None, reason="LFRANKER_SEM_DATA is not set")
def test_vendor_tiffs_keep_every_tag_byte_for_byte(tmp_path):
    """Zeiss, TESCAN, Fibics and FEI files; only where pixels lie may differ, by need."""
    places = {273, 278, 279, PROVENANCE}
    files = sorted(Path(str(DATA), "vendor").glob("*.tif*"))
    assert len(files) >= 4
    for before in files:
        after = tmp_path / before.name
        assert not any("lost" in notice for notice in denoise_file(work(before, after)))
        with tifffile.TiffFile(before) as old, tifffile.TiffFile(after) as new:
            for tag in old.pages[0].tags:
                if tag.code in places:
                    continue
                twin = new.pages[0].tags[tag.code]
                assert (twin.dtype, twin.count) == (tag.dtype, tag.count), (before, tag.code)
                assert _raw(new, twin) == _raw(old, tag), (before, tag.code)


def _raw(tiff, tag):
    tiff.filehandle.seek(tag.valueoffset)
    return tiff.filehandle.read(tag.valuebytecount)


@pytest.mark.parametrize(
    ("before", "beside", "after", "copied"),
    [
        ("a.tif", "a.txt", "out/a.tif", "out/a.txt"),
        ("a.tif", "a.TXT", "out/b.tif", "out/b.TXT"),
        ("a.png", "a-png.hdr", "out/b.jpg", "out/b-jpg.hdr"),
        ("a.png", "a.png.xml", "out/a.png", "out/a.png.xml"),
    ],
)
def test_text_files_of_a_scan_are_copied_beside_the_output(tmp_path, before, beside, after, copied):
    content = "[SemImageFile]\r\nScanSpeed=Slow3\r\n".encode("utf-16")
    Pillow.fromarray(gray()).save(tmp_path / before)
    (tmp_path / beside).write_bytes(content)
    (tmp_path / "ab.txt").write_bytes(b"of another image")
    first = denoise_file(work(tmp_path / before, tmp_path / after))
    assert not any("copied" in notice for notice in first)
    assert (tmp_path / copied).read_bytes() == content
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert denoise_file(work(tmp_path / before, tmp_path / after)) == first, "copied already"


def test_a_text_file_of_the_user_is_not_written_over(tmp_path):
    Pillow.fromarray(gray()).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("of the microscope")
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out/a.txt"
    mine.write_text("notes of mine")
    (notice,) = denoise_file(work(tmp_path / "a.png", tmp_path / "out/a.png"))
    assert notice == f"a.png: its a.txt is not copied, {mine} is there already"
    assert mine.read_text() == "notes of mine"
