"""What is scored again, and what is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prepared import make_scans
from tracked import make_child, make_parent

from lfranker.evaluation.baselines import BASELINES
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.scoring import of_noisy
from lfranker.tracking import score_logging
from lfranker.tracking.power_set import gather, own_scores
from lfranker.tracking.score_logging import VERSIONS, score_baselines, score_run, scored

MEAN = Metric(lambda output, _: float(output.mean()), True, "Mean", 3)


def test_scores_are_kept_with_the_versions_of_their_metrics(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = make_scans(store)
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    score_run(run_id, of_noisy(BASELINES["noisy"]), scans, {"psnr": METRICS["psnr"], "mean": MEAN})
    run = MlflowClient().get_run(run_id)
    assert scored(run, scans.digest, {"mean": MEAN})
    assert not scored(run, "f" * 64, {"mean": MEAN}), "other scans"
    assert not scored(run, scans.digest, {"mean": replace(MEAN, version=2)})
    assert not scored(run, scans.digest)


def test_baselines_are_scored_again_by_new_metrics_and_versions_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean scan is compared by its keypoints, which change with neither."""
    monkeypatch.setattr(score_logging, "BASELINES", {"noisy": BASELINES["noisy"]})
    monkeypatch.setattr(score_logging, "families", dict)
    parent, scans = make_parent("mae"), make_scans(store)

    def said() -> list[str]:
        return list(score_baselines(parent, scans, {}))

    assert said() == ["noisy scored", "clean scored"]
    assert said() == []
    for run in gather(parent).children:  # as those that were scored before versions were noted
        MlflowClient().delete_tag(run.info.run_id, f"{VERSIONS}.{scans.digest[:8]}")
    assert said() == []
    monkeypatch.setitem(METRICS, "mean", MEAN)
    assert said() == ["noisy scored"]
    assert said() == []
    monkeypatch.setitem(METRICS, "mean", replace(MEAN, version=2))
    assert said() == ["noisy scored"]
    newest = gather(parent).children[0]
    assert own_scores(newest, scans.digest)["psnr"] > 0
