"""The curve over own slow scans: what is drawn, trained, scored, said, and read back."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from in_process import power_sets_in, scans_at_spd5
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from recorder import COMMANDS, Recorder, everywhere
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.running import closing
from lfranker.datasets.clean_images import CleanImage, sha256_of_pixels
from lfranker.datasets.patch_dataset import read_dataset
from lfranker.experiment import powerset, scan_curve
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.experiment.scan_curve import CurveConfig, check_sites, draw_scans, learn_from_scans
from lfranker.planning.inputs import InputConfig, Inputs, dataset_of
from lfranker.planning.plan import tasks
from lfranker.planning.settings import preset_settings
from lfranker.publishing.pictures import log_pictures
from lfranker.publishing.ranking_run import ranked
from lfranker.ranking import own_scans
from lfranker.ranking.leaderboard import rank
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair, Record, ScanSet, ScanSetId, read_scans
from lfranker.tracking.follow_ups import CurvePlan, Draw, curve_of, note_curve, read_curve_plan
from lfranker.tracking.power_set import PowerSet, load_power_set, trainings_with
from lfranker.tracking.runs import set_tags
from lfranker.tracking.scores import score_file
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig

FIELDS, COUNTS, TARGET = 7, (1, 2), 6
OPTIONS = {
    "preset": "smoke", "losses": "mae", "seed": 3, "steps": 8, "log-every": 8, "patches": 16,
    "patch": 48, "depth": "0,0,0,1,0,0,0", "shorter": "false",
}  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """A power set with a curve, as the command left it."""

    power_set: PowerSet
    plan: CurvePlan
    scans: ScanSet
    scored: ScanSet
    cache: Path
    options: Mapping[str, object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("curve")
    with power_sets_in(folder, empty_store):
        scans_at_spd5(FIELDS, 160, folder / "scans", 11)
        cache = folder / "cache"
        options = {
            **OPTIONS, "scans": folder / "scans", "cache": cache,
            "curve": ",".join(map(str, COUNTS)), "curve-to": TARGET,
        }  # fmt: skip
        run("powerset", options)
        power_set = load_power_set()
        plan = read_curve_plan(power_set)
        assert plan is not None
        sets = [read_scans(path.parent) for path in sorted(cache.rglob("scans.json"))]
        scored, scans = sorted(sets, key=lambda own: len(own.fields))
        yield Whole(power_set, plan, scans, scored, cache, options)


def run(command: str, options: Mapping[str, object]) -> str:
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(COMMANDS[command], words)
    assert done.exit_code == 0, done.output
    return done.output


def runs(whole: Whole) -> dict[tuple[int, int], Any]:
    """Draw and number of scans -> MLflow's run."""
    found = {}
    for draw in whole.plan.draws:
        for count, key in draw.keys.items():
            training = trainings_with(key, whole.power_set.experiment_id)["mae", draw.repeat]
            found[draw.repeat, count] = MlflowClient().get_run(training.run_id)
        none = whole.power_set.trainings["mae", draw.repeat]
        found[draw.repeat, 0] = MlflowClient().get_run(none.run_id)
    return found


def table_of(run_id: str, scans: ScanSet) -> pd.DataFrame:
    path = f"scores/synthetic-{scans.digest[:8]}.csv"
    return pd.read_csv(io.StringIO(load_text(f"runs:/{run_id}/{path}")), dtype={"field": str})


@pytest.mark.slow
def test_draws_have_no_field_in_common_and_none_that_is_scored(whole: Whole) -> None:
    drawn = [field for draw in whole.plan.draws for field in draw.fields]
    assert [len(draw.fields) for draw in whole.plan.draws] == [2, 2]
    assert len(set(drawn)) == 4
    assert set(whole.scored.fields) == set(whole.scans.fields) - set(drawn)
    assert (whole.plan.scans, whole.plan.scored) == (whole.scans.digest, whole.scored.digest)
    original = {pair.field: pair for pair in whole.scans}
    for pair in whole.scored:
        assert pair.field not in drawn
        assert np.array_equal(pair.original, original[pair.field].original)


