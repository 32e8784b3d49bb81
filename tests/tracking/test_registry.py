"""Winners in the Model Registry."""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from tracked import make_child, make_parent, name_model

from lfranker.evaluation.criteria import CHAMPION, Criterion
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.ranking.leaderboard import RankConfig
from lfranker.tracking.registry import Version, Winner, _ensure, _holder, register
from lfranker.tracking.runs import own_run, set_tags
from lfranker.tracking.tags import Tag, scan_set

pytestmark = pytest.mark.usefixtures("unsaid")


def test_winners_are_registered_once_with_aliases_and_tags(store: Path) -> None:
    parent = make_parent("mae,mse")
    winner = make_child(parent, "mae", {"psnr/100ns": 22.0, "ssim/100ns": 0.5})
    make_child(parent, "mse", {"psnr/100ns": 21.0, "ssim/100ns": 0.4, "keypoints/100ns": 9.0})
    name_model(winner)
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
    assert "keypoints.100ns" not in version.tags, "it has none"
    assert version.tags[Tag.SIMULATED] == "false"
    assert "mae" in version.description
    own = f"#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"
    assert f"({own}?workflowType=machine_learning)" in version.description
    assert client.get_run(winner.info.run_id).data.tags["winner"].startswith("champion")


def modelled(losses: str) -> tuple[Run, str]:
    """A training with the ID of its model, of which nothing is read."""
    run = make_child(make_parent(losses), losses, {})
    info, client = run.info, MlflowClient()
    model = client.create_logged_model(info.experiment_id, losses, info.run_id)
    client.finalize_logged_model(model.model_id, "READY")
    return run, model.model_id


def test_a_version_has_the_tags_of_its_newest_ranking_and_no_others(store: Path) -> None:
    run, model_id = modelled("mae")
    scores = {"psnr": 22.123456789, "psnr/spd2": 20.0}
    first = Winner("mae @ eq1", run.info.run_id, 0, model_id, (CHAMPION,), scores, "first")
    asked = list[tuple[str, str]]()

    def refusal(winner: Winner, criterion: Criterion, holder: Version) -> str:
        asked.append((criterion.alias, holder.number))
        return "it is good" if criterion == CHAMPION else ""

    version, notices = register("m", first, True, True, refusal)
    assert (version.number, version.ranked_on_real_scans, notices) == ("1", False, [])
    again = replace(first, name="mae", scores={"ssim": 0.5}, description="second")
    version, _ = register("m", again, False, True, refusal)
    assert version == Version("m", "1", run.info.run_id, True, ("champion",))
    kept = MlflowClient().get_model_version("m", "1")
    assert kept.tags == {"ssim": "0.5", Tag.LOSSES: "mae", Tag.SIMULATED: "false"}
    assert (kept.description, asked) == ("second", [])
    other, its_model = modelled("mse")
    newer = replace(
        again, name="mse", run_id=other.info.run_id, criteria=(CHAMPION, Criterion("ssim")),
        model_id=its_model,
    )  # fmt: skip
    version, notices = register("m", newer, False, False, refusal)
    assert (version.number, version.aliases) == ("2", ())
    assert notices == ["mse is registered without aliases, as asked"]
    version, notices = register("m", newer, False, True, refusal)
    assert (version.aliases, asked) == (("best-ssim",), [("champion", "1")])
    assert notices == [
        "the registered model's alias champion stays with version 1: it is good"
    ]  # fmt: skip


@pytest.mark.parametrize("promote", ["auto", "always"])
def test_simulated_scans_never_take_an_alias_from_real_ones(store: Path, promote: str) -> None:
    real = make_parent("mae")
    first = make_child(real, "mae", {"psnr": 22.0, "ssim": 0.5})
    name_model(first)
    rank_power_set(real.info.run_id, "lfranker")
    with own_run("powerset", "powerset") as run:
        set_tags(
            run.run_id,
            {Tag.POWERSET: "other", Tag.SCANS: "sim", scan_set("sim"): "simulated"},
        )
    simulated = MlflowClient().get_run(run.run_id)
    second = make_child(
        simulated, "mse", {"psnr": 30.0, "ssim": 0.9}, powerset="other", scoring="sim"
    )
    name_model(second)
    config = RankConfig(promote=promote)
    report = rank_power_set(None, "lfranker", config=config)  # the newest is the simulated one
    assert report.ranking.champion == "mse"
    champion = MlflowClient().get_model_version_by_alias("lfranker", "champion")
    assert champion.run_id == first.info.run_id
    assert any("stays with version 1" in notice for notice in report.notices)


def test_a_server_that_fails_is_not_taken_for_an_alias_that_nobody_holds(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, failing = MlflowClient(), MlflowException("API request to http://host failed")
    assert _holder(client, "lfranker", "champion") is None, "no such model"
    _ensure(client, "lfranker")
    assert _holder(client, "lfranker", "champion") is None, "no such alias"

    def fail(*_: object) -> None:
        raise failing

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", fail)
    monkeypatch.setattr(MlflowClient, "get_registered_model", fail)
    with pytest.raises(MlflowException, match="API request"):
        _holder(client, "lfranker", "champion")
    with pytest.raises(MlflowException, match="API request"):
        _ensure(client, "lfranker")


@pytest.mark.slow
def test_a_ranking_on_simulated_scans_leaves_the_version_of_the_real_one(store: Path) -> None:
    parent, other = make_parent("mae"), "fedcba9876543210"
    set_tags(parent.info.run_id, {scan_set(other): "simulated"})
    both = {"psnr": 22.0, "ssim": 0.5, "fedcba98.psnr": 35.0, "fedcba98.ssim": 0.95}
    name_model(make_child(parent, "mae", both))
    rank_power_set(parent.info.run_id, "m")
    before = MlflowClient().get_model_version_by_alias("m", "champion")
    report = rank_power_set(parent.info.run_id, "m", "fedc")
    after = MlflowClient().get_model_version_by_alias("m", "champion")
    assert report.simulated
    assert (after.tags, after.description) == (before.tags, before.description)
    assert after.tags["psnr"] == "22"
    assert any("changes nothing" in notice for notice in report.notices)
    assert report.versions == {}, "this ranking gave no alias"
