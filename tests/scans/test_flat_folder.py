import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter, shift

from lfranker.images.image_file import image_files
from lfranker.scans.flat_folder import group_scans, order_by_exposure
from lfranker.scans.folder_layout import choose_target, scan_plan

SEM = os.environ.get("LFRANKER_SEM_DATA")
real = pytest.mark.skipif(SEM is None, reason="LFRANKER_SEM_DATA names no folder of real scans")
NOTHING = np.full((64, 96), 100, np.uint8)


def texture(seed):
    noise = np.random.default_rng(seed).normal(size=(112, 128))
    smooth = gaussian_filter(noise, 2)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def scan(path, dwell=None, stage=None, image=NOTHING, pixel=1e-9):
    """As FEI writes it; the field is 96 nm wide for the default image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"[Scan]\nDwelltime={dwell or ''}\nPixelWidth={pixel}\n"
    if stage is not None:
        text += f"[Stage]\nStageX={stage[0]}\nStageY={stage[1]}\n"
    data = text.encode()
    tags = [(34682, 1, len(data), data, True)]
    tifffile.imwrite(path, image, extratags=tags, metadata=None)
    return path


def names(plan):
    return {s: {f: p.name for f, p in scans.items()} for s, scans in plan.files.items()}


def test_names_that_differ_in_the_speed_show_one_field(tmp_path):
    fields = [f"{field}{speed}.tif" for field in "ab" for speed in ("_100ns_x", "_x-30 us")]
    paths = [scan(tmp_path / f, 1e-7 if "ns" in f else 3e-5) for f in fields]
    plan = group_scans(paths)
    assert names(plan) == {
        "100ns": {"a_x-30 us": "a_100ns_x.tif", "b_x-30 us": "b_100ns_x.tif"},
        "30us": {"a_x-30 us": "a_x-30 us.tif", "b_x-30 us": "b_x-30 us.tif"},
    }


def test_the_plan_is_a_table_for_people(tmp_path):
    paths = [scan(tmp_path / f"a_{s}.tif", d) for s, d in (("1us", 1e-6), ("30us", 3e-5))]
    lone = scan(tmp_path / "zz_1us.tif", 1e-6)
    assert group_scans([*paths, lone]).table == (
        "field   1us         30us        matched by",
        "a_30us  a_1us.tif   a_30us.tif  name",
        "zz_1us  zz_1us.tif  -           nothing, it has no partner",
    )


def test_names_are_not_believed_where_the_stage_was_elsewhere(tmp_path):
    paths = [
        scan(tmp_path / "a_100ns.tif", 1e-7, (1e-6, 0)),
        scan(tmp_path / "a_30us.tif", 3e-5, (1e-6, 50e-9)),  # 0.52 of the width of the field
    ]
    with pytest.raises(ValueError, match=r"stage was elsewhere.*a_100ns\.tif.*a_30us\.tif"):
        group_scans(paths)
    scan(paths[1], 3e-5, (1e-6, 45e-9))  # 0.47
    assert len(group_scans(paths).files["30us"]) == 1


def test_numbers_at_the_end_are_left_out_where_that_is_clear(tmp_path):
    speeds = (1e-7, 3e-5)
    files = {"a 001": speeds[0], "a 002": speeds[1], "b(7)": speeds[1], "b(8)": speeds[0]}
    plan = group_scans([scan(tmp_path / f"{name}.tif", dwell) for name, dwell in files.items()])
    assert names(plan)["100ns"] == {"a 002": "a 001.tif", "b(7)": "b(8).tif"}
    far = [scan(tmp_path / "a 001.tif", 1e-7, (1, 0)), scan(tmp_path / "a 002.tif", 3e-5, (2, 0))]
    with pytest.raises(
        ValueError, match=r"no two scans.*a 001\.tif \(100ns\), a 002\.tif \(30us\)"
    ):
        group_scans(far)


def test_a_name_with_a_speed_is_not_shortened_by_its_number(tmp_path):
    """Two fields of which one scan each is missing are not one field."""
    paths = [scan(tmp_path / "f_004_100ns.tif", 1e-7), scan(tmp_path / "f_005_30us.tif", 3e-5)]
    with pytest.raises(ValueError, match="no two scans"):
        group_scans(paths)


@pytest.mark.parametrize(("distance", "match"), [(9e-9, True), (10.2e-9, False)])
def test_scans_at_one_place_show_one_field(tmp_path, distance, match):
    """0.1 of the field's width, 96 nm, is 9.6 nm."""
    paths = [
        scan(tmp_path / "p.tif", 1e-7, (1e-3, 2e-3)),
        scan(tmp_path / "q.tif", 3e-5, (1e-3 + distance, 2e-3)),
        scan(tmp_path / "r.tif", 1e-7, (1e-3, 5e-3)),
        scan(tmp_path / "s.tif", 3e-5, (1e-3, 5e-3)),
    ]
    plan = group_scans(paths)
    assert "p.tif" in plan.files["100ns"]["q"].name if match else "p" in plan.files["100ns"]
    assert plan.files["100ns"]["s"].name == "r.tif"


