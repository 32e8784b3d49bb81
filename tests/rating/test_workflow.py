"""Sheets of a power set, rated by what they show, and ranked: through the store."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run
from numpy.typing import NDArray
from prepared import SPEEDS, make_scans
from torch import nn
from tracked import SCANS, give_model, make_child, make_parent, power_set_of

from entrypoints.rate import main
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baselines import BASELINES
from lfranker.evaluation.criteria import Criterion
from lfranker.images.image_strips import GAP, TITLE, strip
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.rating import workflow
from lfranker.rating.sheets import Key, Sheet, SheetConfig, Shown, plan_sheets
from lfranker.rating.workflow import FOLDER, KEY, make_sheets, ratings_of, take_ratings
from lfranker.scans.scan_set import ScanSet
from lfranker.tracking.models import load_network
from lfranker.tracking.runs import get_run, log_settings, log_texts, set_tags
from lfranker.tracking.tags import Tag, front, scan_set

pytestmark = pytest.mark.usefixtures("undrawn")

GRADES = {"mae": {"spd2": 3, "spd5": 5}, "mse": {"spd2": 2, "spd5": 2}}
GRADES |= {"noisy": {"spd2": 1, "spd5": 1}, "gaussian-1": {"spd2": 4, "spd5": 4}}
CONFIG = SheetConfig(sheets=6, shown=2, repeated=1)


def make_power_set() -> tuple[Run, dict[str, Run]]:
    """Two subsets with models of their own, one without, one collapsed, and three baselines."""
    parent = make_parent("mae,mse,ssim")
    runs = {
        name: make_child(parent, name, {"psnr": psnr, "ssim": 0.5}, **tags)
        for name, psnr, tags in (
            ("mae", 20.0, {}),
            ("mse", 21.0, {}),
            ("ssim", 30.0, {}),
            ("mae+mse", 31.0, {"outcome": "collapsed"}),
        )
    }
    for name in ("mae", "mse", "mae+mse"):
        give_model(runs[name])
    for name, psnr in (("noisy", 15.0), ("gaussian-1", 18.0), ("gaussian-2", 17.0)):
        runs[name] = make_child(parent, "", {"psnr": psnr}, baseline=name)
        MlflowClient().delete_tag(runs[name].info.run_id, Tag.LOSSES)
    return parent, runs


def metrics_of(run: Run) -> dict[str, float]:
    found = MlflowClient().get_run(run.info.run_id).data.metrics
    return {name: value for name, value in found.items() if "visual" in name}


def panels_of(file: Path, count: int) -> list[NDArray[np.uint8]]:
    """Return the panels A, B, ... of a sheet with one row."""
    picture = np.asarray(PIL.Image.open(file))[TITLE + TITLE :, :, 0]
    return [picture[:384, GAP + at * (384 + GAP) :][:, :384] for at in range(1, count + 1)]


def rate_by_eye(folder: Path, scans: ScanSet, runs: dict[str, Run]) -> pd.DataFrame:
    """The table filled in with GRADES by looking which output the panel is; and at which speed."""
    networks, seen = {}, {}
    for name in ("mae", "mse"):
        model = MlflowClient().get_run(runs[name].info.run_id).data.tags[Tag.MODEL]
        networks[name] = load_network(f"models:/{model}")
    for pair in scans:
        outputs = {name: denoise(network, pair.noisy) for name, network in networks.items()}
        outputs |= {name: BASELINES[name](pair.noisy) for name in ("noisy", "gaussian-1")}
        for name, output in outputs.items():
            drawn = np.asarray(strip({"a": output, "clean": pair.clean}))[TITLE:, GAP:, 0]
            seen[drawn[:384, :384].tobytes()] = name, pair.field, pair.speed
    table = pd.read_csv(folder / "ratings.csv", dtype=str, keep_default_na=False)
    for sheet, rows in table.groupby("sheet"):
        panels = panels_of(folder / f"{sheet}.png", len(rows))
        for at, panel in zip(rows.index, panels, strict=True):
            name, field, speed = seen[panel.tobytes()]
            table.loc[at, ["name", "field", "speed"]] = name, field, speed
            table.loc[at, "rating"] = str(GRADES[name][speed])
    return table


def save(table: pd.DataFrame, file: Path, rater: str) -> Path:
    table.assign(rater=rater)[["sheet", "panel", "rater", "rating"]].to_csv(file, index=False)
    return file


def command(*words: object, exit_code: int = 0) -> str:
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == exit_code, done.output
    return done.output


def test_what_cannot_be_asked_for_is_refused(store: Path) -> None:
    both = command("--contact-sheet", "new", "--ratings", store, exit_code=2)
    assert "give --contact-sheet first" in both
    assert "give --contact-sheet first" in command(exit_code=2)
    assert "shown is 1" in command("--contact-sheet", "new", "--shown", 1, exit_code=2)
    assert "nowhere" in command("--ratings", "nowhere", exit_code=2)


@pytest.mark.slow
def test_panels_rated_by_what_they_show_give_each_subset_its_own_rating(store: Path) -> None:
    scans = make_scans(store / "cache")
    parent, runs = make_power_set()
    folder = store / "sheets"
    command("--contact-sheet", folder, "--cache", "cache", "--sheets", 6, "--shown", 2)

    texts = (folder / "ratings.csv").read_text() + (folder / "INSTRUCTIONS.txt").read_text()
    texts += "".join(file.name for file in folder.iterdir())
    assert not any(name in texts for name in ("mae", "mse", "gaussian", *SPEEDS, "key"))
    assert all(PIL.Image.open(file).info == {} for file in folder.glob("*.png")), "no metadata"
    assert {file.suffix for file in folder.iterdir()} == {".png", ".csv", ".txt"}

    table = rate_by_eye(folder, scans, runs)
    assert sorted(table["name"].unique()) == sorted(GRADES), "no collapsed one, none without model"
    assert len(table) == 7 * 4
    assert set(table.groupby("sheet")["field"].nunique()) == {1}
    assert len(table[["field", "speed"]].drop_duplicates()) == 6
    orders = table.groupby("sheet")["name"].agg(tuple)
    assert orders.nunique() > 1

    anna = save(table, store / "anna.csv", "anna")
    assert "28 ratings read, 28 of them new" in command("--ratings", anna)
    assert metrics_of(runs["mae"]) == {"visual": 4.0, "visual/spd2": 3.0, "visual/spd5": 5.0}
    assert metrics_of(runs["mse"])["visual"] == 2.0
    assert metrics_of(runs["gaussian-1"])["visual"] == 4.0
    assert metrics_of(runs["noisy"])["visual"] == 1.0
    assert metrics_of(runs["ssim"]) == metrics_of(runs["gaussian-2"]) == {}

    report = rank_power_set(None, "m")
    winners = report.ranking.winners
    assert winners[Criterion("visual")] == winners[Criterion("visual", "spd2")] == "mae"
    assert report.ranking.champion == "ssim", "the eye does not choose the champion"
    assert pd.isna(report.ranking.leaderboard.loc["ssim", "rank/visual"]), "it was not shown"
    assert any("One rater" in said for said in report.notices)
    assert not any("visual" in columns for columns in report.ranking.gaps.values())

    check_another_rater(store, parent, runs, table)


def check_another_rater(
    store: Path, parent: Run, runs: dict[str, Run], table: pd.DataFrame
) -> None:
    client, run_id = MlflowClient(), parent.info.run_id
    before = len(client.get_metric_history(runs["mae"].info.run_id, "visual"))
    again = take_ratings(run_id, None, store / "anna.csv")
    assert again[0].endswith("28 ratings read, 0 of them new")
    assert len(client.get_metric_history(runs["mae"].info.run_id, "visual")) == before

    both = store / "both"
    both.mkdir()
    table.loc[table["name"] == "mae", "rating"] = "1"
    save(table, both / "ben.csv", "ben")
    assert take_ratings(run_id, None, both)[0].endswith("28 of them new")
    assert metrics_of(runs["mae"]) == {"visual": 2.5, "visual/spd2": 2.0, "visual/spd5": 3.0}
    report = rank_power_set(run_id, "m")
    assert any("Krippendorff's alpha of 2 raters" in said for said in report.notices)
    written = json.loads(
        Path(client.download_artifacts(run_id, "ranking/ranking.json")).read_text()
    )
    assert any("Krippendorff" in said for said in written["evidence"])
    assert [row["rater"] for row in written["tables"]["visual-raters"]] == ["anna", "ben"]
    page = Path(client.download_artifacts(run_id, "ranking/ranking.html")).read_text()
    assert "Krippendorff" in page
    assert "people&#x27;s eyes" not in page


@pytest.mark.slow
def test_ratings_that_do_not_belong_here_are_refused_and_nothing_is_kept(store: Path) -> None:
    make_scans(store / "cache")
    parent, runs = make_power_set()
    key = make_sheets(None, None, store / "cache", store / "sheets", CONFIG)
    table = pd.read_csv(store / "sheets" / "ratings.csv", dtype=str).assign(rating="3")
    foreign = table.assign(sheet=table["sheet"].str.replace(key.id, "00000000"))
    with pytest.raises(ValueError, match=r"foreign\.csv, line 2: sheet-00000000-01 is no sheet of"):
        take_ratings(None, None, save(foreign, store / "foreign.csv", "anna"))
    with pytest.raises(ValueError, match=r"part\.csv: 'anna' has not rated 1 of 28"):
        take_ratings(None, None, save(table.iloc[1:], store / "part.csv", "anna"))
    set_tags(parent.info.run_id, {scan_set("fedcba98"): "real"})
    with pytest.raises(ValueError, match=r"shows scans 01234567, not fedcba98"):
        take_ratings(None, "fedc", save(table, store / "whole.csv", "anna"))
    assert metrics_of(runs["mae"]) == {}
    kept = MlflowClient().list_artifacts(parent.info.run_id, f"visual/{key.id}")
    assert [item.path for item in kept] == [f"visual/{key.id}/key.json"]
    report = rank_power_set(None, "m")
    assert "visual" not in report.ranking.leaderboard
    html = MlflowClient().download_artifacts(parent.info.run_id, "ranking/ranking.html")
    assert "<code>rate -P contact_sheet=FOLDER</code>" in Path(html).read_text()


def test_sheets_are_drawn_by_the_seed_of_the_power_set(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "load_network", lambda _: nn.Identity())
    scans, parent = make_scans(store / "cache"), make_parent("mae,mse")
    log_settings(parent.info.run_id, {"seed": 7})
    for name in ("mae", "mse"):
        make_child(parent, name, {"psnr": 20.0}, model="m")
    make_child(parent, "mae+mse", {"psnr": 19.0}, model="m")
    key = make_sheets(None, None, store / "cache", store / "sheets", CONFIG)
    assert set(key.shown) == {"mae", "mse"}, "the best two"
    assert key.sheets == plan_sheets(scans.records, list(key.shown), CONFIG, seed=7)
    assert key.sheets != plan_sheets(scans.records, list(key.shown), CONFIG, seed=0)


def test_sheets_show_the_scans_that_are_asked_for_and_the_best_on_them(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best on the power set's own scans is the worst on the others."""
    monkeypatch.setattr(workflow, "load_network", lambda _: nn.Identity())
    parent, other, one = make_parent("mae,mse"), "fedcba9876543210", replace(CONFIG, sheets=1)
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    for name, own, others in (("mae", 30.0, 10.0), ("mse", 20.0, 20.0), ("mae+mse", 10.0, 30.0)):
        make_child(parent, name, {"psnr": own, f"{front(other)}psnr": others}, model="m")
    for digest in (SCANS, other):
        make_scans(store / "cache", digest)
    key = make_sheets(None, other[:4], store / "cache", store / "sheets", one)
    assert (key.scans, set(key.shown)) == (other, {"mae+mse", "mse"})
    key = make_sheets(None, None, store / "cache", store / "own", one)
    assert (key.scans, set(key.shown)) == (SCANS, {"mae", "mse"})


