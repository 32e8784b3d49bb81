"""The store at its first use, and the experiment that runs are in where the user names none."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import ExclusiveFileLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from lfranker.tracking.tags import Tag

NAME = "lfranker"
UNNAMED = ("0", "Default")  # ID and name of the one that MLflow takes by itself
NAMED_BY = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")  # set_experiment sets the first
LOCAL = ("", "file", "sqlite")  # schemes of stores that belong to one user
PAGE = 1000


def make_store() -> None:
    """Make the tables of a new SQLite store, one process at a time.

    MLflow makes them at its first use, and of several processes that begin at once all but one
    would end with an error.
    """
    database = _database_file(mlflow.get_tracking_uri())
    if database is None or _is_made(database) or os.name == "nt":
        return
    lock = database.with_name(f".{database.name}.lock")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with ExclusiveFileLock(str(lock)):
            if not _is_made(database):
                MlflowClient().get_experiment_by_name(NAME)
    finally:
        with suppress(OSError):  # who waits for it finds the store made; another has removed it
            lock.unlink()


def _database_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for others, and for one in memory."""
    if not uri.startswith("sqlite"):
        return None
    try:
        name = make_url(uri).database
    except ArgumentError:  # which MLflow says, too
        return None
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def _is_made(database: Path) -> bool:
    """Return whether MLflow has been through with it: its own experiment comes last."""
    if not database.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as read:
            return bool(read.execute("SELECT count(*) FROM experiments").fetchone()[0])
    except sqlite3.Error:
        return False


def own_experiment() -> str | None:
    """Return the ID of the experiment for a new run; None where the user names one.

    MLflow's unnamed experiment becomes it where it is the user's alone and holds nothing else, so
    that runs that `mlflow run` has put there are with the others. Raises ValueError where the
    experiment was deleted.
    """
    if any(os.environ.get(variable) for variable in NAMED_BY):
        return None
    client = MlflowClient()
    known = client.get_experiment_by_name(NAME)
    if known is None:
        known = _renamed(client) or _made(client)
    if known.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ValueError(
            f"the experiment {NAME} was deleted: restore it (mlflow experiments restore "
            f"--experiment-id {known.experiment_id}), or name another by MLFLOW_EXPERIMENT_NAME"
        )
    return str(known.experiment_id)


def name_experiment_of(run: Run) -> None:
    """Name the experiment of a run that `mlflow run` has made, where the user named none."""
    client = MlflowClient()
    if run.info.experiment_id == UNNAMED[0] and client.get_experiment_by_name(NAME) is None:
        _renamed(client, run.data.tags.get("mlflow.source.name", ""))


def _renamed(client: MlflowClient, project: str = "") -> Experiment | None:
    """MLflow's unnamed experiment under our name; None where it is not ours to rename.

    ``project``: the source of runs that `mlflow run` made, of which some have no tags of ours.
    """
    number, name = UNNAMED
    if urlsplit(mlflow.get_tracking_uri()).scheme not in LOCAL:
        return None
    try:
        known = client.get_experiment(number)
    except MlflowException:
        return None
    if known.name != name or not all(_ours(run, project) for run in _runs(client, number)):
        return None
    client.rename_experiment(number, NAME)
    return client.get_experiment(number)


def _ours(run: Run, project: str) -> bool:
    tags = run.data.tags
    return Tag.ROLE in tags or bool(project and tags.get("mlflow.source.name") == project)


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    """Yield the runs of an experiment, deleted ones too."""
    token = None
    while True:
        page = client.search_runs(
            [experiment], run_view_type=ViewType.ALL, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _made(client: MlflowClient) -> Experiment:
    try:
        return client.get_experiment(client.create_experiment(NAME))
    except MlflowException:  # another process was faster
        known = client.get_experiment_by_name(NAME)
        if known is None:
            raise
        return known
