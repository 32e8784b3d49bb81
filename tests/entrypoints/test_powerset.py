"""What the power set asks and refuses before anything is prepared or trained."""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import click
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from drunet_weights import drunet_weights
from huggingface_hub import constants
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from project import scans_of_one_field

from entrypoints import evaluate as scoring
from entrypoints.evaluate import main as evaluate
from entrypoints.powerset import go_ahead, main, power_set_config
from entrypoints.train import main as train
from lfranker.noise.parsing import parse_noises
from lfranker.planning import inputs as preparation
from lfranker.planning.inputs import InputConfig
from lfranker.planning.settings import preset_settings
from lfranker.planning.time_estimate import LONG, TimeEstimate
from lfranker.tracking.runs import name_given_run
from lfranker.tracking.tags import Tag


def lasting(seconds: float) -> TimeEstimate:
    return TimeEstimate({("mae",): seconds}, 1, 1, 1, 1, 0.0)


def test_a_day_is_not_asked_about_and_yes_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click, "confirm", pytest.fail)
    assert go_ahead(lasting(LONG), yes=False)
    assert go_ahead(lasting(9 * LONG), yes=True)


def test_more_than_a_day_needs_a_yes_where_nobody_can_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match=r"about 2 d 0:00:00, more than a day.*yes=true"):
        go_ahead(lasting(2 * LONG), yes=False)


def test_noises_and_networks_are_compared_in_every_pair() -> None:
    noises = parse_noises("eq1,gamma")
    given = dict.fromkeys(("clean", "noisy", "scans", "target", "data"))
    networks = ("scunet", "nafnet")
    config = power_set_config("smoke", 0, noises, None, networks, **given)
    pairs = {(str(own.dataset.noise.mode), own.train.network) for own in config.noises.values()}
    assert pairs == set(product(("eq1", "gamma"), ("scunet", "nafnet")))


