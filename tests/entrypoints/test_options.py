"""How options are typed: names, values that are refused, words that mean: left out."""

import gc
import importlib
import os
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

import entrypoints
from entrypoints.denoise import main as denoise
from entrypoints.evaluate import main as evaluate
from entrypoints.options import LocalCommand
from entrypoints.powerset import main as powerset
from entrypoints.powerset import power_set_config
from entrypoints.rank import main as rank
from entrypoints.synth import main as synth
from lfranker.datasets.clean_images import simulated_clean
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.noise.noise_config import NoiseConfig


def read(*words: str) -> PowerSetConfig:
    given = powerset.make_context("powerset", list(words)).params
    return power_set_config(**{k: v for k, v in given.items() if k not in ("dry_run", "yes")})


def refused(command: click.Command, *words: str) -> str:
    done = CliRunner().invoke(command, list(words))
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def test_underscores_and_hyphens_are_alike() -> None:
    typed = read("--learning_rate", "5e-4", "--model_name", "m", "--speckle_variance", "0.2")
    assert typed == read("--learning-rate", "5e-4", "--model-name", "m", "--speckle-variance", ".2")
    assert typed.settings.train.learning_rate == 5e-4


@pytest.mark.parametrize("flag", ["--learning_rat", "--learning-rat"])
def test_a_misspelt_option_is_refused_with_the_nearest_name(flag: str) -> None:
    said = refused(powerset, flag, "5e-4")
    assert "No such option" in said
    assert "--learning-rate" in said.partition("--learning-rat")[2]


def test_values_out_of_bounds_are_refused_with_what_is_allowed() -> None:
    said = refused(powerset, "--steps", "0")
    assert "Invalid value for '--steps': steps is 0; allowed is 1 to 1e+09" in said
    assert "allowed is 0.001 to 1e+06, low first" in refused(synth, "--peak", "0:10")
    assert "device is tpu; allowed are auto, cpu, cuda" in refused(powerset, "--device", "tpu")


def test_what_became_of_former_options_is_said() -> None:
    assert "clean patches are no longer changed" in refused(powerset, "--zoom", "2")
    for flag in ("--contact-sheet", "--contact_sheet", "--ratings"):
        assert "`mlflow run . -e rate --env-manager local`" in refused(rank, flag, "folder")
    assert "No such option" in refused(rank, "--zooms", "2")


def test_words_that_stood_for_left_out_still_do() -> None:
    words = {
        "losses": "preset", "clean": "simulated", "scans": "simulated", "target": "slowest",
        "data": "none", "jobs": "auto", "init": "none", "refine": "none", "max-size": "all",
        "include": "none", "exclude": "none", "noises": "none", "noise-components": "none",
        "steps": "preset", "peak": "preset", "noise": "preset", "kernel": "preset",
    }  # fmt: skip
    assert read(*(word for k, v in words.items() for word in (f"--{k}", v))) == read()


def test_flags_take_a_value_or_none() -> None:
    assert read("--check-learning-rate") == read("--check-learning-rate", "true") != read()
    assert read("--check-learning-rate", "false") == read()


def test_a_path_that_is_not_there_is_named_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(evaluate, "--model", "m", "--scans", "scans/new")
    assert f"no such file or folder: scans/new, looked for in {tmp_path}, which under" in said
    assert "looked for" not in refused(evaluate, "--model", "m", "--scans", f"{tmp_path}/new")
    (tmp_path / "file").touch()
    assert "file is not a folder" in refused(evaluate, "--model", "m", "--scans", "file")


def test_settings_of_a_preset_are_those_of_its_options() -> None:
    config = read("--preset", "small", "--seed", "4", "--include", "ssim", "--repeats", "2")
    assert (config.settings.train.steps, config.settings.dataset.patches) == (8000, 20_000)
    assert (config.settings.train.seed, config.settings.dataset.seed) == (4, 4)
    assert (config.rule.include, config.repeats, config.losses) == (("ssim",), 2, None)


