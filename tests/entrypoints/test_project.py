"""MLproject, click, conda.yaml, pyproject.toml, the README and the pages of docs say the same."""

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
from lfranker.training.presets import PRESETS
from lfranker.training.trainer import TrainConfig

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


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


def test_the_seven_entry_points_and_main_exist() -> None:
    assert set(PROJECT["entry_points"]) == {
        "main", "powerset", "synth", "train", "evaluate", "rank", "noise-fit", "denoise"
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


def options_of(entry_point: str) -> set[str]:
    """Return their names as MLflow takes them: those of the flags, with underscores."""
    options = command_of(entry_point).params
    return {flag.strip("-").replace("-", "_") for option in options for flag in option.opts}


def test_readme_names_every_entry_point_and_preset() -> None:
    text = README.read_text()
    for name in {*PROJECT["entry_points"], *PRESETS}:
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_gives_only_options_that_exist_and_each_to_a_command_that_has_it(page: Path) -> None:
    text = page.read_text()
    known = set().union(*map(options_of, PROJECT["entry_points"]))
    assert set(re.findall(r"-P ([a-z_]+)=", text)) <= known
    for name, rest in re.findall(r"mlflow run \. -e ([a-z-]+)((?:\\\n|[^\n`])*)", text):
        assert name in PROJECT["entry_points"], name
        assert set(re.findall(r"-P ([a-z_]+)=", rest)) <= options_of(name), name
    for name, rest in re.findall(r"python -m entrypoints\.([a-z_]+)((?:\\\n|[^\n`])*)", text):
        flags = {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", rest)}
        assert flags <= {*options_of(name.replace("_", "-")), "help"}, name


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


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
