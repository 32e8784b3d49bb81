"""Power sets that are stopped or killed, and go on later."""

import re
import signal
import time
from pathlib import Path

import pytest
from copies import Started, start_command
from mlflow.entities import Run
from project import Project, scans_of_one_field

from lfranker.tracking.runs import OPEN
from lfranker.tracking.tags import Tag

STEPS = 200  # which take the seconds in which a training is seen to run, and is stopped
IS_RUNNING = "attributes.status = 'RUNNING'"

pytestmark = pytest.mark.slow


@pytest.fixture
def own(store: Path) -> Project:
    scans_of_one_field(store / "scans")
    return Project(store)


def start(project: Project, steps: int) -> Started:
    """A power set in a process of its own."""
    options = {"preset": "smoke", "cache": project.folder / "cache", "steps": steps, "jobs": 2}
    options |= {"scans": project.folder / "scans", "shorter": "false", "patches": 24}
    options |= {"checkpoint-seconds": 1, "depth": "0,0,0,1,0,0,0", "batch": 1, "log-every": 20}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    environment = {**project.environment, "MLFLOW_EXPERIMENT_NAME": "test"}
    return start_command("entrypoints.powerset", words, environment, project.folder / "said.txt")


def started(project: Project, steps: int) -> Started:
    """A power set, once two of its trainings have logged a point."""
    process = start(project, steps)
    experiment = project.client.get_experiment_by_name("test")
    assert experiment is not None
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        open_ones = project.client.search_runs([experiment.experiment_id], IS_RUNNING)
        if sum("train/loss" in run.data.metrics for run in open_ones) == 2:
            return process
        time.sleep(0.2)
    process.kill()
    return pytest.fail("no training began")


def open_runs(project: Project) -> list[str]:
    every = project.client.search_runs([project.parent().info.experiment_id])
    return [str(run.info.run_name) for run in every if run.info.status in OPEN]


def resumed_after(project: Project, run: Run) -> int:
    """The step that a training went on from, as its own log tells; 0 for one from the start."""
    folder = Path(project.client.download_artifacts(run.info.run_id, "logs"))
    found = re.search(r"resuming after step (\d+)", (folder / f"{run.info.run_id}.txt").read_text())
    return int(found[1]) if found else 0


def check_resumed(project: Project, stopped: dict[str, Run], steps: int) -> None:
    """The same runs are finished now; those that had begun went on where they were."""
    finished = project.children()
    assert {run.info.status for run in finished.values()} == {"FINISHED"}
    assert {n: r.info.run_id for n, r in finished.items()} == {
        n: r.info.run_id for n, r in stopped.items()
    }
    begun = [name for name, run in stopped.items() if "train/loss" in run.data.metrics]
    assert len(begun) == 2
    for name in begun:
        assert 0 < resumed_after(project, finished[name]) < steps, name
        history = project.client.get_metric_history(finished[name].info.run_id, "train/loss")
        assert [point.step for point in history] == sorted({point.step for point in history})
        assert history[-1].step == steps
        assert Tag.REASON not in finished[name].data.tags


def test_what_is_killed_goes_on_and_what_is_stopped_leaves_nothing_running(own: Project) -> None:
    killed = started(own, STEPS)
    killed.kill()
    deadline = time.monotonic() + 60
    while any(r.info.status == "RUNNING" for r in own.children().values()):
        assert time.monotonic() < deadline, "the trainings did not notice"
        time.sleep(0.5)
    # the one that was waiting, and the parent itself, had nobody to end them
    statuses = sorted(run.info.status for run in own.children().values())
    assert statuses == ["KILLED", "KILLED", "SCHEDULED"]

    stopped = started(own, STEPS)
    # under `mlflow run` Ctrl-C arrives more than once
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        stopped.send(number)
        time.sleep(0.2)
    assert stopped.wait(120) != 0
    assert stopped.said.count("left open by a killed process") == 2
    assert open_runs(own) == []
    left = own.children()
    assert {run.info.status for run in left.values()} == {"KILLED"}

    done = start(own, STEPS)  # the same command again, to its end
    assert done.wait(600) == 0, done.said
    assert "2 of 3 trainings had begun before" in done.said
    check_resumed(own, left, STEPS)
    assert open_runs(own) == []
