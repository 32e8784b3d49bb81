import json
import math
from pathlib import Path

import numpy as np
import pytest

from lfranker.images.image_file import image_files, read_image
from lfranker.simulation.scans import (
    BORDER,
    MAX_DRIFT,
    MAX_SHIFT,
    SPEEDS,
    TARGET_SPEED,
    ScanSpeed,
    damaged_scan,
    simulate_scan,
    simulate_scans,
    simulated_fields,
)
from lfranker.simulation.scenes import scene

SILENT = ScanSpeed("silent", 1e6, 1e9, 0.0)


def test_speeds_of_table_1():
    assert {name: speed.dwell_time for name, speed in SPEEDS.items()} == {
        "spd2": 280e-9,
        "spd3": 510e-9,
        "spd5": 2e-6,
        "spd8": 10e-6,
    }
    assert [speed.peak for speed in SPEEDS.values()] == [125, 200, 700, 3400]
    assert [speed.correlation for speed in SPEEDS.values()] == [0.16, 0.09, 0.02, 0]
    assert TARGET_SPEED == "spd8"
    assert ScanSpeed("", 100e-9, 76, 0.49).readout_sigma == pytest.approx(0.016)
    assert ScanSpeed("", 1600e-9, 76, 0.49).readout_sigma == pytest.approx(0.004)


@pytest.mark.parametrize("speed", SPEEDS.values(), ids=SPEEDS)
def test_scans_have_poisson_gaussian_noise_correlated_along_x(speed):
    level, side = 0.5, 600
    clean = np.full((side + 2 * BORDER,) * 2, level, np.float32)
    noise = simulate_scan(clean, speed, np.random.default_rng(0)).astype(np.float64) - level
    n = noise.size
    variance = level / speed.peak + speed.readout_sigma**2
    assert abs(noise.mean()) < 5 * math.sqrt(variance * (1 + 2 * speed.correlation) / n)
    assert abs(noise.var() - variance) < 5 * variance * math.sqrt(2.2 / n)
    along, across = (
        (noise[:, 1:] * noise[:, :-1]).mean() / variance,
        (noise[1:] * noise[:-1]).mean() / variance,
    )
    assert abs(along - speed.correlation) < 5 * math.sqrt(2 / n)
    assert abs(across) < 5 * math.sqrt(2 / n)


def test_displacement_is_a_small_shift_and_a_drift_linear_in_the_slow_axis():
    """On a ramp every pixel's brightness says where it came from."""
    side = 100
    y, x = np.mgrid[: side + 2 * BORDER, : side + 2 * BORDER].astype(np.float32)
    rows, columns = np.mgrid[:side, :side]
    shifts, drifts = [], []
    for seed in range(40):
        for ramp, own in ((y, rows), (x, columns)):
            scan = simulate_scan(ramp / 200 + 0.1, SILENT, np.random.default_rng(seed))
            moved = (scan - 0.1) * 200 - BORDER - own  # px
            slope, middle = np.polyfit(np.arange(side) - side / 2, moved.mean(axis=1), 1)
            assert np.abs(moved - (middle + slope * (rows - side / 2))).max() < 0.03
            shifts.append(middle)
            drifts.append(slope * side)
    # 80 uniform draws: all inside, and reaching at least three quarters of the way
    assert 0.75 * MAX_SHIFT < np.abs(shifts).max() < MAX_SHIFT + 0.02
    assert 0.75 * MAX_DRIFT < np.abs(drifts).max() < MAX_DRIFT + 0.02


def test_detail_survives_the_displacement():
    """Period 8 px: cubic splines keep its amplitude within 1 %, linear steps lose up to 8 %."""
    side = 100
    _, x = np.mgrid[: side + 2 * BORDER, : side + 2 * BORDER].astype(np.float32)
    ramp, wave = x / 200 + 0.1, (0.5 + 0.4 * np.sin(2 * np.pi * x / 8)).astype(np.float32)
    for seed in range(10):
        of_ramp, of_wave = (
            simulate_scan(image, SILENT, np.random.default_rng(seed)) for image in (ramp, wave)
        )
        place = (of_ramp.astype(np.float64) - 0.1) * 200
        expected = 0.5 + 0.4 * np.sin(2 * np.pi * place / 8)
        assert np.abs(of_wave - expected).max() < 0.02 * 0.4 + 5e-3


def test_every_field_and_speed_has_noise_and_displacement_of_its_own(tmp_path):
    y, _ = np.mgrid[: 100 + 2 * BORDER, : 100 + 2 * BORDER].astype(np.float32)
    simulate_scans(dict.fromkeys(("a", "b"), y / 200 + 0.1), tmp_path / "scans", seed=2)
    scans = {
        (speed, name): read_image(tmp_path / "scans" / speed / f"{name}.png").pixels
        for speed in SPEEDS
        for name in ("a", "b")
    }
    for speed in SPEEDS:
        assert not np.array_equal(scans[speed, "a"], scans[speed, "b"])
    for name in ("a", "b"):  # the mean brightness of the ramp tells the shift, to 0.15 px
        shifts = [scans[speed, name].mean(dtype=np.float64) * 200 for speed in SPEEDS]
        assert np.ptp(shifts) > 0.6, "all speeds lie on each other"


