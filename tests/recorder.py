"""Commands run in process with all heavy work replaced: what would do it, with which arguments.

A function is replaced wherever a module of the project has it, so that it does not matter where it
lives or who calls it.
"""

import importlib
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from lfranker.child_runs.worker import TrainingTask, read_task, run_task
from lfranker.datasets.clean_images import CleanImage, load_clean, simulated_clean
from lfranker.datasets.noisy_scans import noisy_digests
from lfranker.datasets.patch_dataset import Dataset, DatasetConfig, read_dataset
from lfranker.datasets.synthesis import synthesise
from lfranker.denoiser.denoise_files import denoise_files
from lfranker.experiment.scan_curve import draw_scans, learn_from_scans
from lfranker.launching.engine import EngineLauncher
from lfranker.launching.launcher import Outcome, Watch
from lfranker.launching.ray_engine import RayEngine
from lfranker.launching.slurm import SlurmEngine
from lfranker.losses import build_objective, try_losses
from lfranker.noise.parsing import fei_profile
from lfranker.noise.profile import write_profile
from lfranker.noise.profile_measurement import exposures_of, fit_pairs, fit_singles
from lfranker.options import flat
from lfranker.perceptual.weights import load_levels, resolve_weights
from lfranker.planning.inputs import count_fields
from lfranker.planning.noisy_scans import training_scans
from lfranker.planning.plan import fingerprint
from lfranker.planning.time_estimate import scoring_seconds, seconds_per_step
from lfranker.processes.jobs import Job, run_jobs
from lfranker.publishing.pictures import log_pictures
from lfranker.publishing.promotion import score_version
from lfranker.publishing.ranking_run import Report, rank_power_set
from lfranker.ranking.along_training import to_stop
from lfranker.ranking.leaderboard import rank
from lfranker.rating.sheets import Key
from lfranker.rating.workflow import make_sheets, take_ratings
from lfranker.registration.register import Transform
from lfranker.scans.preparation import prepare_scans
from lfranker.scans.scan_set import Record, ScanSet, read_scans
from lfranker.simulation.scans import damaged_scan, simulate_scans, simulated_fields
from lfranker.tracking.claims import refuse_if_busy
from lfranker.tracking.models import load_likeness, load_network, load_onnx, model_id_of
from lfranker.tracking.pages import how_to_open
from lfranker.tracking.registry import Choice, choose_model, named_model
from lfranker.tracking.runs import set_tags, title_of
from lfranker.tracking.score_logging import log_dataset, score_baselines, score_run
from lfranker.tracking.store import require_passed_on, require_server
from lfranker.tracking.tags import Tag
from lfranker.tracking.training_run import TrainingRun
from lfranker.training.initial_weights import load_initial
from lfranker.training.memory import refuse_too_large
from lfranker.training.trainer import Trainer, build_network

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
PLACES = 10  # that the scans show: a search for weights needs some


def command_of(name: str) -> click.Command:
    """The click command of an entry point."""
    module = re.match(r"python -m (\S+)", ENTRY_POINTS[name]["command"])
    assert module is not None
    command = importlib.import_module(module[1]).main
    assert isinstance(command, click.Command)
    return command


COMMANDS = {name: command_of(name) for name in ENTRY_POINTS if name != "main"}


Names = Mapping[int, Sequence[tuple[ModuleType, str]]]


def project_names() -> Names:
    """Return the modules of the project that have an object, and its names there, by its id."""
    found = defaultdict(list)
    for of, module in list(sys.modules.items()):
        if of.startswith(("lfranker", "entrypoints")):
            for name, value in vars(module).items():
                found[id(value)].append((module, name))
    return found


def everywhere(
    monkeypatch: pytest.MonkeyPatch, function: Any, other: object, names: Names | None = None
) -> None:
    """Replace a function in every module of the project that has it."""
    places = (names or project_names()).get(id(function), ())
    assert places, f"{function.__name__} is nowhere to be replaced"
    for module, name in places:
        monkeypatch.setattr(module, name, other)


