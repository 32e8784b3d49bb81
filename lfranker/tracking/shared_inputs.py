"""Inputs of trainings on other machines, which share no disk with the one that prepared them.

An input, a folder or a file, is logged once in an experiment, under its digest; an experiment's tag
says with which run. A machine that needs it takes it where it lies, if it sees that disk, or
fetches it once into a cache of its own, whatever number of trainings begin there at once.
"""

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage

from lfranker.files import locked, new_folder
from lfranker.tracking.runs import TrackedRun, download, get_run, list_files, log_file

FOLDER = "inputs"  # among the artifacts, and in a cache
TAG = "lfranker.input."  # and the digest, on an experiment: ID of the run that has it
DIGITS = 16  # of a digest, in names

IsIt = Callable[[Path], bool]


@dataclass(frozen=True)
class SharedInput:
    """An input that is logged."""

    path: Path  # where the command that logged it has it
    digest: str
    run: str  # ID of the run that has it among its artifacts

    @property
    def name(self) -> str:
        """Its name in a cache and, with a suffix, among the artifacts."""
        return self.digest[:DIGITS]


def share(run: TrackedRun, path: Path, digest: str, drafts: Path) -> SharedInput:
    """Log a folder or a file, unless it is there: in the run, or in one of its experiment.

    ``drafts``: a folder with room for a copy.
    """
    tag, client = TAG + digest[:DIGITS], MlflowClient()
    before = str(client.get_experiment(run.experiment_id).tags.get(tag, ""))
    shared = SharedInput(path, digest, before or run.run_id)
    if before and _is_there(shared):
        return shared
    shared = SharedInput(path, digest, run.run_id)
    drafts.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=drafts) as folder:
        packed = Path(folder) / f"{shared.name}.tar"
        with tarfile.open(packed, "w") as tar:
            tar.add(path, path.name)
        log_file(run.run_id, packed, FOLDER)
    client.set_experiment_tag(run.experiment_id, tag, run.run_id)
    return shared


def _is_there(shared: SharedInput) -> bool:
    """Return whether the run is not deleted, and has it."""
    try:
        run = get_run(shared.run)
    except ValueError:
        return False
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        return False
    return f"{FOLDER}/{shared.name}.tar" in list_files(shared.run, FOLDER)


def at_hand(shared: SharedInput, cache: Path, is_it: IsIt) -> Path:
    """Return where this machine has it, fetched if need be. Raises ValueError where it is damaged.

    ``is_it`` returns whether a path holds just this input, whole.
    """
    if is_it(shared.path):
        return shared.path
    folder = cache.expanduser().resolve() / FOLDER / shared.name
    here = folder / shared.path.name
    if is_it(here):
        return here
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{shared.name}.lock")):
        if not is_it(here):  # nobody has fetched it meanwhile
            shutil.rmtree(folder, ignore_errors=True)
            with new_folder(folder) as draft:
                _fetch(shared, draft)
    if not is_it(here):
        raise ValueError(
            f"{shared.path.name}: what run {shared.run} has of it is damaged; delete the tag "
            f"{TAG}{shared.name} of its experiment, and give the same command again"
        )
    return here


def _fetch(shared: SharedInput, folder: Path) -> None:
    with TemporaryDirectory(dir=folder.parent) as name:
        packed = download(shared.run, f"{FOLDER}/{shared.name}.tar", Path(name))
        with tarfile.open(packed) as tar:
            tar.extractall(folder, filter="data")  # nothing outside of it
