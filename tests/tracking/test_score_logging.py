"""What is scored again, and what is kept."""

import hashlib
import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from in_process import UNSCORED, keep_only
from mlflow import MlflowClient
from mlflow.entities import Run
from prepared import SPEEDS, make_scans
from recorder import Recorder
from scipy.ndimage import gaussian_filter
from torch import nn
from tracked import SCANS, give_model, make_child, make_parent, power_set_of

from lfranker.arrays import Image
from lfranker.child_runs import scoring
from lfranker.child_runs.console import Console
from lfranker.child_runs.scoring import score_model, score_power_set, score_training
from lfranker.evaluation.baselines import BASELINES, FAMILIES, Family, families
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.scoring import of_noisy
from lfranker.publishing.pictures import log_pictures
from lfranker.registration.register import Transform
from lfranker.report.remarks import seen_caveats, site_caveats
from lfranker.scans.scan_set import Exclusion, Pair, ScanSet, ScanSetId
from lfranker.tracking import score_logging
from lfranker.tracking.models import load_likeness, load_network, model_id_of
from lfranker.tracking.power_set import ScoredRun, find_training
from lfranker.tracking.runs import create_child, get_run, list_files, own_run, set_tags, tracked
from lfranker.tracking.score_logging import (
    image_key,
    keys_of,
    log_scans,
    log_trained_on,
    score_baselines,
    score_run,
)
from lfranker.tracking.scores import noisy_scans_and_images, read_scan_table
from lfranker.tracking.tags import Tag, front, metrics_on, scan_set
from lfranker.tracking.training_run import score_with_branches

MEAN = Metric(lambda output, _: float(output.mean()), True, "Mean", 3)


@pytest.fixture
def few_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score no filters but the noisy scan, and by the metrics that rank alone."""
    monkeypatch.setattr(score_logging, "BASELINES", {"noisy": BASELINES["noisy"]})
    monkeypatch.setattr(score_logging, "families", dict)
    keep_only(monkeypatch, METRICS, set(METRICS) - set(UNSCORED))


def test_scores_are_kept_with_the_versions_of_their_metrics(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = make_scans(store)
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    score_run(run_id, of_noisy(BASELINES["noisy"]), scans, {"psnr": METRICS["psnr"], "mean": MEAN})
    run = find_training(run_id)
    assert run.is_scored(scans.digest, {"mean": MEAN})
    assert not run.is_scored("f" * 64, {"mean": MEAN}), "other scans"
    assert not run.is_scored(scans.digest, {"mean": replace(MEAN, version=2)})
    assert not run.is_scored(scans.digest, METRICS)


def test_a_scan_is_denoised_once_for_its_scores_and_its_pictures(store: Path) -> None:
    scans, seen = make_scans(store), list[tuple[str, str]]()
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id

    def denoiser(pair: Pair) -> Image:
        seen.append((pair.field, pair.speed))
        return pair.noisy

    score_run(run_id, denoiser, scans, {"psnr": METRICS["psnr"]})
    assert seen == [(record.field, record.speed) for record in scans.records]
    of_first = [f"{field}-{speed}.png" for field in ("f", "g") for speed in SPEEDS]
    folder = f"pictures/{scans.id.short}"
    assert list_files(run_id, folder) == sorted(f"{folder}/{name}" for name in of_first)
    assert len(keys_of(run_id)) == len(of_first)


def test_what_sites_were_told_by_is_read_back_from_the_power_set(store: Path) -> None:
    made = make_scans(store)
    records = [replace(record, site_source="assumed") for record in made.records]
    scans, parent = replace(made, records=tuple(records)), make_parent("mae")
    log_scans(parent.info.run_id, scans)
    read = read_scan_table(power_set_of(parent), scans.id)
    assert dict(zip(read["field"], read["place"], strict=True)) == {"f": "f", "g": "g", "h": "h"}
    (said,) = site_caveats(read)
    assert "each of the 3 fields is counted as a site of its own" in said
    assert read_scan_table(power_set_of(parent), ScanSetId("0" * 64, False)).empty


def test_scans_that_were_trained_on_are_known_by_what_the_server_keeps(store: Path) -> None:
    """The third of 6 scans is one of two images trained on, in the second repeat alone."""
    parent, scans = make_parent("mae"), make_scans(store)
    run_id, power_set = parent.info.run_id, power_set_of(parent)
    log_scans(run_id, scans)
    digests, unknown = noisy_scans_and_images(power_set, scans.id)
    assert (len(digests), unknown) == (6, frozenset())
    data = [SimpleNamespace(trained_on=frozenset(own)) for own in (["0"], ["0", digests[2]])]
    log_trained_on(run_id, data)  # type: ignore[arg-type]
    (said,) = seen_caveats(*noisy_scans_and_images(power_set, scans.id), estimated=False)
    assert said.startswith("1 of the 6 noisy scans that are scored is among those trained on")
    other = ScanSetId("0" * 64, False)
    assert list(seen_caveats(*noisy_scans_and_images(power_set, other), estimated=False)) == []


def test_scans_whose_clean_ones_were_trained_on_are_not_scored_later(store: Path) -> None:
    parent, scans = make_parent("mae"), make_scans(store)
    child = make_child(parent, "mae", {}, model="some")
    (clean,) = {pair.clean.tobytes() for pair in scans if pair.field == "g"}
    data = SimpleNamespace(trained_on=frozenset([hashlib.sha256(clean).hexdigest()]))
    log_trained_on(parent.info.run_id, [data])  # type: ignore[list-item]
    for score, run in ((score_power_set, parent), (score_training, child)):
        with pytest.raises(ValueError, match="clean scan of g is among the images trained on"):
            score(run.info.run_id, scans)
    assert get_run(child.info.run_id).data.metrics == {}
    assert not list_files(parent.info.run_id, "scans"), "nothing is kept of scans that are refused"


def test_a_filter_has_no_place_beside_a_training_without_power_set(store: Path) -> None:
    with own_run("train", "train") as run:
        pass
    with pytest.raises(ValueError, match=f"--drunet has no effect on run {run.run_id}"):
        score_training(run.run_id, make_scans(store), tuned={"drunet": families()["median-tuned"]})


@pytest.mark.usefixtures("few_scores")
def test_baselines_are_scored_again_by_new_metrics_and_versions_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean scan is compared by its keypoints, which change with neither."""
    parent, scans = make_parent("mae"), make_scans(store)

    def said() -> list[str]:
        return list(score_baselines(tracked(parent), power_set_of(parent).keys, scans, {}, {}))

    assert said() == ["noisy scored", "clean scored"]
    assert said() == []
    for run in power_set_of(parent).members:  # as scored before versions were noted
        MlflowClient().delete_tag(run.run_id, metrics_on(scans.digest))
    assert said() == []
    monkeypatch.setitem(METRICS, "mean", MEAN)
    assert said() == ["noisy scored"]
    assert said() == []
    monkeypatch.setitem(METRICS, "mean", replace(MEAN, version=2))
    assert said() == ["noisy scored"]
    newest = power_set_of(parent).members[0]
    assert newest.scores(scans.digest)["psnr"] > 0


