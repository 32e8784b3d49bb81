from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from lfranker.arrays import Image, correlation
from lfranker.images.image_file import read_image, write_image
from lfranker.noise.profile_measurement import single_files
from lfranker.scans.folder_layout import scan_plan
from lfranker.scans.frames import Frames, frame_files, noisy_frames

BYTE = np.dtype(np.uint8)
SHIFT = 3, -4  # px: where the second frame lies on the specimen
NOISE = 0.04


def specimen(seed: int = 0) -> Image:
    """A specimen that is 10 px wider than a frame on each side."""
    blurred = gaussian_filter(np.random.default_rng(seed).normal(size=(180, 220)), 3)
    return np.clip(0.5 + 0.15 * blurred / blurred.std(), 0, 1).astype(np.float32)


def frame(number: int, seed: int = 0) -> Image:
    """The first frame or the second, with noise of its own."""
    down, right = SHIFT if number == 2 else (0, 0)
    shown = specimen(seed)[10 + down : 170 + down, 10 + right : 210 + right]
    noise = np.random.default_rng([seed, number]).normal(0, NOISE, shown.shape)
    return np.clip(shown + noise, 0, 1).astype(np.float32)


def write(path: Path, image: Image) -> None:
    write_image(path, image, BYTE, 255)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two frames of a field at 100ns, one of another, and the clean scans of both."""
    for number in (1, 2):
        write(tmp_path / f"100ns/frame{number}/a.png", frame(number))
    write(tmp_path / "100ns/b.png", frame(1, seed=1))
    for seed, field in enumerate("ab"):
        write(tmp_path / f"30us/{field}.png", specimen(seed)[10:-10, 10:-10])
    return tmp_path


def left(pair: tuple[Image, Image, np.ndarray], truth: Image) -> tuple[float, float]:
    """RMS of what the frame on the grid shows beside the specimen there, and the share covered."""
    _, other, covered = pair
    inside = covered.copy()
    inside[:8], inside[-8:], inside[:, :8], inside[:, -8:] = (False,) * 4
    return float(np.sqrt(np.mean((other - truth)[inside] ** 2))), float(covered.mean())


def test_frames_are_put_onto_each_other_in_either_direction(scans: Path) -> None:
    a, b = noisy_frames(scans, "30us")
    assert [(own.field, own.speed, len(own.scans)) for own in (a, b)] == [
        ("a", "100ns", 2),
        ("b", "100ns", 1),
    ]
    np.testing.assert_array_equal(a.scans[1], read_image(scans / "100ns/frame2/a.png").image)
    first, second = specimen()[10:170, 10:210], specimen()[13:173, 6:206]
    forth, back = a.pairs()
    for pair, taken, truth in ((forth, a.scans[0], first), (back, a.scans[1], second)):
        np.testing.assert_array_equal(pair[0], taken)  # with the noise of a scan, not interpolated
        rest, share = left(pair, truth)
        assert rest < 1.05 * NOISE  # displaced by 1 px it would be 0.06
        assert 0.94 < share < 0.97  # what 3 and 4 px of shift leave, and the border of the splines
        noise = pair[0] - truth, pair[1] - truth
        inside = np.s_[12:-12, 12:-12]
        assert abs(correlation(noise[0][inside], noise[1][inside])) < 0.04
    np.testing.assert_array_equal(a.images[1], forth[1])
    np.testing.assert_array_equal(a.mask, forth[2])
    assert b.pairs() == []
    assert len(b.images) == 1
    assert b.mask.all()
    assert [len(own.scans) for own in (a, b)] == [2, 1]


def test_a_frame_of_another_field_is_left_out(scans: Path) -> None:
    write(scans / "100ns/frame3/a.png", frame(1, seed=7))
    a, _ = noisy_frames(scans, "30us")
    assert len(a.scans) == 3
    assert (len(a.images), len(a.pairs()), a.unmatched) == (2, 2, 1)


def test_what_is_scored_is_the_first_frame(scans: Path) -> None:
    assert scan_plan(scans).files == {
        "100ns": {"a": scans / "100ns/frame1/a.png", "b": scans / "100ns/b.png"},
        "30us": {"a": scans / "30us/a.png", "b": scans / "30us/b.png"},
    }


@pytest.mark.parametrize(
    "names", [("frame1", "frame2"), ("Frame_02", "frame-010"), ("frame9", "frame10")]
)
def test_frames_without_a_folder_of_their_speed(tmp_path: Path, names: tuple[str, str]) -> None:
    for number, name in enumerate(names, 1):
        write(tmp_path / f"{name}/gold/a.png", frame(number))
    found = {"scan": {"gold/a": [tmp_path / f"{name}/gold/a.png" for name in names]}}
    assert frame_files(tmp_path) == found
    (own,) = noisy_frames(tmp_path)
    assert len(own.images) == 2
    assert single_files(tmp_path) == {"scan": sorted(found["scan"]["gold/a"])}  # noise: of all
    with pytest.raises(ValueError, match=r"frames of one scan speed; to compare with clean scans"):
        scan_plan(tmp_path)
    write(tmp_path / "100ns/a.png", frame(1))
    with pytest.raises(ValueError, match=r"lies beside folders of scan speeds, 100ns"):
        noisy_frames(tmp_path)


def test_pages_of_a_stack_are_frames_and_are_not_scored(scans: Path) -> None:
    stack = np.stack([np.rint(frame(n, seed=1) * 4095).astype(np.uint16) for n in (1, 2)])
    (scans / "100ns/b.png").unlink()
    tifffile.imwrite(scans / "100ns/b.tif", stack, photometric="minisblack")
    (scans / "100ns/frame1/a.png").unlink()
    (scans / "100ns/frame2/a.png").unlink()
    (b,) = noisy_frames(scans, "30us")
    for page, scan in zip(stack, b.scans, strict=True):  # 12 bits, as both pages together show
        np.testing.assert_allclose(scan, page / 4095, atol=1e-6)
    assert b.white == 4095
    assert len(b.pairs()) == 2
    with pytest.raises(ValueError, match="stack of 2 images"):
        read_image(scans / "100ns/b.tif")


def test_scans_of_a_folder_are_divided_by_one_full_brightness(tmp_path: Path) -> None:
    """One file says that it has 12 bits; another has values beyond."""
    for speed, top, said in (("100ns", 4095, [(281, "H", 1, 4095, True)]), ("2us", 60000, [])):
        (tmp_path / speed).mkdir()
        stored = np.rint(top * specimen() / specimen().max()).astype(np.uint16)
        file = tmp_path / speed / "a.tif"
        tifffile.imwrite(file, stored, photometric="minisblack", extratags=said)
    fast, slow = noisy_frames(tmp_path)
    assert (fast.white, slow.white) == (65535, 65535)
    assert fast.scans[0].max() == pytest.approx(4095 / 65535)


def test_flat_folders_and_folders_without_noisy_scans(tmp_path: Path) -> None:
    for field in "ab":
        write(tmp_path / f"flat/{field}.png", frame(1))
    assert [(own.field, own.speed) for own in noisy_frames(tmp_path / "flat")] == [
        ("a", "scan"),
        ("b", "scan"),
    ]
    with pytest.raises(ValueError, match="no images of noisy scans"):
        frame_files(_empty(tmp_path))
    write(tmp_path / "slow/30us/a.png", frame(1))
    with pytest.raises(ValueError, match="only those of the target '30us'"):
        noisy_frames(tmp_path / "slow", "30us")
    with pytest.raises(ValueError, match=r"target '2us' is not one of the scan speeds 30us"):
        noisy_frames(tmp_path / "slow", "2us")


def _empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_frames_of_a_field_are_one_object() -> None:
    own = Frames("a", "scan", (frame(1), frame(2)), (Path("a"), Path("b")))
    assert own.on_first is own.on_first  # registered once
