"""Trainings, scorings and rankings of a power set are told what its command knows.

Commands run as in `test_option_wiring`, with a recorder in place of what reads, trains or writes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from recorder import Network, Recorder, record_all
from tracked import make_child, make_parent

from lfranker.child_runs import single_training
from lfranker.child_runs.single_training import TrainingConfig, run_training
from lfranker.experiment import powerset
from lfranker.planning.inputs import InputConfig
from lfranker.planning.settings import preset_settings
from lfranker.publishing.note_and_marks import mark_children, write_note
from lfranker.publishing.ranking_run import rank_power_set
from lfranker.publishing.report_page import page_of
from lfranker.publishing.winners import register_winners
from lfranker.ranking.leaderboard import RankConfig, rank
from lfranker.rating.analysis import Rated, find_ratings
from lfranker.report.findings import Findings, find
from lfranker.tracking.training_run import score_branch, score_with_branches
from lfranker.training import memory
from lfranker.training.memory import most_at_once, training_bytes
from lfranker.training.trainer import Trainer


def check_done(result: Result) -> None:
    assert result.exit_code == 0, result.output


def test_a_scoring_that_is_left_to_do_is_told_the_run_and_the_scans(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_all(monkeypatch)
    words = ["--preset", "smoke", "--losses", "mae", "--repeats", "2", "--yes", "--scans"]
    check_done(record.run("powerset", [*words, "scans"]))
    trained = [job.name for job in record.jobs]
    record.calls.clear()
    check_done(record.run("powerset", [*words, "more-scans"]))
    record.run_children(record.jobs)
    assert [job.name for job in record.jobs] == trained
    assert [call.run_id for call in record.calls["evaluate", "score_run"]] == trained
    scans = {call.scans.folder for call in record.calls["evaluate", "score_run"]}
    assert scans == {record.at("score_baselines", "scans.folder")}
    assert record.at("load_network", "uri", "evaluate") == "models:/m"


def test_trainings_of_others_are_only_taken_over_when_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_all(monkeypatch)
    words = ["--preset", "smoke", "--losses", "mae,ssim", "--yes", "--check-learning-rate"]
    check_done(record.run("powerset", [*words, "--refine", "1"]))
    assert len(record.calls["", "refuse_if_busy"]) == 5  # plan, two rates, trial, its repeats


def test_only_the_trainings_that_are_ranked_have_branches(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_all(monkeypatch)
    words = ["--preset", "smoke", "--losses", "mae,ssim", "--yes", "--check-learning-rate"]
    check_done(record.run("powerset", [*words, "--refine", "1"]))
    ranked, others = record.told("shorter")[:3], record.told("shorter")[3:]
    assert ranked == [True] * 3
    assert others == [False] * len(others)
    assert set(record.told("learning_rate")[3:]) > set(record.told("learning_rate")[:3])


class Paused:
    """Stands in for a training that pauses."""

    outcome = "paused"

    def __init__(self, *_: object) -> None: ...

    def train(self, on_step: Callable[[int], None]) -> str:
        on_step(3)
        return self.outcome


class Diverged(Paused):
    outcome = "diverged"


def test_a_training_that_pauses_scores_the_branch_that_it_pauses_after(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_all(monkeypatch)
    record.replace(score_branch, lambda _: None)
    monkeypatch.setattr(single_training, "TrainingRun", Paused)
    steps, tiles = list[int](), list[int]()
    monkeypatch.setattr(single_training, "report_progress", steps.append)
    monkeypatch.setattr(single_training, "report_alive", lambda: tiles.append(1))
    given = InputConfig(device="cpu", cache=folder / "cache")
    settings = preset_settings("smoke", steps=40)
    assert run_training(TrainingConfig(settings, ("mae",), given, until=10)) == "paused"
    assert record.at("score_branch", "steps") == 10
    assert steps == [3]

    def denoised(network: object, noisy: object, on_tile: Callable[[int, int], None]) -> object:
        on_tile(1, 2)
        return network, noisy

    monkeypatch.setattr(single_training, "denoise", denoised)
    (call,) = record.calls["", "score_branch"]
    of_pair = call.denoiser("network")
    assert of_pair(SimpleNamespace(noisy="noisy", clean="clean")) == ("network", "noisy")
    assert tiles == [1], "a process that scores gets further too"
    monkeypatch.setattr(single_training, "orphaned", lambda: True)
    with pytest.raises(KeyboardInterrupt, match="stopped while scoring"):
        of_pair(SimpleNamespace(noisy="noisy", clean="clean"))


def test_what_is_scored_of_a_training_is_its_averaged_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, averaged = record_all(monkeypatch), Network()
    record.replace(Trainer, lambda _: SimpleNamespace(ema=averaged))
    record.replace(score_with_branches, lambda _: "collapsed")
    given = InputConfig(device="cpu", cache=folder / "cache")
    config = TrainingConfig(preset_settings("smoke", steps=40), ("mae",), given)
    assert run_training(config) == "collapsed"
    assert record.at("score_with_branches", "network") is averaged
    monkeypatch.setattr(single_training, "TrainingRun", Diverged)
    assert run_training(config) == "diverged"
    assert len(record.calls["", "score_with_branches"]) == 1, "there is nothing to score"


def test_a_ranking_goes_by_its_settings(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = make_parent("mae")
    make_child(parent, "mae", {"psnr": 30.0, "ssim": 0.9})
    record = Recorder(monkeypatch)
    record.replace(rank, lambda call: rank(**vars(call)))
    record.replace(find, lambda _: Findings())
    record.replace(find_ratings, lambda _: Rated())
    record.replace(register_winners, lambda _: ({}, []))
    for function in (page_of, write_note, mark_children):
        record.replace(function, lambda _: "")
    weights, equivalence = {"psnr": 3.0}, {"psnr": 0.2, "visual": 0.7}
    config = RankConfig(equivalence, weights, "always")
    rank_power_set(parent.info.run_id, "other", None, config, print)
    assert record.at("rank", "weights") == weights
    assert record.at("find", "equivalence") == equivalence
    assert record.at("find_ratings", "margin") == equivalence["visual"]
    assert record.at("register_winners", "model") == "other"
    assert record.at("register_winners", "gate.promote") == "always"
    assert record.at("register_winners", "gate.rescore") is print


@pytest.mark.parametrize(
    ("words", "at_once", "gpus"),
    [
        ((), 3, ["0", "1", "2"]),
        (("--device", "cuda:1"), 1, ["1"]),
        (("--device", "cuda", "--jobs", "5"), 5, ["0", "1", "2"]),
        (("--device", "cpu", "--threads", "1", "--jobs", "2"), 2, [None]),
    ],
)
def test_each_training_has_a_gpu_and_all_of_them_are_used(
    words: Sequence[str],
    at_once: int,
    gpus: list[str | None],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = record_all(monkeypatch)
    line = ["--preset", "smoke", "--losses", "mae", "--yes", *words]
    check_done(record.run("powerset", line))
    (call,) = record.calls["", "run_jobs"]
    assert call.at_once == at_once
    assert [place.get("CUDA_VISIBLE_DEVICES") for place in call.places] == gpus
    assert set(record.told("device")) == {"cpu" if gpus == [None] else "cuda"}, "its only one"


def test_as_many_run_at_once_as_memory_carries_of_the_largest_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine carries more trainings of SCUNet, which comes first."""
    scunet = preset_settings("smoke", network="scunet", batch=512)
    nafnet = preset_settings("smoke", network="nafnet", batch=512, width=64)
    needed = training_bytes(nafnet.train, nafnet.dataset.patch)
    monkeypatch.setattr(memory, "machine_bytes", lambda: 3.5 * needed)
    monkeypatch.setattr(powerset, "available_cores", lambda: 64)
    assert most_at_once(scunet.train, scunet.dataset.patch) > 3
    words = ["--preset", "smoke", "--losses", "mae", "--device", "cpu", "--dry-run"]
    words += ["--networks", "scunet,nafnet", "--batch", "512", "--width", "64"]
    done = record_all(monkeypatch).run("powerset", words)
    check_done(done)
    assert "2 trainings of " in done.output
    assert ", 3 at once, " in done.output
