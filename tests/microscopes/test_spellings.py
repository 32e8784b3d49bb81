"""Fields in every spelling, encoding and place in which vendors are known to write them."""

import base64
import dataclasses
import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from lfranker.microscopes.reading import ScanMetadata, read_metadata, shared_notices

WIDTH, HEIGHT = 64, 48


def picture(path: Path, text: str | bytes | None = None, code: int | None = None) -> Path:
    """Write an image of 64 x 48 px, with ``text`` in tag ``code`` or beside it."""
    data = text.encode("latin-1") if isinstance(text, str) else text
    tags = [(code, 1, len(data), data, True)] if code and data else []
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, extratags=tags, metadata=None)
    else:
        Pillow.fromarray(pixels).save(path)
    if data and code is None:
        path.with_suffix(".txt").write_bytes(data)
    return path


def of_sidecar(folder: Path, text: str | bytes) -> ScanMetadata:
    return read_metadata(picture(folder / "a.tif", text))


def of_tag(folder: Path, code: int, text: str | bytes) -> ScanMetadata:
    return read_metadata(picture(folder / "a.tif", text, code))


JEOL = "$CM_FORMAT JEOL-SEM\n$CM_FULL_SIZE 64 48\n$CM_STAGE_POS 5.5 0.8 8.5 0 0 0\n"


@pytest.mark.parametrize("dollars", ["$", "$$"])
@pytest.mark.parametrize("speed", ["CM_SCAN_SPEED", "CM_INSTRUMENT_SCAN_SPEED", "SM_SCAN_SPEED"])
@pytest.mark.parametrize("passes", ["SM_INTEG_NO", "SM_INTEGRATION_NUMBER", "CM_SCAN_AVERAGE"])
def test_jeol_means_the_same_with_one_dollar_and_with_two(
    tmp_path: Path, dollars: str, speed: str, passes: str
) -> None:
    text = JEOL.replace("$", dollars) + f"{dollars}{speed} 7\n{dollars}{passes} 4\n"
    found = of_sidecar(tmp_path, text + f"{dollars}CM_MAG 1000\n{dollars}SM_MICRON_MARKER 50um\n")
    assert (found.scan_speed, found.passes) == ("7", 4)
    assert found.pixel_size == pytest.approx(128e-3 / 1000 / WIDTH)
    assert found.field_width == pytest.approx(128e-6)
    assert found.stage == pytest.approx((5.5e-3, 0.8e-3))
    assert found.notices == ()


@pytest.mark.parametrize(
    ("lines", "pixel_size"),
    [
        # 128 mm at magnification 1, or 120 mm where the scale bar says so
        ("$CM_MAG 1000", 2000e-9),
        ("$CM_MAG 1,000", 2000e-9),
        ("$CM_MAG 1000\n$$CM_MAG", 2000e-9),  # and once more, without a value
        ("$CM_MAG 1000\n$$SM_MICRON_BAR 25\n$$SM_MICRON_MARKER 50um", 2000e-9),
        ("$CM_MAG 1000\n$$SM_MICRON_BAR 27\n$$SM_MICRON_MARKER 50um", 1875e-9),
        # a bar that was measured on the display, 1280 px wide: 100 nm pixels there
        ("$CM_MAG 1000\n$$SM_MICRON_BAR 500\n$$SM_MICRON_MARKER 50um", 2000e-9),
        ("$$SM_MICRON_BAR 25\n$$SM_MICRON_MARKER 50um", 2000e-9),
        ("$$SM_MICRON_BAR 500\n$$SM_MICRON_MARKER 50um", None),
        ("$CM_MAG 7\n$CM_FIELD_OF_VIEW 128.0µm 96.0µm", 2000e-9),
        ("$CM_MAG 7\n$CM_FIELD_OF_VIEW 128.0 µm 96.0 µm", 2000e-9),
        ("$CM_MAG 7\n$CM_FIELD_OF_VIEW 0.128 mm 0.096 mm", 2000e-9),
        ("$CM_MAG 7\n$CM_FIELD_OF_VIEW 128.0 96.0", 2000e-9),
        ("$CM_MAG 7\n$CM_PIXEL_SIZE 12.5nm 12.5nm", 12.5e-9),
        ("$CM_MAG 7\n$CM_PIXEL_SIZE 12.5 12.5", 12.5e-9),
        # the scan was stored at twice the image's width
        ("$CM_IMAGE_SIZE 128 96\n$CM_PIXEL_SIZE 12.5nm 12.5nm", 25e-9),
        ("$CM_IMAGE_SIZE 128 96\n$CM_FIELD_OF_VIEW 128.0µm 96.0µm", 2000e-9),
    ],
)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16", "cp932"])
def test_the_pixel_size_of_a_jeol(
    tmp_path: Path, lines: str, pixel_size: float | None, encoding: str
) -> None:
    text = JEOL + "$CM_SCAN_SPEED 5\n" + lines + "\n"
    data = text.replace("µ", "μ" if encoding == "cp932" else "µ").encode(encoding)
    found = of_sidecar(tmp_path, data)
    assert found.pixel_size == (pixel_size and pytest.approx(pixel_size))
    assert found.field_width == (pixel_size and pytest.approx(pixel_size * WIDTH))
    assert len(found.notices) == (pixel_size is None)


