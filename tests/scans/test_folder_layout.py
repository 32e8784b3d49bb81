import numpy as np
import pytest
from mlflow.utils.validation import _validate_metric_name

from lfranker.images.image_file import write_image
from lfranker.microscopes.scan_speed import by_speed
from lfranker.noise.profile_measurement import single_files
from lfranker.scans.folder_layout import choose_target, faster_than_target, match_fields, scan_plan


def folder(path, names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(path / name, np.zeros((4, 4), np.float32), np.dtype(np.uint8), 255)
    return path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["30us", "1ms", "100ns", "2 µs"], ["100ns", "2 µs", "30us", "1ms"]),
        (["2 μs", "0,5us", "1s", "900 ns"], ["0,5us", "900 ns", "2 μs", "1s"]),
        (["10 usec", "9 s", "100nsec"], ["100nsec", "10 usec", "9 s"]),
        (["spd10", "spd8", "spd2"], ["spd2", "spd8", "spd10"]),
        (["spd10", "spd8", "slow"], ["slow", "spd10", "spd8"]),
        (["100ns", "30us", "spd2"], ["100ns", "30us", "spd2"]),
    ],
)
def test_speeds_go_from_fast_to_slow(names, expected):
    assert by_speed(names) == expected


def test_fields_are_called_by_their_path_below_the_speed(tmp_path):
    made = folder(tmp_path, ["spd8/b/x.png", "spd8/a.png", "spd2/a.tif", "spd2/.hidden.png",
                             "@eaDir/spd8/a.png"])  # fmt: skip
    (tmp_path / "notes").mkdir()
    (tmp_path / ".cache").mkdir()
    files = scan_plan(made).files
    assert list(files) == ["spd2", "spd8"]
    assert set(files["spd8"]) == {"a", "b/x"}
    assert files["spd2"] == {"a": tmp_path / "spd2" / "a.tif"}


def test_two_files_of_one_field_and_lone_speeds_are_errors(tmp_path):
    with pytest.raises(ValueError, match=r"at least two.*"):
        scan_plan(folder(tmp_path, ["spd2/a.png"]))
    with pytest.raises(ValueError, match="missing"):
        scan_plan(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"a\.tif.*a\.png"):
        scan_plan(folder(tmp_path, ["spd3/a.png", "spd3/a.tif"]))


@pytest.mark.parametrize("name", ["0,5us", "100ns (fast)", "a#1", "50%", "n" * 101])
def test_speeds_that_scores_cannot_be_kept_by_are_refused_before_any_work(tmp_path, name):
    with pytest.raises(ValueError, match=r"letters, digits"):
        scan_plan(folder(tmp_path, [f"{name}/a.png", "spd8/a.png"]))
    with pytest.raises(ValueError, match=r"letters, digits"):
        single_files(tmp_path)


def test_speeds_that_mlflow_takes_are_taken(tmp_path):
    names = ["0.5us", "2 µs", "spd_2-b:c", "spd8"]
    assert set(scan_plan(folder(tmp_path, [f"{name}/a.png" for name in names])).files) == set(names)
    for name in names:
        _validate_metric_name(f"psnr/{name}")  # MLflow's own check raises


def test_the_target_is_given_or_the_slowest():
    files = {"100ns": {}, "30us": {}}
    assert choose_target(files, "100ns") == "100ns"
    assert choose_target(files, None) == "30us"
    with pytest.raises(ValueError, match=r"'40us'.*100ns.*30us"):
        choose_target(files, "40us")
    with pytest.raises(ValueError, match=r"speeds fast, slow is the clean one .* target=NAME"):
        choose_target({"fast": {}, "slow": {}}, None)


@pytest.mark.parametrize("names", [["1us", "10 us", "10µs"], ["spd4", "spd6", "spd4x4"]])
def test_of_two_speeds_that_are_equally_slow_none_is_taken_for_clean(names):
    files = {name: {} for name in by_speed(names)}
    with pytest.raises(ValueError, match=r"two are equally slow: give it"):
        choose_target(files, None)
    del files[names[1]]
    assert choose_target(files, None) == names[2]


def test_scans_that_are_slower_than_the_target_are_not_scored_against_it(tmp_path):
    path = tmp_path / "any"
    files = {name: {"a": path} for name in ("100ns", "1us", "1000 ns", "30us")}
    kept, left_out = faster_than_target(files, "1us")
    assert list(kept) == ["100ns", "1us", "1000 ns"], "and those that are as slow"
    (slower,) = left_out
    assert str(slower) == "a at 30us: left out, slower than the target 1us, by its name"
    assert faster_than_target(files, "30us") == (files, ())
    with pytest.raises(ValueError, match=r"'100ns' is faster than all .* target=30us; .*mean"):
        faster_than_target(files, "100ns")
    named = {"mean": {"a": path}, "100ns": {"a": path}, "30us": {"a": path}}
    assert faster_than_target(named, "mean") == (named, ()), "the names have no order"


def test_what_has_no_counterpart_is_left_out_by_name(tmp_path):
    path = tmp_path / "any"
    names = {"spd2": "abd", "spd3": "a", "spd8": "abc"}
    files = {speed: dict.fromkeys(fields, path) for speed, fields in names.items()}
    matched, alone = match_fields(files, "spd8")
    assert {speed: "".join(fields) for speed, fields in matched.items()} == {
        "spd2": "ab",
        "spd3": "a",
        "spd8": "ab",
    }
    assert [str(exclusion) for exclusion in alone] == [
        "c at spd8: left out, no scan at spd2 or spd3",
        "d at spd2: left out, no scan at spd8",
    ]
    with pytest.raises(ValueError, match=r"spd2.*spd8"):
        match_fields({"spd2": {"a": path}, "spd8": {"b": path}}, "spd8")


def test_a_speed_that_is_a_link_is_read_and_one_to_nothing_is_named(tmp_path):
    folder(tmp_path, ["scans/100ns/a.png", "elsewhere/a.png"])
    (tmp_path / "scans/30us").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "scans/notes.txt").symlink_to("gone")
    assert list(scan_plan(tmp_path / "scans").files) == ["100ns", "30us"]
    (tmp_path / "scans/0.5us").symlink_to("gone")
    with pytest.raises(ValueError, match=r"0\.5us: a link to what is not there"):
        scan_plan(tmp_path / "scans")