class Recorder:
    """The calls of replaced functions, in the command itself ("") or in a child ("train")."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._names = project_names()
        self.calls: dict[tuple[str, str], list[SimpleNamespace]] = defaultdict(list)
        self.by = ""
        self.result: Result | None = None

    def replace(self, function: Any, stand_in: Callable[..., Any]) -> None:
        """Record the arguments of each call, by name, and answer as the stand-in does."""
        other = self.recording(function, stand_in)
        everywhere(self._monkeypatch, function, other, self._names)

    def recording(self, function: Any, stand_in: Callable[..., Any]) -> Any:
        """A function with the same arguments that records them."""
        signature = inspect.signature(function)

        def recorded(*args: Any, **named: Any) -> Any:
            bound = signature.bind(*args, **named)
            bound.apply_defaults()
            call = SimpleNamespace(**bound.arguments)
            self.calls[self.by, function.__name__].append(call)
            return stand_in(call)

        return recorded

    def at(self, function: str, path: str, by: str = "") -> object:
        """Return what is at `path` among the arguments, if that is the same in all calls."""
        values = [attrgetter(path)(call) for call in self.calls[by, function]]
        if not values:
            return f"{function} was not called"
        return values[0] if all(value == values[0] for value in values) else values

    @property
    def jobs(self) -> list[Job]:
        """The processes that the command would have started."""
        return [job for call in self.calls["", "run_jobs"] for job in call.jobs]

    def told(self, name: str) -> list[Any]:
        """Values of an option in the tasks of the children that train."""
        tasks = [read_task(Path(job.command[3])) for job in self.jobs]
        told = [
            {**vars(task), **flat(task.inputs), **flat(task.train)}
            for task in tasks
            if isinstance(task, TrainingTask)
        ]
        return [values[name] for values in told]

    def run(self, command: str, words: Sequence[str]) -> Result:
        """Run a command in this process."""
        self.result = CliRunner().invoke(COMMANDS[command], list(words))
        return self.result

    def run_children(self, jobs: Sequence[Job]) -> None:
        """Run what their processes would have run, one after another, in this process."""
        for job in jobs:
            assert job.command[1:3] == ["-m", run_task.__module__]
            file = Path(job.command[3])
            self.by = "train" if isinstance(read_task(file), TrainingTask) else "evaluate"
            with pytest.MonkeyPatch.context() as patch:
                for variable, value in job.environment.items():
                    patch.setenv(variable, value)
                run_task(file)
            self.by = ""


class Network:
    """Stands in for a network; it is on every device."""

    def to(self, *_: object, **__: object) -> "Network":
        return self


def record_all(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A recorder of all that is slow, on a machine that has three GPUs."""
    recorded = Recorder(monkeypatch)
    for part in (_data, _scans, _training, _launching, _ranking, _microscope):
        part(recorded)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    # which takes weights of a user there, and has no option for another place
    monkeypatch.setattr("entrypoints.evaluate.device_of", lambda _: torch.device("cpu"))
    monkeypatch.setattr(
        torch, "set_num_threads", recorded.recording(set_num_threads, lambda _: None)
    )
    return recorded


def set_num_threads(count: int) -> None:
    """Stands in for torch's, whose arguments cannot be asked for."""


def _data(recorded: Recorder) -> None:
    made: dict[Path, Dataset] = {}

    def make(folder: Path, config: DatasetConfig) -> Dataset:
        patches = np.zeros((2, 8, 8), np.uint8)
        manifest = {
            "request": {"parameters": config.determining(), "sources": []},
            "notices": [],
        }
        folder.mkdir(parents=True, exist_ok=True)
        digest = fingerprint(config.determining())
        train, validation = np.arange(1), np.arange(1, 2)
        data = Dataset(folder, manifest, patches, patches, train, validation, digest)
        return made.setdefault(folder.resolve(), data)

    def images() -> list[CleanImage]:
        image = np.zeros((600, 600), np.float32)
        return [CleanImage(name, ".", image + at / 9, "") for at, name in enumerate("abc")]

    recorded.replace(load_clean, lambda _: (images(), []))
    recorded.replace(training_scans, lambda _: ([], []))
    recorded.replace(noisy_digests, lambda call: [one.field for one in call.scans.records])
    recorded.replace(simulated_clean, lambda _: images())
    recorded.replace(synthesise, lambda call: make(call.out, call.config))
    recorded.replace(
        read_dataset, lambda call: made.get(call.folder) or make(call.folder, DatasetConfig())
    )
    recorded.replace(log_dataset, lambda _: None)


def _scans(recorded: Recorder) -> None:
    prepared: dict[Path, ScanSet] = {}

    def prepare(call: SimpleNamespace) -> ScanSet:
        digest = sha256(f"{call.folder} {call.target}".encode()).hexdigest()
        folder = call.cache / digest[:16]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scans.json").touch()
        records = tuple(
            Record(f"f{at}", "spd2", Transform(), "", "", f"place{at}") for at in range(PLACES)
        )
        names = tuple(record.field for record in records)
        scans = ScanSet(folder, "spd8", ("spd2",), names, False, digest, (), (), (), records)
        return prepared.setdefault(folder, scans)

    # nothing that was trained on is among the scans: their pixels are not there to be compared
    recorded._monkeypatch.setattr(ScanSet, "fields_among", lambda *_: [])
    recorded.replace(prepare_scans, prepare)
    recorded.replace(read_scans, lambda call: prepared[call.prepared])
    recorded.replace(count_fields, lambda _: PLACES)
    recorded.replace(simulate_scans, lambda call: call.out.mkdir(parents=True))
    recorded.replace(damaged_scan, lambda _: "")
    recorded.replace(simulated_fields, lambda _: {"scene": np.zeros((9, 9), np.float32)})


