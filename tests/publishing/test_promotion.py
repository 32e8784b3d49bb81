"""Aliases are taken from versions of other power sets only for a reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tracked import SCANS, give_model, make_child

from lfranker.evaluation.metrics import METRICS
from lfranker.publishing.ranking_run import Report, rank_power_set
from lfranker.ranking.config import RankConfig
from lfranker.tracking.registry import Version
from lfranker.tracking.runs import own_run, set_tags
from lfranker.tracking.tags import Tag, metrics_on, scan_set


def power_set(key: str) -> Run:
    with own_run(f"powerset {key}", "powerset") as run:
        tags = {Tag.POWERSET: key, Tag.SCANS: SCANS, scan_set(SCANS): "real"}
        set_tags(run.run_id, tags)
    return MlflowClient().get_run(run.run_id)


def log_fields(run: Run, psnr: float) -> None:
    luck = 0.02 * np.random.default_rng(int(1000 * psnr)).normal(size=8)
    table = pd.DataFrame({"psnr": psnr + np.arange(8) + luck, "ssim": 0.9 + luck / 100})
    table = table.assign(field=[f"f{n}" for n in table.index], speed="100ns", sample="")
    table["place"] = table["field"]
    path = f"scores/scans-{SCANS[:8]}.csv"
    MlflowClient().log_text(run.info.run_id, table.to_csv(index=False), path)


def rank_one(key: str, psnr: float, *, fields: bool = True, **options: object) -> Report:
    """A power set of one trained subset, ranked."""
    parent = power_set(key)
    run = make_child(parent, "mae", {"psnr/100ns": psnr, "ssim/100ns": 0.9}, powerset=key)
    give_model(run)
    if fields:
        log_fields(run, psnr)
    config = RankConfig(promote=str(options.pop("promote", "auto")))
    return rank_power_set(parent.info.run_id, "m", None, config, **options)  # type: ignore[arg-type]


def champion() -> str:
    return str(MlflowClient().get_model_version_by_alias("m", "champion").version)


@pytest.mark.parametrize(("psnr", "holder"), [(21.0, "2"), (20.0, "1"), (19.0, "1")])
def test_only_a_better_one_takes_the_alias(store: Path, psnr: float, holder: str) -> None:
    rank_one("old", 20.0)
    report = rank_one("new", psnr)
    assert champion() == holder
    stays = [n for n in report.notices if "alias champion stays with version 1: " in n]
    assert len(stays) == (holder == "1")
    assert all("differences (95 %, all together): psnr" in notice for notice in stays)
    assert len(MlflowClient().search_model_versions("name = 'm'")) == 2, "registered all the same"


@pytest.mark.parametrize(("promote", "holder"), [("always", "2"), ("never", "1")])
def test_always_and_never_do_not_look(store: Path, promote: str, holder: str) -> None:
    rank_one("old", 20.0)
    report = rank_one("new", {"always": 19.0, "never": 30.0}[promote], promote=promote)
    assert champion() == holder
    assert any("without aliases, as asked" in n for n in report.notices) == (promote == "never")


def test_a_version_of_the_same_power_set_gives_way(store: Path) -> None:
    rank_one("same", 20.0)
    parent = power_set("same")
    run = make_child(parent, "mse", {"psnr/100ns": 20.01, "ssim/100ns": 0.91}, powerset="same")
    give_model(run)
    log_fields(run, 20.01)
    rank_power_set(parent.info.run_id, "m")
    assert champion() == "2"


def test_the_one_in_use_is_scored_where_it_was_not(store: Path) -> None:
    rank_one("old", 20.0, fields=False)
    assert "was not scored on these scans" in " ".join(rank_one("new", 21.0).notices)
    assert champion() == "1"
    asked: list[str] = []

    def rescore(version: Version) -> None:
        asked.append(version.number)
        log_fields(MlflowClient().get_run(version.run_id), 20.0)

    rank_one("newer", 21.0, rescore=rescore)
    assert asked == ["1"], "once, whatever the number of aliases"
    assert champion() == "3"


def test_scores_by_another_version_of_a_metric_are_not_compared(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder was scored by the first version of PSNR, the winner by the second."""
    rank_one("old", 20.0)
    monkeypatch.setitem(METRICS, "psnr", replace(METRICS["psnr"], version=2))
    assert "was not scored on these scans" in " ".join(rank_one("new", 21.0).notices)
    assert champion() == "1"

    def rescore(version: Version) -> None:
        run = MlflowClient().get_run(version.run_id)
        log_fields(run, 22.0)
        set_tags(run.info.run_id, {metrics_on(SCANS): '{"psnr": 2, "ssim": 1}'})

    report = rank_one("newer", 21.0, rescore=rescore)
    assert champion() == "1", "by its new scores it is the better one"
    assert any("differences (95 %, all together): psnr" in notice for notice in report.notices)


def test_one_that_cannot_be_scored_stays_and_the_reason_is_told(store: Path) -> None:
    rank_one("old", 20.0, fields=False)

    def rescore(version: Version) -> None:
        raise RuntimeError("not a network")

    report = rank_one("new", 21.0, rescore=rescore)
    assert champion() == "1"
    assert any("RuntimeError: not a network" in notice for notice in report.notices)