@pytest.mark.parametrize("answer", [True, False])
def test_more_than_a_day_is_asked_about_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(click, "confirm", lambda _: answer)
    assert go_ahead(lasting(2 * LONG), yes=False) is answer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--include", "perceptual"], "include: perceptual not in the set"),
        (["--exclude", "mae+mse"], "exclude: mse not in the set; allowed are mae, ssim"),
        (["--exclude", "mae,ssim"], "no subset of mae, ssim is left with exclude=mae,ssim"),
        (["--min-size", "2", "--max-size", "1"], "max_size is 1, below min_size, 2"),
        (["--max-size", "0"], "max_size is 0; allowed is at least 1"),
        (["--loss-weights", "mse=2"], "loss weights for mse: allowed are the losses trained on"),
        (["--loss-weights", "equal"], "allowed are unit, value, gradnorm"),
        (["--losses", "mae,hubert"], "unknown loss 'hubert'"),
        (["--scans", "nowhere"], "no such file or folder: nowhere"),
        (["--peak", "high"], "high"),
        (["--steps", "0"], "steps is 0"),
        (["--model-name", "a/b"], "model_name is 'a/b'; '/' is not allowed in it"),
        (["--model-name", "a'b"], "is not allowed in it"),
        (["--model-name", "a:b"], "model_name is 'a:b'; ':' is not allowed in it"),
        (["--model-name", ""], "model_name is ''; allowed are 1 to 250 characters"),
        (["--threads", "100000"], "threads is 100000; allowed is 1 to 256"),
        (["--batch", "1000000000"], "batch is 1000000000; allowed is 1 to 65536"),
        (["--patch", "1000000"], "patch is 1000000; allowed is 8 to 4096"),
        (["--learning-rate", "inf"], "learning_rate is inf; allowed is a finite"),
        (["--learning-rate", "9", "--check-learning-rate"], "learning_rate is 18.0; allowed"),
        (["--max-noise", "inf"], "max_noise is inf; allowed is a finite number"),
        (["--dim", "24"], "dim is 24, head_dim is 8; dim / 2 must be a multiple of head_dim"),
        (["--head-dim", "5"], "dim is 16, head_dim is 5"),
        (["--width", "8"], "--width has no effect on network scunet"),
        (["--network", "nafnet", "--dim", "32"], "--dim has no effect on network nafnet"),
        (["--network", "dncnn", "--depth", "2"], "--depth has no effect on network dncnn"),
        (["--network", "vgg"], "network is vgg; allowed are scunet, nafnet, drunet, dncnn"),
        (["--depth", "999"], "depth is 999; allowed are 64 blocks per stage"),
        (["--batch", "65536", "--patch", "1024"], "a training needs about"),
        (["--refine", "3", "--max-size", "1"], "--refine weighs the losses of a subset"),
        (["--refine", "3"], "refine: scans of 2 sites are too few"),
    ],
)
def test_bad_plans_are_refused_before_data_are_made(
    store: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(preparation, "dataset", lambda *_: pytest.fail("data were made"))
    done = CliRunner().invoke(main, ["--preset", "smoke", *options])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not MlflowClient().search_runs(["0"]), "a refused command leaves no run"


@pytest.mark.parametrize(
    ("command", "words"), [(main, "--preset smoke"), (evaluate, "--model bundled")]
)
def test_a_drunet_that_cannot_be_tuned_is_refused_before_any_work(
    store: Path, monkeypatch: pytest.MonkeyPatch, command: click.Command, words: str
) -> None:
    """The scans show one site, and its strength is found on scans of another."""
    pytest.importorskip("spandrel", reason="needs the extra networks")
    torch.save(drunet_weights(), store / "drunet.pth")
    scans = scans_of_one_field(store / "scans")
    monkeypatch.setattr(scoring, "score_model", lambda *_: pytest.fail("a model was scored"))
    given = [*words.split(), "--scans", str(scans), "--drunet", str(store / "drunet.pth")]
    done = CliRunner().invoke(command, given)
    assert done.exit_code == 2
    assert "drunet: all scans show one site" in " ".join(done.output.split())
    assert not MlflowClient().search_runs(["0"]), "a refused command leaves no run"


def given_run(**tags: str) -> str:
    """A run as `mlflow run` makes it for a command."""
    made = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "powerset"}
    return str(MlflowClient().create_run("0", tags=made | tags).info.run_id)