def test_a_scan_between_two_places_joins_them(tmp_path):
    """18 nm are 0.19 of the field's width, and both are 9 nm from the third."""
    speeds = {"p": (1e-7, 0), "q": (3e-5, 18e-9), "r": (1e-6, 9e-9), "s": (1e-5, 9e-9)}
    plan = group_scans([scan(tmp_path / f"{n}.tif", t, (x, 1)) for n, (t, x) in speeds.items()])
    assert names(plan) == {
        "100ns": {"q": "p.tif"},
        "1us": {"q": "r.tif"},
        "10us": {"q": "s.tif"},
        "30us": {"q": "q.tif"},
    }


@pytest.mark.parametrize("image", [NOTHING, texture(3)], ids=["nothing", "texture"])
def test_one_place_at_two_magnifications_is_two_fields(tmp_path, image):
    paths = [
        scan(tmp_path / "p.tif", 1e-7, (1e-3, 2e-3), image, pixel=2e-9),
        scan(tmp_path / "q.tif", 3e-5, (1e-3, 2e-3), image),
    ]
    with pytest.raises(ValueError, match="no two scans"):
        group_scans(paths)


def test_images_tell_fields_of_one_place_apart(tmp_path):
    """The beam was shifted, or the stage is not in the file; shifted by 5 px and noisy."""
    rng = np.random.default_rng(1)
    paths = []
    for number, field in enumerate((11, 12, 13)):
        clean = texture(field)
        moved = shift(clean.astype(float), (3, -5), mode="reflect")
        noisy = np.clip(moved + rng.normal(0, 40, clean.shape), 0, 255).astype(np.uint8)
        paths.append(scan(tmp_path / f"{'xyz'[number]}.tif", 3e-5, (0, 0), clean))
        paths.append(scan(tmp_path / f"{'bca'[number]}.tif", 1e-7, (0, 0), noisy))
    assert names(group_scans(paths))["100ns"] == {"x": "b.tif", "y": "c.tif", "z": "a.tif"}


def test_two_scans_of_one_field_at_one_speed_are_ambiguous(tmp_path):
    image = texture(3)
    paths = [
        scan(tmp_path / "x.tif", 3e-5, image=image),
        scan(tmp_path / "y.tif", 3e-5, image=image),
        scan(tmp_path / "z.tif", 1e-7, image=image),
    ]
    with pytest.raises(ValueError, match=r"z\.tif \(100ns\) may.*x\.tif \(30us\), y\.tif \(30us\)"):
        group_scans(paths)
    scan(paths[1], 1e-7, image=image)
    with pytest.raises(ValueError, match=r"x\.tif \(30us\) may.*y\.tif \(100ns\), z\.tif"):
        group_scans(paths)


