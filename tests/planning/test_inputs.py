"""What the commands prepare before they train."""

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from prepared import make_scans
from recorder import Recorder
from safetensors.torch import save_file

from lfranker.datasets.clean_images import simulated_clean
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.images.image_file import read_image, write_image
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.parsing import parse_noise
from lfranker.options import changed
from lfranker.planning import inputs as preparation
from lfranker.planning.inputs import InputConfig, Settings, initial_weights
from lfranker.planning.settings import preset_settings
from lfranker.scans.preparation import prepare_scans
from lfranker.simulation.scans import damaged_scan, simulate_scans
from lfranker.training.loss_balancing import described

CONFIG = DatasetConfig(patch=32, patches=40, noise=NoiseConfig(peak=(50.0, 60.0)), seed=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "set"
    synthesise(simulated_clean(2, 96, seed=0), out, CONFIG)
    return out


def write_clean(folder: Path, count: int, size: int = 160) -> Path:
    for image in simulated_clean(1, size, seed=1)[:count]:
        pixels = np.clip(image.image, 0, 1)
        write_image(folder / f"{image.name}.png", pixels, np.dtype(np.uint8), 255)
    return folder


def smoke(**changes: Any) -> Settings:
    return preset_settings("smoke", **changes)


def test_settings_of_a_stored_dataset_are_the_ones_used(data: Path) -> None:
    chosen = smoke(data=data, steps=7, peak=(50.0, 60.0))
    assert chosen.dataset == CONFIG
    assert chosen.train.steps == 7
    assert chosen.train.seed == 0, "the training's seed is the one asked for"


def test_contradicting_a_stored_dataset_is_an_error(data: Path) -> None:
    with pytest.raises(ValueError, match=r"--peak \(1.0, 2.0\).*\(50.0, 60.0\)"):
        smoke(data=data, peak=(1.0, 2.0))


def test_a_noise_is_spread_into_settings_and_what_is_given_beside_it_stays() -> None:
    chosen = smoke(noise=parse_noise("microscope@100ns"), sigma=(0.1, 0.1)).dataset.noise
    assert (chosen.mode, chosen.sigma) == ("microscope", (0.1, 0.1))
    assert chosen.peak == pytest.approx((76 / 1.25, 76 * 1.25))


def test_the_noise_of_a_stored_dataset_may_be_named_again(tmp_path: Path) -> None:
    config = changed(DatasetConfig(patch=32, patches=10), parse_noise("microscope@100ns"))
    synthesise(simulated_clean(2, 96, seed=0), tmp_path / "set", config)
    for noise in ("microscope@100ns", parse_noise("microscope@100ns")):
        assert smoke(data=tmp_path / "set", noise=noise).dataset == config


def test_an_option_without_effect_on_the_noise_is_an_error(data: Path) -> None:
    with pytest.raises(ValueError, match="--sigma has no effect on noise 'eq1'"):
        smoke(sigma=(0.1, 0.1))
    with pytest.raises(ValueError, match="--alpha has no effect on noise 'gamma'"):
        smoke(noise={"noise": "gamma"}, alpha=(1.0, 1.0))
    with pytest.raises(ValueError, match=r"--noise gamma: the dataset in --data .* with eq1"):
        smoke(data=data, noise="gamma")


@pytest.mark.slow
def test_scans_are_never_simulated_from_images_that_were_trained_on(tmp_path: Path) -> None:
    clean = write_clean(tmp_path / "clean", 6)
    chosen = smoke(patch=32, validation=0.34, max_noise=1.0)
    made, _ = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    # the same images for another request, whose split is another
    other = replace(chosen, dataset=replace(chosen.dataset, seed=5))
    scans = preparation.scans(other, None, None, tmp_path / "cache", clean, made.trained_on)
    sides = {s["name"]: s["side"] for s in made.manifest["request"]["sources"]}
    assert {sides[field] for field in scans.fields} == {"validation"}
    everything = frozenset(s["sha256"] for s in made.manifest["request"]["sources"])
    with pytest.raises(ValueError, match="all were trained on"):
        preparation.scans(other, None, None, tmp_path / "cache", clean, everything)


def test_scans_of_another_seed_are_simulated_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean images are the same: the seed does not change them."""
    record, clean = Recorder(monkeypatch), write_clean(tmp_path / "clean", 2)
    record.replace(simulate_scans, lambda call: call.out.mkdir(parents=True))
    record.replace(damaged_scan, lambda _: "")
    record.replace(prepare_scans, lambda _: None)
    for seed in (0, 5, 0):
        preparation.scans(smoke(seed=seed), None, None, tmp_path / "cache", clean)
    assert [call.seed for call in record.calls["", "simulate_scans"]] == [0, 5]
    first, second, again = (call.folder for call in record.calls["", "prepare_scans"])
    assert first == again != second


def test_inputs_are_scored_on_images_that_no_patch_was_cut_from(tmp_path: Path) -> None:
    chosen = smoke(patch=32, validation=0.34, max_noise=1.0)
    config = InputConfig(clean=write_clean(tmp_path / "clean", 6), cache=tmp_path / "cache")
    made = preparation.inputs(("mae",), chosen, config)
    sides = {s["name"]: s["side"] for s in made.data.manifest["request"]["sources"]}
    assert {sides[field] for field in made.scans.fields} == {"validation"}
    patches, trained_on = chosen.dataset.counts[0], [*sides.values()].count("training")
    fields = len(made.scans.fields)
    assert made.said() == [
        f"to be trained on {patches} patches of {trained_on} images",
        f"to be scored on simulated scans of {fields} fields, {fields} sites: {fields} at spd2, "
        f"{fields} at spd3, {fields} at spd5; the slow ones are those at spd8",
    ]


def test_a_field_that_was_trained_on_is_not_scored(tmp_path: Path) -> None:
    clean = write_clean(tmp_path / "clean", 4)
    chosen = smoke(patch=32, validation=0.25, max_noise=1.0)
    made, _ = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    trained = [
        Path(s["name"]).stem for s in made.manifest["request"]["sources"] if s["side"] == "training"
    ]
    for path in clean.iterdir():  # the clean image itself as the slow scan, a noisy one beside it
        image = read_image(path).image
        for speed, noise in (("fast", 0.05), ("slow", 0.0)):
            drawn = np.random.default_rng(0).normal(0, noise, image.shape)
            scan = np.clip(image + drawn, 0, 1).astype(np.float32)
            write_image(tmp_path / "scans" / speed / path.name, scan, np.dtype(np.uint8), 255)
    scans = preparation.scans(chosen, tmp_path / "scans", "slow", tmp_path / "cache")
    assert len(trained) == 3
    assert set(scans.fields_among(made.trained_on)) == set(trained) & set(scans.fields) != set()
    given = InputConfig(
        data=made.folder, scans=tmp_path / "scans", target="slow", cache=tmp_path / "cache"
    )
    with pytest.raises(ValueError, match=f"--scans: the clean scan of .*{trained[0]}"):
        preparation.inputs(("mae",), smoke(data=made.folder), given)


def test_fields_are_counted_before_anything_is_prepared(tmp_path: Path) -> None:
    chosen = smoke()
    assert preparation.count_fields(chosen, None) == chosen.preset.fields
    for speed, count in (("fast", 3), ("slow", 2)):
        write_clean(tmp_path / "scans" / speed, count, size=64)
    assert preparation.count_fields(chosen, tmp_path / "scans") == 3
    assert preparation.count_fields(chosen, make_scans(tmp_path).folder) == 3
    assert chosen.preset.fields != 3


def test_fields_are_the_centres_of_images_or_all_that_there_is() -> None:
    image = np.arange(40, dtype=np.float32).reshape(10, 4)
    assert np.array_equal(preparation._centre(image, 6), image[2:8])
    assert np.array_equal(preparation._centre(image, 2), image[4:6, 1:3])
    assert np.array_equal(preparation._centre(image, 20), image)


def test_the_facts_of_inputs_are_those_of_what_was_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two losses, of which the second never trains alone, and a network to start from."""
    chosen = smoke()
    start = tmp_path / "start.safetensors"
    save_file(preparation.build_network(chosen.train).state_dict(), start)
    scans = make_scans(tmp_path)
    made = SimpleNamespace(digest="of data", trained_on=frozenset())
    monkeypatch.setattr(preparation, "_datasets", lambda *_: ((made,), ["of the data"]))
    record = Recorder(monkeypatch)
    record.replace(preparation.scans, lambda _: replace(scans, warnings=("of the scans",)))
    weights = {"mae": 1.0, "tv": 0.5}
    config = InputConfig(
        scans=scans.folder, target="slow", white=4095, init=start, device="cpu", cache=tmp_path,
        loss_weights=weights,
    )  # fmt: skip
    found = preparation.inputs(("mae", "tv"), chosen, config, "mine")
    digest = hashlib.sha256(start.read_bytes()).hexdigest()[:16]
    own = {"preset": "smoke", "device": "cpu", "loss_weights": described(weights)}
    facts = {"data": "of data", "scans": scans.digest, "perceptual": "none", "init": digest}
    assert found.facts == own | facts
    assert found.facts_logged() == own | {
        "dataset": "of data",
        "scan_set": scans.digest,
        "perceptual_weights": "none",
        "initial_weights": digest,
    }
    assert found.weights_logged() == {"weight/mae": 1.0, "weight/tv": 0.5}
    assert (found.label, found.noise, found.drawn) == ("perceptual", "mine", ())
    assert found.notices[:4] == [
        "tv: not trained alone, nor with others of its kind: it does not tell a network enough",
        "weights of the losses on mine: mae 1, tv 0.5",
        "of the data",
        "of the scans",
    ]
    (call,) = record.calls["", "scans"]
    assert vars(call) == {
        "chosen": chosen, "folder": scans.folder, "target": "slow", "cache": tmp_path.resolve(),
        "clean": None, "seen": frozenset(), "white": 4095,
    }  # fmt: skip
    assert set(found.objective(["tv", "mae"]).terms) == {"mae", "tv"}
    assert found.objective(["tv"]).weights == {"tv": 0.5}
    (name,) = found.extra_baselines()
    assert name == "init start"
    assert replace(found, init=None).extra_baselines() == {}


def test_the_same_images_in_other_folders_make_another_dataset(tmp_path: Path) -> None:
    clean, chosen = write_clean(tmp_path / "clean", 4), smoke(patch=32, max_noise=1.0)
    first, _ = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    (clean / "own").mkdir()
    for path in list(clean.glob("*.png"))[:2]:
        path.rename(clean / "own" / path.name)
    second, _ = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    assert first.folder != second.folder
    groups = {s["name"]: s["group"] for s in second.manifest["request"]["sources"]}
    assert sorted(groups.values()) == [".", ".", "own", "own"]
    again, _ = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    assert again.folder == second.folder


@pytest.mark.slow
def test_each_repeat_has_a_draw_of_its_own_where_data_vary(tmp_path: Path) -> None:
    config = InputConfig(clean=write_clean(tmp_path / "in", 3), cache=tmp_path / "cache")
    made = preparation.inputs(("mae",), smoke(), config, draws=2)
    assert [made.data_of(repeat).config.image_draw for repeat in (0, 1)] == [1, 2]
    assert made.data is made.data_of(0)
    assert made.facts_logged()["vary_data"] == "true"
    assert (made.facts["vary_data"], made.facts["data"]) == ("true", made.data.digest)
    more = preparation.inputs(("mae",), smoke(), config, draws=3)
    assert more.facts == made.facts, "more repeats go on with those that are there"
    assert more.data_of(1).digest == made.data_of(1).digest
    fixed = preparation.inputs(("mae",), smoke(), config)
    assert "vary_data" not in fixed.facts
    assert fixed.data_of(1) is fixed.data
    assert fixed.data.digest not in {own.digest for own in made.drawn}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeats": 1}, "--repeats of 2 or more"),
        ({"inputs": InputConfig(data=Path())}, "--data is one"),
        ({"settings": preset_settings("smoke", image_draw=1)}, "leave --image-draw out"),
    ],
)
def test_what_leaves_no_data_to_vary_is_named(changes: dict[str, Any], message: str) -> None:
    settings = {"settings": smoke(), "repeats": 2, **changes}
    with pytest.raises(ValueError, match=message):
        PowerSetConfig(**settings, vary_data=True)
    assert PowerSetConfig(**settings).draws == 0
    assert PowerSetConfig(smoke(), repeats=2, vary_data=True).draws == 2