def test_newer_jeols_name_their_dwell_time_and_the_scan_above_the_bar(tmp_path: Path) -> None:
    text = "$CM_IMAGE_SIZE 64 44\n$SM_DWELL_TIME 200.0ns\n$SM_INTEGRATION_NUMBER 5\n"
    found = of_sidecar(tmp_path, text + "$CM_FULL_SIZE 64 48\n")
    assert (found.exposure, found.data_bar) == (pytest.approx(1e-6), 4)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "ascii"])
def test_jeol_without_a_text_file_keeps_its_text_in_the_tiff(tmp_path: Path, codec: str) -> None:
    text = "$CM_FORMAT=JEOL-SEM\t$CM_MAG=1000\tSM_DWELL_TIME=1.5us\t$CM_IMAGE_SIZE=64 40\t"
    found = of_tag(tmp_path, 37500, b"UNICODE\0" + text.encode(codec))
    assert (found.exposure, found.data_bar) == (pytest.approx(1.5e-6), 8)
    assert found.pixel_size == pytest.approx(2e-6)


HITACHI = "[SemImageFile]\nScanSpeed=Slow3\nStagePositionX=5000\nStagePositionY=9000\n"


@pytest.mark.parametrize(
    ("lines", "pixel_size"),
    [
        ("PixelSize=24.8\nDataSize=64x48\n", 24.8e-9),
        ("PixelSize=24.8 nm\nDataSize=64 x 48\n", 24.8e-9),
        ("PixelSize=24,8\n", 24.8e-9),
        ("PixelSize=12.4\nDataSize=128x96\n", 24.8e-9),  # stored at twice the width
        ("Magnification=1000\nDataSize=64x48\n", 127e-6 / WIDTH),  # S-4700: no PixelSize
        ("Magnification=1,000 x\nDataSize=64x48\n", 127e-6 / WIDTH),
        ("Magnification=x100,000\nDataSize=64x48\n", 1.27e-6 / WIDTH),
        ("Magnification=1 000 000\nDataSize=64x48\n", 0.127e-6 / WIDTH),
        ("Magnification=1.5kx\nDataSize=64x48\n", 127e-6 / 1.5 / WIDTH),
        ("Magnification=1,5 k\nDataSize=64x48\n", 127e-6 / 1.5 / WIDTH),
        ("Magnification=1,00,000\nDataSize=64x48\n", None),
        ("Magnification=0 x\nDataSize=64x48\n", None),
        ("Magnification=600\nPixelSize=165.3646\nDataSize=64x48\n", 127e-3 / 600 / WIDTH),  # 1280
        ("Magnification=600\nPixelSize=100\nDataSize=64x48\n", 100e-9),  # of another photo
        ("PixelSize=24.8\nDataSize=128x48\n", None),  # cropped: 64 columns of 128
    ],
)
def test_the_pixel_size_of_a_hitachi(tmp_path: Path, lines: str, pixel_size: float | None) -> None:
    found = of_sidecar(tmp_path, HITACHI + lines)
    assert found.pixel_size == (pixel_size and pytest.approx(pixel_size))
    assert found.stage == pytest.approx((5e-6, 9e-6))
    assert len(found.notices) == (pixel_size is None)


ZEISS = "0\r\n0\r\nDP_SCANRATE\r\nScan Speed = 7\r\nAP_STAGE_AT_X\r\nStage at X =  70.5 mm\r\n"
ZEISS += "AP_STAGE_AT_Y\r\nStage at Y = 1.0 mm\r\nDP_IMAGE_STORE\r\nStore resolution = {} * {}\r\n"