def test_no_pixel_is_invented_at_the_border():
    """Pixels beyond the outermost ring can be anything without changing the scan."""
    clean = scene("cells", (80, 80), 0)
    ringed = np.pad(clean[1:-1, 1:-1], 1, constant_values=np.float32(0.9))
    first, second = (
        simulate_scan(image, SILENT, np.random.default_rng(1)) for image in (clean, ringed)
    )
    assert first.shape == (80 - 2 * BORDER,) * 2
    # Cubic splines forget a pixel by a factor of 0.27 per px of distance.
    assert np.abs(first - second).max() < 0.9 * 0.27 ** (BORDER - MAX_SHIFT - MAX_DRIFT - 2)


def test_fields_are_not_the_scenes_trained_on():
    fields = simulated_fields(9, 40, seed=5)
    assert list(fields)[:2] == ["cells-0", "tips-0"]
    assert list(fields)[7:] == ["cells-1", "tips-1"]
    size = (40 + 2 * BORDER,) * 2
    assert {image.shape for image in fields.values()} == {size}
    assert not any(np.array_equal(fields["cells-0"], scene("cells", size, 5, i)) for i in range(9))


def test_scans_on_disk_same_name_same_field(tmp_path):
    fields = simulated_fields(2, 40, seed=0)
    simulate_scans(fields, tmp_path / "all", seed=3)
    found = [path.relative_to(tmp_path / "all").as_posix() for path in image_files(tmp_path)]
    assert found == [f"{speed}/{name}.png" for speed in SPEEDS for name in sorted(fields)]
    scans = {path: read_image(tmp_path / "all" / path) for path in found}
    assert {scan.pixels.shape for scan in scans.values()} == {(40, 40)}
    assert {scan.dtype.name for scan in scans.values()} == {"uint8"}

    marker = json.loads((tmp_path / "all" / "simulated.json").read_text())
    assert marker["simulated"] is True
    assert marker["target"] == "spd8"
    assert marker["fields"] == sorted(fields)
    assert [speed["peak"] for speed in marker["speeds"]] == [125, 200, 700, 3400]

    simulate_scans({"tips-0": fields["tips-0"]}, tmp_path / "one", seed=3)
    for speed in SPEEDS:
        again = read_image(tmp_path / "one" / speed / "tips-0.png").pixels
        np.testing.assert_array_equal(again, scans[f"{speed}/tips-0.png"].pixels)
    different = [
        not np.array_equal(scans["spd2/cells-0.png"].pixels, scans[p].pixels) for p in found
    ]
    assert sum(different) == len(found) - 1, "two scans are the same"


def test_a_scan_that_was_changed_lost_or_added_is_named(tmp_path: Path) -> None:
    scans, clean = tmp_path / "scans", np.full((8 + 2 * BORDER,) * 2, 0.5, np.float32)
    simulate_scans({"a": clean, "b": clean}, scans, seed=0)
    assert damaged_scan(scans) == ""
    first, other = scans / "spd3" / "a.png", scans / "spd3" / "b.png"
    stored = first.read_bytes()
    first.write_bytes(other.read_bytes())
    assert damaged_scan(scans) == "spd3/a.png"
    first.unlink()
    assert damaged_scan(scans) == "spd3/a.png"
    first.write_bytes(stored)
    assert damaged_scan(scans) == ""
    (scans / "spd3" / "c.png").write_bytes(stored)
    assert damaged_scan(scans) == "spd3/c.png"


@pytest.mark.parametrize(
    ("text", "damaged"),
    [("{", "simulated.json"), ("[]", "simulated.json"), ('{"simulated": true}', "")],
)
def test_a_marker_is_damaged_where_it_cannot_be_read_and_not_where_it_is_old(
    tmp_path: Path, text: str, damaged: str
) -> None:
    (tmp_path / "simulated.json").write_text(text)
    assert damaged_scan(tmp_path) == damaged
    (tmp_path / "simulated.json").unlink()
    assert damaged_scan(tmp_path) == "simulated.json"


def test_a_failure_leaves_nothing_and_old_scans_are_not_overwritten(tmp_path):
    small = {"a": np.full((2 * BORDER, 50), 0.5, np.float32)}
    with pytest.raises(ValueError, match="no room for a border"):
        simulate_scans(small, tmp_path / "scans", seed=0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "mine.png").touch()
    with pytest.raises(ValueError, match="scans: not empty"):
        simulate_scans(small, tmp_path / "scans", seed=0)
