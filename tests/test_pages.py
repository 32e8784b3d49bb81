"""The README and the pages of docs: the options, links, files and names that they give exist."""

import ast
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

import lfranker
from lfranker.training.presets import PRESETS

ROOT = Path(__file__).parents[1]
README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "architecture.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {
    name: re.findall(r"python -m (\S+)", entry["command"])[0]
    for name, entry in yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"].items()
}


@cache
def options_of(entry_point: str) -> set[str]:
    """Return their names as MLflow takes them: those of the flags, with underscores."""
    options = importlib.import_module(COMMANDS[entry_point]).main.params
    return {flag.strip("-").replace("-", "_") for option in options for flag in option.opts}


def test_readme_names_every_entry_point_and_preset() -> None:
    text = README.read_text()
    for name in {*COMMANDS, *PRESETS}:
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_gives_only_options_that_exist_and_each_to_a_command_that_has_it(page: Path) -> None:
    text = page.read_text()
    known = set().union(*map(options_of, COMMANDS))
    assert set(re.findall(r"-P ([a-z_]+)=", text)) <= known
    for name, rest in re.findall(r"mlflow run \. -e ([a-z-]+)((?:\\\n|[^\n`])*)", text):
        assert name in COMMANDS, name
        assert set(re.findall(r"-P ([a-z_]+)=", rest)) <= options_of(name), name
    for name, rest in re.findall(r"python -m entrypoints\.([a-z_]+)((?:\\\n|[^\n`])*)", text):
        flags = {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", rest)}
        assert flags <= {*options_of(name.replace("_", "-")), "help"}, name


def anchors(page: Path) -> set[str]:
    """Return those of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def names_in(file: Path) -> set[str]:
    """Return the functions, classes, methods and constants that a module defines."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_files_and_names_in_the_architecture_exist() -> None:
    """Those given with their folder, below lfranker/ or the root: `room/file.py::Class.name`."""
    given = re.findall(
        r"`((?:[a-z_]+/)+[a-z_]+\.py)(?:::([A-Za-z_.]+))?`", ARCHITECTURE.read_text()
    )
    assert given
    for path, names in given:
        file = next(
            (top / path for top in (ROOT / "lfranker", ROOT) if (top / path).is_file()), None
        )
        assert file is not None, path
        assert not names or set(names.split(".")) <= names_in(file), f"{path}::{names}"


def test_tests_in_the_architecture_exist() -> None:
    """Those given without their folder lie in that of the one before."""
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)`", ARCHITECTURE.read_text()))
    assert named
    assert named <= there


def test_every_room_is_in_the_architecture_and_is_one() -> None:
    table = ARCHITECTURE.read_text().partition("## Conventions")[0]
    rooms = {path.parent.name for path in (ROOT / "lfranker").glob("*/__init__.py")}
    files = {path.name for path in (ROOT / "lfranker").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`([a-z_]+)/`", table)) == {*rooms, "entrypoints", "lfranker"}
    assert files <= set(re.findall(r"`(?:lfranker/)?([a-z]+\.py)`", table))


def test_the_map_of_the_rooms_has_the_order_in_which_they_import() -> None:
    """Rooms of one layer, `a | b`, may stand in either order."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"][1:]  # without the entry points
    of_line = r"^([a-z_]+)(?=  )|(?<=\| )([a-z_]+)(?=: )"
    said = [a or b for a, b in re.findall(of_line, lfranker.__doc__ or "", re.MULTILINE)]
    for layer in layers[:-1]:
        rooms = {name.removeprefix("lfranker.") for name in layer.split(" | ")}
        assert set(said[: len(rooms)]) == rooms
        del said[: len(rooms)]
    modules = ", ".join(sorted(name.removeprefix("lfranker.") for name in layers[-1].split(" | ")))
    (last,) = re.findall(r"^([a-z, ]+): modules", lfranker.__doc__ or "", re.MULTILINE)
    assert ", ".join(sorted(last.split(", "))) == modules
    assert said == []