def test_speeds_come_from_the_names_where_the_files_do_not_tell(tmp_path):
    for name in ("a_spd2.tif", "a_spd8.tif", "b_spd8.tif", "b_spd2.tif"):
        tifffile.imwrite(tmp_path / name, NOTHING)
    files = scan_plan(tmp_path).files
    assert list(files) == ["spd2", "spd8"]
    assert files["spd2"]["b_spd8"] == tmp_path / "b_spd2.tif"


def test_unknown_and_equal_speeds_are_errors(tmp_path):
    paths = [
        scan(tmp_path / "a.tif", 1e-7),
        scan(tmp_path / "b.tif"),
        scan(tmp_path / "c100ns.tif"),
    ]
    with pytest.raises(
        ValueError,
        match=r"2 of 3 scans is unknown.*b\.tif, c100ns\.tif \(2 files: Scan\.Dwelltime is empty,",
    ):
        group_scans(paths)
    with pytest.raises(
        ValueError, match=r"the speed 100ns; two speeds are needed, or --target none"
    ):
        group_scans([paths[0], scan(paths[1], 1e-7)])


def test_sub_folders_are_ordered_by_exposure_where_their_names_do_not_tell(tmp_path):
    for folder, dwell in (("clean", 3e-5), ("fast", 1e-7), ("middle", 1e-6)):
        for field in "ab":
            scan(tmp_path / folder / f"{field}.tif", dwell)
    files = scan_plan(tmp_path).files
    assert list(files) == ["fast", "middle", "clean"]
    assert choose_target(files, None) == "clean"
    scan(tmp_path / "clean" / "b.tif", 1e-6)
    assert list(scan_plan(tmp_path).files) == ["clean", "fast", "middle"]
    with pytest.raises(ValueError, match=r"told neither by their names .* nor by the exposure"):
        choose_target(scan_plan(tmp_path).files, None)


def test_speeds_of_equal_exposure_have_no_order(tmp_path):
    files = {s: {"a": scan(tmp_path / s / "a.tif", 1e-6)} for s in ("fast", "clean")}
    assert order_by_exposure(files) is None
    scan(files["clean"]["a"])
    assert order_by_exposure(files) is None
    files["clean"]["b"] = scan(tmp_path / "clean" / "b.tif", 3e-5)
    assert order_by_exposure(files) is None, "one of the clean scans does not tell"
    scan(files["clean"]["a"], 3e-5)
    assert order_by_exposure(files) == ["fast", "clean"]


def shuffled(tmp_path, prepare):
    """All real scans in one folder under names that tell nothing; and the field of each."""
    paths = sorted(Path(SEM, "scans").glob("*/*.tif"))
    assert len(paths) == 48
    truth = {}
    for number, index in enumerate(np.random.default_rng(5).permutation(48)):
        copy = tmp_path / f"scan_{number:04d}.tif"
        shutil.copyfile(paths[index], copy)
        prepare(copy)
        truth[copy] = paths[index].stem, paths[index].parent.name
    return truth


def without_stage(path):
    """The names of the fields written over: same length, so the file stays whole."""
    path.write_bytes(path.read_bytes().replace(b"StageX=", b"XegatS="))


@real
@pytest.mark.parametrize(
    ("prepare", "way"), [(lambda path: None, "stage position"), (without_stage, "image content")]
)
def test_real_scans_in_one_folder(tmp_path, prepare, way):
    truth = shuffled(tmp_path, prepare)
    files = scan_plan(tmp_path).files
    assert list(files) == ["100ns", "30us"]
    assert len(files["100ns"]) == len(files["30us"]) == 24
    for speed, scans in files.items():
        for field, path in scans.items():
            assert truth[path] == (truth[files["30us"][field]][0], speed)
    table = group_scans(image_files(tmp_path)).table
    assert len(table) == 25
    assert all(line.endswith(way) for line in table[1:])
