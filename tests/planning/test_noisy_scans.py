"""Trainings without clean images, from folders of scans to scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from scipy.ndimage import gaussian_filter

from entrypoints import powerset, synth, train
from lfranker.datasets.clean_images import NO_CLEAN
from lfranker.datasets.patch_dataset import read_dataset
from lfranker.images.image_file import write_image
from lfranker.noise.parsing import parse_noises
from lfranker.planning import inputs as preparation
from lfranker.planning.inputs import InputConfig
from lfranker.planning.noise_comparison import inputs_on_each, settings_on_each
from lfranker.planning.noisy_scans import _prepared, training_scans, with_usual_noise
from lfranker.planning.settings import preset_settings
from lfranker.scans.preparation import prepare_scans
from lfranker.tracking.tags import Tag

FIELDS = "abcd"


def write(path: Path, image: np.ndarray) -> None:
    write_image(path, np.clip(image, 0, 1).astype(np.float32), np.dtype(np.uint8), 255)


def specimen(seed: int) -> np.ndarray:
    blurred = gaussian_filter(np.random.default_rng(seed).normal(size=(160, 168)), 3)
    return np.clip(0.5 + 0.2 * blurred / blurred.std(), 0.1, 1)


def write_scans(folder: Path, frames: int = 1, slow: bool = True) -> Path:
    """Scans at 100ns, several of a field where frames are, and slow ones at 30us."""
    for seed, field in enumerate(FIELDS):
        clean = specimen(seed)
        for number in range(frames):
            rng = np.random.default_rng([seed, number])
            noisy = clean + rng.normal(size=clean.shape) * 0.1 * np.sqrt(clean)
            within = f"frame{number + 1}/" if frames > 1 else ""
            write(folder / f"100ns/{within}{field}.png", noisy)
        if slow:
            write(folder / f"30us/{field}.png", clean)
    return folder


def done(command: Any, words: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(command.main, words.split())
    assert result.exit_code == exit_code, result.output
    return result


@pytest.mark.parametrize(
    "noises", ["eq1", "blind,eq1", pytest.param("eq1,recorrupted", marks=pytest.mark.slow)]
)
def test_scans_whose_clean_ones_are_trained_on_are_refused(tmp_path: Path, noises: str) -> None:
    """By whichever of the noises, in any order; two of four clean scans lie among the images."""
    scans = write_scans(tmp_path / "scans")
    for name, field in {"first": "b", "second": "d"}.items():
        write(tmp_path / f"clean/{name}.png", specimen(FIELDS.index(field)))
    chosen = settings_on_each("smoke", parse_noises(noises), patches=24, validation=0.0)
    config = InputConfig(
        clean=tmp_path / "clean", scans=scans, noisy=scans / "100ns", target="30us", cache=tmp_path
    )
    with pytest.raises(ValueError, match=r"^--scans: the clean scan of b, d is among the images"):
        inputs_on_each(("mae",), chosen, config)


@pytest.mark.parametrize(("frames", "expected"), [(1, "recorrupted"), (2, "frames")])
def test_the_noise_is_what_the_scans_allow(tmp_path: Path, frames: int, expected: str) -> None:
    scans = write_scans(tmp_path / "scans", frames)
    assert with_usual_noise({}, NO_CLEAN, None, scans, None) == {"noise": expected}
    assert with_usual_noise({}, NO_CLEAN, scans / "100ns", None, None) == {"noise": expected}
    assert with_usual_noise({"noise": "blind"}, NO_CLEAN, None, scans, None) == {"noise": "blind"}
    assert with_usual_noise({}, None, None, scans, None) == {}
    prepared = prepare_scans(scans, "30us", tmp_path / "cache")
    assert with_usual_noise({}, NO_CLEAN, None, prepared.folder, None) == {"noise": "recorrupted"}
    for frames_of, pair in zip(_prepared(prepared), prepared, strict=True):
        assert (frames_of.field, frames_of.speed) == (pair.field, pair.speed)
        (scan,) = frames_of.scans
        np.testing.assert_array_equal(scan, pair.noisy)
        assert not np.array_equal(scan, pair.clean)


@pytest.mark.parametrize(("white", "expected"), [(None, 4000 / 4095), (8000, 0.5)])
def test_full_brightness_of_noisy_scans_is_the_white_level_that_is_given(
    tmp_path: Path, white: int | None, expected: float
) -> None:
    stored = np.rint(4000 * specimen(0) / specimen(0).max()).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack")
    (scan,), _ = training_scans("blind", tmp_path, None, white, all_noisy=True)
    assert scan.image.max() == pytest.approx(expected)


def test_pairs_of_frames_end_where_one_of_them_does(tmp_path: Path) -> None:
    """The second frame lies 10 px further right: it lacks the first ones of the other."""
    for number, first in ((1, 0), (2, 10)):
        noise = np.random.default_rng(number).normal(0, 0.02, (160, 150))
        write(tmp_path / f"frame{number}/a.png", specimen(0)[:, first : first + 150] + noise)
    made, _ = training_scans("frames", tmp_path, None, None, all_noisy=True)
    without = {"scan/a#1": np.s_[:, :9], "scan/a#2": np.s_[:, -9:]}
    assert [scan.name for scan in made] == list(without)
    for scan in made:
        assert scan.covered is not None
        assert not scan.covered[without[scan.name]].any()
        assert scan.covered[8:-8, 16:-16].all()


def test_frames_of_the_clean_scans_do_not_count(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans")
    (scans / "30us" / "a.png").rename(tmp_path / "a.png")
    for number in (1, 2):
        write(scans / f"30us/frame{number}/a.png", specimen(0))
    assert with_usual_noise({}, NO_CLEAN, None, scans, "30us") == {"noise": "recorrupted"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--clean none", "give --scans, or --noisy"),
        ("--clean none --scans scans --noise eq1", "noise 'eq1' is added to clean images"),
        ("--clean none --scans scans --noise microscope@2us", "allowed without them are frames"),
        ("--clean none --scans scans --peak 20", "--peak has no effect on noise 'recorrupted'"),
        ("--clean none --scans scans --gain 2", "--gain has no effect on noise 'recorrupted'"),
        ("--blind-radius 2", "--blind-radius has no effect on noise 'eq1'"),
        ("--clean none --scans scans --blind-radius 2", "no effect on noise 'recorrupted'"),
        ("--noise blind", "noise 'blind' is that of scans"),
        (
            "--clean none --scans scans --noise frames",
            "has none: noise 'recorrupted' takes single ones",
        ),
        ("--clean none --scans scans --noise blind --blind-radius 17", "allowed is 0 to 16"),
    ],
)
def test_what_cannot_be_made_is_refused(store: Path, words: str, message: str) -> None:
    write_scans(store / "scans")
    for command in (synth, train):
        output = done(command, f"{words} --preset smoke", 2).output
        assert message in " ".join(output.split()), output


def test_a_dataset_is_not_taken_where_there_are_no_clean_images(store: Path) -> None:
    write_scans(store / "scans")
    (store / "stored").mkdir()
    with pytest.raises(ValueError, match="--data is one: leave one of them out"):
        InputConfig(clean=NO_CLEAN, scans=store / "scans", data=store / "stored")


def test_clean_none_is_not_a_folder_of_that_name(store: Path) -> None:
    write(store / "none" / "a.png", specimen(0))
    write(store / "none" / "b.png", specimen(1))
    done(synth, "--clean ./none --preset smoke --max-noise 1 --out made")
    assert read_dataset(store / "made").config.noise.mode == "eq1"


def test_noises_with_and_without_clean_images_are_compared(tmp_path: Path) -> None:
    """Each has the images that it takes; what they are scored on is the same."""
    scans = write_scans(tmp_path / "scans", frames=2)
    for seed in range(3):
        write(tmp_path / f"clean/{seed}.png", specimen(10 + seed))
    noises = parse_noises("frames,eq1,blind,microscope@100ns")
    chosen = settings_on_each("smoke", noises, peak=(30.0, 40.0), patches=20, max_noise=1.0)
    config = InputConfig(
        clean=tmp_path / "clean", scans=scans, cache=tmp_path / "cache", device="cpu"
    )
    made = inputs_on_each(("mae",), chosen, config)
    names = [{s["name"] for s in own.data.manifest["request"]["sources"]} for own in made]
    assert names[0] == {f"100ns/{field}#{n}" for field in FIELDS for n in (1, 2)}
    assert names[1] == names[3] == {"0.png", "1.png", "2.png"}
    assert names[2] == {f"100ns/{field}#{n}" for field in FIELDS for n in (1, 2)}
    assert [own.noise for own in made] == list(noises)
    told = [own.said() for own in made]
    assert [first.partition(":")[0] for first, _ in told] == list(noises)
    assert len({scored for _, scored in told}) == 1
    assert len({own.scans.digest for own in made}) == 1
    assert not (made[0].data.noisy == made[0].data.clean).all()
    said = "3 of the 4 noisy scans that are scored are among those trained on with {}, without "
    told_of = [any(said.format(own.noise) in text for text in own.notices) for own in made]
    assert told_of == [True, False, True, False]


def test_other_noisy_scans_than_those_scored(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans")
    write(tmp_path / "more/x.png", specimen(5) + 0.01)
    write(tmp_path / "more/y.png", specimen(6) - 0.01)
    chosen = preset_settings("smoke", noise="blind", patches=20, blind_radius=1)
    config = InputConfig(
        clean=NO_CLEAN, noisy=tmp_path / "more", scans=scans, cache=tmp_path / "cache", device="cpu"
    )
    made = preparation.inputs(("mae",), chosen, config)
    sources = made.data.manifest["request"]["sources"]
    assert {source["name"] for source in sources} == {"scan/x", "scan/y"}
    assert len(made.scans.records) == len(FIELDS)
    assert not [notice for notice in made.notices if "among those trained on" in notice]


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["recorrupted", "frames"])
def test_a_network_is_trained_and_scored_without_clean_images(store: Path, noise: str) -> None:
    write_scans(store / "scans", frames=2)
    asked = "" if noise == "frames" else f"--noise {noise}"
    words = f"--clean none --scans scans --preset smoke --device cpu --losses mae+ssim {asked}"
    output = done(train, words).output
    assert "mae+ssim: ok" in output
    client = MlflowClient()
    (run,) = client.search_runs(["0"])
    assert run.data.tags[Tag.OUTCOME] == "ok"
    assert run.data.metrics["psnr"] > 5
    assert {"val/psnr", "val/ssim"} <= set(run.data.metrics)


def test_a_plan_without_clean_images(store: Path) -> None:
    write_scans(store / "scans")
    words = "--clean none --scans scans --preset smoke --device cpu --dry-run"
    output = done(powerset, words).output
    assert "3 trainings of 5 steps" in output
    assert "3 of the 4 noisy scans that are scored" in output
    (run,) = MlflowClient().search_runs(["0"])
    assert run.data.tags[Tag.ROLE] == "dry-run"


def test_what_was_converted_is_counted_and_not_told_of_each_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        colour = np.repeat(rng.integers(0, 256, (70, 70, 1), dtype=np.uint8), 3, axis=2)
        tifffile.imwrite(tmp_path / f"{name}.tif", colour, photometric="rgb")
    _, notices = training_scans("blind", tmp_path, None, None, all_noisy=True)
    assert notices == ["3 noisy scans: RGB with equal channels read as gray, without loss"]


def test_scans_slower_than_the_target_are_not_trained_on(tmp_path: Path) -> None:
    """They show fields that are scored, with less noise than what these are scored by."""
    scans = write_scans(tmp_path / "scans", frames=1)
    slower = write_scans(tmp_path / "other", frames=2)
    (scans / "30us").rename(scans / "1us")
    (slower / "100ns").rename(scans / "30us")
    made, _ = training_scans("recorrupted", scans, "1us", None, all_noisy=False)
    assert {scan.name.partition("/")[0] for scan in made} == {"100ns"}
    assert with_usual_noise({}, NO_CLEAN, None, scans, "1us") == {"noise": "recorrupted"}
