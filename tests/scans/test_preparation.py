import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from lfranker.evaluation.scoring import of_noisy, score, summarise
from lfranker.images.image_file import read_image, write_image
from lfranker.registration.register import Transform, register, warp
from lfranker.scans import preparation
from lfranker.scans.preparation import prepare_scans, read_scans, subset_of
from lfranker.scans.scan_set import MANIFEST, SEAL, Record

BYTE = np.dtype(np.uint8)
SHIFT = {"spd2": (3, -2), "spd3": (1, 4)}  # whole px, by which the noisy scans are cut elsewhere


def specimen(seed, width=220):
    drawn = np.random.default_rng(seed).normal(size=(width, 180)).T  # the same in any width
    blurred = gaussian_filter(drawn, 3)
    return np.clip(0.5 + 0.15 * blurred / blurred.std(), 0, 1)


def write_scans(folder, seeds, changed=None):
    """Two noisy speeds and the clean spd8 of a field per seed; ``changed`` shows another field."""
    for seed in seeds:
        scans = {"spd8": specimen(seed)[10:-10, 10:-10]}
        for speed, (down, right) in SHIFT.items():
            shown = specimen(99 if (seed, speed) == changed else seed)
            rng = np.random.default_rng([seed, down])
            cut = shown[10 + down : 170 + down, 10 + right : 210 + right]
            scans[speed] = cut + rng.normal(0, 0.05, cut.shape)
        for speed, image in scans.items():
            write_image(folder / speed / f"f{seed}.png", image.astype(np.float32), BYTE, 255)
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Scans of two fields, and the set that is made of them in the cache beside them."""
    folder = tmp_path_factory.mktemp("original")
    source = write_scans(folder / "source", [0, 1])
    return source, prepare_scans(source, "spd8", folder / "cache")


@pytest.fixture
def source(original, tmp_path):
    return shutil.copytree(original[0], tmp_path / "source")


@pytest.fixture
def prepared(original, tmp_path):
    made = original[1].folder
    return read_scans(shutil.copytree(made, tmp_path / "cache" / made.name))


@pytest.mark.slow
def test_twelve_bits_in_sixteen_are_scaled_alike_and_the_set_remembers_it(source, tmp_path):
    """The noisy scans as an instrument stores 12 bits; the clean one by the tag that says so."""
    folder, eight = tmp_path / "twelve", prepare_scans(source, "spd8", tmp_path / "cache")
    for path in source.glob("*/*.png"):
        stored = np.rint(read_image(path).pixels * 4095).astype(np.uint16)
        tag = [(281, "H", 1, 4095, True)] if path.parent.name == "spd8" else []
        target = (folder / path.parent.name / path.name).with_suffix(".tif")
        target.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(target, stored, photometric="minisblack", extratags=tag)
    twelve = prepare_scans(folder, "spd8", tmp_path / "cache")
    assert (eight.white, twelve.white) == ((255,), (4095,))
    assert read_scans(twelve.folder).white == (4095,)
    assert any("4 files of 16 bits" in notice for notice in twelve.notices)
    for ours, theirs in zip(twelve, eight, strict=True):
        assert np.abs(ours.noisy - theirs.noisy).max() <= 0.5 / 4095 + 1e-6
        assert np.abs(ours.original - theirs.original).max() <= 0.5 / 4095 + 1e-6
    full = prepare_scans(folder, "spd8", tmp_path / "cache", 65535)
    assert full.white == (65535,)
    assert full.digest != twelve.digest
    assert next(iter(full)).noisy.max() < 1 / 15


def test_scans_of_sixteen_bits_are_divided_by_what_is_given_or_else_alike(tmp_path: Path) -> None:
    """One says that it has 12 bits; the other, which says nothing, uses more."""
    stored = {"f0": specimen(0)[:40, :50] * 4000, "f1": specimen(1)[:40, :50] * 6000}
    (tmp_path / "scans").mkdir()
    for field, tag in (("f0", [(281, "H", 1, 4095, True)]), ("f1", [])):
        stored[field] = np.rint(stored[field]).astype(np.uint16)
        file = tmp_path / "scans" / f"{field}.tif"
        tifffile.imwrite(file, stored[field], photometric="minisblack", extratags=tag)
    for white, full in ((8191, 8191), (None, 65535)):
        scans = prepare_scans(tmp_path / "scans", "none", tmp_path / "cache", white)
        assert scans.white == (full,)
        assert any("4095 and 65535" in notice for notice in scans.notices) == (white is None)
        for pair in scans:
            np.testing.assert_allclose(pair.noisy, stored[pair.field] / full, rtol=1e-6)


@pytest.mark.slow
def test_noisy_and_clean_scans_of_other_depths_are_divided_by_the_same(source, tmp_path):
    """The noisy scans say that they have 12 bits; the clean one uses 16."""
    folder = tmp_path / "depths"
    for path in source.glob("*/*.png"):
        clean = path.parent.name == "spd8"
        stored = np.rint(read_image(path).pixels * (65535 if clean else 4095)).astype(np.uint16)
        tag = [] if clean else [(281, "H", 1, 4095, True)]
        target = (folder / path.parent.name / path.name).with_suffix(".tif")
        target.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(target, stored, photometric="minisblack", extratags=tag)
    scans = prepare_scans(folder, "spd8", tmp_path / "cache")
    assert scans.white == (65535,)
    assert any("4095 and 65535" in notice for notice in scans.notices)
    pair = next(iter(scans))
    assert pair.noisy.max() < 1 / 15 < pair.original.max()


@pytest.mark.slow
def test_pairs_hold_the_files_pixels_registered(prepared, source):
    assert (prepared.target, prepared.speeds) == ("spd8", ("spd2", "spd3"))
    assert (prepared.fields, len(prepared)) == (("f0", "f1"), 4)
    assert not prepared.simulated
    assert not prepared.notices
    pairs = list(prepared)
    assert [(p.field, p.speed) for p in pairs] == [
        ("f0", "spd2"),
        ("f0", "spd3"),
        ("f1", "spd2"),
        ("f1", "spd3"),
    ]
    for pair in pairs:
        noisy, original = (
            read_image(source / speed / f"{pair.field}.png").image for speed in (pair.speed, "spd8")
        )
        clean, mask = warp(original, register(noisy, original), noisy.shape)
        for stored, expected in zip(
            (pair.noisy, pair.clean, pair.mask, pair.original),
            (noisy, clean, mask, original),
            strict=True,
        ):
            assert stored.dtype == expected.dtype
            assert np.array_equal(stored, expected)
        assert pair.transform.shift == pytest.approx(SHIFT[pair.speed], abs=0.1)
        truth = specimen(int(pair.field[1:]))[
            10 + SHIFT[pair.speed][0] :, 10 + SHIFT[pair.speed][1] :
        ][:160, :200]
        assert np.abs(pair.clean - truth)[pair.mask].mean() < 0.01


def test_the_table_has_a_row_per_pair(prepared):
    table = prepared.table()
    assert table[["field", "speed"]].to_numpy().tolist() == [[p.field, p.speed] for p in prepared]
    for at, axis in enumerate("yx"):
        assert table[f"shift_{axis}"].tolist() == [p.transform.shift[at] for p in prepared]
        assert table[f"scale_{axis}"].tolist() == [p.transform.scale[at] for p in prepared]
    assert table["residual"].tolist() == [p.transform.residual for p in prepared]


def test_the_table_says_how_a_clean_scan_was_put_onto_the_noisy_one(prepared):
    drift = ((-50.0, 0.1, -0.4), (60.0, 0.2, 0.3))  # row, along y and x
    transform = Transform((1.0, 2.0), (1.01, 1.02), 0.003, drift, 0.05, 0.06)
    record = Record("f", "spd2", transform, "0", "o", "site", "gold", "sites.csv")
    (row,) = replace(prepared, records=(record,)).table().to_dict("records")
    assert row == {
        "field": "f", "speed": "spd2", "place": "site", "site_source": "sites.csv",
        "sample": "gold", "shift_y": 1.0, "shift_x": 2.0, "scale_y": 1.01, "scale_x": 1.02,
        "shear": 0.003, "drift": 0.4, "residual": 0.05, "held_out": 0.06,
    }  # fmt: skip


def test_a_set_keeps_its_marker_its_full_brightness_and_what_is_scored_in_part(
    tmp_path, monkeypatch
):
    """Shifted by 3 and -2 px, it covers 156 of 160 rows and 146 of 200 columns: 1 px is lost."""
    source, asked = write_scans(tmp_path / "source", [0]), []
    shutil.rmtree(source / "spd3")
    clean = read_image(source / "spd8" / "f0.png").pixels[:, :148]
    write_image(source / "spd8" / "f0.png", clean, BYTE, 255)
    monkeypatch.setattr(preparation, "require_space", lambda _, size: asked.append(size))
    scans = prepare_scans(source, "spd8", tmp_path / "cache")
    assert (scans.white, scans.simulated) == ((255,), False)
    assert [record.site_source for record in scans.records] == ["assumed"]
    (pair,) = scans
    assert scans.notices == ("f0 at spd2: scored where the clean scan shows it, 71%",)
    parts = pair.noisy, pair.clean, pair.mask, pair.original
    assert asked == [sum(array.nbytes for array in parts)]
    (source / "simulated.json").write_text("{}")
    made = prepare_scans(source, "spd8", tmp_path / "cache")
    assert made.simulated
    assert made.digest != scans.digest
    assert [record.site_source for record in made.records] == ["simulated"]
    shutil.copy(source / "spd2" / "f0.png", source / "spd2" / "f1.png")  # without a clean scan
    (source / "sites.csv").write_text("field,site\nf0,A\nf1,B\n")
    given = prepare_scans(source, "spd8", tmp_path / "cache")
    places = [(record.field, record.place, record.site_source) for record in given.records]
    assert places == [("f0", "A", "sites.csv")]
    (source / "simulated.json").unlink()
    assert given.digest != prepare_scans(source, "spd8", tmp_path / "cache").digest


def test_a_set_reads_back_as_it_was_wherever_it_is_moved(prepared, tmp_path):
    moved = shutil.copytree(prepared.folder, tmp_path / "elsewhere")
    again = read_scans(moved)
    assert again.folder == moved
    assert {**vars(again), "folder": 0} == {**vars(prepared), "folder": 0}
    assert len(list(again)) == 4


def test_a_set_is_reused_while_the_scans_are_the_same(prepared, source, tmp_path):
    stamp = prepared.folder / MANIFEST
    before = stamp.stat().st_mtime_ns
    renamed = source.rename(tmp_path / "renamed")
    assert prepare_scans(renamed, "spd8", prepared.folder.parent) == prepared
    assert stamp.stat().st_mtime_ns == before
    (prepared.folder / "0000-0-noisy.npy").unlink()
    again = prepare_scans(renamed, "spd8", prepared.folder.parent)
    assert replace(again, warnings=()) == prepared
    assert again.warnings[0].endswith(f"0000-0-noisy.npy of {MANIFEST} is missing")
    assert stamp.stat().st_mtime_ns != before


def test_a_set_with_another_target_is_another(prepared, source):
    other = prepare_scans(source, "spd3", prepared.folder.parent)
    assert (other.target, other.speeds) == ("spd3", ("spd2",))
    assert {(item.speed, item.reason) for item in other.excluded} == {
        ("spd8", "slower than the target spd3, by its name")
    }
    assert other.folder != prepared.folder


@pytest.mark.slow
def test_other_scans_names_targets_or_markers_have_another_digest(prepared, source, tmp_path):
    digests = {prepared.digest, prepare_scans(source, "spd3", prepared.folder.parent).digest}
    (source / "simulated.json").write_text("{}")
    simulated = prepare_scans(source, "spd8", prepared.folder.parent)
    assert simulated.simulated
    digests.add(simulated.digest)
    (source / "simulated.json").unlink()
    pixels = read_image(source / "spd2" / "f1.png").pixels
    pixels[5, 5] = 1 - pixels[5, 5]
    write_image(source / "spd2" / "f1.png", pixels, BYTE, 255)
    digests.add(prepare_scans(source, "spd8", prepared.folder.parent).digest)
    for speed in ("spd2", "spd3", "spd8"):
        (source / speed / "f1.png").rename(source / speed / "g1.png")
    digests.add(prepare_scans(source, "spd8", prepared.folder.parent).digest)
    assert len(digests) == 5
    assert len(list(prepared.folder.parent.iterdir())) == 5, "none replaces another"
    assert read_scans(prepared.folder) == prepared
    assert prepare_scans(source, "spd8", prepared.folder.parent).fields == ("f0", "g1")


def test_a_pair_that_does_not_match_is_left_out_by_name(tmp_path):
    source = write_scans(tmp_path / "source", [0, 1], changed=(1, "spd3"))
    shutil.copy(source / "spd8" / "f0.png", source / "spd2" / "f0.png")
    scans = prepare_scans(source, "spd8", tmp_path / "cache")
    assert len(scans) == 2
    same, other = scans.notices
    assert same == "f0 at spd2: left out, the same image as the clean scan"
    assert "f1 at spd3" in other
    assert read_scans(scans.folder).notices == scans.notices


def test_a_pair_of_which_one_is_out_of_focus_is_left_out_and_a_saturated_one_named(tmp_path):
    source = write_scans(tmp_path / "source", [0, 1])
    sharp = read_image(source / "spd3" / "f1.png").pixels
    write_image(source / "spd3" / "f1.png", gaussian_filter(sharp, 4), BYTE, 255)
    bright = read_image(source / "spd2" / "f0.png").pixels
    bright[::4, ::4] = 1
    write_image(source / "spd2" / "f0.png", bright, BYTE, 255)
    scans = prepare_scans(source, "spd8", tmp_path / "cache")
    assert len(scans) == 3
    table = scans.exclusions()
    assert table[["field", "speed"]].to_numpy().tolist() == [["f1", "spd3"]]
    assert table["reason"][0].startswith("noisy scan out of focus")
    assert any("f0 at spd2: saturated" in warning for warning in scans.warnings)


def test_a_flat_folder_is_grouped_by_its_names_and_the_plan_is_told(tmp_path):
    source = write_scans(tmp_path / "source", [0, 1])
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in source.rglob("*.png"):
        path.rename(flat / f"{path.stem}_{path.parent.name}.png")
    scans = prepare_scans(flat, None, tmp_path / "cache")
    assert (scans.target, scans.speeds, len(scans)) == ("spd8", ("spd2", "spd3"), 4)
    assert len(scans.plan) == 3  # heading and a line per field
    assert "f1_spd2.png" in scans.notices[2]


def test_an_error_only_when_no_pair_is_left_and_then_nothing_stays(tmp_path):
    source = write_scans(tmp_path / "source", [0], changed=(0, "spd3"))
    shutil.rmtree(source / "spd2")
    with pytest.raises(ValueError, match=r"no pair.*f0 at spd3"):
        prepare_scans(source, "spd8", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.slow
def test_sites_are_told_by_the_images_or_the_user_and_kept_with_the_set(tmp_path):
    """f2 and f3 are scanned on f0 and f1, 56 of 200 px further right."""
    source, cache = write_scans(tmp_path / "source", [0, 1, 4]), tmp_path / "cache"
    for number, seed in enumerate([0, 1], 2):
        wide = specimen(seed, 300)
        for speed, start in (("spd8", 66), ("spd2", 67)):
            cut = wide[10:-10, start : start + 200].astype(np.float32)
            write_image(source / speed / f"f{number}.png", cut, BYTE, 255)
    by_images = prepare_scans(source, "spd8", cache)
    table = by_images.table().drop_duplicates("field").set_index("field")
    assert dict(table["place"]) == {"f0": "f0", "f1": "f1", "f2": "f0", "f3": "f1", "f4": "f4"}
    assert list(table["site_source"]) == ["image overlap"] * 4 + ["assumed"]
    assert read_scans(by_images.folder) == by_images
    (source / "sites.csv").write_text("field,site\nf0,A\nf1,A\nf2,A\nf3,B\nf4,B\n")
    given = prepare_scans(source, "spd8", cache)
    assert given.digest != by_images.digest
    places = {record.field: record.place for record in given.records}
    assert places == {"f0": "A", "f1": "A", "f2": "A", "f3": "B", "f4": "B"}
    assert {record.site_source for record in given.records} == {"sites.csv"}
    assert {pair.field: pair.place for pair in given} == places
    assert {pair.sample for pair in given} == {record.sample for record in given.records}
    (source / "sites.csv").write_text("field,site\nf0,A\n")
    with pytest.raises(ValueError, match=r"sites\.csv: 4 of 5 fields have no row: f1, f2"):
        prepare_scans(source, "spd8", cache)


def test_sets_made_before_sites_had_sources_are_read(prepared):
    manifest = json.loads((prepared.folder / MANIFEST).read_text())
    for record in manifest["records"]:
        del record["site_source"]
    del manifest[SEAL], manifest["sha256"]
    (prepared.folder / MANIFEST).write_text(json.dumps(manifest))
    assert {record.site_source for record in read_scans(prepared.folder).records} == {""}


def test_conversions_are_told_once_for_each_kind(source, tmp_path):
    import cv2

    for name in ("spd2/f0.png", "spd3/f1.png"):
        gray = cv2.imread(str(source / name), cv2.IMREAD_GRAYSCALE)
        gray[3, 3] ^= 1  # so that no other set is reused
        cv2.imwrite(str(source / name), cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    (notice,) = prepare_scans(source, "spd8", tmp_path / "cache").notices
    assert notice.startswith("2 scans: RGB")


def test_somebody_elses_folder_is_not_replaced(prepared, source):
    (prepared.folder / MANIFEST).unlink()
    (prepared.folder / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=rf"{prepared.folder}.*thesis\.tex"):
        prepare_scans(source, "spd8", prepared.folder.parent)
    assert (prepared.folder / "thesis.tex").exists()


@pytest.mark.parametrize("broken", ["nothing", "json", "other json", "missing array"])
def test_read_scans_refuses_what_is_not_a_set(prepared, broken):
    if broken == "nothing":
        (prepared.folder / MANIFEST).unlink()
    elif broken == "missing array":
        (prepared.folder / "0001-original.npy").unlink()
    else:
        text = "{" if broken == "json" else json.dumps({"records": [], "answer": 42})
        (prepared.folder / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=str(prepared.folder)):
        read_scans(prepared.folder)


@pytest.mark.slow
@pytest.mark.skipif("LFRANKER_SEM_DATA" not in os.environ, reason="LFRANKER_SEM_DATA is not set")
def test_raw_microscope_files_are_prepared_and_scored(tmp_path):
    """Two of the fields as the microscope wrote them, data bar and green frame included."""
    data = Path(os.environ["LFRANKER_SEM_DATA"]) / "scans"
    for speed in ("100ns", "30us"):
        (tmp_path / "in" / speed).mkdir(parents=True)
        for number in (4, 19):
            name = f"field_{number:03d}.tif"
            shutil.copy(data / speed / name, tmp_path / "in" / speed / name)
    scans = prepare_scans(tmp_path / "in", None, tmp_path / "cache")
    assert (scans.target, scans.speeds, len(scans)) == ("30us", ("100ns",), 2)
    assert scans.table()["residual"].max() < 0.5
    assert all(min(pair.noisy.shape) > 430 for pair in scans)
    noisy, blurred = (
        summarise(score(of_noisy(denoiser), scans))
        for denoiser in (lambda image: image, lambda image: gaussian_filter(image, 1.0))
    )
    assert 22 < noisy["psnr/100ns"] < 24
    assert blurred["psnr"] > noisy["psnr"] + 5
    assert blurred["keypoints"] < noisy["keypoints"]


def test_scans_of_which_none_is_clean_are_kept_as_they_are(source, tmp_path):
    shutil.rmtree(source / "spd8")
    alone = prepare_scans(source, "none", tmp_path / "cache")
    assert (alone.target, alone.has_clean, alone.speeds) == ("", False, ("spd2", "spd3"))
    assert alone.fields == ("f0", "f1")
    assert len(alone) == 4
    for pair in alone:
        stored = read_image(source / pair.speed / f"{pair.field}.png").image
        assert np.array_equal(pair.noisy, stored)
        assert np.isnan(pair.clean).all()
        assert np.isnan(pair.original).all()
        assert pair.mask.all()
        assert pair.references == {}
    alone.verify()
    assert alone.fields_among({"0" * 64}) == []
    assert prepare_scans(source, "none", tmp_path / "cache").folder == alone.folder
    assert {path.name for path in alone.folder.iterdir()} == {
        MANIFEST, *(f"000{field}-{speed}-noisy.npy" for field in (0, 1) for speed in (0, 1))
    }  # fmt: skip


def test_one_folder_of_scans_of_one_speed_is_enough_without_a_clean_one(source, tmp_path):
    for path in (source / "spd2").iterdir():
        path.rename(source / path.name)
    for speed in ("spd2", "spd3", "spd8"):
        shutil.rmtree(source / speed)
    alone = prepare_scans(source, "none", tmp_path / "cache")
    assert alone.speeds == ("scan",)
    assert alone.fields == ("f0", "f1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images of noisy scans"):
        prepare_scans(tmp_path / "empty", "none", tmp_path)


def test_the_clean_scan_is_a_reference_where_there_is_one(prepared):
    pair = next(iter(prepared))
    assert prepared.has_clean
    assert list(pair.references) == ["clean"]
    assert pair.references["clean"] is pair.clean


def test_a_subset_has_the_same_pairs_of_some_fields(prepared, tmp_path):
    own = subset_of(prepared, {"f1"}, tmp_path / "cache")
    assert (own.fields, own.speeds, own.target) == (("f1",), prepared.speeds, "spd8")
    assert own.digest not in ("", prepared.digest)
    assert own.folder.parent == prepared.folder.parent
    whole = [pair for pair in prepared if pair.field == "f1"]
    for pair, same in zip(own, whole, strict=True):
        assert (pair.speed, pair.transform, pair.place) == (same.speed, same.transform, same.place)
        for name in ("noisy", "clean", "mask", "original"):
            np.testing.assert_array_equal(getattr(pair, name), getattr(same, name))
    before = {path: path.stat().st_mtime_ns for path in own.folder.iterdir()}
    assert subset_of(prepared, {"f1"}, tmp_path / "cache").digest == own.digest
    assert {path: path.stat().st_mtime_ns for path in own.folder.iterdir()} == before
    assert subset_of(prepared, {"f0"}, tmp_path / "cache").digest != own.digest


def test_a_damaged_subset_is_made_again(prepared, tmp_path):
    own = subset_of(prepared, {"f1"}, tmp_path / "cache")
    file = next(own.folder.glob("*-noisy.npy"))
    stored = file.read_bytes()
    file.write_bytes(stored[:-1] + b"x")
    again = subset_of(prepared, {"f1"}, tmp_path / "cache")
    again.verify()
    assert file.read_bytes() == stored
