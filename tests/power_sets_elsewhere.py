"""Power sets whose trainings an engine runs, for the tests of each engine: commands and checks."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from guarded_server import PASSWORD, QUOTED, USER
from mlflow import MlflowClient
from mlflow.entities import Run
from project import ROOT, SLOW, environment_without
from safetensors.torch import save_file

from lfranker.images.image_file import write_image
from lfranker.perceptual.vgg import NETWORKS, convolutions_for, last_layers
from lfranker.perceptual.weights import random_state
from lfranker.planning.settings import preset_settings
from lfranker.simulation.scans import simulated_fields
from lfranker.tracking.models import load_network
from lfranker.tracking.runs import OPEN
from lfranker.tracking.tags import Tag
from lfranker.training.trainer import build_network

PAPER = "mae,mse,ssim,perceptual"
THREE = {"mae", "mse", "mae+mse"}
LONG: Mapping[str, object] = {"steps": 200, "log_every": 20, "shorter": "false"}
LONGER: Mapping[str, object] = {**LONG, "steps": 600}  # they have to be stopped in their middle
LONGEST = 1200  # seconds, on a machine that is busy otherwise
DEPTH = "0,0,0,1,0,0,0"
TINY: Mapping[str, object] = {
    "preset": "smoke", "depth": DEPTH, "steps": 8, "batch": 1, "patches": 24, "log-every": 2,
    "warmup": 1, "perceptual-layers": 1, "checkpoint-seconds": 1,
}  # fmt: skip


def make_inputs(folder: Path) -> dict[str, object]:
    """Scans of one small field, weights of the perceptual network, and to start from: as options.

    So no filter is tuned, which takes minutes, and every kind of input has to travel.
    """
    (clean,) = simulated_fields(1, 128, 0).values()
    noise = np.random.default_rng(0).normal(0, 0.05, clean.shape).astype(np.float32)
    for speed, image in {"spd2": clean + noise, "spd8": clean}.items():
        (folder / "scans" / speed).mkdir(parents=True)
        levels = np.clip(image, 0, 1)
        write_image(folder / "scans" / speed / "field.png", levels, np.dtype(np.uint8), 255)
    network = NETWORKS["vgg19"]
    plan = convolutions_for(last_layers(network)[:1], network)
    save_file(random_state(plan, 5), folder / "vgg.safetensors")
    start = build_network(preset_settings("smoke", seed=9, depth=DEPTH).train)
    save_file(start.state_dict(), folder / "start.safetensors")
    return {
        "scans": folder / "scans",
        "perceptual": folder / "vgg.safetensors",
        "init": folder / "start.safetensors",
    }


@dataclass(frozen=True)
class Command:
    """A power set as a command of its own process, in an experiment of its own."""

    experiment: str
    uri: str
    options: Mapping[str, object]
    environment: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        words = [word for name, value in self.options.items() for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", "entrypoints.powerset", *words]

    def start(self) -> subprocess.Popen[str]:
        known = {
            **environment_without(*SLOW),
            **self.environment,
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_EXPERIMENT_NAME": self.experiment,
        }
        return subprocess.Popen(
            self.words, cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """Run it within the block, and no longer."""
        process = self.start()
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self) -> str:
        """Run it to its end, and return what it said."""
        with self.started() as process:
            return finish(process)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    def runs(self) -> list[Run]:
        experiment = self.client.get_experiment_by_name(self.experiment)
        return self.client.search_runs([experiment.experiment_id]) if experiment else []

    def trainings(self) -> dict[str, Run]:
        """Return the run of each subset, of which there is one."""
        found = [run for run in self.runs() if Tag.LOSSES in run.data.tags]
        by_name = {run.data.tags[Tag.LOSSES]: run for run in found}
        assert len(by_name) == len(found), "a subset has several runs"
        return by_name

    def wait_for(self, count: int, process: subprocess.Popen[str]) -> list[Run]:
        """Wait until so many trainings have logged a point, and return them."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            begun = [run for run in self.runs() if "train/loss" in run.data.metrics]
            going = [run for run in begun if run.info.status == "RUNNING"]
            if len(going) >= count:
                return going
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.5)
        process.kill()
        return pytest.fail(f"no training began: {process.communicate()[0]}")

    def check_whole(self, names: set[str], steps: int, every: int) -> None:
        """All have ended well, once, with each point of their curves once, and are ranked."""
        trainings = self.trainings()
        assert set(trainings) == names
        assert {name: run.info.status for name, run in trainings.items()} == dict.fromkeys(
            names, "FINISHED"
        )
        assert not [run.info.run_name for run in self.runs() if run.info.status in OPEN]
        for name, run in trainings.items():
            points = self.client.get_metric_history(run.info.run_id, "train/loss")
            expected = [step for step in range(1, steps + 1) if step % every == 0 or step == steps]
            assert [point.step for point in points] == expected, name
            assert Tag.MODEL in run.data.tags
        assert set(self.board()) == names

    def board(self) -> dict[str, dict[str, float]]:
        """Return the scores of all trainings as they were ranked, and who won."""
        parents = [r for r in self.runs() if r.data.tags.get(Tag.ROLE) == "powerset"]
        ranked = [run for run in parents if Tag.CHAMPION in run.data.tags]
        assert ranked, "no ranking"
        names = ("psnr", "ssim")
        return {
            name: {metric: run.data.metrics[metric] for metric in names}
            for name, run in self.trainings().items()
        }

    def champion(self) -> str:
        champions = {r.data.tags[Tag.CHAMPION] for r in self.runs() if Tag.CHAMPION in r.data.tags}
        (champion,) = champions
        return champion

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Return the weights that a subset was trained to."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", self.uri)
            model = self.trainings()[name].data.tags[Tag.MODEL]
            return dict(load_network(f"models:/{model}").state_dict())

    def log_of(self, run: Run) -> str:
        """Return the log that is kept with a training."""
        file = f"logs/{run.info.run_id}.txt"
        return Path(self.client.download_artifacts(run.info.run_id, file)).read_text()


def check_same(one: Command, other: Command) -> None:
    """Two power sets have the same scores, champion and weights, to the bit."""
    assert one.board() == other.board()
    assert one.champion() == other.champion()
    for name in one.trainings():
        ours, theirs = one.weights(name), other.weights(name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert torch.equal(ours[key], theirs[key]), (name, key)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the good end of a command, and return what it said."""
    said, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, said
    return said


def worker_of(run_id: str) -> int:
    """Return the process that trains into a run."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "lfranker.child_runs.worker" in line and any(run_id in word for word in line):
                return int(folder.name)
    return pytest.fail(f"no process trains {run_id}")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def secrets_in(texts: Mapping[str, bytes]) -> list[str]:
    """Return the names of the texts that have the server's password in them."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    secrets = [secret.encode() for secret in (PASSWORD, QUOTED, login)]
    return [name for name, text in texts.items() if any(secret in text for secret in secrets)]


def inputs_sent(command: Command) -> dict[str, list[str]]:
    """Return which runs have inputs among their artifacts, and which."""
    found = {}
    for run in command.runs():
        files = [file.path for file in command.client.list_artifacts(run.info.run_id, "inputs")]
        if files:
            found[run.info.run_id] = files
    return found
