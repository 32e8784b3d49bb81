"""Queries and rankings against a real tracking store."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.evaluation.criteria import Criterion
from lfranker.evaluation.metrics import METRICS
from lfranker.losses.subsets import SubsetRule
from lfranker.publishing import note_and_marks as marks
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.ranking.along_training import Stop
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking import power_set as power_set_module
from lfranker.tracking.power_set import find_training, load_power_set
from lfranker.tracking.runs import (
    create_child,
    get_run,
    log_metrics,
    log_settings,
    set_tags,
    tracked,
)
from lfranker.tracking.scores import scores
from lfranker.tracking.tags import Tag, outcome_on, scan_set

pytestmark = pytest.mark.usefixtures("undrawn")

GOLDEN = Path(__file__).parents[1] / "golden"


def make_paper(parent: Run) -> None:
    table = pd.read_csv(GOLDEN / "paper_tables.csv", index_col="losses")
    for losses, row in table.iterrows():
        make_child(parent, str(losses), {str(name): float(v) for name, v in row.items()})


def test_the_papers_tables_logged_as_runs_give_the_papers_winners(store: Path) -> None:
    parent = make_parent()
    make_paper(parent)
    report = rank_power_set(None, "lfranker")
    ranking = report.ranking

    assert ranking.champion == "ssim+perceptual"
    assert ranking.champion_mean_rank == 2.5
    assert ranking.winners[Criterion("psnr")] == "ssim+perceptual"
    assert ranking.winners[Criterion("ssim")] == "mae+ssim"
    keypoints = [ranking.winners[Criterion("keypoints", f"spd{n}")] for n in (2, 3, 5)]
    assert keypoints == ["mae+mse+ssim+perceptual", "mse", "mse"]
    assert ranking.missing == ()
    # without logged models nothing is registered, and that is said
    assert MlflowClient().search_registered_models() == []
    assert any("ssim+perceptual" in notice for notice in report.notices)

    tags = MlflowClient().get_run(parent.info.run_id).data.tags
    assert tags[Tag.CHAMPION] == "ssim+perceptual"
    assert "**ssim+perceptual**" in tags[Tag.NOTE].splitlines()[0]
    files = {f.path for f in MlflowClient().list_artifacts(parent.info.run_id, "ranking")}
    assert {f"ranking/table{n}.csv" for n in (2, 3, 4, 5)} < files


@pytest.mark.usefixtures("unsaid")
def test_missing_and_failed_children_are_named_and_never_win(store: Path) -> None:
    """Those that wait, run, or were interrupted are missing, whatever scores they have."""
    parent = make_parent("mae,mse,ssim")
    make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.5})
    ends = {"mse": "FAILED", "ssim": "KILLED", "mae+mse": "RUNNING", "mae+ssim": "SCHEDULED"}
    for losses, status in ends.items():
        run = make_child(parent, losses, {"psnr": 99.0, "ssim": 0.9})
        MlflowClient().update_run(run.info.run_id, status=status)
    ranking = rank_power_set(parent.info.run_id, "lfranker").ranking
    assert ranking.champion == "mae"
    assert list(ranking.leaderboard.index) == ["mae", "mse"]
    assert set(ranking.missing) == {"ssim", "mae+mse", "mae+ssim", "mse+ssim", "mae+mse+ssim"}
    assert ranking.leaderboard.loc["mse", "outcome"] == "failed"


def test_other_scans_have_other_names_and_are_ranked_apart(store: Path) -> None:
    parent, other = make_parent("mae,mse"), "fedcba9876543210"
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    make_child(
        parent, "mae", {"psnr": 20.0, "fedcba98.psnr": 10.0, "ssim": 0.5, "fedcba98.ssim": 0.1}
    )
    make_child(
        parent, "mse", {"psnr": 19.0, "fedcba98.psnr": 11.0, "ssim": 0.4, "fedcba98.ssim": 0.2}
    )
    parent = get_run(parent.info.run_id)
    assert scores(power_set_of(parent), SCANS).loc["mae", "psnr"] == 20.0
    assert scores(power_set_of(parent), other).loc["mae", "psnr"] == 10.0
    assert rank_power_set(parent.info.run_id, "m").ranking.champion == "mae"
    folder = MlflowClient().download_artifacts(parent.info.run_id, "ranking")
    own = (Path(folder) / "ranking.md").read_text()
    assert rank_power_set(parent.info.run_id, "m", "fedc").ranking.champion == "mse"
    texts = {
        name: Path(MlflowClient().download_artifacts(parent.info.run_id, name)).read_text()
        for name in ("ranking/ranking.md", "ranking-fedcba98/ranking.md")
    }
    assert texts["ranking/ranking.md"] == own != texts["ranking-fedcba98/ranking.md"]
    note = MlflowClient().get_run(parent.info.run_id).data.tags[Tag.NOTE]
    assert "**mae**" in note.splitlines()[0], "another scan set must not overwrite the note"
    with pytest.raises(ValueError, match="01234567"):
        rank_power_set(parent.info.run_id, "m", "77")


def test_repeats_are_averaged_and_a_missing_score_is_missing(store: Path) -> None:
    parent = make_parent("mae,mse")
    make_child(parent, "mae", {"psnr": 20.0}, repeat="0")
    make_child(parent, "mae", {"psnr": 24.0}, repeat="1")
    make_child(parent, "mse", {"psnr": 30.0}, repeat="0")
    make_child(parent, "mse", {}, repeat="1", outcome="diverged")
    table = scores(power_set_of(parent), SCANS)
    assert table.loc["mae", "psnr"] == 22.0
    assert pd.isna(table.loc["mse", "psnr"])
    assert table.loc["mse", "outcome"] == "diverged"


@pytest.mark.usefixtures("unsaid")
def test_repeats_of_another_command_do_not_enter_and_missing_ones_are_said(store: Path) -> None:
    parent = make_parent("mae,mse")
    set_tags(parent.info.run_id, {Tag.REPEATS: "2"})
    for repeat, psnr in (("0", 20.0), ("1", 22.0), ("2", 60.0)):
        make_child(parent, "mae", {"psnr": psnr, "ssim": 0.5}, repeat=repeat)
    make_child(parent, "mse", {"psnr": 30.0, "ssim": 0.9}, repeat="0")
    ranking = rank_power_set(parent.info.run_id, "m").ranking
    assert ranking.leaderboard.loc["mae", "psnr"] == 21.0
    assert ranking.leaderboard.loc["mse", "outcome"] == "incomplete"
    assert ranking.champion == "mae"
    assert ranking.missing == ("mae+mse",)
    assert ranking.gaps == {}


def test_what_collapses_on_some_scans_may_win_on_others(store: Path) -> None:
    parent, other = make_parent("mae"), "fedcba9876543210"
    set_tags(parent.info.run_id, {scan_set(other): "real"})
    run = make_child(parent, "mae", {"psnr": 20.0, "fedcba98.psnr": 10.0})
    set_tags(run.info.run_id, {outcome_on("fedcba98"): "collapsed"})
    parent = get_run(parent.info.run_id)
    assert scores(power_set_of(parent), SCANS).loc["mae", "outcome"] == "ok"
    assert scores(power_set_of(parent), other).loc["mae", "outcome"] == "collapsed"
    set_tags(run.info.run_id, {Tag.OUTCOME: "diverged"})
    assert scores(power_set_of(parent), other).loc["mae", "outcome"] == "diverged"


def test_different_perceptual_networks_are_not_ranked_together(store: Path) -> None:
    parent = make_parent("perceptual")
    make_child(parent, "perceptual", {"psnr": 20.0}, perceptual="aaa")
    make_child(parent, "mae+perceptual", {"psnr": 21.0}, perceptual="bbb")
    set_tags(parent.info.run_id, {Tag.LOSS_SET: ""})
    with pytest.raises(ValueError, match=r"aaa, bbb"):
        rank_power_set(parent.info.run_id, "m")


def test_expected_subsets_carry_the_shown_name(store: Path) -> None:
    parent = make_parent("mae,perceptual-random")
    assert power_set_of(parent).expected == [
        "mae",
        "perceptual-random",
        "mae+perceptual-random",
    ]


def test_expected_subsets_are_those_that_are_trained(store: Path) -> None:
    assert power_set_of(make_parent("ssim,tv,own:loss")).expected == [
        "ssim", "own:loss", "ssim+tv", "ssim+own:loss", "tv+own:loss", "ssim+tv+own:loss",
    ]  # fmt: skip


def test_subsets_left_out_on_purpose_are_neither_expected_nor_missing(store: Path) -> None:
    parent = make_parent("mae,mse,perceptual-random")
    rule = SubsetRule(max_size=2, exclude=(("mse", "perceptual"),)).shown("perceptual-random")
    set_tags(parent.info.run_id, {Tag.SUBSETS: rule.to_text()})
    wanted = ["mae", "mse", "perceptual-random", "mae+mse", "mae+perceptual-random"]
    assert load_power_set().expected == wanted
    every = [*wanted[:4], "mae+mse+perceptual-random"]  # the last is another command's
    for place, name in enumerate(every):
        make_child(parent, name, {"psnr": 20.0 + place, "ssim": 0.5})
    report = rank_power_set(parent.info.run_id, "m")
    assert report.ranking.missing == ("mae+perceptual-random",)
    assert report.ranking.champion == "mae+mse"
    assert "2 of 7 subsets were left out on purpose" in "\n".join(report.notices)
    page = Path(MlflowClient().download_artifacts(parent.info.run_id, "ranking/ranking.html"))
    assert "5 of 7, max_size=2 exclude=mse+perceptual-random" in page.read_text()


def test_what_is_not_a_power_set_is_refused(store: Path) -> None:
    with pytest.raises(ValueError, match="no power set found"):
        load_power_set()
    with mlflow.start_run() as run:
        pass
    with pytest.raises(ValueError, match="not a power set"):
        load_power_set(run.info.run_id)
    with pytest.raises(ValueError, match="no run 'nosuch'"):
        load_power_set("nosuch")


@pytest.mark.usefixtures("unsaid")
def test_losses_that_are_not_ours_are_ranked_by_their_tags_and_metrics(store: Path) -> None:
    parent = make_parent("acme,zeta")
    make_child(parent, "acme", {"psnr": 20.0, "ssim": 0.5})
    make_child(parent, "zeta", {"psnr": 21.0, "ssim": 0.6})
    make_child(parent, "acme+zeta", {"psnr": 22.0, "ssim": 0.7})
    ranking = rank_power_set(parent.info.run_id, "lfranker").ranking
    assert list(ranking.leaderboard.index) == ["acme+zeta", "zeta", "acme"]
    assert ranking.missing == ()


def test_of_trainings_alike_the_newest_one_that_finished_counts(store: Path) -> None:
    parent = make_parent("mae")
    _, kept, newer = (make_child(parent, "mae", {"psnr": psnr}) for psnr in (10.0, 20.0, 30.0))
    MlflowClient().set_terminated(newer.info.run_id, "FAILED")
    assert power_set_of(parent).trainings["mae", 0].run_id == kept.info.run_id


def test_a_training_that_is_made_again_does_not_count_though_it_finished(store: Path) -> None:
    parent = make_parent("mae")
    old = make_child(parent, "mae", {"psnr": 30.0, "ssim": 0.9})
    again = make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.8})
    set_tags(old.info.run_id, {Tag.SUPERSEDED: again.info.run_id})
    MlflowClient().set_terminated(again.info.run_id, "FAILED")
    assert power_set_of(parent).trainings["mae", 0].run_id == again.info.run_id
    assert {run.run_id for run in power_set_of(parent).members} == {again.info.run_id}


def test_the_note_links_to_the_report_and_to_the_ranked_runs(store: Path) -> None:
    parent, scores = make_parent("mae"), {"psnr": 20.0, "ssim": 0.5}
    run_id = make_child(parent, "mae", scores).info.run_id
    make_child(parent, "mae", scores, repeat="1")
    rank_power_set(parent.info.run_id, "lfranker")
    note = get_run(parent.info.run_id).data.tags[Tag.NOTE]
    answer, own = note.splitlines()[0], f"#/experiments/{parent.info.experiment_id}/runs"
    side = "workflowType=machine_learning"
    assert f"({own}/{parent.info.run_id}/artifacts/ranking/ranking.html?{side})" in answer
    view = f"{own}?viewStateShareKey={parent.info.run_id}&compareRunsMode="
    assert f"({view}TABLE&{side})" in answer
    assert f"({view}CHART&{side})" in answer
    assert f"[mae]({own}/{run_id}?{side})" in note


def test_the_view_of_the_runs_is_kept_with_their_experiment(store: Path) -> None:
    """MLflow opens a view by the key in its tag; the runs that it finds are those ranked."""
    parent, client = make_parent("mae,ssim"), MlflowClient()
    for losses, psnr in (("mae", 20.0), ("ssim", 22.0), ("mae+ssim", 21.0)):
        run_id = make_child(parent, losses, {"psnr": psnr, "ssim": psnr / 100}).info.run_id
        for key in ("the scans denoised/f at spd2", "validation/0"):
            client.log_image(run_id, np.zeros((4, 4), np.uint8), key=key, step=0)
    make_child(make_parent("mae,mse", key="other"), "mse", {"psnr": 30.0}, powerset="other")
    rank_power_set(parent.info.run_id, "lfranker")
    tags = client.get_experiment(parent.info.experiment_id).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{parent.info.run_id}"])
    order = f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"
    runs = client.search_runs([parent.info.experiment_id], view["searchFilter"], order_by=[order])
    assert [run.data.tags[Tag.LOSSES] for run in runs] == ["ssim", "mae+ssim", "mae"]
    kinds = {"metrics": runs[0].data.metrics, "params": {"losses": "ssim"}}
    for column in view["selectedColumns"]:
        kind, name = column.replace("`", "").split(".")
        assert name in kinds[kind] or name == "repeatability", column
    pictured = [chart["imageKeys"] for chart in view["compareRunCharts"] if "imageKeys" in chart]
    assert pictured == [["the scans denoised/f at spd2"]]
    sections = {section["uuid"] for section in view["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in view["compareRunCharts"]} <= sections


def test_a_power_set_has_few_tags_on_its_winners(store: Path) -> None:
    """MLflow shows tags before the note. All winners are in ranking.json."""
    parent = make_parent("mae,ssim")
    set_tags(
        parent.info.run_id, {"lfranker.winner.psnr/spd2": "mse", "lfranker.winner.ssim": "mse"}
    )
    scores = {"psnr": 20.0, "psnr/spd2": 20.0, "psnr/spd5": 20.0, "keypoints": 100.0}
    make_child(parent, "mae", scores)
    make_child(parent, "ssim", {name: value + 1 for name, value in scores.items()})
    make_child(parent, "mae+ssim", {name: value - 1 for name, value in scores.items()})
    rank_power_set(parent.info.run_id, "lfranker")
    tags = get_run(parent.info.run_id).data.tags
    winners = {tag: name for tag, name in tags.items() if tag.startswith("lfranker.winner.")}
    assert winners == {"lfranker.winner.psnr": "ssim"}
    assert tags[Tag.CHAMPION] == "ssim"
    file = MlflowClient().download_artifacts(parent.info.run_id, "ranking/ranking.json")
    every = json.loads(Path(file).read_text())["winners"]
    assert set(every) == set(scores)


@pytest.mark.usefixtures("unsaid")
def test_of_many_subsets_the_best_and_those_marked_before_are_marked(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "MARKED", 1)
    parent = make_parent("mae,mse,ssim")
    runs = {
        name: make_child(parent, name, {"psnr": psnr, "ssim": psnr / 100})
        for name, psnr in (("mae", 22.0), ("mse", 21.0), ("ssim", 20.0))
    }
    log_metrics(runs["ssim"].info.run_id, {"mean_rank": 1.0})
    rank_power_set(parent.info.run_id, "lfranker")
    found = {name: get_run(run.info.run_id).data for name, run in runs.items()}
    assert found["mae"].metrics["mean_rank"] == 1
    assert "champion" in found["mae"].tags["winner"]
    assert "mean_rank" not in found["mse"].metrics
    assert found["ssim"].metrics["mean_rank"] == 3


def test_what_was_stopped_is_read_with_the_share_of_steps_that_it_saved(store: Path) -> None:
    """40 steps, and 2 + 4 of branches; after the branch of 10 steps 8 + 2 are made."""
    parent = make_parent("mae,mse")
    log_settings(parent.info.run_id, {"steps": 40, "seed": 5, "vary_data": "x"})
    stop = {"after": 10, "leaders": {"psnr": "mae"}, "behind": {"psnr": 1.5}}
    make_child(parent, "mae", {"psnr": 20.0})
    make_child(parent, "mse", {"psnr": 30.0}, stopped=json.dumps(stop), outcome="diverged")
    own = power_set_of(parent)
    assert (own.steps, own.seed) == (40, 5)
    assert own.stops == {"mse": Stop(10, {"psnr": "mae"}, {"psnr": 1.5})}
    assert own.saved == pytest.approx((46 - 10) / (46 * 3))
    assert own.trainings["mse", 0].outcome_on(SCANS) == "stopped"
    assert scores(own, SCANS)["outcome"].to_dict() == {"mae": "ok", "mse": "stopped"}
    assert replace(own, members=own.members[1:]).saved == 0, "nothing was stopped"
    assert replace(own, loss_set=()).saved == pytest.approx((46 - 10) / 46), "of those known"


def test_all_that_a_run_says_of_a_training_is_read(store: Path) -> None:
    parent = make_parent("mae,mse")
    said = {
        "repeat": "3", "model": "m-1", "perceptual": "digest", "safeguards": "2",
        "shorter": "20,10", "collapsed": "10", "owner": "host:7", "outcome": "collapsed",
        "outcome.ffffffff": "ok", "metrics.ffffffff": json.dumps({"psnr": 2}),
    }  # fmt: skip
    run = make_child(parent, "mae", {"psnr": 20.0}, **said)
    set_tags(run.info.run_id, {"winner": "champion"})
    MlflowClient().set_terminated(run.info.run_id, end_time=run.info.start_time + 1500)
    own = find_training(run.info.run_id)
    read = vars(own)
    assert {name: read[name] for name in set(read) - set(vars(tracked(run)))} == {
        "status": "FINISHED", "parent_id": parent.info.run_id, "power_set": "key",
        "owner": "host:7", "outcome": "collapsed", "outcomes": {"ffffffff": "ok"},
        "versions": {"ffffffff": {"psnr": 2}}, "first_scans": SCANS, "metrics": {"psnr": 20.0},
        "stopped": "", "losses": "mae", "noise": "", "repeat": 3, "model": "m-1",
        "perceptual": "digest", "safeguards": 2, "shorter": (10, 20), "collapsed_at": 10,
        "won": "champion", "period": (run.info.start_time, run.info.start_time + 1500),
    }  # fmt: skip
    assert (own.outcome_on(SCANS), own.outcome_on("f" * 16)) == ("collapsed", "ok")
    assert own.outdated("f" * 16, METRICS) == list(METRICS), "psnr by another version, no others"
    assert (own.prefix(SCANS), own.prefix("f" * 16)) == ("", "tested on ffffffff/")
    with pytest.raises(ValueError, match="is no training but the baseline noisy"):
        find_training(baseline_of(parent))


def baseline_of(parent: Run) -> str:
    tags = {Tag.BASELINE: "noisy", Tag.POWERSET: "key"}
    return create_child(tracked(parent), "noisy", tags).run_id


def test_scan_sets_are_found_by_their_first_digits_and_the_own_one_is_the_first(
    store: Path,
) -> None:
    parent = make_parent("mae")
    others = ("012f" + "0" * 12, "ab" * 8)
    set_tags(parent.info.run_id, {scan_set(others[0]): "simulated", scan_set(others[1]): "real"})
    own = power_set_of(get_run(parent.info.run_id))
    assert own.scan_sets == (
        ScanSetId(SCANS, False), ScanSetId(others[0], True), ScanSetId(others[1], False)
    )  # fmt: skip
    assert own.scan_set() == own.scan_sets[0]
    assert own.scan_set("012f") == own.scan_sets[1]
    with pytest.raises(ValueError, match=r"'012' match 2 of .*allowed: 01234567, 012f0000, abab"):
        own.scan_set("012")
    assert replace(own, scan_sets=()).scan_set() == ScanSetId("", False)


def test_more_runs_than_a_page_holds_are_read_each_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power_set_module, "PAGE", 2)
    parent = make_parent("mae")
    made = [make_child(parent, "mae", {}, repeat=str(at)).info.run_id for at in range(5)]
    found = power_set_of(parent).members
    assert sorted(run.run_id for run in found) == sorted(made)
    assert [run.repeat for run in power_set_of(parent).trainings.values()] == [4, 3, 2, 1, 0], (
        "newest first"
    )
