"""MLproject, click, conda.yaml and pyproject.toml say the same."""

import importlib
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest
import yaml
from mlflow.utils.environment import _PythonEnv

from entrypoints.help_texts import HELP
from lfranker.datasets.synthesis import SynthConfig
from lfranker.training.trainer import TrainConfig

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def command_of(entry_point: str) -> click.Command:
    module = re.match(r"python -m (\S+)", PROJECT["entry_points"][entry_point]["command"])
    assert module is not None
    command = importlib.import_module(module[1]).main
    assert isinstance(command, click.Command)
    return command


@pytest.mark.parametrize("name", PROJECT["entry_points"])
def test_entry_point_matches_its_click_command(name: str) -> None:
    entry = PROJECT["entry_points"][name]
    options = {option.opts[0]: option for option in command_of(name).params}
    passed = dict(re.findall(r"(--[\w-]+) \{(\w+)\}", entry["command"]))

    assert set(passed.values()) == set(entry["parameters"]), "declared but not passed, or reverse"
    assert set(passed) == set(options)
    for flag, parameter in passed.items():
        assert flag == "--" + parameter.replace("_", "-")
        default = entry["parameters"][parameter].get("default")
        if options[flag].required:
            assert default is None
        else:
            expected = options[flag].default
            expected = str(expected).lower() if isinstance(expected, bool) else expected
            assert default == expected, parameter


def test_the_eight_entry_points_and_main_exist() -> None:
    assert set(PROJECT["entry_points"]) == {
        "main", "powerset", "synth", "train", "evaluate", "rank", "rate", "noise-fit", "denoise"
    }  # fmt: skip
    assert PROJECT["entry_points"]["main"] == PROJECT["entry_points"]["powerset"]


def test_conda_yaml_has_the_dependencies_of_pyproject() -> None:
    conda = yaml.safe_load((ROOT / PROJECT["conda_env"]).read_text())
    python, pip, packages = conda["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert packages["pip"] == PYPROJECT["project"]["dependencies"]


def test_mlflow_reads_conda_yaml_without_losing_anything() -> None:
    environment = _PythonEnv.from_conda_yaml(str(ROOT / "conda.yaml"))
    assert environment.python.startswith("3.11")
    assert environment.dependencies == PYPROJECT["project"]["dependencies"]


def test_mlflow_is_pinned_exactly_and_opencv_below_5() -> None:
    dependencies = PYPROJECT["project"]["dependencies"]
    assert [d for d in dependencies if re.fullmatch(r"mlflow==\d+\.\d+\.\d+", d)]
    assert "opencv-python-headless>=4.8,<5" in dependencies


def test_every_setting_has_an_option_with_help() -> None:
    settings = {item.name for kind in (TrainConfig, SynthConfig) for item in fields(kind)}
    # seed and repeat have options of their own
    assert set(HELP) == settings - {"seed", "repeat"}


@pytest.mark.parametrize("name", [n for n in PROJECT["entry_points"] if n != "main"])
def test_help_has_a_sentence_for_every_option(name: str) -> None:
    for option in command_of(name).params:
        assert isinstance(option, click.Option)
        assert option.help, f"{name} {option.opts[0]}"


def test_depth_of_each_stage_passes_the_command_line_as_it_is_logged() -> None:
    for command in ("train", "powerset"):
        options = {option.name: option for option in command_of(command).params}
        for depth in (1, "0,1,1,2,1,1,0"):
            assert options["depth"].type.convert(str(depth), None, None) == depth