def test_models_of_a_power_set_are_scored_again_by_new_metrics_and_versions_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, scans, record = make_parent("mae,mse"), make_scans(store), Recorder(monkeypatch)
    now = {name: metric.version for name, metric in METRICS.items()}
    versions = {"mae": now, "mse": now | {"psnr": 0}, "mae+mse": {"psnr": now["psnr"]}}
    for losses, scored in versions.items():
        tags = {f"outcome.{scans.id.short}": "ok", f"metrics.{scans.id.short}": json.dumps(scored)}
        make_child(parent, losses, {}, model=f"of {losses}", **tags)
    for function in (load_likeness, load_network, score_with_branches):
        record.replace(function, lambda _: None)
    for function in (score_baselines, log_pictures):
        record.replace(function, lambda _: iter(()))
    score_power_set(parent.info.run_id, scans)
    again = {call.uri for call in record.calls["", "load_network"]}
    assert again == {"models:/of mse", "models:/of mae+mse"}
    assert len(record.calls["", "score_with_branches"]) == 2


@pytest.mark.usefixtures("few_scores")
def test_baselines_of_one_of_the_noises_that_are_compared_are_not_scored_again(store: Path) -> None:
    alone, joint, scans = make_parent("mae", key="one"), make_parent("mae"), make_scans(store)
    assert list(score_baselines(tracked(alone), ["one"], scans, {}, {}))
    set_tags(joint.info.run_id, {Tag.NOISES: json.dumps({"eq1": "one", "gamma": "two"})})
    assert power_set_of(joint).keys == ["key", "one", "two"]
    assert list(score_baselines(tracked(joint), power_set_of(joint).keys, scans, {}, {})) == []


