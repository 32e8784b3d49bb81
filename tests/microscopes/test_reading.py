import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lfranker.microscopes.metadata import rows_below
from lfranker.microscopes.reading import ScanMetadata, read_metadata

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA names no folder of real scans")

FEI = """[Beam]\r
Scan=EScan\r
[Scan]\r
Dwelltime=3e-006\r
PixelWidth=2e-009\r
Integrate=2\r
Average=0\r
[EScan]\r
LineIntegration=4\r
[Stage]\r
StageX=-0.001\r
StageY=0.002\r
[Image]\r
ResolutionX=64\r
ResolutionY=40\r
"""
ZEISS = """
0
0
DP_SCANRATE
Scan Speed = 7
DP_DWELL_TIME
Dwell Time = 100 ns
DP_NOISE_REDUCTION
Noise Reduction = Line Avg
AP_LINE_AVERAGE_COUNT
Line Avg.Count = 4
AP_FRAME_AVERAGE_COUNT
Frames to average = 11
AP_FRAME_INT_COUNT
Frames to Int. = 3
AP_LINE_TIME
Line Time = 6.4 ms
AP_IMAGE_PIXEL_SIZE
Image Pixel Size = 5.5 µm
AP_STAGE_AT_X
Stage at X = 70.5 mm
AP_STAGE_AT_Y
Stage at Y = -1 mm
"""
TESCAN = (
    "AccFrames=3\r\nPixelSizeX=1.5e-6\r\nImageStripSize=9\r\n"
    "DwellTime=10e-6\r\nScanSpeed=5\r\nStageX=-15e-3\r\nStageY=9e-3\r\n"
)
FIBICS = (
    '<?xml version="1.0" encoding="iso-8859-1"?><Fibics version="1.0"><Scan>'
    '<Dwell units="ns">1000</Dwell><LineAvg>2</LineAvg><FOV_X units="um">64</FOV_X></Scan>'
    '<Stage><X units="um">-58</X><Y units="mm">7</Y></Stage></Fibics>'
)
HITACHI = (
    "[SemImageFile]\r\nInstructName=SU8230\r\nDataSize=64x40\r\nPixelSize=24.8\r\n"
    "ScanSpeed=Slow3\r\nStagePositionX=51000000\r\nStagePositionY=-2000\r\n"
)
JEOL = (
    "$CM_FORMAT JEOL/SEM\n$CM_FULL_SIZE 64 40\n$CM_SCAN_SPEED 6\n"
    "$CM_STAGE_POS 2.5 -0.5 10.2 11.0 0.0 0\n"
    "$$SM_MICRON_BAR 20\n$$SM_MICRON_MARKER 5um\n"
)


def tiff(path, code=None, text="", shape=(48, 64)):
    data = text if isinstance(text, bytes) else text.encode("cp1252")
    tags = [] if code is None else [(code, 1, len(data), data, True)]
    tifffile.imwrite(path, np.zeros(shape, np.uint8), extratags=tags, metadata=None)
    return path


def test_fei_counts_lines_and_frames(tmp_path):
    found = read_metadata(tiff(tmp_path / "a.tif", 34682, FEI))
    assert found.exposure == pytest.approx(24e-6)  # 3 us x 4 lines x 2 frames
    assert (found.pixel_size, found.data_bar) == (2e-9, 8)
    assert found.stage == (-0.001, 0.002)
    assert found.notices == ()


@pytest.mark.parametrize(
    ("mode", "exposure"),
    [
        ("Line Avg", 100e-6),  # the line time holds all lines: 6.4 ms / 64
        ("Pixel Avg.", 100e-6),
        ("Frame Avg", 1100e-6),
        ("Frame Int. Done", 300e-6),
    ],
)
def test_zeiss_takes_the_exposure_from_the_line_time(tmp_path, mode, exposure):
    text = ZEISS.replace("Line Avg\n", f"{mode}\n")
    found = read_metadata(tiff(tmp_path / "a.tif", 34118, text))
    assert found.exposure == pytest.approx(exposure)
    assert found.pixel_size == pytest.approx(5.5e-6)
    assert (found.scan_speed, found.data_bar) == ("7", None)
    assert found.stage == pytest.approx((0.0705, -0.001))
    assert found.notices == ()


def test_an_unknown_way_of_zeiss_is_named(tmp_path):
    text = ZEISS.replace("Line Avg\n", "Magic\n")
    found = read_metadata(tiff(tmp_path / "a.tif", 34118, text))
    assert found.exposure == pytest.approx(100e-6)
    assert "magic" in found.notices[0]


