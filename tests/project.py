"""The project as a user runs it: commands in processes, a tracking store and a cache of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import get_run

ROOT = Path(__file__).parents[1]


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
        self.client = MlflowClient(self.uri, self.uri)  # makes the store where there is none
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

    def call(self, entry: click.Command, **options: object) -> Result:
        """Run an entry point in this process, which saves its start."""
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        settings = {"MLFLOW_TRACKING_URI": self.uri, "MLFLOW_EXPERIMENT_NAME": "test"}
        return CliRunner().invoke(entry, words, env=settings)

    def powerset(self, **options: object) -> str:
        done = self.run("powerset", preset="smoke", cache=self.folder / "cache", **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def children(self) -> dict[str, Run]:
        return {name: get_run(run.run_id) for (name, _), run in load_power_set().trainings.items()}

    def parent(self) -> Run:
        return get_run(load_power_set().run_id)