@pytest.mark.slow
def test_ratings_count_on_their_own_scans_and_for_the_networks_that_are_asked_for(
    store: Path,
) -> None:
    """Two sheets without pictures; on other scans mae is the worse one."""
    parent, other = make_parent("mae,mse"), "fedcba9876543210"
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    runs = {name: make_child(parent, name, {"psnr": 20.0}) for name in ("mae", "mse")}
    shown = {name: Shown(run.info.run_id, False) for name, run in runs.items()}
    for digest, grades in ((SCANS, (5, 1)), (other, (2, 4))):
        key = Key(digest, shown, (Sheet("f", "spd2", "f", False, ("mae", "mse")),))
        log_texts(parent.info.run_id, {f"{FOLDER}/{key.id}/{KEY}": key.to_json()})
        table = pd.DataFrame({"sheet": next(iter(key.named())), "panel": ["A", "B"]})
        file = save(table.assign(rating=grades), store / f"{digest}.csv", "anna")
        assert take_ratings(None, digest[:4], file)[0].endswith("2 ratings read, 2 of them new")
    assert take_ratings(None, other[:4], file)[0].endswith("2 ratings read, 0 of them new")
    assert metrics_of(runs["mae"])["visual"] == 5
    assert metrics_of(runs["mae"])[f"{front(other)}visual"] == 2
    power_set, newer = power_set_of(parent), [runs["mse"].info.run_id]
    assert set(ratings_of(power_set, power_set.scan_set())["name"]) == {"mae", "mse"}
    assert set(ratings_of(power_set, power_set.scan_set(), newer)["name"]) == {"mse"}