@pytest.mark.parametrize(
    ("stored", "lines", "pixel_size"),
    [
        ((64, 48), "AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = 543.0 pm\n", 543e-12),
        ((64, 48), "AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = 5,5 µm\n", 5.5e-6),
        ((64, 48), "AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = 8.5 Å\n", 850e-12),
        ((128, 96), "AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = 5.5 nm\n", 11e-9),  # rescaled
        ((128, 48), "AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = 5.5 nm\n", None),  # cropped
        ((64, 48), "AP_PIXEL_SIZE\nPixel Size = 9 nm\nAP_WIDTH\nWidth = 6.4 µm\n", 100e-9),
        ((64, 48), "AP_PIXEL_SIZE\nPixel Size = 9.00 nm\n", 9e-9),  # the only one
        ((64, 48), "Image Pixel Size = 5.5 nm\n", 5.5e-9),  # labels without names
    ],
)
def test_the_pixel_size_of_a_zeiss(
    tmp_path: Path, stored: tuple[int, int], lines: str, pixel_size: float | None
) -> None:
    text = ZEISS.format(*stored) + lines + "AP_LINE_TIME\nLine Time = 6.4 ms\n"
    text += "AP_FRAME_TIME\nCycle Time = 9 Secs\n"  # counts only where there is no line time
    for code, data in ((34118, text.encode("latin-1")), (34119, text.encode("utf-16-le"))):
        found = of_tag(tmp_path, code, data)
        assert found.pixel_size == (pixel_size and pytest.approx(pixel_size))
        assert found.exposure == pytest.approx(6.4e-3 / stored[0])
        assert found.stage == pytest.approx((0.0705, 1e-3))
        assert (found.vendor, found.scan_speed) == ("Zeiss", "7")
        assert len(found.notices) == (pixel_size is None)
    (tmp_path / "b.txt").write_text(text)  # SmartSEM writes it beside a JPEG or BMP
    beside = read_metadata(picture(tmp_path / "b.bmp"))
    own = tuple(notice.replace("a.tif", "b.bmp") for notice in found.notices)
    assert beside == dataclasses.replace(found, notices=own)


@pytest.mark.parametrize(
    ("mode", "times", "passes"),
    [
        ("Frame Int. Done", 3, 3),
        ("Drift Comp. Frame Avg", 11, 11),
        ("Line Avg", 1, 4),  # the cycle holds all lines
        ("Line Int. Done", 1, 2),
        ("Pixel Avg.", 1, 1),
    ],
)
def test_without_a_line_time_zeiss_has_a_cycle_time(
    tmp_path: Path, mode: str, times: int, passes: int
) -> None:
    counts = "AP_LINE_AVERAGE_COUNT\nLine Avg.Count = 4\nAP_LINE_INT_COUNT\nLine int. count = 2\n"
    counts += "AP_FRAME_AVERAGE_COUNT\nFrames to average = 11\nAP_FRAME_INT_COUNT\nFrames = 3\n"
    text = ZEISS.format(64, 48) + counts + "AP_FRAME_TIME\nCycle Time = 30.72 Secs\n"
    found = of_tag(tmp_path, 34118, f"{text}DP_NOISE_REDUCTION\nNoise Reduction = {mode}\n")
    assert found.exposure == pytest.approx(times * 10e-3)  # 30.72 s / (64 x 48)
    assert found.passes == passes


FEI = (
    "[Beam]\nScan=EScan\n[Scan]\nDwelltime=1e-06\nPixelWidth=2e-09\nIntegrate=8\n"
    "[EScan]\nLineIntegration=2\n[Stage]\nStageX=0.001\nStageY=0.002\n"
    "[Image]\nResolutionX=64\nResolutionY=40\nIntegrate=8\nAverage=0\n"
)
XT = (
    '<?xml version="1.0" encoding="utf-16"?><Metadata xmlns:i="x" '
    'xmlns="http://schemas.fei.com/Metadata/v1/2013/07"><StageSettings><StagePosition><X>0.001</X>'
    "<Y>0.002</Y></StagePosition></StageSettings><ScanSettings><DwellTime>1e-6</DwellTime>"
    "<LineIntegrationCount>2</LineIntegrationCount></ScanSettings><BinaryResult>"
    '<FilterFrameCount>8</FilterFrameCount><PixelSize><X unit="m">2e-9</X></PixelSize>'
    "<ImageSize><X>64</X><Y>40</Y></ImageSize></BinaryResult></Metadata>"
)
PHENOM = (
    '<FeiImage><databarHeight>8</databarHeight><pixelWidth unit="nm">2</pixelWidth>'
    '<integrations>16</integrations><acquisition><scan><dwellTime unit="ns">1000</dwellTime></scan>'
    '</acquisition><multiStage><axis id="X">0.001</axis><axis id="Y">0.002</axis></multiStage>'
    "</FeiImage>"
)
FORMS = {
    "text": lambda text: text.encode(),
    "NUL at the end": lambda text: text.encode() + b"\0\0",
    "mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without its mark": lambda text: text.encode("utf-16-le"),
    "base64": lambda text: base64.b64encode(text.encode("utf-8-sig")),
    "base64 in lines": lambda text: base64.encodebytes(text.encode("utf-16")),
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text.encode())),
    "gzip": lambda text: gzip.compress(text.encode("utf-16")),
    "zlib": lambda text: zlib.compress(text.encode()),
}


