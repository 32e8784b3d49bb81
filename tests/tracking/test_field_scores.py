"""What the scores of single fields tell beside their means."""

import io
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tracked import SCANS, make_child, make_parent, power_set_of

from lfranker.publishing.ranking_run import rank_power_set
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import RankConfig
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.runs import (
    create_child,
    get_run,
    log_metrics,
    log_settings,
    set_tags,
    tracked,
)
from lfranker.tracking.scores import by_sample, field_scores, field_scores_at, score_file, scores
from lfranker.tracking.tags import Tag

pytestmark = pytest.mark.usefixtures("undrawn")

EVEN = RankConfig().weights
REAL = ScanSetId(SCANS, False)


def log_table(
    run: Run,
    psnr: list[float],
    samples: list[str],
    ssim: float | None = None,
    steps: int | None = None,
) -> None:
    """Log scores, a field each, of a branch where its steps are given.

    SSIM is a hundredth of PSNR unless given.
    """
    similar = [p / 100 if ssim is None else ssim for p in psnr]
    table = pd.DataFrame({"psnr": psnr, "ssim": similar, "sample": samples})
    table = table.assign(field=[f"00{n}" for n in table.index], speed="100ns")
    table["place"] = table["field"]
    path = score_file(REAL, steps)
    MlflowClient().log_text(run.info.run_id, table.to_csv(index=False), path)


@pytest.fixture
def parent(store: Path) -> Run:
    """Mae is better on gold and on the whole, mse on tin; tin has the fewer fields."""
    parent = make_parent("mae,mse")
    samples = ["gold"] * 4 + ["tin"] * 2
    for name, psnr in {"mae": [24.0] * 4 + [20.0] * 2, "mse": [22.0] * 4 + [21.0] * 2}.items():
        mean = sum(psnr) / 6
        run = make_child(parent, name, {"psnr/100ns": mean, "ssim/100ns": mean / 100})
        log_table(run, psnr, samples)
    tags = {Tag.POWERSET: "key", Tag.BASELINE: "noisy"}
    noisy = create_child(tracked(parent), "noisy", tags)
    log_metrics(noisy.run_id, {"psnr/100ns": 19.0, "ssim/100ns": 0.19})
    log_table(get_run(noisy.run_id), [19.0] * 6, samples)
    MlflowClient().set_terminated(noisy.run_id, "FINISHED")
    return MlflowClient().get_run(parent.info.run_id)


def test_tables_of_all_runs_are_read_back(parent: Run) -> None:
    rows = field_scores(power_set_of(parent), REAL).table
    assert len(rows) == 3 * 6
    assert set(rows.loc[rows["baseline"], "name"]) == {"noisy"}
    assert rows["field"].tolist()[:2] == ["000", "001"]  # names, not numbers
    own = rows[(rows["name"] == "mae") & (rows["sample"] == "tin")]
    assert own["psnr"].tolist() == [20, 20]
    assert field_scores(
        power_set_of(parent), ScanSetId(SCANS, True)
    ).empty  # they have tables of other names


def test_repeats_are_told_apart(store: Path) -> None:
    parent = make_parent("mae")
    for repeat in (0, 1):
        run = make_child(parent, "mae", {"psnr": 1.0}, repeat=str(repeat))
        log_table(run, [20.0 + 2 * repeat, 30.0], ["", ""])
    rows = field_scores(power_set_of(parent), REAL).table
    repeats = rows.groupby("repeat")["psnr"].apply(list).to_dict()
    assert repeats == {0: [20, 30], 1: [22, 30]}
    set_tags(parent.info.run_id, {Tag.REPEATS: "1"})
    (asked,) = field_scores(power_set_of(parent), REAL).table["repeat"].unique()
    assert asked == 0, "the other one is of another command"