@pytest.mark.parametrize("command", [evaluate, denoise])
@pytest.mark.parametrize("model", ["http://host/model", "https://me:hidden@host/m", "ftp://host/m"])
def test_an_address_that_no_model_can_have_is_refused_at_once(
    command: click.Command, model: str, store: Path
) -> None:
    (store / "a.png").touch()
    words = ["--input", "a.png", "--output", "b.png"] if command is denoise else []
    said = refused(command, *words, "--model", model)
    assert f"{model.replace('me:hidden', '***')}: no address of a model; allowed are" in said
    assert "hidden" not in said


@pytest.mark.parametrize("command", [powerset, evaluate])
def test_a_cache_that_cannot_be_made_is_refused_at_once(command: click.Command) -> None:
    words = ["--run", "1"] if command is evaluate else []
    assert "/proc/none cannot be made: No such file" in refused(
        command, *words, "--cache", "/proc/none"
    )


def test_a_file_whose_name_is_not_utf8_is_named(store: Path) -> None:
    name = os.fsdecode(b"\xb5.png")
    Path(name).touch()
    said = refused(denoise, "--input", name, "--output", "b.png")
    assert r"\xb5.png: the name is not UTF-8, rename it" in said
    said = refused(powerset, "--cache", os.fsdecode(b"\xb5"))
    assert r"\xb5: the name is not UTF-8, rename it" in said
    assert not Path(os.fsdecode(b"\xb5")).exists()


@pytest.mark.parametrize(
    ("flag", "text", "said"),
    [("--steps", "abc", "'abc'; allowed is a whole number"),
     ("--learning-rate", "fast", "'fast'; allowed is a number"),
     ("--noise", "nofile.json", "'nofile.json' is neither a mode nor a file")],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_named_with_what_is_allowed(
    flag: str, text: str, said: str
) -> None:
    done = CliRunner().invoke(powerset, [flag, text])
    assert done.exit_code == 2
    assert f"Invalid value for '{flag}': {said}" in done.output


def test_a_stop_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("entrypoints.options.check_server", stopped)
    done = CliRunner().invoke(powerset, [])
    assert done.exit_code == 130
    assert done.output.endswith("kept, and the same command goes on with what is left\n")


def test_commands_look_for_garbage_once_all_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """While `python -m` looks for the module of a command, the word before the options is -m."""
    seen = list[bool]()

    @click.command(cls=LocalCommand)
    def command() -> None:
        seen.append(gc.isenabled())

    importlib.reload(entrypoints)
    assert gc.isenabled(), "imported by another program"
    monkeypatch.setattr(sys, "argv", ["-m", "--help"])
    importlib.reload(entrypoints)
    try:
        assert not gc.isenabled()
        assert CliRunner().invoke(command).exit_code == 0
    finally:
        gc.enable()
    assert seen == [True]


def test_a_dataset_keeps_the_settings_that_it_was_made_with(tmp_path: Path) -> None:
    made = DatasetConfig(patches=6, patch=48, validation=0.0, noise=NoiseConfig(peak=(7.0, 7.0)))
    synthesise(simulated_clean(2, 64, 0), tmp_path / "data", made)
    found = read("--preset", "smoke", "--data", str(tmp_path / "data")).settings.dataset
    assert (found.patch, found.patches, found.noise.peak) == (48, 6, (7.0, 7.0))


@pytest.mark.parametrize("wanted", [None, "true"])
def test_mlflow_has_no_bars_of_its_own_unless_the_user_wants_them(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None
) -> None:
    variable, seen = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", list[bool]()
    monkeypatch.setenv(variable, wanted or "")
    if wanted is None:
        del os.environ[variable]

    @click.command(cls=LocalCommand)
    def command() -> None:
        seen.append(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get())

    assert CliRunner().invoke(command).exit_code == 0
    assert seen == [wanted is not None]