@pytest.mark.slow
def test_a_single_clean_image_is_cut_and_its_unseen_part_scanned(tmp_path: Path) -> None:
    clean = write_clean(tmp_path / "clean", 1, size=400)
    chosen = smoke(patch=32, validation=0.45, max_noise=1.0)
    made, _ = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    scans = preparation.scans(chosen, None, None, tmp_path / "cache", clean, made.trained_on)
    (pair, *_) = scans
    whole = read_image(next(clean.iterdir())).image
    assert min(pair.original.shape) <= round(400 * 0.45) < min(whole.shape)
    like = cv2.matchTemplate(whole, pair.original, cv2.TM_CCOEFF_NORMED)
    assert like.max() > 0.9
    assert np.unravel_index(like.argmax(), like.shape)[0] >= round(400 * 0.55), "it was trained on"


def test_images_without_usable_patches_are_named(tmp_path: Path) -> None:
    clean = write_clean(tmp_path / "clean", 4)
    flat = np.full((160, 160), 0.5, np.float32)
    write_image(clean / "blank.png", flat, np.dtype(np.uint8), 255)
    chosen = smoke(patch=32, validation=0.5, max_noise=1.0)
    _, notices = preparation.dataset(chosen, clean, None, tmp_path / "cache")
    assert any("blank.png" in notice for notice in notices)


