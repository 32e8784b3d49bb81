"""Runs: whose they are, how they begin and end, and what is written into them."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.time import get_current_time_millis

from lfranker.processes import alive

TAG = "lfranker."
NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
NAME = "mlflow.runName"
LONGEST_NOTE = 8000  # MLflow cuts tags here
OPEN = ("RUNNING", "SCHEDULED")


@contextmanager
def own_run(name: str, role: str) -> Iterator[Run]:
    """The run that was made for this process (by `mlflow run` or a parent), or a new one.

    It ends FINISHED, KILLED on an interrupt, or FAILED with the reason as a tag.
    """
    run = mlflow.start_run(run_name=None if "MLFLOW_RUN_ID" in os.environ else name)
    tags = {TAG + "owner": owner()}
    if TAG + "role" not in run.data.tags:
        tags |= {TAG + "role": role, NAME: name}
    set_tags(run.info.run_id, tags)
    try:
        yield run
    except KeyboardInterrupt:
        mlflow.end_run("KILLED")
        raise
    except BaseException as error:
        set_tags(run.info.run_id, {TAG + "reason": f"{type(error).__name__}: {error}"[:5000]})
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


def owner() -> str:
    """Which process is responsible for a run, as `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def abandoned(run: Run) -> bool:
    """Open, but nobody owns it, or its owner was a process of this machine that is gone."""
    if run.info.status not in OPEN:
        return False
    host, _, pid = run.data.tags.get(TAG + "owner", "").rpartition(":")
    gone = host == socket.gethostname() and pid.isdigit() and not alive(int(pid))
    return gone or TAG + "owner" not in run.data.tags


def create_child(parent: Run, name: str, tags: Mapping[str, str]) -> Run:
    """A child run, owned by this process until another uses it, by way of `MLFLOW_RUN_ID`."""
    own = {PARENT: parent.info.run_id, TAG + "role": "child", TAG + "owner": owner()}
    return MlflowClient().create_run(parent.info.experiment_id, run_name=name, tags={**own, **tags})


def take_up(run: Run, parent: Run) -> None:
    """Make an ended or abandoned run a child of `parent` again, without its old reason."""
    run_id = run.info.run_id
    set_tags(run_id, {PARENT: parent.info.run_id, TAG + "owner": owner()})
    for tag in (TAG + "reason", NOTE):
        if tag in run.data.tags:
            MlflowClient().delete_tag(run_id, tag)


def end_run(run_id: str, status: str, reason: str = "") -> None:
    """Set the final status, and the reason as a tag and as the note that the UI shows."""
    if reason:
        note = f"**{status}**\n\n```\n{reason[: LONGEST_NOTE - 100]}\n```"
        set_tags(run_id, {TAG + "reason": reason[:5000], NOTE: note})
    MlflowClient().set_terminated(run_id, status)


def set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    MlflowClient().log_batch(run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])


def log_metrics(run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """One synchronous batch: a call per metric is slow, asynchronous logging loses some."""
    now = get_current_time_millis()
    batch = [Metric(name, value, now, step) for name, value in metrics.items()]
    MlflowClient().log_batch(run_id, metrics=batch, synchronous=True)


def log_settings(run: Run, settings: Mapping[str, Any]) -> None:
    """Log parameters as used.

    `mlflow run` has already logged what was asked for under the same names, in words such as
    "preset", and parameters cannot be changed: what differs is logged as `used/NAME`, and what a
    resumed run changes after that as `used2/NAME` and so on.
    """
    known = MlflowClient().get_run(run.info.run_id).data.params
    params = []
    for name, value in settings.items():
        names = chain((name, f"used/{name}"), (f"used{n}/{name}" for n in count(2)))
        free = next(n for n in names if known.get(n, str(value)) == str(value))
        params.append(Param(free, str(value)))
    MlflowClient().log_batch(run.info.run_id, params=params)


DOWNLOADS = 8  # at a time


def read_texts(files: Sequence[tuple[Run, str]]) -> Iterator[str | None]:
    """The text of each file, a run and a path in its artifacts; None where there is none.

    One request each: MLflow's own `load_text` makes three of a server, asking what the path is and
    what the server can do, which for thousands of runs takes longer than all the rest.
    """
    repositories: dict[str, ArtifactRepository] = {}
    with TemporaryDirectory() as folder, ThreadPoolExecutor(DOWNLOADS) as pool:

        def fetch(number: int, root: str, path: str) -> str | None:
            local = Path(folder) / str(number)
            try:
                repositories[root]._download_file(path, str(local))
            except (MlflowException, OSError) as error:
                if _missing(error):
                    return None
                raise
            text = local.read_text()
            local.unlink()
            return text

        places = [_place(run, path) for run, path in files]
        for root in {root for root, _ in places}:
            repositories[root] = get_artifact_repository(root)
        yield from pool.map(fetch, range(len(places)), *zip(*places, strict=True))


def _missing(error: MlflowException | OSError) -> bool:
    """There is no such file; whatever else goes wrong must not pass for that."""
    if isinstance(error, MlflowException):
        return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))
    answer = getattr(error, "response", None)  # of requests
    return isinstance(error, FileNotFoundError) or getattr(answer, "status_code", None) == 404


def _place(run: Run, path: str) -> tuple[str, str]:
    """The folder that a run's artifacts share with those of its siblings, and a path in it."""
    root, mark, rest = run.info.artifact_uri.partition(f"/{run.info.run_id}/")
    return (root, f"{run.info.run_id}/{rest}/{path}") if mark else (run.info.artifact_uri, path)
