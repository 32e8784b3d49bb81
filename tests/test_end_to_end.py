"""The commands of the README, as a user types them, with the smallest preset."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.images import read_image, write_image
from lfranker.simulated_scans import simulate_scans, simulated_fields
from lfranker.tracking.queries import find_parent, trainings
from lfranker.tracking.runs import OPEN, TAG

ROOT = Path(__file__).parents[1]
SUBSETS = ["mae", "mae+ssim", "ssim"]


class Project:
    """The project with a tracking store and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
            "MLFLOW_TRACKING_URI": self.uri,
            # MLproject says `python`: the one that runs the tests, activated or not
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        }
        self.client = MlflowClient(self.uri, self.uri)
        self.client.create_experiment("test", artifact_location=(folder / "mlruns").as_uri())

    def command(self, entry: str, options: Mapping[str, object]) -> list[str]:
        words = [f"{name}={value}" for name, value in options.items()]
        flags = [word for pair in words for word in ("-P", pair)]
        return [
            sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry,
            "--env-manager", "local", "--experiment-name", "test", *flags,
        ]  # fmt: skip

    def run(self, entry: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(entry, options), env=self.environment, cwd=self.folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def powerset(self, **options: object) -> str:
        done = self.run("powerset", preset="smoke", cache=self.folder / "cache", **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def children(self) -> dict[str, Run]:
        return {name: run for (name, _), run in trainings(self.parent()).items()}

    def parent(self) -> Run:
        return find_parent(None)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.powerset()
    return project


@pytest.fixture(autouse=True)
def ask_its_store(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.uri)


def test_all_subsets_are_trained_scored_ranked_and_registered(project: Project) -> None:
    children = project.children()
    assert sorted(children) == SUBSETS
    for run in children.values():
        assert run.info.status == "FINISHED"
        assert {"psnr", "ssim", "keypoints", "psnr/spd2", "train/loss", "val/psnr"} <= set(
            run.data.metrics
        )
        files = {f.path for f in project.client.list_artifacts(run.info.run_id)}
        assert {"scores", "pictures", "images", "logs"} <= files
        assert "checkpoints" not in files, "only the final model stays"
    parent = project.parent()
    assert parent.data.tags[TAG + "champion"] in SUBSETS
    assert "demonstrates the machinery" in parent.data.tags["mlflow.note.content"]
    champion = project.client.get_model_version_by_alias("lfranker", "champion")
    assert champion.run_id in {run.info.run_id for run in children.values()}
    assert champion.tags[TAG + "simulated"] == "true"


def test_the_same_command_keeps_what_is_finished(project: Project) -> None:
    before = {name: run.info.end_time for name, run in project.children().items()}
    output = project.powerset()
    assert "3 of 3 trainings are finished already" in output
    assert {name: run.info.end_time for name, run in project.children().items()} == before


FRESH_PROCESS = """
import sys
import mlflow, numpy as np, torch
model = mlflow.pyfunc.load_model("models:/lfranker@champion")
scan = np.random.default_rng(0).random((1, 1, 70, 90), dtype=np.float32)
denoised = model.predict(scan)
assert (denoised.shape, denoised.dtype) == (scan.shape, scan.dtype)
assert isinstance(model.unwrap_python_model().network, torch.nn.Module)
assert "skimage" not in sys.modules and "lfranker.tracking" not in sys.modules
print(float(denoised.min()) >= 0 and float(denoised.max()) <= 1)
"""


def test_the_champion_loads_without_pickle_in_a_fresh_process_and_folder(
    project: Project, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", FRESH_PROCESS],
        env={**project.environment, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("True")


def test_denoise_keeps_depth_and_names_what_it_cannot_read(
    project: Project, tmp_path: Path
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    image = np.random.default_rng(0).random((65, 80), dtype=np.float32)
    write_image(scans / "eight.png", image, np.dtype(np.uint8), 255)
    write_image(scans / "sixteen.tif", image, np.dtype(np.uint16), 65535)
    (scans / "broken.png").write_bytes(b"not a picture")
    done = project.run("denoise", input=scans, output=out)
    assert done.returncode != 0
    assert "broken.png" in done.stderr
    for name, kind in (("eight.png", np.uint8), ("sixteen.tif", np.uint16)):
        after = read_image(out / name)
        assert (after.dtype, after.pixels.shape) == (np.dtype(kind), image.shape)
        assert np.abs(after.pixels - read_image(scans / name).pixels).mean() > 0.01
    again = project.run("denoise", input=scans / "eight.png", output=out / "eight.png")
    assert again.returncode != 0
    assert "exists" in again.stderr


def test_new_scans_are_scored_beside_the_old_ones_and_ranked(
    project: Project, tmp_path: Path
) -> None:
    simulate_scans(simulated_fields(2, 160, seed=5), tmp_path / "scans", seed=5)
    done = project.run(
        "evaluate", parent="latest", scans=tmp_path / "scans", cache=tmp_path / "cache"
    )
    assert done.returncode == 0, done.stderr
    digest = done.stdout.strip().split()[-1]
    run = project.children()["mae"]
    assert run.data.metrics[f"{digest}.psnr"] != run.data.metrics["psnr"]
    tables = project.client.list_artifacts(run.info.run_id, "scores")
    assert len(tables) == 2
    ranked = project.run("rank", scans=digest)
    assert ranked.returncode == 0, ranked.stderr
    parent = project.parent().info.run_id
    assert project.client.list_artifacts(parent, f"ranking-{digest}")


def test_bad_options_fail_before_anything_is_trained(project: Project, tmp_path: Path) -> None:
    before = len(project.children())
    for options, message in (
        ({"losses": "mae,huber"}, "huber"),
        ({"scans": tmp_path / "nowhere"}, "nowhere"),
        ({"peak": "high"}, "high"),
        ({"steps": 0}, "steps is 0"),
    ):
        done = project.run("powerset", preset="smoke", cache=tmp_path, **options)
        assert done.returncode != 0
        assert message in done.stderr
    assert len(project.children()) == before


def started(project: Project, steps: int) -> subprocess.Popen[str]:
    """A power set in a process of its own, once two of its trainings have logged a point."""
    options = {"preset": "smoke", "cache": project.folder / "cache", "steps": steps, "jobs": 2}
    options |= {"checkpoint-seconds": 1}
    process = subprocess.Popen(
        [sys.executable, "-m", "entrypoints.powerset"]
        + [w for k, v in options.items() for w in (f"--{k}", str(v))],
        cwd=ROOT, env={**project.environment, "MLFLOW_EXPERIMENT_NAME": "test"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        running = [r for r in project.children().values() if "train/loss" in r.data.metrics]
        if len(running) >= 2 and all(r.info.status == "RUNNING" for r in running):
            return process
        time.sleep(0.5)
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
        assert TAG + "reason" not in finished[name].data.tags


def test_a_stopped_power_set_leaves_nothing_running_and_goes_on_later(project: Project) -> None:
    process = started(project, 400)
    # under `mlflow run` Ctrl-C arrives more than once
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.2)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert open_runs(project) == []
    stopped = project.children()
    assert {run.info.status for run in stopped.values()} == {"KILLED"}

    project.powerset(steps=400)
    check_resumed(project, stopped, 400)


def test_a_killed_power_set_goes_on_later(project: Project) -> None:
    process = started(project, 300)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(r.info.status == "RUNNING" for r in project.children().values()):
        assert time.monotonic() < deadline, "the trainings did not notice"
        time.sleep(0.5)
    stopped = project.children()
    # the one that was waiting, and the parent itself, had nobody to end them
    assert sorted(run.info.status for run in stopped.values()) == ["KILLED", "KILLED", "SCHEDULED"]

    output = project.powerset(steps=300)
    assert output.count("left open by a killed process") == 2
    check_resumed(project, stopped, 300)
    assert open_runs(project) == []