def test_all_that_is_known_of_scans_is_kept_with_a_run(store: Path) -> None:
    made, parent = make_scans(store), make_parent("mae")
    lost = (Exclusion("x", "spd2", "out of focus"), Exclusion("y", "spd5", "saturated"))
    scans = replace(made, excluded=lost, warnings=("12 bits",), simulated=True)
    run_id = own_run_id(parent)
    log_scans(run_id, scans)
    short, client = scans.id.short, MlflowClient()
    texts = {
        name: Path(client.download_artifacts(run_id, f"scans/{short}{name}")).read_text()
        for name in (".csv", "-notices.txt", "-excluded.csv")
    }
    kept = pd.read_csv(io.StringIO(texts[".csv"]), keep_default_na=False)
    pixels = [scans.read(record).noisy.tobytes() for record in scans.records]
    assert list(kept.pop("noisy_sha256")) == [hashlib.sha256(own).hexdigest() for own in pixels]
    assert kept.to_csv(index=False) == scans.table().to_csv(index=False)
    assert texts["-notices.txt"].splitlines() == [
        "12 bits", "x at spd2: left out, out of focus", "y at spd5: left out, saturated"
    ]  # fmt: skip
    assert texts["-excluded.csv"].splitlines() == [
        "field,speed,reason", "x,spd2,out of focus", "y,spd5,saturated"
    ]  # fmt: skip
    log_scans(run_id, make_scans(store, "f" * 16))
    tags = get_run(run_id).data.tags
    assert tags[Tag.SCANS] == SCANS, "the first are its own"
    assert tags[scan_set(SCANS)] == "simulated"
    assert tags[scan_set("f" * 16)] == "real"
    assert list_files(run_id, "scans") == [
        *(f"scans/{short}{name}" for name in ("-excluded.csv", "-notices.txt", ".csv")),
        "scans/ffffffff.csv",
    ]
    inputs = get_run(run_id).inputs.dataset_inputs
    assert {used.dataset.digest for used in inputs} == {SCANS, "f" * 16}


@pytest.mark.slow
@pytest.mark.usefixtures("few_scores")
def test_a_denoiser_of_the_users_is_tuned_on_other_fields_and_scored_once(store: Path) -> None:
    """Scans of two sites; of the values the one that changes nothing is the best."""
    made, parent = make_scans(store), make_parent("mae")
    records = [replace(record, place=site) for site in ("one", "two") for record in made.records]
    scans = replace(made, records=tuple(records))
    family = Family(lambda image, shade: np.clip(image - shade, 0, 1), "shade", (0.5, 0.0))

    def said() -> list[str]:
        return list(score_baselines(tracked(parent), ["key"], scans, {}, {"drunet x": family}))

    assert "drunet x scored" in said()
    (run,) = [run for run in power_set_of(parent).baselines if run.name == "drunet x"]
    chosen = {k: v for k, v in get_run(run.run_id).data.params.items() if k.startswith("shade")}
    assert chosen
    assert set(chosen.values()) == {"0"}
    assert said() == []


def own_run_id(parent: Run) -> str:
    """A run that says nothing of scans."""
    return create_child(tracked(parent), "own", {}).run_id


