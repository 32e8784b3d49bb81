"""What commands say of what they did: results to the standard output, notes beside it."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from mlflow import MlflowClient
from prepared import make_scans
from recorder import Recorder
from torch import nn

from entrypoints import noise_fit
from lfranker.child_runs.console import Console
from lfranker.child_runs.scoring import score_model, score_power_set, score_training
from lfranker.child_runs.single_training import TrainingConfig, run_training
from lfranker.datasets.patch_dataset import Dataset, DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.denoiser.denoise_files import Done, Work, denoise_files
from lfranker.denoiser.likeness import Likeness
from lfranker.experiment import powerset
from lfranker.images.image_file import write_image
from lfranker.microscopes.metadata import ScanMetadata
from lfranker.microscopes.reading import read_metadata
from lfranker.noise.parsing import fei_profile
from lfranker.noise.profile import Estimate, Profile, read_profile
from lfranker.noise.profile_measurement import fit_singles
from lfranker.options import flat
from lfranker.planning import inputs
from lfranker.planning.inputs import clean_images
from lfranker.planning.settings import preset_settings
from lfranker.processes.jobs import available_cores
from lfranker.publishing.ranking_run import Report, rank_power_set
from lfranker.ranking.leaderboard import RankConfig, rank
from lfranker.rating.sheets import Key, Sheet, SheetConfig
from lfranker.rating.workflow import make_sheets, take_ratings
from lfranker.report.decisions import learning_rate_sentence
from lfranker.report.findings import Findings
from lfranker.report.learning_curves import scan_sentences
from lfranker.report.sentences import search_sentence
from lfranker.tracking.models import load_likeness, load_network, load_onnx
from lfranker.tracking.pages import how_to_open
from lfranker.tracking.registry import Choice, choose_model, named_model
from lfranker.tracking.runs import name_given_run, title_of
from lfranker.tracking.score_logging import log_dataset
from lfranker.tracking.tags import Tag


@pytest.fixture
def record(store: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)


def done(record: Recorder, words: str, exit_code: int = 0) -> Result:
    command, *others = words.split()
    result = record.run(command, others)
    assert result.exit_code == exit_code, result.output
    return result


def test_sheets_are_made_as_asked_for_and_counted(record: Recorder, store: Path) -> None:
    sheets = cast(Any, [Sheet("f", "spd2", "here", False, ("mae", "mse"))] * 7)
    record.replace(make_sheets, lambda _: Key("digest", {}, sheets))
    words = "--parent p --scans 77 --contact-sheet new --sheets 7 --shown 2 --repeated 1"
    out = done(record, f"rate {words} --cache kept").output
    assert out.startswith("7 sheets, ")
    assert f"are in {store / 'new'}: give that folder to raters, then" in out
    (call,) = record.calls["", "make_sheets"]
    assert vars(call) == {
        "parent_id": "p", "scans": "77", "cache": (store / "kept").resolve(),
        "folder": store / "new", "config": SheetConfig(7, 2, 1),
    }  # fmt: skip
    assert not record.calls["", "take_ratings"]


def test_what_was_done_with_ratings_is_said(record: Recorder, store: Path) -> None:
    (store / "r.csv").touch()
    record.replace(take_ratings, lambda _: ["28 read", "3 of them new"])
    out = done(record, "rate --parent p --scans 77 --ratings r.csv").output
    assert out.splitlines()[:2] == ["28 read", "3 of them new"]
    assert "Rank again" in out
    (call,) = record.calls["", "take_ratings"]
    assert (call.parent_id, call.scans, call.path.name) == ("p", "77", "r.csv")


def test_a_dataset_is_described(record: Recorder) -> None:
    patches, ends = np.zeros((5, 8, 8), np.uint8), (np.arange(3), np.arange(3, 5))
    manifest = {"request": {"parameters": DatasetConfig().determining()}, "notices": ["blank.png"]}
    made = Dataset(Path("own"), manifest, patches, patches, *ends, "0123456789abcdef" * 4)
    record.replace(synthesise, lambda _: made)
    record.replace(clean_images, lambda _: ([], ["tiny.png"]))
    record.replace(log_dataset, lambda _: None)
    result = done(record, "synth --preset smoke --out own --patch 40 --workers 3 --white 4095")
    assert result.stdout.strip() == (
        "own: 3 training and 2 validation patches of 40 px; digest 0123456789abcdef"
    )
    assert result.stderr.splitlines() == ["note: tiny.png", "note: blank.png"]
    (call,) = record.calls["", "log_dataset"]
    assert (call.data, call.context) == (made, "training")
    client = MlflowClient()
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert (run.info.run_name, run.data.tags[Tag.ROLE]) == ("synth own", "synth")
    logged = {**flat(preset_settings("smoke", patch=40).dataset), "dataset": made.digest}
    assert run.data.params == {name: str(value) for name, value in logged.items()}
    (call,) = record.calls["", "synthesise"]
    assert (call.out, call.config.patch, call.workers) == (Path("own"), 40, 3)


def measured(profile: Profile, *notices: str) -> SimpleNamespace:
    """A measurement as it was found, without its tables."""
    empty = dict.fromkeys(("estimates", "levels", "checks"), pd.DataFrame)
    return SimpleNamespace(profile=profile, fits={}, made={}, notices=notices, **empty)


def test_notes_on_scans_are_no_results(record: Recorder, store: Path) -> None:
    (store / "scans").mkdir()
    profile = fei_profile()
    record.replace(fit_singles, lambda _: measured(profile, "dark"))
    words = "--scans scans --target none --seed 3 --white 4095 --out own.json"
    result = done(record, f"noise-fit {words}")
    assert result.stderr.splitlines() == ["note: dark"]
    assert "own.json: train with -P noise=own.json; run" in result.stdout
    assert read_profile(store / "own.json").speeds == profile.speeds
    (call,) = record.calls["", "fit_singles"]
    assert (call.seed, call.white) == (3, 4095)


def test_counts_are_said_and_which_intervals_say_nothing() -> None:
    estimates = {
        "gamma": Estimate(0.02, 0.01, 0.03), "sigma": Estimate(0.0, 0.0, 0.0),
        "black": Estimate(0.0, 0.0, 0.1), "line_offset": Estimate(0.0, 0.0, 0.0),
        "lag1": Estimate(0.5, 0.5, 0.5),
    }  # fmt: skip
    fits = {"1us": SimpleNamespace(estimates=estimates)}
    profile = SimpleNamespace(speeds={"1us": {"gamma": 0.02}, "2us": {"gamma": 0.0125}})
    assert list(noise_fit._asides(cast(Any, SimpleNamespace(profile=profile, fits=fits)))) == [
        "1us: 50 counts at full brightness",
        "2us: 80 counts at full brightness",
        "1us: sigma and line_offset stayed at 0, the least that is allowed, in every draw of the "
        "bootstrap, so that the interval does not say how far off that may be",
    ]


def terminate(_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("words", "work"),
    [
        ("noise-fit --scans scans --target none --out own.json", fit_singles),
        ("synth --preset smoke --out own", synthesise),
    ],
)
def test_a_terminated_command_leaves_no_run_open(
    record: Recorder, store: Path, words: str, work: Callable[..., Any]
) -> None:
    (store / "scans").mkdir()
    record.replace(clean_images, lambda _: ([], []))
    record.replace(work, terminate)
    before = signal.getsignal(signal.SIGTERM)
    command, *others = words.split()
    assert record.run(command, others).exit_code != 0
    assert signal.getsignal(signal.SIGTERM) == before
    client = MlflowClient()
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.info.status == "KILLED"


def test_what_was_measured_is_kept_where_noise_is_carried_to_a_speed_of_that_name(
    record: Recorder, store: Path
) -> None:
    """The files of the folder 1us say a dwell time of 1.2 us."""
    (store / "scans").mkdir()
    (noise,) = fei_profile().speeds.values()
    profile = Profile({"1us": replace(noise, dwell_time=1.2e-6)}, {})
    record.replace(fit_singles, lambda _: measured(profile))
    done(record, "noise-fit --scans scans --target none --out own.json --carry 1us,2us")
    speeds = read_profile(store / "own.json").speeds
    assert speeds["1us"] == profile.speeds["1us"]
    assert speeds["2us"].derived_from == "1us"


def test_what_was_scored_is_told_with_its_digest(record: Recorder, store: Path) -> None:
    (store / "scans").mkdir()
    made = replace(make_scans(store), warnings=("12 bits",))
    record.replace(inputs.scans, lambda _: made)
    record.replace(score_model, lambda _: None)
    words = "--model models:/m/1 --scans scans --target slow --white 4095 --trust-code"
    result = done(record, f"evaluate {words}")
    assert result.stderr.splitlines() == ["note: 12 bits"]
    assert result.stdout.strip() == f"scored on 6 pairs of scans, digest {made.digest[:8]}"
    (call,) = record.calls["", "score_model"]
    assert (call.uri, call.scans, call.trust_code) == ("models:/m/1", made, True)
    (call,) = record.calls["", "scans"]
    assert (call.folder.name, call.target, call.white) == ("scans", "slow", 4095)


def test_a_training_tells_its_outcome_and_notes_what_happens(record: Recorder) -> None:
    def train(call: SimpleNamespace) -> str:
        call.console.say("mae: ok")
        call.console.note("resuming after step 7")
        return "ok"

    record.replace(run_training, train)
    words = "--losses mae+ssim --preset smoke --repeat 2 --seed 5 --steps 9 --keep-checkpoints"
    result = done(record, f"train {words}")
    assert (result.stdout, result.stderr) == ("mae: ok\n", "resuming after step 7\n")
    config = record.at("run_training", "config")
    assert isinstance(config, TrainingConfig)
    assert (config.losses, config.keep_checkpoints) == (("mae", "ssim"), True)
    train_config = config.settings.train
    assert (train_config.repeat, train_config.seed, train_config.steps) == (2, 5, 9)


def test_a_dataset_is_no_file(record: Recorder, store: Path) -> None:
    (store / "file").touch()
    result = done(record, "synth --preset smoke --out file", exit_code=2)
    assert "Directory 'file' is a file" in result.output


def write(folder: Path, *names: str) -> None:
    for name in names:
        write_image(folder / name, np.zeros((8, 8), np.float32), np.dtype(np.uint8), 255)


def outcomes(call: SimpleNamespace) -> list[Done]:
    """The first file has a notice, the last fails."""
    first, *others, last = call.work
    return [
        Done(first, ("it is dark",), None),
        *(Done(work, (), None) for work in others),
        Done(last, (), ValueError("c.png: cut off")),
    ]


def whole(call: SimpleNamespace) -> list[Done]:
    return [Done(work, (), None) for work in call.work]


def test_files_that_fail_are_named_and_counted(record: Recorder, store: Path) -> None:
    write(store / "in", "a.png", "b.png", "c.png")
    answers = iter((outcomes, whole))
    record.replace(denoise_files, lambda call: next(answers)(call))
    caution = Choice("models:/m/2", "m 2", "scanned at 1us", "a demonstration")
    record.replace(choose_model, lambda _: caution)
    record.replace(load_network, lambda _: nn.Identity())
    record.replace(load_likeness, lambda _: None)
    result = done(record, "denoise --input in --output out", exit_code=1)
    where = (store / "out").resolve()
    assert result.stdout.splitlines()[-1] == f"2 of 3 images denoised into {where}; 1 failed"
    assert result.stderr.splitlines()[:2] == [
        "3 files: m 2, scanned at 1us", "note: models:/m/2 is a demonstration"
    ]  # fmt: skip
    assert "note: it is dark" in result.stderr.splitlines()
    assert "skipped: c.png: cut off" in result.stderr.splitlines()
    result = done(record, "denoise --input in --output out")
    assert result.stdout.splitlines()[-1] == f"3 of 3 images denoised into {where}"


def test_work_is_what_belongs_to_each_file(record: Recorder, store: Path) -> None:
    """Each has a model for its own scan speed, its network and its sentence; outputs lie alike."""
    write(store / "in", "a.png", "deep/b.png")
    chosen = iter(("first", "second"))

    def choose(_: SimpleNamespace) -> Choice:
        name = next(chosen)
        return Choice(f"models:/{name}/1", name, f"because of {name}")

    record.replace(choose_model, choose)
    record.replace(read_metadata, lambda call: ScanMetadata(scan_speed=call.path.name))
    record.replace(load_network, lambda _: nn.Identity())
    looks = {f"models:/{name}/1": Likeness(64, {}, (), (), 1.0) for name in ("first", "second")}
    record.replace(load_likeness, lambda call: looks[call.uri])
    record.replace(denoise_files, whole)
    done(record, "denoise --input in --output out --criterion ssim --jobs 2 --white 4095")
    (call,) = record.calls["", "denoise_files"]
    work: list[Work] = list(call.work)
    assert [(own.before, own.after) for own in work] == [
        (store / "in" / "a.png", Path("out/a.png")),
        (store / "in" / "deep" / "b.png", Path("out/deep/b.png")),
    ]
    assert len({id(own.network) for own in work}) == 2
    assert [id(own.trained_on) for own in work] == [id(each) for each in looks.values()]
    assert [own.provenance.partition(" with ")[2] for own in work] == [
        "first.", "second."
    ]  # fmt: skip
    assert call.jobs == 2
    asked = record.calls["", "choose_model"]
    assert [call.scan.scan_speed for call in asked] == ["a.png", "b.png"]
    assert {call.criterion for call in asked} == {"ssim"}


@pytest.mark.parametrize(("cores", "jobs", "threads"), [(6, 2, 3), (1, 2, 1)])
def test_files_share_the_processors(
    record: Recorder, store: Path, cores: int, jobs: int, threads: int
) -> None:
    write(store / "in", "a.png", "b.png")
    record.replace(available_cores, lambda _: cores)
    record.replace(load_onnx, lambda _: nn.Identity())
    record.replace(load_likeness, lambda _: None)
    record.replace(denoise_files, whole)
    options = f"--engine onnx --jobs {jobs} --model models:/m/1"
    record.replace(named_model, lambda call: Choice(call.uri, call.uri, "as asked"))
    done(record, f"denoise --input in --output out {options}")
    assert record.at("load_onnx", "threads") == threads


def test_a_run_that_mlflow_run_made_is_named_by_what_is_done(
    record: Recorder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named() -> list[tuple[str, str]]:
        calls = record.calls.pop(("", "name_given_run"))
        return [(call.name, call.role) for call in calls]

    record.replace(name_given_run, lambda _: None)
    record.replace(powerset.rank, lambda _: SimpleNamespace(parent="p7"))
    record.replace(title_of, lambda call: f"that of {call.run_id}")
    done(record, "rank --parent latest")
    assert named() == [("rank", "rank"), ("rank that of p7", "rank")]
    (store / "in").mkdir()
    scans = make_scans(store)
    record.replace(inputs.scans, lambda _: scans)
    record.replace(score_power_set, lambda _: None)
    record.replace(score_training, lambda _: None)
    done(record, "evaluate --parent 77 --scans in")
    assert named() == [("evaluate power set 77 on in", "evaluate")]
    done(record, "evaluate --run 78")
    assert named() == [("evaluate run 78 on simulated scans", "evaluate")]


def test_a_ranking_is_said_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    board = pd.DataFrame({"psnr": [30.0, 31.0]}, index=["mae", "mse"])
    ranking = rank(board, ["mae", "mse", "tv"])
    versions = {"best-psnr": "4", "champion": "4", "best-psnr-a": "10", "best-ssim": "4"}
    found = SimpleNamespace(
        learning_rate="rates", search="weights", own_scans="scans",
        stability=None, along=None, too_short=False,
    )  # fmt: skip
    report = Report(
        "parent", ranking, True, versions, ("In the report.",), cast(Findings, found),
        to_mind=("One filter is better.", "It is short."), registration=("It stays.",),
    )  # fmt: skip
    record, said = Recorder(monkeypatch), list[str]()
    record.replace(rank_power_set, lambda _: report)
    record.replace(learning_rate_sentence, lambda call: f"of {call.check}")
    record.replace(search_sentence, lambda call: f"of {call.outcome}")
    record.replace(scan_sentences, lambda call: [f"of {call.curve}"])
    record.replace(how_to_open, lambda call: f"at {call.run_id}")
    config = RankConfig(promote="never")
    result = powerset.rank("asked", "m", config, "77", cast(Any, print), Console(said.append))
    assert result is report
    table, *lines = said
    assert table.startswith("**Simulated scans: Leaderboard: all 2 subsets (mean rank over PSNR)**")
    assert lines == [
        "models:/m@champion is version 4",
        "version 4 has the aliases best-psnr, best-ssim",
        "version 10 has the alias best-psnr-a",
        "It stays.",
        "Train on mse: of 2 loss subsets that are trained (1 more is not yet) it has the best "
        "mean rank, 1.00, over PSNR.",
        "- of rates",
        "- of weights",
        "- of scans",
        "- One filter is better.",
        "- It is short.",
        "Note, report and tables: at parent",
    ]
    (call,) = record.calls["", "rank_power_set"]
    assert vars(call) == {
        "parent_id": "asked", "model": "m", "scans": "77", "config": config, "rescore": print
    }  # fmt: skip
