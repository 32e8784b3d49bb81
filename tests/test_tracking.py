"""Runs, queries, ranking and registration against a real tracking store."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.scunet import SCUNet
from lfranker.tracking.models import log_network
from lfranker.tracking.queries import SCAN_SET, expected, find_parent, scores
from lfranker.tracking.ranker import rank_power_set
from lfranker.tracking.runs import (
    NOTE,
    TAG,
    abandoned,
    create_child,
    log_metrics,
    log_settings,
    own_run,
    set_tags,
)

GOLDEN = Path(__file__).parent / "golden"
TINY = {"config": [1] * 7, "dim": 16, "head_dim": 8}
SCANS = "0123456789abcdef"


def make_parent(losses: str = "mae,mse,ssim,perceptual", kind: str = "real") -> Run:
    with own_run("powerset", "powerset") as run:
        tags = {"powerset": "key", "loss-set": losses, "scans": SCANS}
        set_tags(run.info.run_id, {TAG + name: value for name, value in tags.items()})
        set_tags(run.info.run_id, {SCAN_SET + SCANS: kind})
    return MlflowClient().get_run(run.info.run_id)


def make_child(parent: Run, losses: str, metrics: dict[str, float], **tags: str) -> Run:
    own = {"powerset": "key", "losses": losses, "scoring": SCANS, "outcome": "ok", **tags}
    run = create_child(parent, losses, {TAG + name: value for name, value in own.items()})
    log_metrics(run.info.run_id, metrics)
    MlflowClient().set_terminated(run.info.run_id, "FINISHED")
    return run


def give_model(run: Run) -> None:
    with mlflow.start_run(run_id=run.info.run_id):
        log_network(run.info.run_id, SCUNet(**TINY), TINY)


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
    assert ranking.winners["psnr"] == "ssim+perceptual"
    assert ranking.winners["ssim"] == "mae+ssim"
    assert ranking.winners["keypoints/spd2"] == "mae+mse+ssim+perceptual"
    assert ranking.winners["keypoints/spd3"] == ranking.winners["keypoints/spd5"] == "mse"
    assert ranking.missing == ()
    # without logged models nothing is registered, and that is said
    assert MlflowClient().search_registered_models() == []
    assert any("ssim+perceptual" in notice for notice in report.notices)

    tags = MlflowClient().get_run(parent.info.run_id).data.tags
    assert tags[TAG + "champion"] == "ssim+perceptual"
    assert "**ssim+perceptual**" in tags[NOTE].splitlines()[0]
    files = {f.path for f in MlflowClient().list_artifacts(parent.info.run_id, "ranking")}
    assert {f"ranking/table{n}.csv" for n in (2, 3, 4, 5)} < files


def test_missing_and_failed_children_are_named_and_never_win(store: Path) -> None:
    parent = make_parent("mae,mse")
    make_child(parent, "mae", {"psnr": 20.0, "ssim": 0.5})
    failed = make_child(parent, "mse", {"psnr": 99.0, "ssim": 0.9})
    MlflowClient().set_terminated(failed.info.run_id, "FAILED")
    ranking = rank_power_set(parent.info.run_id, "lfranker").ranking
    assert ranking.champion == "mae"
    assert ranking.missing == ("mae+mse",)
    assert ranking.leaderboard.loc["mse", "outcome"] == "failed"


def test_winners_are_registered_once_with_aliases_and_tags(store: Path) -> None:
    parent = make_parent("mae,mse")
    winner = make_child(parent, "mae", {"psnr/100ns": 22.0, "ssim/100ns": 0.5})
    make_child(parent, "mse", {"psnr/100ns": 21.0, "ssim/100ns": 0.4})
    give_model(winner)
    for _ in range(2):
        report = rank_power_set(parent.info.run_id, "denoiser")
    client = MlflowClient()
    versions = client.search_model_versions("name = 'denoiser'")
    assert [version.run_id for version in versions] == [winner.info.run_id]
    assert set(report.versions) == {
        "champion", "best-psnr", "best-ssim", "best-psnr-100ns", "best-ssim-100ns"
    }  # fmt: skip
    version = client.get_model_version_by_alias("denoiser", "best-psnr-100ns")
    assert version.tags["psnr.100ns"] == "22"
    assert version.tags[TAG + "simulated"] == "false"
    assert "mae" in version.description
    assert client.get_run(winner.info.run_id).data.tags["winner"].startswith("champion")


def test_simulated_scans_never_take_an_alias_from_real_ones(store: Path) -> None:
    real = make_parent("mae")
    first = make_child(real, "mae", {"psnr": 22.0, "ssim": 0.5})
    give_model(first)
    rank_power_set(real.info.run_id, "lfranker")
    with own_run("powerset", "powerset") as run:
        set_tags(
            run.info.run_id,
            {TAG + "powerset": "other", TAG + "scans": "sim", SCAN_SET + "sim": "simulated"},
        )
    simulated = MlflowClient().get_run(run.info.run_id)
    second = make_child(
        simulated, "mse", {"psnr": 30.0, "ssim": 0.9}, powerset="other", scoring="sim"
    )
    give_model(second)
    report = rank_power_set(None, "lfranker")  # the newest is the simulated one
    assert report.ranking.champion == "mse"
    champion = MlflowClient().get_model_version_by_alias("lfranker", "champion")
    assert champion.run_id == first.info.run_id
    assert any("stays with version 1" in notice for notice in report.notices)


def test_other_scans_have_other_names_and_are_ranked_apart(store: Path) -> None:
    parent, other = make_parent("mae,mse"), "fedcba9876543210"
    set_tags(parent.info.run_id, {SCAN_SET + other: "real"})
    make_child(
        parent, "mae", {"psnr": 20.0, "fedcba98.psnr": 10.0, "ssim": 0.5, "fedcba98.ssim": 0.1}
    )
    make_child(
        parent, "mse", {"psnr": 19.0, "fedcba98.psnr": 11.0, "ssim": 0.4, "fedcba98.ssim": 0.2}
    )
    parent = find_parent(parent.info.run_id)
    assert scores(parent, SCANS).loc["mae", "psnr"] == 20.0
    assert scores(parent, other).loc["mae", "psnr"] == 10.0
    assert rank_power_set(parent.info.run_id, "m").ranking.champion == "mae"
    assert rank_power_set(parent.info.run_id, "m", "fedc").ranking.champion == "mse"
    note = MlflowClient().get_run(parent.info.run_id).data.tags[NOTE]
    assert "**mae**" in note.splitlines()[0], "another scan set must not overwrite the note"
    with pytest.raises(ValueError, match="01234567"):
        rank_power_set(parent.info.run_id, "m", "77")


def test_repeats_are_averaged_and_a_missing_score_is_missing(store: Path) -> None:
    parent = make_parent("mae,mse")
    make_child(parent, "mae", {"psnr": 20.0}, repeat="0")
    make_child(parent, "mae", {"psnr": 24.0}, repeat="1")
    make_child(parent, "mse", {"psnr": 30.0}, repeat="0")
    make_child(parent, "mse", {}, repeat="1", outcome="diverged")
    table = scores(find_parent(parent.info.run_id), SCANS)
    assert table.loc["mae", "psnr"] == 22.0
    assert pd.isna(table.loc["mse", "psnr"])
    assert table.loc["mse", "outcome"] == "diverged"


def test_different_perceptual_networks_are_not_ranked_together(store: Path) -> None:
    parent = make_parent("perceptual")
    make_child(parent, "perceptual", {"psnr": 20.0}, perceptual="aaa")
    make_child(parent, "mae+perceptual", {"psnr": 21.0}, perceptual="bbb")
    set_tags(parent.info.run_id, {TAG + "loss-set": ""})
    with pytest.raises(ValueError, match=r"aaa, bbb"):
        rank_power_set(parent.info.run_id, "m")


def test_expected_subsets_carry_the_shown_name(store: Path) -> None:
    parent = make_parent("mae,perceptual-random")
    assert expected(parent) == ["mae", "perceptual-random", "mae+perceptual-random"]


def test_what_is_not_a_power_set_is_refused(store: Path) -> None:
    with pytest.raises(ValueError, match="no power set found"):
        find_parent(None)
    with mlflow.start_run() as run:
        pass
    with pytest.raises(ValueError, match="not a power set"):
        find_parent(run.info.run_id)
    with pytest.raises(ValueError, match="no run 'nosuch'"):
        find_parent("nosuch")


def test_runs_end_as_what_they_were(store: Path) -> None:
    def status(error: type[BaseException] | None) -> tuple[str, str]:
        try:
            with own_run("name", "role") as run:
                if error is not None:
                    raise error("because")
        except (ValueError, KeyboardInterrupt):
            pass
        ended = MlflowClient().get_run(run.info.run_id)
        return ended.info.status, ended.data.tags.get(TAG + "reason", "")

    assert status(None) == ("FINISHED", "")
    assert status(KeyboardInterrupt) == ("KILLED", "")
    assert status(ValueError) == ("FAILED", "ValueError: because")


def test_a_run_is_abandoned_only_when_its_process_is_gone(store: Path) -> None:
    parent = make_parent()
    run = create_child(parent, "mae", {})
    with own_run("mine", "role") as mine:
        assert not abandoned(MlflowClient().get_run(mine.info.run_id))
    host = MlflowClient().get_run(mine.info.run_id).data.tags[TAG + "owner"].split(":")[0]
    set_tags(run.info.run_id, {TAG + "owner": f"{host}:4194305"})  # above Linux's largest pid
    assert abandoned(MlflowClient().get_run(run.info.run_id))
    set_tags(run.info.run_id, {TAG + "owner": "elsewhere:4194305"})
    assert not abandoned(MlflowClient().get_run(run.info.run_id))


def test_settings_that_mlflow_run_recorded_as_words_are_logged_as_used(store: Path) -> None:
    with own_run("name", "role") as run:
        mlflow.log_params({"steps": "preset", "seed": "0"})
        log_settings(run, {"steps": 250, "seed": 0, "dim": 16})
    params = MlflowClient().get_run(run.info.run_id).data.params
    assert params == {"steps": "preset", "used/steps": "250", "seed": "0", "dim": "16"}