@pytest.mark.parametrize(
    "options",
    [
        ["--steps", "0"],  # refused in reading the command line
        ["--model-name", "a/b"],
        ["--batch", "65536", "--patch", "1024"],  # before the run is taken
        ["--losses", "mae,dists"],  # when its inputs are prepared
    ],
)
def test_the_run_of_a_refused_command_says_why_and_is_deleted_by_the_next(
    store: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """MLflow, which sets the status of the run afterwards, has to find it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(store / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(store / "torch"))
    run_id = given_run()
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    done = CliRunner().invoke(main, ["--preset", "smoke", *options])
    assert done.exit_code == 2, done.output
    run = MlflowClient().get_run(run_id)
    assert (run.info.lifecycle_stage, run.info.status) == ("active", "FAILED")
    assert run.info.run_name == "refused"
    reason = " ".join(run.data.tags[Tag.REASON].split())
    assert reason
    assert reason in " ".join(done.output.split())
    MlflowClient().set_terminated(run_id, "FAILED")

    other = given_run()
    monkeypatch.setenv("MLFLOW_RUN_ID", other)
    assert CliRunner().invoke(main, ["--preset", "smoke", *options]).exit_code == 2
    assert MlflowClient().get_run(run_id).info.lifecycle_stage == "deleted"
    monkeypatch.setenv("MLFLOW_RUN_ID", given_run())
    name_given_run("powerset smoke", "powerset")
    assert MlflowClient().get_run(other).info.lifecycle_stage == "deleted"


def test_who_may_not_delete_runs_keeps_what_was_refused_and_goes_on(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = given_run(**{Tag.ROLE: "refused"})

    def forbidden(*_: object) -> None:
        raise MlflowException("403: Permission denied")

    monkeypatch.setattr(MlflowClient, "delete_run", forbidden)
    own = given_run()
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    name_given_run("powerset smoke", "powerset")
    assert MlflowClient().get_run(own).info.run_name == "powerset smoke"
    assert MlflowClient().get_run(refused).info.lifecycle_stage == "active"


def test_a_run_that_is_not_of_mlflow_run_or_has_ended_or_trainings_is_not_dropped(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign, ended = given_run(**{"mlflow.source.type": "NOTEBOOK"}), given_run()
    MlflowClient().set_terminated(ended, "FINISHED")
    power_set = given_run(**{Tag.POWERSET: "key"})
    for run_id in (foreign, ended, power_set, "not-there"):
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        assert CliRunner().invoke(main, ["--steps", "0"]).exit_code == 2
    for run_id, status in ((foreign, "RUNNING"), (ended, "FINISHED"), (power_set, "KILLED")):
        run = MlflowClient().get_run(run_id)
        assert (run.info.lifecycle_stage, run.info.status) == ("active", status)


def test_losses_without_their_weights_are_refused_before_data_are_made(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(store / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(store / "torch"))
    monkeypatch.setattr(preparation, "dataset", lambda *_: pytest.fail("data were made"))
    done = CliRunner().invoke(main, ["--preset", "smoke", "--losses", "mae,dists"])
    assert done.exit_code == 2
    assert "dists: needs VGG16's ImageNet weights" in " ".join(done.output.split())


def test_a_training_alone_finds_the_weights_that_its_power_set_would(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = InputConfig(
        perceptual="random", device="cpu", cache=store / "cache", loss_weights="gradnorm"
    )
    chosen = preset_settings("smoke", patches=24, patch=32)
    monkeypatch.setattr(preparation, "scans", lambda *_: NoScans())
    whole = preparation.inputs(("mae", "mse", "ssim"), chosen, given)
    assert whole.facts["loss_weights"] == "gradnorm"
    assert whole.objective(("mse", "ssim")).weights == {
        name: whole.loss_weights[name] for name in ("mse", "ssim")
    }
    (told,) = [notice for notice in whole.notices if notice.startswith("weights of the losses")]
    assert told.startswith("weights of the losses: mae 1, mse ")
    alone = preparation.inputs(("ssim",), chosen, given)
    assert alone.loss_weights == {"ssim": whole.loss_weights["ssim"]}
    unit = preparation.inputs(("ssim",), chosen, replace(given, loss_weights={"ssim": 1.0}))
    assert (unit.facts["loss_weights"], unit.loss_weights) == ("unit", {"ssim": 1.0})
    assert not any("weights" in notice for notice in unit.notices)
    assert 0 < alone.loss_weights["ssim"] < 1
    monkeypatch.setattr("lfranker.child_runs.single_training.TrainingRun", Untrained)
    flags = ["--cache", str(store / "cache"), "--losses", "ssim", "--loss-weights", "gradnorm"]
    flags += ["--preset", "smoke", "--patches", "24", "--patch", "32", "--device", "cpu"]
    assert CliRunner().invoke(train, flags).exit_code == 0
    (run,) = MlflowClient().search_runs(["0"])
    assert float(run.data.params["weight/ssim"]) == alone.loss_weights["ssim"]
    assert run.data.params["loss_weights"] == "gradnorm"
    assert Tag.PERCEPTUAL not in run.data.tags
    words = [*flags, "--losses", "mae+perceptual", "--perceptual", "random"]
    assert CliRunner().invoke(train, [*words, "--loss-weights", "unit"]).exit_code == 0
    run, *_ = MlflowClient().search_runs([run.info.experiment_id])
    assert run.data.tags[Tag.PERCEPTUAL] == "random-0", "of the seed"


class NoScans:
    digest, notices, has_clean = "none", (), True

    def table(self) -> pd.DataFrame:
        return pd.DataFrame()

    def fields_among(self, _: object) -> list[str]:
        return []


class Untrained:
    def __init__(self, *_: object) -> None: ...

    def train(self, _: object) -> str:
        return "diverged"