def test_tescan_skips_its_thumbnail(tmp_path):
    thumbnail = b"\nScanSpeed=1\nDwellTime=7\n"
    data = (len(thumbnail) + 4).to_bytes(4, "little") + thumbnail + b"\0\0" + TESCAN.encode()
    found = read_metadata(tiff(tmp_path / "a.tif", 50431, data))
    assert found.exposure == pytest.approx(30e-6)
    assert (found.scan_speed, found.data_bar) == ("5", 9)
    assert (found.pixel_size, found.stage) == (1.5e-6, (-0.015, 0.009))
    assert found.notices == ()


def test_a_link_to_nothing_is_noticed(tmp_path):
    (tmp_path / "a.tif").symlink_to("gone")
    assert read_metadata(tmp_path / "a.tif").notices == ("a.tif: a link to what is not there",)


def test_fibics_gives_its_units(tmp_path):
    found = read_metadata(tiff(tmp_path / "a.tif", 51023, FIBICS))
    assert found.exposure == pytest.approx(2e-6)
    assert found.pixel_size == pytest.approx(1e-6)  # 64 um over 64 px
    assert found.stage == pytest.approx((-58e-6, 7e-3))
    assert found.notices == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_hitachi_writes_a_file_beside_the_image(tmp_path, encoding):
    (tmp_path / "a.txt").write_text(HITACHI, encoding=encoding)
    found = read_metadata(tiff(tmp_path / "a.tif"))
    assert (found.scan_speed, found.exposure, found.data_bar) == ("Slow3", None, 8)
    assert found.pixel_size == pytest.approx(24.8e-9)
    assert found.stage == pytest.approx((0.051, -2e-6))
    assert found.notices == ()


def test_the_centre_of_a_hitachi_without_a_motor_stage_is_no_position(tmp_path):
    text = re.sub("StagePosition([XY])=.*", r"StagePosition\1=17500000", HITACHI)
    (tmp_path / "a.txt").write_text(text)
    found = read_metadata(tiff(tmp_path / "a.tif"))
    assert found.stage is None
    (notice,) = found.notices
    assert "without a motor" in notice
    (tmp_path / "a.txt").write_text(text.replace("Y=17500000", "Y=17500001"))
    assert read_metadata(tmp_path / "a.tif").stage == pytest.approx((0.0175, 0.017500001))


@pytest.mark.parametrize(
    "stage", ["$CM_STAGE_POS 2.5 -0.5 10 11 0 0", "$CM_STAGE_POSITION X=2.5, Y=-0.5, R=3"]
)
def test_jeol_writes_a_file_beside_the_image(tmp_path, stage):
    text = JEOL.replace("$CM_STAGE_POS 2.5 -0.5 10.2 11.0 0.0 0", stage)
    (tmp_path / "a.TXT").write_text(text)
    found = read_metadata(tiff(tmp_path / "a.tif"))
    assert (found.scan_speed, found.data_bar) == ("6", 8)
    assert found.pixel_size == pytest.approx(250e-9)  # 5 um / 20
    assert found.stage == pytest.approx((2.5e-3, -0.5e-3))
    assert found.notices == ()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Dwelltime=3e-006", "Dwelltime=notafloat", "Scan.Dwelltime = 'notafloat' is not a number"),
        ("Dwelltime=3e-006", "Dwelltime=", "Scan.Dwelltime is empty"),
        ("Dwelltime=3e-006", "Other=1", "Scan.Dwelltime is missing"),
        ("Dwelltime=3e-006", "Dwelltime=3 parsec", "'3 parsec' is not a number, in one of"),
        ("Dwelltime=3e-006", "Dwelltime=nan", "is not a number"),
        ("Dwelltime=3e-006", "Dwelltime=1e999", "is not a number"),
        ("Dwelltime=3e-006", "Dwelltime=-3e-6", "is not above 0"),
        ("Dwelltime=3e-006", "Dwelltime=yes", "is not a number"),
    ],
)
def test_what_cannot_be_read_is_none_and_named(tmp_path, old, new, reason):
    found = read_metadata(tiff(tmp_path / "a.tif", 34682, FEI.replace(old, new)))
    assert (found.exposure, found.pixel_size) == (None, 2e-9)
    assert len(found.notices) == 1
    assert found.notices[0].startswith("a.tif: ")
    assert reason in found.notices[0]


@pytest.mark.parametrize("count", ["1.5", "-2", "1e300", "many"])
def test_counts_are_whole_numbers(tmp_path, count):
    text = FEI.replace("LineIntegration=4", f"LineIntegration={count}")
    found = read_metadata(tiff(tmp_path / "a.tif", 34682, text))
    assert found.exposure == pytest.approx(6e-6)  # 3 us x 2 frames
    assert "LineIntegration" in found.notices[0]