@pytest.mark.slow
def test_each_training_has_the_scans_of_its_draw_among_its_images(whole: Whole) -> None:
    clean = {pair.field: sha256_of_pixels(pair.original) for pair in whole.scans}
    datasets = [read_dataset(path.parent) for path in whole.cache.glob("datasets/*/manifest.json")]
    by_digest = {data.digest: data for data in datasets}
    found = runs(whole)
    assert set(found) == {(draw, count) for draw in (0, 1) for count in (0, *COUNTS)}
    usual = by_digest[found[0, 0].data.params["dataset"]].trained_on
    for (number, count), one in found.items():
        fields = whole.plan.draws[number].fields[:count]
        own = {clean[field] for field in fields}
        assert by_digest[one.data.params["dataset"]].trained_on - usual == own
        assert one.data.tags["lfranker.repeat"] == str(number)
        assert one.data.tags.get("lfranker.own-scans", "") == ", ".join(fields)
        assert one.data.tags["mlflow.parentRunId"] == whole.power_set.run_id
    name = found[1, 2].info.run_name
    assert name == "mae #1 (2 own slow scans)"


@pytest.mark.slow
def test_the_page_has_the_gains_computed_here_again(whole: Whole) -> None:
    found = runs(whole)
    text = load_text(f"runs:/{whole.power_set.run_id}/ranking/own-scans-psnr.csv")
    table = pd.read_csv(io.StringIO(text), index_col="scans")
    assert list(table.index) == [1, 2, 4, 6]
    for count in COUNTS:
        gains = []
        for draw in (0, 1):
            own = table_of(found[draw, count].info.run_id, whole.scored)
            none = table_of(found[draw, 0].info.run_id, whole.scans)
            none = none[none["field"].isin(whole.scored.fields)]
            assert len(own) == len(none) == 3, "three fields at one speed"
            gains.append(own["psnr"].mean() - none["psnr"].mean())
        assert table["measured"][count] == pytest.approx(np.mean(gains), abs=1e-9)
    assert table["measured"].isna().tolist() == [False, False, True, True]
    page = load_text(f"runs:/{whole.power_set.run_id}/ranking/ranking.html")
    assert "How many slow scans do I need?" in page
    assert "6 scans would bring" in page
    summary = json.loads(load_text(f"runs:/{whole.power_set.run_id}/ranking/ranking.json"))
    assert any("6 scans would bring" in sentence for sentence in summary["evidence"])


@pytest.mark.slow
def test_it_is_ranked_again_from_the_server_alone(whole: Whole) -> None:
    before = load_text(f"runs:/{whole.power_set.run_id}/ranking/own-scans-psnr.csv")
    away = whole.cache.rename(whole.cache.with_name("away"))
    said = run("rank", {"parent": whole.power_set.run_id, "promote": "never"})
    away.rename(whole.cache)
    assert "6 scans would bring" in said
    assert load_text(f"runs:/{whole.power_set.run_id}/ranking/own-scans-psnr.csv") == before