@pytest.mark.parametrize("code", [34680, 34682, 34683])
@pytest.mark.parametrize("text", [FEI, XT, PHENOM], ids=["ini", "xT", "Phenom"])
@pytest.mark.parametrize("form", FORMS)
def test_thermo_fisher_is_read_in_every_form_and_wrapping(
    tmp_path: Path, code: int, text: str, form: str
) -> None:
    found = of_tag(tmp_path, code, FORMS[form](text))
    assert found.exposure == pytest.approx(16e-6)  # 1 us, 2 lines, 8 frames
    assert (found.pixel_size, found.data_bar) == (pytest.approx(2e-9), 8)
    assert found.stage == pytest.approx((0.001, 0.002))
    assert found.notices == ()


def test_a_tag_that_says_nothing_does_not_hide_the_next(tmp_path: Path) -> None:
    tags = [(34682, 1, 4, b"junk", True), (34683, 1, len(XT), XT.encode(), True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((HEIGHT, WIDTH), np.uint8), extratags=tags, metadata=None)
    assert read_metadata(path).exposure == pytest.approx(16e-6)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_metadata_are_found_whatever_the_suffix_says(tmp_path: Path, suffix: str) -> None:
    renamed = picture(tmp_path / "a.tif", FEI, 34682).rename(tmp_path / f"a{suffix}")
    assert (read_metadata(renamed).exposure, read_metadata(renamed).data_bar) == (16e-6, 8)
    named_tiff = picture(tmp_path / f"b{suffix}", FEI).rename(tmp_path / "b.tif")
    found = read_metadata(named_tiff)
    assert (found.exposure, found.data_bar, found.notices) == (16e-6, 8, ())


def test_an_ion_scan_and_a_rescaled_one(tmp_path: Path) -> None:
    text = FEI.replace("EScan", "IScan").replace("[Scan]\nDwelltime=1e-06\n", "[Scan]\n")
    text = text.replace("[IScan]\n", "[IScan]\nDwell=3e-06\n")
    assert of_tag(tmp_path, 34682, text).exposure == pytest.approx(48e-6)
    of_ions = text.replace("Integrate=8\n", "").replace("[IScan]\n", "[IScan]\nFrameAverage=8\n")
    assert of_tag(tmp_path, 34682, of_ions).exposure == pytest.approx(48e-6)
    whole = text.replace("ResolutionX=64\nResolutionY=40", "ResolutionX=128\nResolutionY=96")
    assert of_tag(tmp_path, 34682, whole).pixel_size == pytest.approx(4e-9)
    width = whole.replace("PixelWidth=2e-09", "HorFieldsize=6.4e-06")
    assert of_tag(tmp_path, 34682, width).pixel_size == pytest.approx(100e-9)
    cropped = text.replace("ResolutionX=64", "ResolutionX=128")
    found = of_tag(tmp_path, 34682, cropped)
    assert found.pixel_size is None
    assert "that of a scan of 128 x 40 px, the image has 64 x 48" in found.notices[0]


TESCAN = "[MAIN]\nAccFrames=3\nPixelSizeX=1.5e-6\nImageStripSize=9\n[SEM]\nDwellTime=10e-6\n"
TESCAN += "ScanSpeed=5\nStageX=-15e-3\nStageY=9e-3\n"


@pytest.mark.parametrize("beside", ["a-png.hdr", "a.hdr", "a.png.hdr", "a-png.HDR"])
def test_tescan_writes_beside_a_png(tmp_path: Path, beside: str) -> None:
    (tmp_path / beside).write_text(TESCAN)
    found = read_metadata(picture(tmp_path / "a.png"))
    assert found.exposure == pytest.approx(30e-6)
    assert (found.scan_speed, found.passes, found.data_bar) == ("5", 3, 9)
    assert (found.pixel_size, found.stage) == (1.5e-6, (-0.015, 0.009))
    assert found.field_width == pytest.approx(1.5e-6 * WIDTH)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_the_width_of_the_field_needs_no_tiff(tmp_path: Path, suffix: str) -> None:
    path = picture(tmp_path / f"a{suffix}", HITACHI + "PixelSize=24.8\nDataSize=64x40\n")
    found = read_metadata(path)
    assert (found.field_width, found.data_bar) == (pytest.approx(24.8e-9 * WIDTH), 8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"tEXt", b"Metadata\0" + XT.encode()),
        chunk(b"tEXt", b"MetadataAsINI\0" + FEI.encode()),
        chunk(b"zTXt", b"Metadata\0\0" + zlib.compress(XT.encode())),
        chunk(b"iTXt", b"Metadata\0\0\0\0\0" + XT.encode()),
        chunk(b"iTXt", b"Metadata\0\1\0\0\0" + zlib.compress(XT.encode())),
        chunk(b"tEXt", b"Comment\0of mine") + chunk(b"tEXt", b"Metadata\0" + PHENOM.encode()),
    ],
)
def test_texts_in_a_png_are_read(tmp_path: Path, text: bytes) -> None:
    path = picture(tmp_path / "a.png")
    data = path.read_bytes()
    path.write_bytes(data[:33] + text + data[33:])  # behind the header
    found = read_metadata(path)
    assert (found.exposure, found.data_bar) == (pytest.approx(16e-6), 8)
    assert read_metadata(picture(tmp_path / "b.png")) == ScanMetadata()


