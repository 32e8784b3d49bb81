"""Profiles from folders of scans: real ones, and the entry point on simulated ones."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from mlflow import MlflowClient

from entrypoints.noise_fit import main
from lfranker.images.image_file import write_image
from lfranker.microscopes.metadata import ScanMetadata
from lfranker.noise.fit import fit_noise, measure_pairs, measure_scans
from lfranker.noise.fit_check import compare, synthetic
from lfranker.noise.parsing import parse_noise
from lfranker.noise.profile import NEEDED, WHITE, SpeedNoise, read_profile
from lfranker.noise.profile_measurement import exposure, fit_singles, single_files
from lfranker.scans.preparation import ScanSet, prepare_scans
from lfranker.simulation.scans import SPEEDS, simulate_scans, simulated_fields

REAL = os.environ.get("LFRANKER_SEM_DATA")
FITTED = ("004", "008", "012")
HELD_OUT = ("016", "020", "024")

real_scans = pytest.mark.skipif(REAL is None, reason="LFRANKER_SEM_DATA is not set")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> ScanSet:
    folder = tmp_path_factory.mktemp("real")
    for speed in ("100ns", "30us"):
        (folder / "scans" / speed).mkdir(parents=True)
        for field in FITTED + HELD_OUT:
            name = f"{speed}/field_{field}.tif"
            shutil.copy(Path(REAL or "") / "scans" / name, folder / "scans" / name)
    return prepare_scans(folder / "scans", None, folder / "cache")


def only(scans: ScanSet, fields: tuple[str, ...]) -> list[int]:
    return [n for n, record in enumerate(scans.records) if record.field[-3:] in fields]


@real_scans
@pytest.mark.slow
def test_made_noise_matches_real_scans_of_other_fields(scans: ScanSet) -> None:
    fitted, held_out = (
        [scans.read(scans.records[n]) for n in only(scans, fields)] for fields in (FITTED, HELD_OUT)
    )
    fit = fit_noise(measure_pairs(fitted))
    values = {name: estimate.value for name, estimate in fit.estimates.items()}
    # an earlier fit of another kind to all 24 fields: peak 76, sigma 0.016, lags 0.49, 0.10, 0.03
    assert 1 / values["gamma"] == pytest.approx(76, rel=0.1)
    assert values["sigma"] <= 0.016
    assert values["lag1"] == pytest.approx(0.49, abs=0.02)
    assert (values["lag2"], values["lag3"]) == pytest.approx((0.1, 0.03), abs=0.02)
    assert abs(values["lag_y"]) < 0.02

    noise = SpeedNoise(fit.estimates, 100e-9)
    table = compare(
        fit_noise(measure_pairs(held_out)),
        fit_noise(measure_pairs(synthetic(held_out, noise, fit))),
        noise,
    )
    assert (table["what"] == "variance").sum() >= 6
    assert table["agrees"].all(), f"\n{table}"
    variances = table[table["what"] == "variance"]  # intervals of three fields are wide
    assert (variances["made"] / variances["real"]).mean() == pytest.approx(1, abs=0.05)
    white = {**fit.estimates, **dict.fromkeys(("lag1", "lag2", "lag3"), fit.estimates["lag_y"])}
    other = SpeedNoise(white, 100e-9)
    table = compare(
        fit_noise(measure_pairs(held_out)),
        fit_noise(measure_pairs(synthetic(held_out, other, fit))),
        other,
    )
    assert not table["agrees"].all(), "white noise would pass for the real one"


@pytest.mark.slow
@real_scans
def test_noisy_scans_alone_say_nearly_what_pairs_say(scans: ScanSet) -> None:
    pairs = list(scans)
    seen, blind = (
        {name: e.value for name, e in fit.estimates.items()}
        for fit in map(fit_noise, (measure_pairs(pairs), measure_scans(p.noisy for p in pairs)))
    )
    assert blind["gamma"] == pytest.approx(seen["gamma"], rel=0.05)
    for name in ("lag1", "lag2", "lag3", "line_offset", "black", "sigma"):
        assert blind[name] == pytest.approx(seen[name], abs=0.006), name


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "scans"
    simulate_scans(simulated_fields(4, 208, seed=2), folder, seed=2)
    for speed in ("spd3", "spd5"):
        shutil.rmtree(folder / speed)
    return folder


@pytest.mark.slow
def test_the_command_writes_a_profile_and_its_run_shows_it(simulated: Path, store: Path) -> None:
    asked = ["--scans", str(simulated), "--target", "spd8", "--cache", "cache", "--out", "a/p.json"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert "train with -P noise=a/p.json" in done.stdout
    assert "relative to full brightness, gray value 255:" in done.stdout
    noise = read_profile(store / "a" / "p.json").speeds["spd2"]
    true = SPEEDS["spd2"]
    found = noise.estimates["gamma"]
    # four fields: an interval and a half, and 5 % for the scenes' own texture
    allowed = 1.5 * (found.high - found.low) / 2 + 0.05 * found.value
    assert abs(found.value - 1 / true.peak) < allowed
    assert noise["lag1"] == pytest.approx(true.correlation, abs=0.03)
    assert noise.dwell_time is None
    assert parse_noise("a/p.json")["noise"] == "microscope"

    run = done.stdout.rsplit("run ", 1)[1].strip()
    client = MlflowClient()
    paths = {item.path for item in client.list_artifacts(run, "noise")}
    names = ("estimates.csv", "levels.csv", "checks.csv", "profile.json", "spd2.svg")
    assert paths == {f"noise/{name}" for name in names}
    metrics = client.get_run(run).data.metrics
    assert metrics["gamma/spd2"] == pytest.approx(noise["gamma"])


@pytest.mark.slow
def test_a_single_scan_will_do_and_is_carried(simulated: Path, store: Path) -> None:
    scan = shutil.copy(next((simulated / "spd2").iterdir()), store / "scan.png")
    asked = ["--scans", str(scan), "--target", "none"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert set(read_profile(store / "profile.json").speeds["scan"].estimates) == set(NEEDED)
    done = CliRunner().invoke(main, [*asked, "--carry", "2us"])
    assert done.exit_code == 2
    assert "dwell times of scan are not known" in done.output
    timed = store / "280ns"
    timed.mkdir()
    shutil.move(scan, timed / "scan.png")
    asked = ["--scans", str(store), "--target", "none", "--carry", "2us,1us", "--out", "b.json"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    speeds = read_profile(store / "b.json").speeds
    assert {name: noise.derived_from for name, noise in speeds.items()} == {
        "2us": "280ns", "1us": "280ns", "280ns": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--scans", "nowhere"], "no such file or folder"),
        (["--scans", "file.png"], "give --target none"),
        (["--scans", ".", "--target", "none", "--carry", "fast"], "'fast' is not a dwell time"),
        (["--scans", "empty", "--target", "none"], "no images to measure the noise of"),
    ],
)
def test_what_cannot_be_measured_is_said(asked: list[str], message: str, store: Path) -> None:
    (store / "empty").mkdir()
    (store / "file.png").write_bytes(b"")
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (store / "profile.json").exists()


def test_the_noise_of_twelve_bits_in_sixteen_is_that_of_the_same_scan_at_full_range(
    tmp_path: Path,
) -> None:
    scene = simulated_fields(1, 208, seed=3).popitem()[1]
    electrons = np.random.default_rng(0).poisson(0.8 * scene * 60) / 60
    twelve = np.clip(np.rint(electrons * 4095), 0, 4095).astype(np.uint16)
    fits = []
    for name, stored in (("twelve", twelve), ("sixteen", twelve * 16)):
        tifffile.imwrite(tmp_path / f"{name}.tif", stored, photometric="minisblack")
        fits.append(fit_singles(tmp_path / f"{name}.tif", 0))
    fits.append(fit_singles(tmp_path / "twelve.tif", 0, white=2 * 4095))
    narrow, wide, given = (fit.fits["scan"].estimates["gamma"].value for fit in fits)
    assert narrow == pytest.approx(wide, rel=0.01)
    # variance by signal is half where all is half as bright; saturation is elsewhere, and bins are
    assert given == pytest.approx(narrow / 2, rel=0.05)
    assert [fit.profile.origin[WHITE] for fit in fits] == ["4095", "65535", "8190"]
    assert "gray value 4095" in fits[0].profile.units
    assert "read as 12 bits" in fits[0].notices[0]


def test_single_scans_are_sorted_by_folder(tmp_path: Path) -> None:
    black = np.zeros((8, 8), np.float32)
    for name in ("2us/a.png", "100ns/b.png", "100ns/more/c.png", "d.png"):
        write_image(tmp_path / name, black, np.dtype(np.uint8), 255)
    found = single_files(tmp_path)
    assert {speed: [path.name for path in files] for speed, files in found.items()} == {
        "100ns": ["b.png", "c.png"], "2us": ["a.png"], "scan": ["d.png"]
    }  # fmt: skip


@pytest.mark.parametrize(("speed", "expected"), [("2us", 2e-6), ("fast", 1e-7)])
def test_the_dwell_time_is_that_of_the_name_and_else_that_of_the_file(
    speed: str, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ScanMetadata(exposure=1e-7)
    monkeypatch.setattr("lfranker.noise.profile_measurement.read_metadata", lambda path: told)
    assert exposure(speed, tmp_path) == pytest.approx(expected)
