"""MLproject, click, conda.yaml and pyproject.toml say the same."""

import importlib
import re
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from mlflow.utils.environment import _PythonEnv

from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.options import options
from lfranker.training.config import TrainConfig

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
def test_declared_parameters_are_options_with_the_same_default(name: str) -> None:
    entry = PROJECT["entry_points"][name]
    declared = entry.get("parameters", {})
    options = {option.opts[0]: option for option in command_of(name).params}
    passed = dict(re.findall(r"(--[\w-]+) \{(\w+)\}", entry["command"]))
    assert set(passed.values()) == set(declared), "declared but not passed, or reverse"
    for flag, parameter in passed.items():
        assert flag == "--" + parameter.replace("_", "-")
        default = declared[parameter].get("default")
        if options[flag].required:
            assert default is None
        else:
            expected = options[flag].default
            expected = "+".join(expected) if isinstance(expected, tuple) else str(expected)
            assert str(default).lower() == expected.lower(), parameter
    required = {flag for flag, option in options.items() if option.required}
    assert required <= set(passed), "MLflow would not ask for it"


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


def test_every_setting_is_an_option() -> None:
    flags = {option.opts[0] for option in command_of("powerset").params}
    names = {*options(TrainConfig), *options(DatasetConfig)} - {"repeat"}  # of train alone
    assert {"--" + name.replace("_", "-") for name in names} <= flags


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
