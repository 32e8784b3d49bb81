"""The project as a user runs it: commands in processes, a tracking store and a cache of its own."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import click
import mlflow
import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend import local
from mlflow.tracking import fluent
from mlflow.utils.thread_utils import ThreadLocalVariable

from lfranker.images.image_file import write_image
from lfranker.simulation.scans import simulated_fields
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import get_run

ROOT = Path(__file__).parents[1]
HIDING = Path(__file__).parent / "hiding"
SLOW = ("bm3d", "onnx")  # packages that are not required: tests of their own look at what they do
FILTERS = ("noisy", "gaussian-1", "gaussian-2")  # that are scored where a test is not about them
UNSCORED = ("ms_ssim", "psnr_fitted", "frc", "high_frequency_ratio")  # metrics that rank nothing


def environment_without(*packages: str) -> dict[str, str]:
    """Return the environment of processes, no setting of MLflow in it, that lack these packages."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    folders = [str(HIDING), *filter(None, [own.get("PYTHONPATH")])]
    return {**own, "PYTHONPATH": os.pathsep.join(folders), "HIDDEN_PACKAGES": ",".join(packages)}


def scans_of_one_field(folder: Path) -> Path:
    """Write scans of one small field at two speeds, so that no filter is tuned: that takes long."""
    (clean,) = simulated_fields(1, 128, 0).values()
    noise = np.random.default_rng(0).normal(0, 0.05, clean.shape).astype(np.float32)
    for speed, image in {"spd2": clean + noise, "spd8": clean}.items():
        (folder / speed).mkdir(parents=True)
        levels = np.clip(image, 0, 1)
        write_image(folder / speed / "field.png", levels, np.dtype(np.uint8), 255)
    return folder


class CommandHere:
    """A stand-in for the process that MLflow starts: its command is run in this one."""

    def __init__(self, command: str, folder: str, environment: Mapping[str, str]) -> None:
        python, flag, module, *words = shlex.split(command)
        assert (python, flag) == ("python", "-m")
        with chdir(folder):
            self.result = CliRunner().invoke(import_module(module).main, words, env=environment)

    def wait(self) -> int:
        return int(self.result.exit_code)


class Project:
    """The project with a tracking store and a cache of its own, without some packages."""

    def __init__(self, folder: Path, without: tuple[str, ...] = SLOW) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.environment = {
            **environment_without(*without),
            "MLFLOW_TRACKING_URI": self.uri,
            # MLproject says `python`: the one that runs the tests, activated or not
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        }
        self.client = MlflowClient(self.uri, self.uri)  # makes the store where there is none
        self.client.create_experiment("test", artifact_location=(folder / "mlruns").as_uri())

    def type(self, entry: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run an entry point as a user types it."""
        words = [f"{name}={value}" for name, value in options.items()]
        flags = [word for pair in words for word in ("-P", pair)]
        return subprocess.run(
            [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry,
             "--env-manager", "local", "--experiment-name", "test", *flags],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def run(self, entry: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Do what `type` does; the command that MLflow makes of it is run in this process."""
        words = {name: str(value) for name, value in options.items()}
        ran = list[CommandHere]()

        def here(command: Sequence[str], cwd: str, env: Mapping[str, str], **_: object) -> object:
            ran.append(CommandHere(command[-1], cwd, env))
            return ran[0]

        with self._surroundings() as patch, redirect_stderr(StringIO()) as told:
            patch.setattr(local, "subprocess", SimpleNamespace(Popen=here))
            with suppress(ExecutionException):  # of a command that failed or was refused
                mlflow.projects.run(
                    str(ROOT), entry, parameters=words, experiment_name="test", env_manager="local"
                )
        (command,) = ran
        err = told.getvalue() + command.result.stderr
        return subprocess.CompletedProcess([entry], command.wait(), command.result.stdout, err)

    @contextmanager
    def _surroundings(self) -> Iterator[pytest.MonkeyPatch]:
        """Make its environment and folder those of this process, which has no run open."""
        with pytest.MonkeyPatch.context() as patch, chdir(self.folder):
            for name in os.environ.keys() - self.environment.keys():
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(fluent, "_active_run_stack", ThreadLocalVariable(list))
            yield patch

    def call(self, entry: click.Command, **options: object) -> Result:
        """Run an entry point in this process, which saves its start."""
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        settings = {"MLFLOW_TRACKING_URI": self.uri, "MLFLOW_EXPERIMENT_NAME": "test"}
        return CliRunner().invoke(entry, words, env=settings)

    def powerset(self) -> None:
        done = self.type("powerset", preset="smoke", cache=self.folder / "cache")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Downloading artifacts" not in done.stderr, "MLflow's bars, many and of no use"

    def children(self) -> dict[str, Run]:
        return {name: get_run(run.run_id) for (name, _), run in load_power_set().trainings.items()}

    def parent(self) -> Run:
        return get_run(load_power_set().run_id)
