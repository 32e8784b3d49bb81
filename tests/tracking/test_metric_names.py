"""Names of scores in MLflow: their order in its charts, and those of earlier versions."""

import re
from pathlib import Path

import pytest
from prepared import make_scans
from tracked import SCANS, make_child, make_parent

from lfranker.evaluation.baselines import BASELINES
from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.evaluation.metrics import METRICS
from lfranker.evaluation.scoring import of_noisy
from lfranker.tracking.power_set import find_training
from lfranker.tracking.score_logging import score_run
from lfranker.tracking.tags import artifact_name, metric_name, name_of, scores_in
from lfranker.training.curves import SHARE


def section(name: str) -> str:
    """Return the section of MLflow's charts: of 3.17, what stands before the last slash."""
    return name.rpartition("/")[0]


def test_charts_begin_with_what_is_ranked_and_end_with_what_is_only_reported() -> None:
    at_a_speed = sorted(section(metric_name(f"{metric}/spd2")) for metric in METRICS)
    ranked = [name for name, metric in METRICS.items() if metric.ranked]
    assert at_a_speed[: len(ranked)] == sorted(ranked)
    assert all(name.startswith("unranked/") for name in at_a_speed[len(ranked) :])
    curves = [section("train/loss"), section(f"{SHARE}mae")]
    assert max(CHAMPION_METRICS) < min(curves)
    assert max(curves) < at_a_speed[len(ranked)]


def test_scores_are_read_under_the_names_that_they_are_logged_with(store: Path) -> None:
    scans, others = make_scans(store), make_scans(store / "others", "fedcba9876543210")
    run_id = make_child(make_parent("mae"), "mae", {}).info.run_id
    metrics = {name: METRICS[name] for name in ("psnr", "frc")}
    score_run(run_id, of_noisy(BASELINES["noisy"]), scans, metrics)
    score_run(run_id, of_noisy(BASELINES["median-5"]), others, metrics)
    run = find_training(run_id)
    names = ["psnr", "psnr/spd2", "psnr/spd5", "frc", "frc/spd2", "frc/spd5"]
    first, second = run.scores(SCANS), run.scores(others.digest)
    assert sorted(first) == sorted(second) == sorted(names)
    assert run.metrics["psnr"] == first["psnr"] != second["psnr"]
    assert run.metrics["unranked/frc/spd2"] == first["frc/spd2"]
    assert run.metrics["tested on fedcba98/unranked/frc"] == second["frc"]


def test_names_of_earlier_versions_are_read(store: Path) -> None:
    old = {"psnr": 20.0, "frc/spd2": 0.2, "fedcba98.psnr": 10.0, "fedcba98.frc": 0.1}
    run = find_training(make_child(make_parent("mae"), "mae", old).info.run_id)
    assert run.scores(SCANS) == {"psnr": 20.0, "frc/spd2": 0.2}
    assert run.scores("fedcba9876543210") == {"psnr": 10.0, "frc": 0.1}


def test_a_score_of_today_counts_before_one_of_an_earlier_version() -> None:
    both = {"unranked/frc": 0.3, "frc": 0.1, "mean_rank": 2.0, "train/mae": 0.2}
    assert scores_in(both) == {"frc": 0.3}
    elsewhere = {"fedcba98.frc": 0.1, "tested on fedcba98/unranked/frc": 0.3, "psnr": 20.0}
    assert scores_in(elsewhere, "fedcba9876543210") == {"frc": 0.3}


NAMES = [
    "field_004-100ns",
    "a b/c.d",
    "sample #3",
    "50%",
    "why?",
    "..",
    "../up",
    "a/../b",
    ".hidden",
    "end.",
    "a=23",
    "a#",
    "a==0123456789abcdef",
    "<script>",
    '"it\'s"',
    "Gefüge µm",
    "\udcff\udcfe",
    "\\",
    "a:b",
]
SAFE = re.compile(r"[A-Za-z0-9_=\-. ]{1,255}")


@pytest.mark.parametrize("name", [*NAMES, "n" * 250, "é" * 125, "x" * 250 + ".png"])
def test_any_name_is_a_safe_artifact(name: str) -> None:
    found = artifact_name(name)
    for part in found.split("/"):
        assert SAFE.fullmatch(part)
        assert part.strip(". ") == part
    if len(name) < 100:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        assert name_of(found) == shown
    if name.endswith(".png"):
        assert found.endswith(".png")


def test_plain_names_stay_and_no_two_names_meet() -> None:
    assert artifact_name("pictures/0123/my field_1.2-100ns.png") == (
        "pictures/0123/my field_1.2-100ns.png"
    )
    long = ["n" * 250, "n" * 249 + "m", "n" * 200, "é" * 125, "é" * 124 + "è"]
    every = [*NAMES, *long, "a=2323", "sample =233"]
    assert len({artifact_name(name).lower() for name in every}) == len(every)