@pytest.mark.slow
def test_a_filter_that_fails_is_said_and_the_others_are_scored(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All scans show one site: there is none to tune filters on."""
    made, parent = make_scans(store), make_parent("mae")
    scans = replace(made, records=tuple(replace(r, place="one") for r in made.records))

    def broken(image: Image) -> Image:
        raise RuntimeError("too small")

    monkeypatch.setattr(score_logging, "BASELINES", {"broken": broken, "noisy": BASELINES["noisy"]})
    said = list(score_baselines(tracked(parent), ["key", "other"], scans, {"init": stretched}, {}))
    tuned = ", ".join(families())
    assert said == [
        f"{tuned} left out: all scans show one site, there is no other to tune on",
        "broken failed: too small",
        "noisy scored",
        "init scored",
        "clean scored",
    ]
    runs = {run.name: run for run in power_set_of(parent).baselines}
    ended = {name: run.status for name, run in runs.items()}
    assert ended == {
        "broken": "FAILED",
        "noisy": "FINISHED",
        "init": "FINISHED",
        "clean": "FINISHED",
    }
    own = get_run(runs["broken"].run_id).data.tags
    assert own[Tag.REASON] == "RuntimeError: too small"
    assert (own[Tag.NAME], own[Tag.BASELINE], own[Tag.POWERSET]) == ("broken", "broken", "key")
    scored = {name.removeprefix("unranked/") for name in runs["clean"].scores(SCANS)}
    assert {name.partition("/")[0] for name in scored} == {"keypoints", "repeatability"}
    assert runs["init"].scores(SCANS)["psnr"] < runs["noisy"].scores(SCANS)["psnr"]


def test_scoring_that_is_stopped_ends_the_run_of_its_filter(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(image: Image) -> Image:
        raise KeyboardInterrupt

    parent, scans = make_parent("mae"), make_scans(store)
    monkeypatch.setattr(score_logging, "BASELINES", {"slow": stop})
    with pytest.raises(KeyboardInterrupt):
        list(score_baselines(tracked(parent), ["key"], scans, {}, {}))
    (run,) = power_set_of(parent).baselines
    assert (run.name, run.status) == ("slow", "KILLED")
    assert get_run(run.run_id).data.tags[Tag.REASON] == "KeyboardInterrupt"


@pytest.mark.slow
def test_a_filter_that_was_tuned_has_its_parameters_in_its_run(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_logging, "BASELINES", {})
    few = {"gaussian-tuned": replace(FAMILIES["gaussian-tuned"], values=(0.5, 5.0))}
    monkeypatch.setattr(score_logging, "families", lambda: few)
    parent, scans = make_parent("mae"), make_scans(store)
    assert list(score_baselines(tracked(parent), ["key"], scans, {}, {})) == [
        "gaussian-tuned scored", "clean scored"
    ]  # fmt: skip
    run = next(run for run in power_set_of(parent).baselines if run.name == "gaussian-tuned")
    assert get_run(run.run_id).data.params == {
        f"sigma px half {half} {speed}": "0.5" for half in (1, 2) for speed in SPEEDS
    }


def test_a_model_has_the_scores_with_the_scans_that_they_were_measured_on(store: Path) -> None:
    """So that MLflow sorts models as the ranking does: by PSNR on one scan set."""
    scans, parent, client = make_scans(store), make_parent("mae,mse"), MlflowClient()
    blurs = {"mae": 1.0, "mse": 0.5, "mae+mse": 2.0}
    for losses, sigma in blurs.items():
        run = make_child(parent, losses, {})
        model = client.create_logged_model(parent.info.experiment_id, losses, run.info.run_id)
        set_tags(run.info.run_id, {Tag.MODEL: model.model_id})
        blur = partial(gaussian_filter, sigma=sigma)
        score_run(run.info.run_id, of_noisy(blur), scans, {"psnr": METRICS["psnr"]})
    on = {"dataset_name": "scans", "dataset_digest": SCANS}
    by_psnr = {"field_name": "metrics.psnr", "ascending": False, **on}
    models = client.search_logged_models([parent.info.experiment_id], order_by=[by_psnr])
    trainings = power_set_of(parent).trainings
    psnr = {name: run.metrics["psnr"] for (name, _), run in trainings.items()}
    best_first = sorted(psnr, key=lambda name: -psnr[name])
    assert [model.name for model in models] == best_first == ["mse", "mae", "mae+mse"]
    for model in models:
        logged = {metric.key: metric for metric in model.metrics}
        assert logged["psnr"].value == psnr[model.name]
        assert {metric.dataset_digest for metric in logged.values()} == {SCANS}
        run = get_run(trainings[model.name, 0].run_id)
        (used,) = run.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("scans", SCANS)
        assert '"num_rows": 6' in used.dataset.profile, "pairs"


@pytest.mark.usefixtures("few_scores")
def test_what_is_scored_by_its_address_puts_the_scores_on_the_model_s_page(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_logging, "BASELINES", {})
    monkeypatch.setattr(scoring, "load_likeness", lambda uri, *_: f"that of {uri}")
    monkeypatch.setattr(scoring, "unlike", lambda *words: [f"not {words[2]}"])
    notes, said = list[str](), list[str]()
    training = make_child(make_parent("mae"), "mae+ssim", {}, repeat="2")
    give_model(training)
    model = find_training(training.info.run_id).model
    uri, console = f"models:/{model}", Console(said.append, notes.append)
    score_model(uri, make_scans(store, "a" * 64), console)
    assert notes.pop() == "baseline clean scored"
    assert [note.partition(" is not like")[0] for note in notes] == [
        f"note: {field} at {speed}" for field in "fgh" for speed in SPEEDS
    ]
    assert all(note.endswith(f"trained on: it has not that of {uri}") for note in notes)
    logged = MlflowClient().get_logged_model(model)
    assert logged.name == "mae+ssim"
    assert logged.params == {"losses": "mae+ssim", "repeat": "2"}
    scores = {metric.key: metric for metric in logged.metrics or []}
    assert (scores["psnr"].dataset_name, scores["psnr"].dataset_digest) == ("scans", "a" * 32)
    assert scores["psnr"].run_id != training.info.run_id
    assert said[0] == f"{uri}: ok; run {scores['psnr'].run_id}"
    own = f"PSNR {scores['psnr'].value:.2f} dB, SSIM {scores['ssim'].value:.4f}"
    assert f"{uri}: {own}" in said


@pytest.mark.slow
@pytest.mark.usefixtures("few_scores")
def test_each_scoring_of_a_model_has_filters_beside_it(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder(monkeypatch)
    record.replace(load_network, lambda _: nn.Identity())
    for function in (load_likeness, model_id_of):
        record.replace(function, lambda _: None)
    made = make_scans(store)
    scans = replace(made, records=made.records[:1])
    for _ in range(2):
        score_model("models:/m/1", scans)
    runs = MlflowClient().search_runs(["0"])
    scored = {run.info.run_id for run in runs if run.data.tags[Tag.ROLE] == "evaluate"}
    noisy = [run.data.tags for run in runs if run.data.tags.get(Tag.BASELINE) == "noisy"]
    assert len(scored) == 2
    assert {tags[Tag.PARENT] for tags in noisy} == scored


def stretched(image: Image) -> Image:
    """A denoiser whose outputs go beyond black and white."""
    return 3 * image - 1


def test_runs_have_pictures_of_the_same_fields_under_the_same_keys(store: Path) -> None:
    """MLflow's image grid puts those beside each other that share a key and a step."""
    scans, parent = make_scans(store), make_parent("mae,mse")
    runs = [make_child(parent, losses, {}).info.run_id for losses in ("mae", "mse")]
    for run_id in runs:
        score_run(run_id, of_noisy(stretched), scans, {"psnr": METRICS["psnr"]})
    shown = [set(keys_of_grid(run_id)) for run_id in runs]
    wanted = {f"the scans denoised~{f} at {speed}" for f in ("f", "g") for speed in SPEEDS}
    assert shown == [{(key, "0") for key in wanted}] * 2
    first = Path(MlflowClient().download_artifacts(runs[0], "images"))
    (picture,) = first.glob("the scans denoised~f at spd2+*.png")
    with PIL.Image.open(picture) as image:
        assert image.size == (48, 48)
        output = stretched(next(iter(scans)).noisy)
        assert output.min() < 0 < 1 < output.max()
        np.testing.assert_array_equal(np.asarray(image), np.round(255 * np.clip(output, 0, 1)))


def test_pictures_of_other_scans_do_not_stand_among_those_of_the_first(store: Path) -> None:
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    for digest in (SCANS, "f" * 16):
        denoiser = of_noisy(BASELINES["noisy"])
        score_run(run_id, denoiser, make_scans(store, digest), {"psnr": METRICS["psnr"]})
    first = {f"the scans denoised/{field} at {speed}" for field in "fg" for speed in SPEEDS}
    assert keys_of(run_id) == sorted(first)
    other = front("f" * 16).replace("/", "~")
    names = {key for key, _ in keys_of_grid(run_id) if key.startswith(other)}
    assert names == {other + key.replace("/", "~") for key in first}


def keys_of_grid(run_id: str) -> list[tuple[str, str]]:
    """Keys and steps, read from the files as MLflow's pages do."""
    files = [Path(item.path) for item in MlflowClient().list_artifacts(run_id, "images")]
    parts = [file.name.split("+") for file in files if file.suffix == ".png"]
    return [(key, step) for key, _, step, *_ in parts]


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("batch_a/field 1", "batch_a/field 1"),
        ("Ä'1", "--1 no. 2"),
        ("../up", "-/up no. 2"),
        ("a:[b]", "a--b- no. 2"),
    ],
)
def test_keys_of_pictures_have_no_character_that_mlflow_refuses(field: str, key: str) -> None:
    image = np.zeros((4, 4), np.float32)
    pair = Pair(field, "100ns", image, image, image > 1, image, Transform())
    assert image_key(pair, 1) == f"the scans denoised/{key} at 100ns"


def test_scores_are_said_the_best_first_and_what_did_not_end_well() -> None:
    digest, said = "a" * 16, list[str]()
    levels = {"mae": 20.0, "tv": 30.0, "mse": 25.0, "elsewhere": None}

    def run(title: str, psnr: float | None) -> ScoredRun:
        scores = {} if psnr is None else {"psnr": psnr, "keypoints": 3.0}
        outcome = "collapsed" if title == "mse" else "ok"
        made = {"scores": {digest: scores}.__getitem__, "outcome_on": {digest: outcome}.__getitem__}
        return cast("ScoredRun", SimpleNamespace(title=title, **made))

    scans = cast("ScanSet", SimpleNamespace(digest=digest))
    runs = [run(title, psnr) for title, psnr in levels.items()]
    scoring._say_scores(runs, scans, Console(said.append, said.append))
    assert said == ["tv: PSNR 30.00 dB", "mse: PSNR 25.00 dB, collapsed", "mae: PSNR 20.00 dB"]