def _training(recorded: Recorder) -> None:
    recorded.replace(refuse_too_large, lambda _: None)  # there is no such GPU
    recorded.replace(resolve_weights, lambda call: resolve_weights(**vars(call)))
    recorded.replace(load_levels, lambda _: SimpleNamespace())
    recorded.replace(try_losses, lambda _: None)
    recorded.replace(build_objective, lambda _: SimpleNamespace())
    recorded.replace(build_network, lambda _: Network())
    recorded.replace(load_initial, lambda _: None)
    recorded.replace(seconds_per_step, lambda _: 1e7)  # a plan of more than a day
    recorded.replace(scoring_seconds, lambda _: 1.0)
    recorded.replace(Trainer, lambda _: SimpleNamespace(ema=Network()))
    recorded.replace(TrainingRun, lambda _: SimpleNamespace(train=lambda _: "ok"))
    recorded.replace(run_jobs, lambda call: _finish(call, len(recorded.calls["", "run_jobs"])))
    recorded.replace(draw_scans, lambda _: None)
    recorded.replace(learn_from_scans, lambda _: None)
    recorded.replace(to_stop, lambda _: {})
    recorded.replace(refuse_if_busy, lambda call: list(call.runs) and None)


def _launching(recorded: Recorder) -> None:
    """An engine whose jobs all end well; the store is none that other machines could log to."""

    def launcher(_: SimpleNamespace) -> SimpleNamespace:
        jobs = list[Job]()

        def outcomes(_: Watch) -> Iterator[tuple[Job, Outcome]]:
            for job, _code in _finish(SimpleNamespace(jobs=jobs), 30.0):
                yield job, Outcome()

        return SimpleNamespace(submit=jobs.extend, outcomes=outcomes, cancel=jobs.clear)

    recorded.replace(require_server, lambda _: None)
    recorded.replace(require_passed_on, lambda _: None)
    recorded.replace(SlurmEngine, lambda _: SimpleNamespace(check=lambda: None))
    recorded.replace(RayEngine, lambda _: SimpleNamespace(check=lambda: None))
    recorded.replace(EngineLauncher, launcher)


def _finish(call: SimpleNamespace, level: float) -> Generator[tuple[Job, int]]:
    """Every process has done what it is told to: its run has a model and scores at a level, dB."""
    for job in call.jobs:
        run = MlflowClient().get_run(job.name)
        parent = MlflowClient().get_run(run.data.tags["mlflow.parentRunId"])
        while Tag.SCANS not in parent.data.tags:  # the parent of a search
            parent = MlflowClient().get_run(parent.data.tags["mlflow.parentRunId"])
        digest = parent.data.tags[Tag.SCANS]
        table = pd.DataFrame({"psnr": level + np.arange(PLACES), "speed": "spd2", "sample": ""})
        table = table.assign(ssim=table["psnr"] / 100, field=[f"f{at}" for at in table.index])
        table["place"] = [f"place{at}" for at in table.index]
        path = f"scores/scans-{digest[:8]}.csv"
        MlflowClient().log_text(job.name, table.to_csv(index=False), path)
        tags = {"model": "m", "outcome": "ok", f"outcome.{digest[:8]}": "ok"}
        set_tags(job.name, {"lfranker." + name: value for name, value in tags.items()})
        yield job, 0


def _ranking(recorded: Recorder) -> None:
    def report(call: SimpleNamespace) -> Report:
        jobs = recorded.calls["", "run_jobs"][0].jobs if recorded.calls["", "run_jobs"] else ()
        names = list(dict.fromkeys(_tag(job.name, "losses") for job in jobs)) or ["mae", "ssim"]
        board = pd.DataFrame({"psnr": 30.0 - np.arange(len(names)), "ssim": 0.9}, index=names)
        return Report(str(call.parent_id), rank(board), False, {}, ())

    recorded.replace(rank_power_set, report)
    recorded.replace(how_to_open, lambda _: "")
    recorded.replace(title_of, lambda _: "")
    recorded.replace(score_run, lambda _: "ok")
    recorded.replace(score_version, lambda _: None)
    recorded.replace(score_baselines, lambda _: iter(()))
    recorded.replace(log_pictures, lambda _: None)
    recorded.replace(load_network, lambda _: Network())
    recorded.replace(load_likeness, lambda _: None)
    recorded.replace(load_onnx, lambda _: Network())
    recorded.replace(model_id_of, lambda _: "m-1")
    recorded.replace(make_sheets, lambda _: Key("", {}, ()))
    recorded.replace(take_ratings, lambda _: [])
    recorded.replace(choose_model, lambda _: Choice("models:/m/1", "m", "chosen"))
    recorded.replace(named_model, lambda call: Choice(call.uri, call.uri, "named"))
    recorded.replace(denoise_files, lambda _: [])


def _tag(run_id: str, name: str) -> str:
    return str(MlflowClient().get_run(run_id).data.tags["lfranker." + name])


def _microscope(recorded: Recorder) -> None:
    empty = dict.fromkeys(("estimates", "levels", "checks"), pd.DataFrame)
    found = SimpleNamespace(profile=fei_profile(), fits={}, made={}, notices=(), **empty)
    recorded.replace(fit_pairs, lambda _: found)
    recorded.replace(fit_singles, lambda _: found)
    recorded.replace(exposures_of, lambda _: {})
    recorded.replace(write_profile, lambda call: write_profile(**vars(call)))