def test_texts_in_and_behind_a_jpeg_are_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    plain = path.read_bytes()
    path.write_bytes(plain + PHENOM.encode())
    assert read_metadata(path).exposure == pytest.approx(16e-6)
    comment = b"UNICODE\0" + "$CM_FORMAT=JEOL\t$CM_MAG=1000\t$CM_SCAN_SPEED=4\t".encode("utf-16-le")
    exif = Pillow.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    Pillow.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(path, exif=exif)
    found = read_metadata(path)
    assert (found.scan_speed, found.pixel_size) == ("4", pytest.approx(2e-6))


def test_what_imagej_and_ome_say_of_pixels_is_read(tmp_path: Path) -> None:
    pixels, path = np.zeros((HEIGHT, WIDTH), np.uint8), tmp_path / "a.tif"
    for unit in ("um", "micron", "\\u00B5m"):
        options = {"metadata": {"unit": unit}, "resolution": (4, 4)}
        tifffile.imwrite(path, pixels, imagej=True, **options)
        assert read_metadata(path).pixel_size == pytest.approx(250e-9)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(300, 300), metadata={"unit": "inch"})
    assert read_metadata(path) == ScanMetadata()
    info = {"unit": "inch", "Info": HITACHI + "PixelSize=24.8\nDataSize=64x48\n"}
    tifffile.imwrite(path, pixels, imagej=True, resolution=(300, 300), metadata=info)
    assert read_metadata(path).scan_speed == "Slow3"
    for said in ({"PhysicalSizeX": 0.25}, {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm"},
                 {"PhysicalSizeX": 2500, "PhysicalSizeXUnit": "Å"}):  # fmt: skip
        tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "YX"} | said)
        assert read_metadata(path).pixel_size == pytest.approx(250e-9)


@pytest.mark.parametrize(
    ("code", "vendor"),
    [(34682, "Thermo Fisher"), (34118, "Zeiss"), (50431, "TESCAN"), (51023, "Fibics")],
)
def test_a_form_that_is_not_known_is_one_notice(tmp_path: Path, code: int, vendor: str) -> None:
    for data in (b"\1\2\3 something new", b"<Root><Other>1</Other></Root>", b"[New]\nA=1\n"):
        found = of_tag(tmp_path, code, data)
        assert found.notices == (f"a.tif: its metadata ({vendor}) are of a form that is not known",)