def test_a_preset_that_there_is_not_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no preset is called 'tiny'; allowed are smoke, demo"):
        preset_settings("tiny")


def test_weights_to_start_from_may_be_those_of_a_model(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def kept(uri: str, folder: Path) -> Path:
        asked.append((uri, folder))
        return tmp_path / "kept.safetensors"

    monkeypatch.setattr("lfranker.planning.inputs.weights_of", kept)
    config = InputConfig(init=Path("models:/lfranker@champion"))
    assert initial_weights(config.init, tmp_path) == tmp_path / "kept.safetensors"
    assert asked == [("models:/lfranker@champion", tmp_path / "init")]
    (tmp_path / "own.pth").touch()
    assert initial_weights(tmp_path / "own.pth", tmp_path) == tmp_path / "own.pth"
    assert initial_weights(None, tmp_path) is None
    assert len(asked) == 1, "files are not asked for"


@pytest.mark.parametrize("name", ["clean", "scans", "data", "init"])
def test_a_file_that_is_missing_is_named_before_anything_is_done(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name}: no such file or folder: gone, looked for in"):
        InputConfig(**{name: Path("gone")})
    with pytest.raises(ValueError, match=f"{name}: no such file or folder: /"):
        InputConfig(**{name: tmp_path / "gone"})