def test_ratings_on_other_scans_are_logged_as_those_of_other_scans(store: Path) -> None:
    """A sheet without picture; the networks have scores on the first scans alone."""
    parent, other = make_parent("mae,mse"), "fedcba9876543210"
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    runs = {name: make_child(parent, name, {"psnr": 20.0}) for name in ("mae", "mse")}
    shown = {name: Shown(run.info.run_id, False) for name, run in runs.items()}
    key = Key(other, shown, (Sheet("f", "spd2", "f", False, ("mae", "mse")),))
    log_texts(parent.info.run_id, {f"{FOLDER}/{key.id}/{KEY}": key.to_json()})
    table = pd.DataFrame({"sheet": next(iter(key.named())), "panel": ["A", "B"]})
    take_ratings(None, other[:4], save(table.assign(rating=(2, 4)), store / "ratings.csv", "anna"))
    assert metrics_of(runs["mae"]) == {
        f"{front(other)}visual": 2.0,
        f"{front(other)}visual/spd2": 2.0,
    }


@pytest.mark.slow
def test_ratings_on_other_scans_have_other_names(store: Path) -> None:
    other = "fedcba9876543210"
    scans = make_scans(store / "cache", other)
    parent, runs = make_power_set()
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    for name, psnr in (("mae", 9.0), ("mse", 8.0), ("noisy", 5.0), ("gaussian-1", 6.0)):
        MlflowClient().log_metric(runs[name].info.run_id, f"{front(other)}psnr", psnr)
    make_sheets(None, "fedc", store / "cache", store / "sheets", CONFIG)
    table = rate_by_eye(store / "sheets", scans, runs)
    take_ratings(None, "fedc", save(table, store / "anna.csv", "anna"))
    assert metrics_of(runs["mae"])[f"{front(other)}visual"] == 4.0
    assert "visual" not in metrics_of(runs["mae"])
    assert rank_power_set(None, "m", "fedc").ranking.winners[Criterion("visual")] == "mae"
    assert Criterion("visual") not in rank_power_set(None, "m").ranking.winners


@pytest.mark.slow
def test_what_sheets_need_and_is_not_there_is_said_before_anything_is_written(store: Path) -> None:
    parent, _ = make_power_set()
    with pytest.raises(ValueError, match=r"--cache .*01234567.* evaluate --env-man.* -P parent="):
        make_sheets(None, None, store / "cache", store / "sheets", CONFIG)
    make_scans(store / "cache")
    (store / "full").mkdir()
    (store / "full" / "mine").write_text("")
    with pytest.raises(ValueError, match="full is there already"):
        make_sheets(None, None, store / "cache", store / "full", CONFIG)
    alone = make_parent("mse")
    set_tags(alone.info.run_id, {Tag.POWERSET: "alone"})
    make_child(get_run(alone.info.run_id), "mse", {"psnr": 1.0}, powerset="alone")
    with pytest.raises(ValueError, match="has 0 subsets that are ok and have a logged model"):
        make_sheets(alone.info.run_id, None, store / "cache", store / "sheets", CONFIG)
    assert not (store / "sheets").exists()
    assert MlflowClient().list_artifacts(parent.info.run_id, "visual") == []
