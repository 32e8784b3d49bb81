"""What is scored again, and what is kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prepared import make_scans
from tracked import make_child, make_parent, power_set_of

from lfranker.evaluation.baselines import BASELINES
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.scoring import of_noisy
from lfranker.tracking import score_logging
from lfranker.tracking.power_set import find_training
from lfranker.tracking.runs import set_tags, tracked
from lfranker.tracking.score_logging import score_baselines, score_run
from lfranker.tracking.tags import Tag, metrics_on

MEAN = Metric(lambda output, _: float(output.mean()), True, "Mean", 3)


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
    assert not run.is_scored(scans.digest)


def test_baselines_are_scored_again_by_new_metrics_and_versions_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean scan is compared by its keypoints, which change with neither."""
    monkeypatch.setattr(score_logging, "BASELINES", {"noisy": BASELINES["noisy"]})
    monkeypatch.setattr(score_logging, "families", dict)
    parent, scans = make_parent("mae"), make_scans(store)

    def said() -> list[str]:
        return list(score_baselines(tracked(parent), power_set_of(parent).keys, scans, {}))

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


def test_baselines_of_one_of_the_noises_that_are_compared_are_not_scored_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_logging, "BASELINES", {"noisy": BASELINES["noisy"]})
    monkeypatch.setattr(score_logging, "families", dict)
    alone, joint, scans = make_parent("mae", key="one"), make_parent("mae"), make_scans(store)
    assert list(score_baselines(tracked(alone), ["one"], scans, {}))
    set_tags(joint.info.run_id, {Tag.NOISES: json.dumps({"eq1": "one", "gamma": "two"})})
    assert power_set_of(joint).keys == ["key", "one", "two"]
    assert list(score_baselines(tracked(joint), power_set_of(joint).keys, scans, {})) == []