@pytest.mark.slow
def test_the_same_again_keeps_all_trainings(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ranking = ranked(whole.power_set, whole.scans.digest)
    everywhere(monkeypatch, powerset.rank, lambda *_, **__: SimpleNamespace(ranking=ranking))
    everywhere(monkeypatch, log_pictures, lambda *_: None)
    before = {key: one.info.run_id for key, one in runs(whole).items()}
    run("powerset", whole.options)
    assert {key: one.info.run_id for key, one in runs(whole).items()} == before


def some_inputs(whole: Whole, **changes: Any) -> Inputs:
    settings = preset_settings("smoke", seed=3, patch=48, **changes)
    return cast(Inputs, SimpleNamespace(scans=whole.scans, settings=settings))


@pytest.mark.slow
def test_fewer_scans_are_the_first_of_more(whole: Whole) -> None:
    config = InputConfig(cache=whole.cache)
    more = draw_scans(some_inputs(whole), config, (1, 2), 2)
    fewer = draw_scans(some_inputs(whole), config, (1,), 2)
    names = [[image.name for image in draw] for draw in more.draws]
    assert [[image.name for image in draw] for draw in fewer.draws] == [own[:1] for own in names]
    assert [[f"own/{field}" for field in draw.fields] for draw in whole.plan.draws] == names
    assert {image.group for draw in more.draws for image in draw} == {"own"}


class Striped(ScanSet):
    """Scans whose clean ones are all alike, and have contrast."""

    def read(self, record: Record) -> Pair:
        waves = 0.5 + 0.2 * np.sin(np.indices((64, 64)).sum(0) / 9)
        return cast(Pair, SimpleNamespace(original=waves.astype(np.float32)))


def test_fields_of_a_site_that_is_trained_on_are_not_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two fields of each of six sites, at two speeds; a scan of one field is trained on."""
    site = {f"{place}{at}": place for place in "abcdef" for at in (1, 2)}
    records = [(field, speed) for field in site for speed in ("spd2", "spd3")]
    scans = Striped(
        Path(), "spd8", ("spd2", "spd3"), tuple(site), False, "digest", (), (), (),
        tuple(Record(field, speed, Transform(), "", "", site[field]) for field, speed in records),
    )  # fmt: skip
    image = np.zeros((64, 64), np.float32)
    usual = [CleanImage(name, ".", image, "") for name in "ab"]
    monkeypatch.setattr(scan_curve, "training_images", lambda *_: (usual, []))
    monkeypatch.setattr(scan_curve, "subset_of", lambda _, fields, cache: sorted(fields))
    for seed in range(4):
        own = SimpleNamespace(scans=scans, settings=preset_settings("smoke", seed=seed, patch=48))
        drawn = draw_scans(cast(Inputs, own), InputConfig(), (1,), 3)
        taken = {site[image.name.removeprefix("own/")] for draw in drawn.draws for image in draw}
        assert len(taken) == 3
        assert drawn.scored == [field for field in site if site[field] not in taken]


def test_each_number_of_scans_is_trained_with_the_first_of_its_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what the champion lacks of trainings without: it was trained in one repeat."""
    record, ran = Recorder(monkeypatch), list[list[Any]]()
    image = np.zeros((8, 8), np.float32)
    draws = [[CleanImage(f"own/{name}", "own", image, "") for name in own] for own in ("ab", "cd")]
    drawn = SimpleNamespace(draws=draws, others=[], scored=SimpleNamespace(digest="left"))
    record.replace(draw_scans, lambda _: drawn)
    record.replace(
        dataset_of,
        lambda call: SimpleNamespace(digest=",".join(own.name[4:] for own in call.images)),
    )
    for function in (set_tags, note_curve):
        record.replace(function, lambda _: None)
    record.replace(closing, lambda _: monkeypatch.context())

    def runs_of(call: SimpleNamespace) -> list[SimpleNamespace]:
        data = call.inputs.data.digest
        ids = [f"{task.name} #{task.config.repeat} on {data}" for task in call.tasks]
        return [SimpleNamespace(run=SimpleNamespace(run_id=run_id)) for run_id in ids]

    record.replace(adopt, runs_of)
    settings: dict[str, Any] = dict.fromkeys([item.name for item in fields(Inputs)])
    facts = {"perceptual": "p", "init": "none", "device": "cpu", "data": "usual", "scans": "all"}
    digests = {"data": SimpleNamespace(digest="usual"), "scans": SimpleNamespace(digest="all")}
    settings |= {"facts": facts, "settings": preset_settings("smoke"), **digests}
    means = SimpleNamespace(
        inputs=Inputs(**settings), say=lambda _: None, run=ran.append, engine=""
    )
    curve = CurveConfig((1, 2), 4, 2)
    learn_from_scans(
        cast(Any, SimpleNamespace(run_id="parent")), tasks(["mse", "mae"], 1, TrainConfig()),
        cast(Any, SimpleNamespace(champion="mae")), cast(Any, means), InputConfig(), curve,
        take_over=False,
    )  # fmt: skip
    own = {"mae #0 on a": "a", "mae #0 on a,b": "a, b", "mae #1 on c": "c", "mae #1 on c,d": "c, d"}
    assert [child.run.run_id for child in ran[0]] == ["mae #1 on usual", *own]
    tagged = {call.run_id: call.tags[Tag.OWN_SCANS] for call in record.calls["", "set_tags"]}
    assert tagged == own
    (call,) = record.calls["", "note_curve"]
    assert [draw.fields for draw in call.plan.draws] == [("a", "b"), ("c", "d")]
    keys = [key for draw in call.plan.draws for key in draw.keys.values()]
    assert keys == [call.key for call in record.calls["", "adopt"][1:]]
    assert len(set(keys)) == 4


@pytest.mark.slow
def test_scans_that_no_patch_can_be_cut_from_are_not_drawn(whole: Whole) -> None:
    with pytest.raises(ValueError, match="there are 7, of which 0 can be trained on"):
        draw_scans(some_inputs(whole, minimum_contrast=0.9), InputConfig(), (1, 2), 2)
    with pytest.raises(ValueError, match="there are 7, of which 0 can be trained on"):
        draw_scans(some_inputs(whole, max_noise=1e-9), InputConfig(), (1, 2), 2)


@pytest.mark.slow
def test_prepared_scans_among_which_none_is_clean_are_refused(whole: Whole) -> None:
    own = some_inputs(whole)
    own.scans = replace(whole.scans, target="")  # type: ignore[misc]
    with pytest.raises(ValueError, match="prepared without any"):
        draw_scans(own, InputConfig(), (1, 2), 2)


@pytest.mark.slow
def test_own_scans_among_the_clean_images_are_refused(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros((64, 64), np.float32)
    for images, words in (
        ([CleanImage("a", ".", image, ""), CleanImage("own/b", "own/x", image, "")], "has one"),
        ([CleanImage("a", ".", image, "")], "two clean images"),
    ):
        monkeypatch.setattr(
            "lfranker.experiment.scan_curve.training_images", lambda *_, own=images: (own, [])
        )
        with pytest.raises(ValueError, match=words):
            draw_scans(some_inputs(whole), InputConfig(), (1, 2), 2)


def test_each_draw_has_the_scores_of_its_own_repeat(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those without own scans are on all scans, the others on what is left of them."""
    parent, left = make_parent("mae"), "fedcba9876543210"
    draws = tuple(Draw(at, ("f", "g"), {1: f"one {at}", 2: f"two {at}"}) for at in (0, 1))
    note_curve(parent.info.run_id, CurvePlan("mae", (1, 2), 6, SCANS, left, draws))
    expected = {
        (draw.repeat, count): 10.0 * draw.repeat + count for draw in draws for count in range(3)
    }
    for (draw, count), psnr in expected.items():
        key = {0: "key", **draws[draw].keys}[count]
        one = make_child(parent, "mae", {}, powerset=key, repeat=str(draw))
        scores = pd.DataFrame({"psnr": [psnr], "field": "h", "speed": "spd2", "place": "h"})
        scans = ScanSetId(left if count else SCANS, simulated=False)
        MlflowClient().log_text(one.info.run_id, scores.to_csv(index=False), score_file(scans))
    record = Recorder(monkeypatch)
    record.replace(own_scans.scan_curve, lambda _: None)
    curve_of(power_set_of(parent), ScanSetId(SCANS, simulated=False), {})
    (call,) = record.calls["", "scan_curve"]
    assert call.rows.set_index(["draw", "count"])["psnr"].to_dict() == expected
    assert (call.losses, call.counts, call.target) == ("mae", (1, 2), 6)


@pytest.mark.parametrize(
    ("sites", "usable", "advice"),
    [(10, None, "give 3 scans"), (12, 5, "give 2 scans"), (4, None, "more scans")],
)
def test_too_few_sites_are_refused_with_what_fits(
    sites: int, usable: int | None, advice: str
) -> None:
    with pytest.raises(ValueError, match=advice):
        check_sites(sites, (1, 2, 4), 2, usable)
    check_sites(11, (1, 2, 4), 2, 8)


def test_with_own_scans_the_images_and_the_scored_fields_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights of the losses that were found on patches stay those of the champion's training."""
    usual, own = object(), object()
    made = SimpleNamespace(digest="data of both")
    datasets = {(usual, own): made}
    monkeypatch.setattr(scan_curve, "dataset_of", lambda images, *_: datasets[tuple(images)])
    scored = SimpleNamespace(digest="scans of other sites")
    drawn = cast("Any", SimpleNamespace(scored=scored, others=[usual]))
    champion = cast("Any", SimpleNamespace(losses=("mae",)))
    settings: dict[str, Any] = dict.fromkeys([item.name for item in fields(Inputs)])
    settings |= {"facts": {"data": "d", "scans": "s", "loss_weights": "value"}}
    inputs = Inputs(**{**settings, "loss_weights": {"mae": 2.0, "mse": 3.0}})
    found = scan_curve._inputs_with(inputs, drawn, [cast("Any", own)], champion, Path())
    assert (found.data, found.scans) == (made, scored)
    assert found.facts == {
        "data": "data of both", "scans": "scans of other sites", "loss_weights": "mae=2.0",
    }  # fmt: skip


def test_scans_that_a_dataset_would_leave_out_are_not_drawn() -> None:
    rng, chosen = np.random.default_rng(0), preset_settings("smoke", max_noise=0.02)
    scene = np.clip(0.5 + 0.2 * np.sin(np.indices((128, 128)).sum(0) / 9), 0, 1)
    noisy = scene + rng.normal(0, 0.04, scene.shape)
    for image, usable in ((scene, True), (noisy, False), (scene[:2], False)):
        own = CleanImage("own/a", "own", image.astype(np.float32), "a")
        assert scan_curve._is_usable(own, chosen) is usable


def test_without_a_champion_nothing_is_trained() -> None:
    said = list[str]()
    means = SimpleNamespace(say=said.append)
    board = pd.DataFrame({"psnr": [20.0], "outcome": ["collapsed"]}, index=["mae"])
    curve = CurveConfig((1, 2), 4, 2)
    learn_from_scans(
        cast(Any, None), [], rank(board), cast(Any, means), InputConfig(), curve, take_over=False
    )
    assert said == ["no curve over slow scans: no subset could win"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"curve": (2,)}, "curve is 2; allowed are 2 numbers or more"),
        ({"curve": (2, 1)}, "the lowest first"),
        ({"curve": (0, 1)}, "from 1"),
        ({"curve": (1, 12)}, "--curve-to 12"),
        ({"curve": (1, 2), "vary_data": True, "repeats": 2}, "--vary-data"),
        ({"curve": (1, 2), "noises": {"a": "settings"}}, "--curve is of one noise"),
        ({"curve": (1, 2), "noise": "blind"}, "from noisy scans alone"),
        ({"curve": (1, 2), "target": "none"}, "--target none"),
        ({"curve": (1, 2), "data": Path()}, "--data"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_any_work(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    noise = {"noise": changes.pop("noise")} if "noise" in changes else {}
    settings = preset_settings("smoke", **noise)
    if "noises" in changes:
        changes["noises"] = {"a": settings, "b": settings}
    inputs = InputConfig(
        scans=tmp_path, target=changes.pop("target", None), data=changes.pop("data", None)
    )
    with pytest.raises(ValueError, match=words):
        PowerSetConfig(settings, losses=("mae",), inputs=inputs, **changes)