def log_branches(parent: Run, lengths: dict[str, list[int]]) -> None:
    """Give the trainings of these losses branches, which are 1 dB worse for each level earlier."""
    for run in power_set_of(parent).trainings.values():
        steps = lengths[run.losses]
        set_tags(run.run_id, {Tag.SHORTER: ",".join(map(str, steps))})
        for at, own in enumerate(sorted(steps, reverse=True)):
            log_table(get_run(run.run_id), [23.0 - at] * 6, ["gold"] * 4 + ["tin"] * 2, steps=own)


def scores_at(parent: Run, scans: ScanSetId = REAL) -> dict[int, PairScores]:
    power_set = power_set_of(parent)
    return field_scores_at(power_set, scans, field_scores(power_set, scans))


def test_scores_are_read_by_length_shortest_first_and_the_baselines_with_each(parent: Run) -> None:
    log_settings(parent.info.run_id, {"steps": 1000})
    log_branches(parent, {"mae": [500, 250], "mse": [250, 500]})
    power_set = power_set_of(parent)
    whole = field_scores(power_set, REAL)
    found = field_scores_at(power_set, REAL, whole)
    assert list(found) == [250, 500, 1000]
    assert found[1000] is whole
    for steps, psnr in {250: 22.0, 500: 23.0}.items():
        own = found[steps]
        assert list(own.table) == list(whole.table)
        assert set(own.of("mae")["psnr"]) == set(own.of("mse")["psnr"]) == {psnr}
        pd.testing.assert_frame_equal(
            own.of("noisy").reset_index(drop=True), whole.of("noisy").reset_index(drop=True)
        )
    means = found[500].means()
    assert means["psnr/100ns"].to_dict() == {"mae": 23, "mse": 23, "noisy": 19}
    assert means["baseline"].to_dict() == {"mae": False, "mse": False, "noisy": True}


def test_a_length_that_one_training_lacks_is_left_out(parent: Run) -> None:
    log_settings(parent.info.run_id, {"steps": 1000})
    assert list(scores_at(parent)) == [1000], "as before branches"
    log_branches(parent, {"mae": [250, 500], "mse": [500]})
    assert list(scores_at(parent)) == [500, 1000]
    for run in power_set_of(parent).trainings.values():  # their weights are kept, not scored
        set_tags(run.run_id, {Tag.SHORTER: "125,250,500"})
    assert list(scores_at(parent)) == [500, 1000]


def test_a_power_set_that_does_not_say_its_steps_has_no_lengths(parent: Run) -> None:
    log_branches(parent, {"mae": [500], "mse": [500]})
    assert scores_at(parent) == {}
    log_settings(parent.info.run_id, {"steps": 1000})
    assert scores_at(parent, ScanSetId(SCANS, True)) == {}


def test_each_sample_group_has_a_leaderboard_with_baselines(parent: Run) -> None:
    samples = by_sample(field_scores(power_set_of(parent), REAL), EVEN)
    assert {name: own.champion for name, own in samples.items()} == {"gold": "mae", "tin": "mse"}
    assert samples["tin"].leaderboard["psnr/100ns"].to_dict() == {"mse": 21, "mae": 20, "noisy": 19}
    rows = field_scores(power_set_of(parent), REAL).table
    assert by_sample(PairScores(rows[rows["sample"] == "tin"]), EVEN) == {}


@pytest.mark.slow
def test_leaderboards_of_sample_groups_weigh_the_criteria_as_asked(parent: Run) -> None:
    """On gold mae has the better PSNR, and here the worse SSIM."""
    for run in power_set_of(parent).trainings.values():
        if run.losses == "mae":
            log_table(
                get_run(run.run_id), [24.0] * 4 + [20.0] * 2, ["gold"] * 4 + ["tin"] * 2, ssim=0.2
            )
    for weights, best in (({"psnr": 3.0, "ssim": 1.0}, 0.75), ({"ssim": 1.0}, 0.0)):
        config = RankConfig(weights=weights)
        rank_power_set(parent.info.run_id, "lfranker", config=config)
        text = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/ranking/samples/gold.csv")
        own = pd.read_csv(io.StringIO(text), index_col="losses")
        assert own.loc["mae", "weighted"] == pytest.approx(best), weights


