"""Stored data that were changed: made again in the cache, refused where the user gave them."""

import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from prepared import make_scans

from entrypoints.evaluate import main as evaluate
from entrypoints.train import main as train
from lfranker.child_runs.travelling import CACHE_VARIABLE, found_here
from lfranker.child_runs.worker import ScoringTask, TrainingTask, run_task, write_task
from lfranker.datasets import synthesis
from lfranker.datasets.patch_dataset import Dataset
from lfranker.datasets.synthesis import synthesise
from lfranker.planning import inputs as preparation
from lfranker.planning.inputs import InputConfig
from lfranker.planning.settings import Settings, preset_settings
from lfranker.scans.preparation import ScanSet, read_scans
from lfranker.scans.scan_set import MANIFEST, SEAL
from lfranker.tracking.shared_inputs import SharedInput

CHOSEN = preset_settings("smoke", patches=24, patch=32)


def flip(path: Path, at: int = -1) -> None:
    """Change one byte of a file."""
    stored = bytearray(path.read_bytes())
    stored[at] ^= 1
    path.write_bytes(stored)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def remove(path: Path) -> None:
    path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a dataset, simulated scans and prepared scans, as a command leaves it."""
    cache = tmp_path_factory.mktemp("whole") / "cache"
    preparation.dataset(CHOSEN, None, None, cache)
    preparation.scans(CHOSEN, None, None, cache)
    return cache


@pytest.fixture
def cache(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "cache"))


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def made_again(cache: Path) -> tuple[Dataset, list[str]]:
    return preparation.dataset(CHOSEN, None, None, cache)


def change_validation(path: Path) -> None:
    """Move the border between training and validation pairs in the manifest."""
    stored = json.loads(path.read_text())
    stored["counts"] = {"training": 2, "validation": 22}
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("noisy.npy", flip),
        ("clean.npy", shorten),
        pytest.param("clean.npy", remove, marks=pytest.mark.slow),
        pytest.param("manifest.json", shorten, marks=pytest.mark.slow),
        ("manifest.json", change_validation),
    ],
)
def test_a_damaged_dataset_of_the_cache_is_made_again_as_it_was(
    cache: Path, name: str, harm: Callable[[Path], None]
) -> None:
    before, notices = made_again(cache)
    assert not any("again" in notice for notice in notices)
    pixels = np.array(before.noisy)
    harm(before.folder / name)
    after, notices = made_again(cache)
    assert after.digest == before.digest
    assert np.array_equal(after.noisy, pixels)
    (told,) = [notice for notice in notices if "again" in notice]
    assert told.startswith(f"the dataset was made again: {before.folder}")
    assert not made_again(cache)[0].remade, "once is enough"


def test_a_folder_of_somebody_in_the_place_of_a_dataset_is_left_alone(cache: Path) -> None:
    folder = only(cache / "datasets")
    flip(folder / "noisy.npy")
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="damaged"):
        made_again(cache)
    assert (folder / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("at", [128, -1])
def test_a_given_dataset_with_one_changed_byte_is_refused_with_what_to_do(
    cache: Path, store: Path, at: int
) -> None:
    folder = only(cache / "datasets")
    flip(folder / "noisy.npy", at)
    flags = ["--preset", "smoke", "--losses", "mae", "--data", str(folder), "--device", "cpu"]
    done = CliRunner().invoke(train, flags)
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert f"--data: {folder}: damaged" in said
    assert "restore it from a copy, or make it anew with synth" in said


def test_a_dataset_that_leads_out_of_its_folder_is_refused(cache: Path, tmp_path: Path) -> None:
    folder = only(cache / "datasets")
    (folder / "noisy.npy").rename(tmp_path / "elsewhere.npy")
    (folder / "noisy.npy").symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(ValueError, match="leaves its folder"):
        preparation.dataset(CHOSEN, None, folder, cache)


def first(cache: Path, pattern: str) -> Path:
    return min(only(cache / "scans").glob(pattern))


@pytest.mark.parametrize(
    "harm", [flip, *(pytest.param(harm, marks=pytest.mark.slow) for harm in (shorten, remove))]
)
@pytest.mark.parametrize(
    "pattern", ["*-noisy.npy", pytest.param("*-original.npy", marks=pytest.mark.slow), MANIFEST]
)
def test_damaged_scans_of_the_cache_are_prepared_again_as_they_were(
    cache: Path, pattern: str, harm: Callable[[Path], None]
) -> None:
    before = preparation.scans(CHOSEN, None, None, cache)
    assert not any("again" in notice for notice in before.notices)
    pixels = [pair.noisy for pair in before]
    harm(first(cache, pattern))
    after = preparation.scans(CHOSEN, None, None, cache)
    assert after.digest == before.digest
    assert all(map(np.array_equal, [pair.noisy for pair in after], pixels))
    (told,) = [notice for notice in after.notices if "again" in notice]
    assert told.startswith("scans were prepared again: ")
    assert str(before.folder) in told


def test_a_word_of_the_manifest_that_was_changed_is_noticed(cache: Path) -> None:
    """Places decide which fields are independent, so they decide who wins."""
    path = first(cache, MANIFEST)
    scans = read_scans(path.parent)
    place = f'"place": "{scans.records[0].place}"'
    assert place in path.read_text()
    path.write_text(path.read_text().replace(place, '"place": "another"', 1))
    with pytest.raises(ValueError, match=rf"{MANIFEST}: damaged"):
        read_scans(path.parent)


def test_simulated_scans_with_a_changed_file_are_simulated_again(cache: Path) -> None:
    before = preparation.scans(CHOSEN, None, None, cache)
    file = min(only(cache / "simulated").glob("spd2/*.png"))
    pixels = file.read_bytes()
    shutil.copy(min((file.parents[1] / "spd3").glob("*.png")), file)
    after = preparation.scans(CHOSEN, None, None, cache)
    assert after.digest == before.digest
    assert file.read_bytes() == pixels
    assert f"scans were simulated again: spd2/{file.name} was damaged" in after.notices


def test_given_prepared_scans_are_refused_where_one_was_replaced(cache: Path, store: Path) -> None:
    noisy = sorted(only(cache / "scans").glob("*-noisy.npy"))
    shutil.copy(noisy[1], noisy[0])
    flags = ["--model", "models:/any/1", "--scans", str(noisy[0].parent)]
    done = CliRunner().invoke(evaluate, flags)
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert f"--scans: {noisy[0]}: damaged" in said.replace("- ", "-")
    assert "give the folder of the scans themselves" in said


def test_a_pair_that_is_replaced_before_it_is_scored_is_not_scored(cache: Path) -> None:
    scans = preparation.scans(CHOSEN, None, None, cache)
    name = scans.records[-1].files + "-clean.npy"
    flip(scans.folder / name)
    pairs = iter(scans)
    for _ in scans.records[:-1]:
        next(pairs)
    with pytest.raises(ValueError, match=f"{name}: damaged"):
        next(pairs)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".", "sub/0000-0"])
def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    scans = make_scans(tmp_path)
    manifest = json.loads((scans.folder / MANIFEST).read_text())
    manifest.pop(SEAL)  # as one who knows the format would do
    manifest["records"][0]["original"] = name
    np.save(scans.folder.parent / "secret", np.zeros((2, 2)))
    (scans.folder.parent / "secret.npy").rename(scans.folder.parent / "secret")
    (scans.folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="leaves its folder"):
        read_scans(scans.folder)


def test_a_link_to_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    scans = make_scans(tmp_path)
    (scans.folder / "f.npy").rename(tmp_path / "secret.npy")
    (scans.folder / "f.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(ValueError, match=r"f\.npy: leaves its folder"):
        read_scans(scans.folder)


def test_prepared_scans_of_before_without_checksums_are_said_to_have_none(tmp_path: Path) -> None:
    scans = make_scans(tmp_path)
    manifest = json.loads((scans.folder / MANIFEST).read_text())
    del manifest[SEAL], manifest["sha256"]
    (scans.folder / MANIFEST).write_text(json.dumps(manifest))
    given = preparation.scans(CHOSEN, scans.folder, None, tmp_path)
    assert given.notices == (f"{scans.folder} has no checksums: it is of an earlier version",)
    assert len(list(given)) == len(scans)


def training_task(cache: Path, chosen: Settings) -> tuple[TrainingTask, Dataset, ScanSet]:
    data, _ = made_again(cache)
    scans = preparation.scans(CHOSEN, None, None, cache)
    given = InputConfig(data=data.folder, scans=scans.folder, device="cpu", cache=cache)
    task = TrainingTask(("mae",), "smoke", chosen.train, given, False, data.digest, scans.digest)
    return task, data, scans


@pytest.mark.parametrize("what", ["dataset", "scans to train with", "scans to score on"])
def test_a_child_trains_and_scores_on_nothing_but_what_its_power_set_prepared(
    cache: Path, store: Path, what: str
) -> None:
    task, data, scans = training_task(cache, CHOSEN)
    if what == "dataset":  # a whole one, of another seed
        shutil.rmtree(data.folder)
        other = replace(CHOSEN.dataset, seed=1)
        synthesise(preparation.clean_images(CHOSEN, None)[0], data.folder, other)
    else:
        shutil.rmtree(scans.folder)
        shutil.move(make_scans(cache, "f" * 64).folder, scans.folder)
    score = ScoringTask("run", scans.folder, scans.digest)
    write_task(score if what == "scans to score on" else task, store / "task.json")
    with pytest.raises(ValueError, match="replaced since the power set began"):
        run_task(store / "task.json")


def test_a_node_takes_a_damaged_dataset_from_its_own_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "node"))
    data, _ = made_again(cache)
    stored = {"path": str(data.folder), "digest": data.digest, "run": "unknown"}
    sent = SharedInput(data.folder, data.digest, "unknown")
    whole = shutil.copytree(data.folder, tmp_path / "node/inputs" / sent.name / data.folder.name)
    assert found_here({"data": stored}) == {"data": (stored["path"], data.folder)}
    flip(data.folder / "noisy.npy")
    assert found_here({"data": stored}) == {"data": (stored["path"], whole)}


def test_a_node_takes_a_file_that_lies_there_only_if_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "node"))
    weights, digest = tmp_path / "start.pth", sha256(b"weights").hexdigest()
    sent = SharedInput(weights, digest, "unknown")
    kept = tmp_path / "node/inputs" / sent.name / weights.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"weights")
    stored = {"path": str(weights), "digest": digest, "run": "unknown"}
    for content, place in ((b"others", kept), (b"weights", weights)):
        weights.write_bytes(content)
        assert found_here({"init": stored}) == {"init": (str(weights), place)}
    weights.unlink()
    assert found_here({"init": stored}) == {"init": (str(weights), kept)}


@pytest.mark.parametrize("limit", [0, 20_000])
def test_a_full_disk_is_said_before_patches_are_drawn_and_there_the_same_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """A limit of the size of files is what a process sees of a full disk."""
    images, out = preparation.clean_images(CHOSEN, None)[0], tmp_path / "set"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        patch.setattr(synthesis, "draw_pair", lambda *_: pytest.fail("a patch was drawn"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(ValueError, match=f"disk full at {out}.*the same command goes on"):
                synthesise(images, out, CHOSEN.dataset)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    assert len(synthesise(images, out, CHOSEN.dataset).noisy) == 24


def test_a_dataset_larger_than_the_disk_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    images = preparation.clean_images(CHOSEN, None)[0]
    large = replace(CHOSEN.dataset, patches=10**9, patch=64)
    with pytest.raises(ValueError, match=r"disk full at .*: 8.19e\+03 GB needed, .* GB free"):
        synthesise(images, tmp_path / "set", large)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["none", "spd7"])
def test_prepared_scans_keep_their_clean_ones(tmp_path: Path, target: str) -> None:
    scans = make_scans(tmp_path)
    with pytest.raises(ValueError, match=f"--target {target}: .* prepared with {scans.target} as"):
        preparation.scans(CHOSEN, scans.folder, target, tmp_path)
    assert preparation.scans(CHOSEN, scans.folder, scans.target, tmp_path).digest == scans.digest


def test_prepared_scans_without_clean_ones_have_no_target(tmp_path: Path) -> None:
    scans = replace(make_scans(tmp_path), target="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "read_scans", lambda folder: scans)
        with pytest.raises(ValueError, match="without clean scans: allowed is none"):
            preparation.scans(CHOSEN, scans.folder, "spd8", tmp_path)
        given = preparation.scans(CHOSEN, scans.folder, "none", tmp_path)
        assert given.digest == scans.digest