def test_without_metadata_the_record_is_empty(tmp_path):
    assert read_metadata(tiff(tmp_path / "a.tif")) == ScanMetadata()
    (tmp_path / "a.txt").write_text("notes of mine: PixelSize=3\n")
    assert read_metadata(tmp_path / "a.tif") == ScanMetadata()
    (tmp_path / "b.png").write_bytes(b"no image")
    assert read_metadata(tmp_path / "b.png") == ScanMetadata()
    for content in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"text", b"MM\0*" + b"\x7f" * 99):
        (tmp_path / "c.tif").write_bytes(content)
        broken = read_metadata(tmp_path / "c.tif")
        assert broken == ScanMetadata(notices=broken.notices)
        assert "c.tif: the TIFF's tags cannot be read" in broken.notices[0]
    with pytest.raises(FileNotFoundError):
        read_metadata(tmp_path / "missing.tif")


@pytest.mark.parametrize("code", [34682, 34680, 34118, 50431, 51023])
@pytest.mark.parametrize(
    "text", [b"", b"\0" * 9, b"\xff\xfe\x80" * 50, b"[", b"<a><b>", b"=\n=\n[=]"]
)
def test_junk_in_a_tag_gives_notices(tmp_path, code, text):
    found = read_metadata(tiff(tmp_path / "a.tif", code, text or b"\n"))
    assert (found.exposure, found.pixel_size, found.stage) == (None, None, None)
    assert found.notices


@pytest.mark.parametrize("code", [34682, 34118, 50431, 51023])
def test_a_tag_of_the_wrong_type_gives_notices(tmp_path, code):
    path = tmp_path / "a.tif"
    tags = [(code, 4, 3, (1, 2, 3), True)]
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), extratags=tags, metadata=None)
    found = read_metadata(path)
    assert found.exposure is None
    assert found.notices


@pytest.mark.parametrize(
    ("code", "text"), [(34682, FEI), (34118, ZEISS), (50431, TESCAN), (51023, FIBICS)]
)
def test_files_written_over_at_random_never_raise(tmp_path, code, text):
    path = tiff(tmp_path / "a.tif", code, text, shape=(8, 8))
    data = path.read_bytes()
    rng = np.random.default_rng(code)
    for _ in range(300):
        broken = bytearray(data[: rng.integers(8, len(data) + 1)])
        for place in rng.integers(0, len(broken), rng.integers(1, 20)):
            broken[place] = rng.integers(256)
        path.write_bytes(broken)
        found = read_metadata(path)
        assert found.exposure is None or (found.exposure > 0 and math.isfinite(found.exposure))


FIRST = {"exposure": 63.43e-3 / 1024, "stage": (0.0749182, 0.0935093)}
# two lines at the speed of the first file: twice its line time, twice its exposure
SECOND = {"exposure": 2 * 63.43e-3 / 1024, "scan_speed": "10"}
LINES = {"exposure": 5e-6, "data_bar": 29, "pixel_size": 5.82813e-9}
VEGA = {"exposure": 1e-4, "data_bar": 90, "pixel_size": 1.375e-6}
REAL = {
    "1-as-cast_16_Sch_10k_InLens.tif": FIRST | {"pixel_size": 11.16e-9},
    "FeMoOx_AntiA_04_1k5x_CN.tif": SECOND | {"pixel_size": 74.43e-9},
    "aquami_Sample.tif": {"pixel_size": 543e-12, "data_bar": None},
    "kit_merlin_test.tif": {"exposure": 14.08e-3 / 1024, "scan_speed": "6"},
    "fei_lineintegration50.tif": LINES | {"stage": (4.875e-6, 1.525e-5)},
    "fibics_atlas_inlens.tif": {"exposure": 1e-6, "pixel_size": 45.7438621094973e-6 / 1023},
    "tescan_Co_200x_BSE.tif": VEGA | {"scan_speed": "7"},
}


@real
@pytest.mark.parametrize(("name", "expected"), REAL.items())
def test_real_files(name, expected):
    found = read_metadata(Path(SEM) / "vendor" / name)
    for field, value in expected.items():
        assert getattr(found, field) == pytest.approx(value), field
    assert found.notices == ()


@real
@pytest.mark.parametrize(("speed", "exposure"), [("100ns", 100e-9), ("30us", 30e-6)])
def test_real_scans_of_two_speeds(speed, exposure):
    files = sorted((Path(SEM) / "scans" / speed).iterdir())
    assert len(files) == 24
    for path in files:
        found = read_metadata(path)
        assert found.exposure == pytest.approx(exposure)
        assert found.notices == ()


@pytest.mark.parametrize(
    ("scan", "rows"),
    [((100, 80), 6), ((100, 86), 0), ((100, 87), None), ((100, 43), None), ((90, 80), None)],
)
def test_rows_below_the_scan_are_its_data_bar(scan: tuple[int, int], rows: int | None) -> None:
    """The image has 100 x 86 px; no rows mean no bar, which is not the same as not known."""
    assert rows_below(scan, (100, 86)) == rows