def test_what_several_files_lack_is_said_once(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{n}.tif", b"something new", 34682) for n in range(13)]
    paths.append(picture(tmp_path / "z.tif", ZEISS.format(64, 48), 34118))
    unknown, missing = shared_notices({path: read_metadata(path) for path in paths})
    assert unknown == "13 files: its metadata (Thermo Fisher) are of a form that is not known"
    assert missing == "z.tif: ap_line_time is missing"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (34682, FEI.replace("StageX=0.001", "StageX=0").replace("StageY=0.002", "StageY=0.0")),
        (50431, TESCAN.replace("-15e-3", "0.0").replace("9e-3", "0")),
        (None, JEOL.replace("5.5 0.8", "0.000 0.000") + "$CM_SCAN_SPEED 5\n"),
        (None, HITACHI.replace("=5000", "=0").replace("=9000", "=0")),
        (None, HITACHI.replace("=5000", "=17500000").replace("=9000", "=17500000")),
    ],
)
def test_a_stage_that_was_not_read_is_at_no_position(
    tmp_path: Path, code: int | None, text: str
) -> None:
    found = read_metadata(picture(tmp_path / "a.tif", text, code))
    assert (found.vendor is not None, found.stage) == (True, None)


def test_entities_are_refused(tmp_path: Path) -> None:
    text = '<!DOCTYPE x [<!ENTITY a "10">]>' + PHENOM.replace(">2<", ">&a;<")
    assert of_tag(tmp_path, 34683, text).pixel_size is None


@pytest.mark.parametrize("text", [JEOL, HITACHI, ZEISS, FEI, XT, PHENOM, TESCAN])
def test_texts_written_over_at_random_never_raise(tmp_path: Path, text: str) -> None:
    path, rng = picture(tmp_path / "a.png"), np.random.default_rng(len(text))
    for _ in range(40):
        data = bytearray(text.encode("latin-1"))
        for place in rng.integers(0, len(data), rng.integers(1, 20)):
            data[place] = rng.integers(256)
        path.with_suffix(".txt").write_bytes(bytes(data))
        path.write_bytes(path.read_bytes()[: rng.integers(4, 60)] + bytes(data))
        assert read_metadata(path).passes >= 1


JEOL_AT = "$CM_FORMAT JEOL-SEM\n$CM_STAGE_POS{}\n"
ZEISS_AT = "0\r\n0\r\nAP_STAGE_AT_X\r\nStage at X = {}\r\nAP_STAGE_AT_Y\r\nStage at Y = {}\r\n"
FEI_AT = "[Beam]\r\nHV=5\r\n[Scan]\r\nDwell=1\r\n[Stage]\r\nStageX={}\r\nStageY={}\r\n"


@pytest.mark.parametrize(
    ("code", "text", "stage"),
    [
        (34118, ZEISS_AT.format("62,000 mm", "0,001 mm"), (62e-3, 1e-6)),
        (34118, ZEISS_AT.format("62,000 mm", "-1,5 mm"), (62e-3, -1.5e-3)),
        (34118, ZEISS_AT.format("62,000 mm", "1,250 mm\r\nAP_WD\r\nWD = 5,1 mm"), (62e-3, 1.25e-3)),
        (34118, ZEISS_AT.format("62,000 mm", "1,250 mm\r\nDP_SIZE\r\nSize = 1024,768"), None),
        (34118, ZEISS_AT.format("62,000 mm", "1,250 mm"), None),
        (34118, ZEISS_AT.format("1,062,000 um", "0,5 mm"), None),
        (34682, FEI_AT.format("0,001", "-0,002"), (1e-3, -2e-3)),
        (34682, FEI_AT.format("10,000", "0.001"), None),
        (None, JEOL_AT.format(" 62,000 -0,500 10,2 0 0 0"), (62e-3, -0.5e-3)),
        (None, JEOL_AT.format(" 62,000 45,000 10,2 0 0 0"), (62e-3, 45e-3)),
        (None, JEOL_AT.format(" 62,000 45,000 10.2 0 0 0"), None),
        (None, JEOL_AT.format("ITION X=2,5, Y=-0,5, R=3"), (2.5e-3, -0.5e-3)),
        (None, JEOL_AT.format("ITION X=62,000,Y=45,000,R=3,5"), (62e-3, 45e-3)),
    ],
)
def test_three_decimals_after_a_comma_are_read_where_they_are_no_group(
    tmp_path: Path, code: int | None, text: str, stage: tuple[float, float] | None
) -> None:
    found = read_metadata(picture(tmp_path / "a.tif", text, code))
    assert found.stage == (stage and pytest.approx(stage))
    assert stage or found.notices


def test_a_magnification_below_one_thousand_is_not_grouped(tmp_path: Path) -> None:
    found = of_sidecar(tmp_path, HITACHI + "Magnification=0,500 kx\nDataSize=64x48\n")
    assert found.pixel_size == pytest.approx(127e-3 / 500 / WIDTH)
