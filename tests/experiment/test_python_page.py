"""The code of the page on Python runs; an installed package brings no other along."""

import re
import tomllib
from pathlib import Path

import pytest
from copies import quick_power_sets, start_function
from setuptools import find_packages

from lfranker.tracking.power_set import load_power_set

ROOT = Path(__file__).parents[2]
CODE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)


def test_the_page_has_one_piece_of_code_of_a_dozen_lines() -> None:
    (code,) = CODE
    assert len([line for line in code.splitlines() if line]) <= 12


def run_the_page() -> None:
    """Run the code as a script does; filters are tuned, and plots drawn, in other tests."""
    quick_power_sets()
    exec(CODE[0], {"__name__": "__main__"})


@pytest.mark.slow
def test_the_code_of_the_page_runs_a_power_set_and_ranks_it(store: Path) -> None:
    done = start_function(run_the_page, log=store / "said.txt")
    assert done.wait(300) == 0, done.said
    power_set = load_power_set()
    assert {name for name, _ in power_set.trainings} == {"mae", "ssim", "mae+ssim"}
    assert all(run.finished for run in power_set.members)
    assert done.said.split()[-1] in ("mae", "ssim", "mae+ssim")
    assert (power_set.settings["steps"], power_set.settings["jobs"]) == ("3", "2")


def test_the_package_brings_no_other_top_level_package_than_its_own() -> None:
    """There is a package `entrypoints` on PyPI, which ours would hide."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = find_packages(str(ROOT), **project["tool"]["setuptools"]["packages"]["find"])
    assert {name.partition(".")[0] for name in found} == {"lfranker"}
    assert "lfranker.experiment" in found
