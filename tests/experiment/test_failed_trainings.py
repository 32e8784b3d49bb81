"""Power sets of which trainings fail: an error, once all that can be done is done."""

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient
from recorder import Recorder, record_all
from tracked import make_child, make_parent

from lfranker.launching import local
from lfranker.processes.jobs import Job
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.report.remarks import remarks
from lfranker.tracking.power_set import load_power_set

WORDS = ["--preset", "smoke", "--losses", "mae,ssim", "--max-size", "1", "--yes"]


def killing(monkeypatch: pytest.MonkeyPatch, killed: int) -> Recorder:
    """A power set in which so many processes are killed, the first ones."""
    record, finish = record_all(monkeypatch), local.run_jobs

    def run_jobs(jobs: Sequence[Job], *others: object) -> Generator[tuple[Job, int]]:
        yield from ((job, -9) for job in jobs[:killed])
        yield from finish(jobs[killed:], *others)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "run_jobs", run_jobs)
    return record


@pytest.mark.parametrize("killed", [0, 1, 2])
def test_exit_code_and_last_line_tell_of_failed_trainings_once_all_is_ranked(
    store: Path, monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    record = killing(monkeypatch, killed)
    done = record.run("powerset", WORDS)
    assert done.exit_code == (1 if killed else 0), done.output
    assert len(record.calls["", "rank_power_set"]) == 1
    assert len(record.calls["", "score_baselines"]) == 1
    last = done.output.strip().splitlines()[-1]
    why = "most likely out of memory (killed by the system, signal 9)"
    names = ", ".join(f"{name} (repeat 0)" for name in ["mae", "ssim"][:killed])
    assert last.startswith(f"{killed} of 2 trainings failed: {names}: {why}") == bool(killed)
    power_set = load_power_set()
    statuses = [power_set.trainings[name, 0].status for name in ("mae", "ssim")]
    assert statuses == ["FAILED"] * killed + ["FINISHED"] * (2 - killed)
    assert MlflowClient().get_run(power_set.run_id).info.status == (
        "FAILED" if killed else "FINISHED"
    )


def test_the_failure_is_told_where_nothing_can_be_ranked_after_it(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = killing(monkeypatch, 1)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lfranker.experiment.powerset.rank_power_set", fail)
    done = record.run("powerset", WORDS)
    assert done.exit_code == 1
    *_, before, last = done.output.strip().splitlines()
    assert "no ranking: [Errno 28] No space left on device" in before
    assert last.startswith("1 of 2 trainings failed: mae (repeat 0): most likely out of memory")


def test_what_failed_is_missing_from_a_ranking_without_any_other_training(store: Path) -> None:
    parent = make_parent("mae")
    run = make_child(parent, "mae", {}, outcome="")
    MlflowClient().set_terminated(run.info.run_id, "FAILED")
    make_child(parent, "", {"psnr": 20.0, "ssim": 0.5}, baseline="noisy")
    report = rank_power_set(parent.info.run_id, "lfranker")
    assert report.ranking.champion is None
    assert report.versions == {}
    assert "1 of 1 subsets was not trained to the end and cannot win: mae." in remarks(
        report.ranking
    )
