"""What `mlflow run` makes of parameters that MLproject does not declare, and of paths."""

from pathlib import Path

import numpy as np
import pytest
from project import Project

from lfranker.images.image_file import write_image

pytestmark = pytest.mark.slow


@pytest.fixture
def own(store: Path) -> Project:
    return Project(store)


def test_an_undeclared_parameter_arrives_and_is_logged_once(own: Project) -> None:
    options = {"preset": "smoke", "cache": own.folder / "cache", "dry_run": "true", "data": "none"}
    plan = own.run("powerset", **options, learning_rate="5e-4", peak="10:60", target="slowest")
    assert plan.returncode == 0, plan.stderr
    assert "3 trainings of 5 steps" in plan.stdout
    made = own.run("synth", out=own.folder / "data", preset="smoke", patches=8, peak="10:60")
    assert made.returncode == 0, made.stderr
    experiment = own.client.get_experiment_by_name("test")
    assert experiment is not None
    synth, powerset = (run.data for run in own.client.search_runs([experiment.experiment_id]))
    assert powerset.params["learning_rate"] == "5e-4"
    assert (synth.params["peak"], synth.params["patches"]) == ("10:60", "8")
    assert not [name for name in synth.params if name.startswith("used")]
    assert not [name for name in synth.tags if name.startswith("lfranker.used")]


def test_a_misspelt_parameter_is_refused_with_the_nearest_name(own: Project) -> None:
    done = own.run("powerset", preset="smoke", learning_rat="5e-4")
    assert done.returncode != 0
    assert "No such option" in done.stderr
    assert "'--learning-rate'" in done.stderr
    experiment = own.client.get_experiment_by_name("test")
    assert experiment is not None
    (run,) = own.client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("refused", "FAILED")
    assert "'--learning-rate'" in run.data.tags["lfranker.reason"]


def test_a_path_is_the_callers_where_mlflow_can_tell_and_else_the_message_says(
    own: Project,
) -> None:
    write_image(own.folder / "scan.png", np.zeros((64, 64), np.float32), np.dtype(np.uint8), 255)
    done = own.run("denoise", input="scan.png", output=own.folder / "out.png", model="nowhere")
    assert f"--input {(own.folder / 'scan.png').resolve()}" in done.stderr
    assert "no such file or folder" not in done.stderr
    done = own.run("synth", clean="clean", out=own.folder / "data")
    assert "no such file or folder: clean, looked for in" in " ".join(done.stderr.split())