def test_rank_tells_of_samples_and_of_luck(parent: Run) -> None:
    table = pd.DataFrame({"field": ["000", "001"], "place": "000", "site_source": "sub-folder"})
    MlflowClient().log_text(parent.info.run_id, table.to_csv(index=False), f"scans/{SCANS[:8]}.csv")
    report = rank_power_set(parent.info.run_id, "lfranker")
    assert report.ranking.champion == "mae"
    said = "\n".join(report.notices)
    assert "Champions by sample group: gold: mae, tin: mse." in said
    assert "re-samplings of 6 sites, with the trained models as they are" in said
    client, run_id = MlflowClient(), parent.info.run_id
    markdown = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/ranking/ranking.md")
    assert "Sample group tin" in markdown
    for folder, names in {
        "ranking/samples": {"gold.csv", "tin.csv"},
        "ranking": {
            "champion-shares.csv",
            "regret.csv",
            "leaderboard.csv",
            "agreement.csv",
            "intervals-psnr.csv",
            "intervals-ssim.csv",
        },
    }.items():
        found = {Path(item.path).name for item in client.list_artifacts(run_id, folder)}
        assert names <= found
    note = client.get_run(run_id).data.tags[Tag.NOTE]
    assert "Champions by sample group" in note
    assert "re-samplings of 6 sites" in note
    assert "fields of one sub-folder are counted as one site, 1 in all" in note
    assert "about these trained models, not about the losses" in note
    assert "Pareto front" in note


@pytest.mark.slow
def test_what_cannot_win_the_ranking_wins_no_sample_either(parent: Run) -> None:
    """A collapsed run with high scores, one that nobody asked for, and a gap in one field."""
    for name, tags in (("mse", {"outcome": "collapsed"}), ("ssim", {})):
        run = make_child(parent, name, {"psnr/100ns": 99.0, "ssim/100ns": 0.99}, **tags)
        log_table(run, [99.0] * 6, ["gold"] * 4 + ["tin"] * 2)
    rows = field_scores(power_set_of(parent), REAL).table
    assert set(rows["name"]) == {"mae", "noisy"}
    report = rank_power_set(parent.info.run_id, "lfranker")
    assert "gold: mae, tin: mae" in "\n".join(report.notices)


def test_a_gap_in_one_field_is_not_averaged_over(parent: Run) -> None:
    rows = field_scores(power_set_of(parent), REAL).table
    rows.loc[(rows["name"] == "mse") & (rows["field"] == "005"), "psnr"] = float("nan")
    assert by_sample(PairScores(rows), EVEN)["tin"].champion == "mae"


def test_a_sample_may_be_called_na(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {"psnr": 1.0})
    log_table(run, [20.0, float("nan")], ["NA", "None"])
    rows = field_scores(power_set_of(parent), REAL).table
    assert rows["sample"].tolist() == ["NA", "None"]
    assert rows["psnr"].isna().tolist() == [False, True]


def test_the_newest_baseline_counts_and_a_killed_one_is_none(parent: Run) -> None:
    tags = {Tag.POWERSET: "key", Tag.BASELINE: "noisy"}
    for psnr, ended in ((18.0, "FINISHED"), (99.0, "KILLED")):
        run = create_child(tracked(parent), "noisy", tags)
        log_metrics(run.run_id, {"psnr/100ns": psnr})
        MlflowClient().set_terminated(run.run_id, ended)
    board = scores(power_set_of(parent), SCANS)
    assert board.loc["noisy", "psnr/100ns"] == 18
    assert board.loc["noisy", "outcome"] == "ok"


def test_metrics_alone_are_ranked_without_fields(store: Path) -> None:
    parent = make_parent("mae,mse")
    for name, psnr in (("mae", 20.0), ("mse", 21.0)):
        make_child(parent, name, {"psnr/100ns": psnr, "ssim/100ns": psnr / 100})
    report = rank_power_set(parent.info.run_id, "lfranker")
    assert report.ranking.champion == "mse"
    assert not any("re-sampl" in notice for notice in report.notices)
