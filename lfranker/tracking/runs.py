"""Runs: whose they are, how they begin and end, and what is written into them."""

import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import mlflow
import numpy as np
import PIL.Image
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.time import get_current_time_millis

from lfranker.launching.on_node import owner_here
from lfranker.launching.owners import gone, own_name
from lfranker.redaction import address_shown, redact_file, redacted
from lfranker.tracking.store import (
    hide_credentials,
    is_unknown,
    make_store,
    name_experiment_of,
    own_experiment,
)
from lfranker.tracking.tags import Tag, artifact_name, used_tag

TAKEN = 75  # exit code of a process that leaves its run to another: a temporary failure
LONGEST_NOTE = 8000  # MLflow cuts tags here
Tags = Mapping[str, str] | Mapping[Tag, str]
OPEN = ("RUNNING", "SCHEDULED")
REFUSED = "refused"  # role and name of a run that was made for a command that was refused
NOT_FETCHED = re.compile("[#?]")  # characters at which MLflow cuts the name of an artifact
BY_CHANCE = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")  # names that MLflow makes up: grandiose-jay-790
WRITERS = 8  # at a time
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class TrackedRun:
    """A run as the rest of lfranker knows it: what is needed to read it and to write to it."""

    run_id: str
    experiment_id: str
    title: str
    artifact_uri: str


def tracked(run: Run) -> TrackedRun:
    """Return what is kept of MLflow's run."""
    info = run.info
    return TrackedRun(info.run_id, info.experiment_id, info.run_name or "", info.artifact_uri)


def find_run(run_id: str) -> TrackedRun:
    """Return the run with this ID. Raises ValueError."""
    return tracked(get_run(run_id))


def title_of(run_id: str) -> str:
    """Return the name of the run with this ID. Raises ValueError."""
    return find_run(run_id).title


def get_run(run_id: str) -> Run:
    """Return MLflow's run with this ID. Raises ValueError where there is none."""
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        if not is_unknown(error):
            raise
        raise ValueError(f"there is no run {run_id!r}: {error.message}") from error


class RefusedError(ValueError):
    """A refusal: the command cannot be done, and nothing was done."""


@contextmanager
def refusing() -> Iterator[None]:
    """Let a ValueError in this block, in which nothing is made yet, leave no run behind."""
    try:
        yield
    except ValueError as error:
        raise RefusedError(str(error)) from error


def refuse_given_run(reason: str) -> None:
    """End the run that `mlflow run` made for this process, where nothing was done in it."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    try:
        run = get_run(run_id) if run_id else None
        if run and _made_by_mlflow_run(run) and run.info.status in OPEN:
            _delete_refused(run.info.experiment_id)
            _refuse(run.info.run_id, reason)
    except (ValueError, MlflowException):
        return  # what is wrong is said already; a store that does not answer is not what it is


def _refuse(run_id: str, reason: str) -> None:
    """End a run in which nothing was done; one that holds results only ends.

    The one that `mlflow run` made tells the reason, and the next command deletes it: MLflow marks
    it FAILED after this process, and where it is gone, ends with a traceback that hides the reason.
    """
    MlflowClient().set_terminated(run_id, "KILLED")
    run = get_run(run_id)
    if run.data.metrics or Tag.POWERSET in run.data.tags:
        return
    if _made_by_mlflow_run(run):
        set_tags(run_id, {Tag.ROLE: REFUSED, Tag.NAME: REFUSED})
        end_run(run_id, "FAILED", reason)
    else:
        MlflowClient().delete_run(run_id)


def _made_by_mlflow_run(run: Run) -> bool:
    return run.data.tags.get("mlflow.source.type") == "PROJECT"


def _delete_refused(experiment: str) -> None:
    """Delete the runs that `mlflow run` made for refused commands, where this user may."""
    of_refused = f"tags.`{Tag.ROLE}` = '{REFUSED}'"
    with suppress(MlflowException):  # what is left over is worth no failure
        for run in MlflowClient().search_runs([experiment], of_refused):
            MlflowClient().delete_run(run.info.run_id)


@contextmanager
def own_run(name: str, role: str) -> Iterator[TrackedRun]:
    """The run that was made for this process (by `mlflow run` or a parent), or a new one.

    It ends FINISHED, KILLED on an interrupt, or FAILED with the reason as a tag; where what is
    asked for was refused it is deleted, if not by this command then by the next. Where psutil is
    installed, MLflow logs the load of the machine meanwhile.
    """
    hide_credentials()
    name = address_shown(name)
    make_store()
    if "MLFLOW_RUN_ID" in os.environ:
        run = mlflow.start_run(log_system_metrics=system_metrics())
        _take(run, name, role)
    else:
        run = mlflow.start_run(
            experiment_id=own_experiment(), run_name=name, log_system_metrics=system_metrics()
        )
        set_tags(run.info.run_id, {Tag.OWNER: own_name(), Tag.ROLE: role})
        _delete_refused(run.info.experiment_id)
    try:
        yield tracked(run)
    except KeyboardInterrupt:
        leave_to_other(run.info.run_id)
        mlflow.end_run("KILLED")
        raise
    except RefusedError as error:
        mlflow.end_run("KILLED")
        _refuse(run.info.run_id, str(error))
        raise
    except BaseException as error:
        leave_to_other(run.info.run_id)
        set_tags(run.info.run_id, {Tag.REASON: redacted(f"{type(error).__name__}: {error}")[:5000]})
        mlflow.end_run("FAILED")
        raise
    leave_to_other(run.info.run_id)
    mlflow.end_run("FINISHED")


def name_given_run(name: str, role: str) -> None:
    """Say what this process does on the run that `mlflow run` made for it, if there is one."""
    make_store()
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        _take(get_run(run_id), name, role)


def _take(run: Run, name: str, role: str) -> None:
    """Own a run; name it, and its experiment, where nobody has named them.

    Addresses that `mlflow run` has put there, of the project's repository, lose their passwords.
    """
    tags, known = {Tag.OWNER: own_name()}, run.data.tags.get(Tag.ROLE)
    if known is None:
        tags[Tag.ROLE] = role
        name_experiment_of(run)
        _delete_refused(run.info.experiment_id)
    called = run.info.run_name or ""
    if known in (None, role) and (called == role or BY_CHANCE.fullmatch(called)):
        tags[Tag.NAME] = name
    shown = {tag: address_shown(value) for tag, value in run.data.tags.items()}
    told = {tag: value for tag, value in shown.items() if value != run.data.tags[tag]}
    set_tags(run.info.run_id, {**told, **{str(tag): value for tag, value in tags.items()}})


def system_metrics() -> bool | None:
    """Return whether MLflow is to log the load of the machine; None: as the user's settings say."""
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING") or not find_spec("psutil"):
        return None
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    return True


def several_at_a_time(write: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Yield what a function that asks the store makes of items, in their order.

    Where the caller stops, or one fails, those that have not begun never do.
    """
    pool = ThreadPoolExecutor(WRITERS)
    try:
        yield from pool.map(write, items)
    finally:
        pool.shutdown(cancel_futures=True)


def set_owners(owners: Mapping[str, str]) -> None:
    """Write who is responsible for runs, by their IDs, into them, several at a time."""

    def write(run_id: str) -> None:
        set_tags(run_id, {Tag.OWNER: owners[run_id]})

    list(several_at_a_time(write, owners))


def abandoned(status: str, owner: str) -> bool:
    """Return whether an open run has no owner, or one that is known to be gone."""
    return status in OPEN and (not owner or gone(owner))


def leave_to_other(run_id: str) -> None:
    """End this process at once where it does an engine's job that another has the run of by now.

    That is so where its machine was taken for lost: what it wrote would be in the other's way.
    """
    if owner_here() and get_run(run_id).data.tags.get(Tag.OWNER) != owner_here():
        sys.stderr.write("another job has this run by now\n")
        sys.stderr.flush()
        os._exit(TAKEN)


def create_child(parent: TrackedRun, name: str, tags: Tags) -> TrackedRun:
    """A child run, owned by this process until another uses it, by way of `MLFLOW_RUN_ID`."""
    every = {str(Tag.PARENT): parent.run_id, str(Tag.ROLE): "child", str(Tag.OWNER): own_name()}
    every |= {str(tag): address_shown(value) for tag, value in tags.items()}
    run = MlflowClient().create_run(parent.experiment_id, run_name=address_shown(name), tags=every)
    return tracked(run)


def take_up(run: TrackedRun, parent: TrackedRun) -> None:
    """Make an ended or abandoned run a child of `parent` again, without its old reason."""
    set_tags(run.run_id, {Tag.PARENT: parent.run_id, Tag.OWNER: own_name()})
    known = MlflowClient().get_run(run.run_id).data.tags
    for tag in {Tag.REASON, Tag.NOTE, Tag.STOPPED} & set(known):
        MlflowClient().delete_tag(run.run_id, tag)


def schedule(run: TrackedRun) -> None:
    """Mark a run as one that waits for its process."""
    MlflowClient().update_run(run.run_id, status="SCHEDULED")


def reopen(run: TrackedRun) -> None:
    """Mark a run as running, and this process as its owner."""
    set_tags(run.run_id, {Tag.OWNER: own_name()})
    MlflowClient().update_run(run.run_id, status="RUNNING")


def is_open(run: TrackedRun) -> bool:
    """Return whether a run has no final status yet."""
    return MlflowClient().get_run(run.run_id).info.status in OPEN


def end_run(run_id: str, status: str, reason: str = "") -> None:
    """Set the final status, and the reason as a tag and as the note that the UI shows."""
    if reason:
        reason = redacted(reason)
        note = f"**{status}**\n\n```\n{reason[: LONGEST_NOTE - 100]}\n```"
        set_tags(run_id, {Tag.REASON: reason[:5000], Tag.NOTE: note})
    MlflowClient().set_terminated(run_id, status)


def set_tags(run_id: str, tags: Tags) -> None:
    """Write tags; addresses in them have no passwords."""
    written = [RunTag(str(tag), address_shown(str(value))) for tag, value in tags.items()]
    MlflowClient().log_batch(run_id, tags=written)


@dataclass(frozen=True)
class Measured:
    """Subject of metrics, so that MLflow shows them on its page too; None where there is none."""

    model_id: str | None = None  # of a logged model
    dataset: str | None = None  # its name, and
    digest: str | None = None


OF_THE_RUN = Measured()


def drop_tags(run_id: str, prefix: str, kept: Collection[str]) -> None:
    """Delete the tags that begin so, but for those that are kept."""
    for tag in get_run(run_id).data.tags:
        if tag.startswith(prefix) and tag not in kept:
            MlflowClient().delete_tag(run_id, tag)


def log_metrics(
    run_id: str, metrics: Mapping[str, float], step: int = 0, measured: Measured = OF_THE_RUN
) -> None:
    """One synchronous batch: a call per metric is slow, asynchronous logging loses some."""
    now, model, data = get_current_time_millis(), measured.model_id, measured.dataset
    batch = [
        Metric(name, value, now, step, model, data, measured.digest)
        for name, value in metrics.items()
    ]
    MlflowClient().log_batch(run_id, metrics=batch, synchronous=True)


@dataclass(frozen=True)
class Mark:
    """Mark of a ranking on a run."""

    run_id: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def write_marks(marks: Iterable[Mark]) -> None:
    """Write marks, several runs at a time."""
    now = get_current_time_millis()

    def write(mark: Mark) -> None:
        metrics = [Metric(name, value, now, 0) for name, value in mark.metrics.items()]
        tags = [RunTag(name, value) for name, value in mark.tags.items()]
        MlflowClient().log_batch(mark.run_id, metrics=metrics, tags=tags, synchronous=True)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, marks))


def log_settings(run_id: str, settings: Mapping[str, Any]) -> None:
    """Log parameters as they are used.

    Parameters cannot be changed. Where `mlflow run` has logged one as it was typed (`5e-4`), that
    stays if it means the same; what is different (`auto`), or what a resumed run does otherwise
    than it began, is the tag `used_tag`. `PowerSet.settings` are read from both.
    """
    known = MlflowClient().get_run(run_id).data
    params, tags = [], []
    for name, value in settings.items():
        if name not in known.params:
            params.append(Param(name, address_shown(str(value))))
        elif used_tag(name) in known.tags or not _same(known.params[name], value):
            tags.append(RunTag(used_tag(name), address_shown(str(value))))
    MlflowClient().log_batch(run_id, params=params, tags=tags)


def _same(text: str, value: Any) -> bool:
    """Return whether a text, as MLflow quotes it for the shell, means this value or range."""
    if text == str(value):
        return True
    numbers = value if isinstance(value, tuple) else (value,)
    try:
        typed = tuple(float(part) for part in re.split("[:,]", text.strip("'")))
        return numbers in (typed, 2 * typed)
    except ValueError:
        return False


def log_texts(run_id: str, texts: Mapping[str, str]) -> None:
    """Log texts under `artifact_name` of their names, all or none."""
    with TemporaryDirectory() as name:
        for path, text in texts.items():
            file = Path(name) / artifact_name(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(address_shown(text))
        MlflowClient().log_artifacts(run_id, name)


def log_file(run_id: str, file: Path, folder: str) -> None:
    """Log a file into a folder of the run's artifacts."""
    MlflowClient().log_artifact(run_id, str(file), folder)


def try_log_file(run_id: str, file: Path, folder: str) -> str:
    """Log a file of less weight than what follows; returns why it could not be, or nothing."""
    try:
        log_file(run_id, file, folder)
    except (MlflowException, OSError) as error:
        return redacted(str(error))
    return ""


def send_log(run_id: str, log: Path) -> None:
    """Keep a log, which is still written to, with a run; without secrets, and if it can be.

    What earlier processes have sent, of which this one goes on, stays in front of it.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / log.name
        copy.write_bytes(_sent_before(run_id, log.name) + log.read_bytes())
        redact_file(copy)
        try_log_file(run_id, copy, "logs")


def _sent_before(run_id: str, name: str) -> bytes:
    client, file = MlflowClient(), f"logs/{name}"
    try:
        if file not in [item.path for item in client.list_artifacts(run_id, "logs")]:
            return b""
        with TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run_id, file, folder)).read_bytes()
    except (MlflowException, OSError):  # a log is worth no failure
        return b""


def log_image(run_id: str, picture: PIL.Image.Image | np.ndarray[Any, Any], file: str) -> None:
    """Log a picture under `artifact_name` of its name."""
    MlflowClient().log_image(run_id, picture, artifact_file=artifact_name(file))


def list_files(run_id: str, folder: str) -> list[str]:
    """Return the artifact names of the files in a folder; none where there is no such folder."""
    return [item.path for item in MlflowClient().list_artifacts(run_id, folder) if not item.is_dir]


def list_files_below(run_id: str, folder: str) -> list[str]:
    """Return the artifact names of the files in a folder and in the folders within it."""
    found = MlflowClient().list_artifacts(run_id, folder)
    deeper = [list_files_below(run_id, item.path) if item.is_dir else [item.path] for item in found]
    return sorted(file for files in deeper for file in files)


def list_folders(run_id: str, folder: str) -> list[str]:
    """Return the artifact names of the folders in a folder."""
    return [item.path for item in MlflowClient().list_artifacts(run_id, folder) if item.is_dir]


def download(run_id: str, file: str, folder: Path) -> Path:
    """Fetch an artifact into a folder and return where it lies."""
    return Path(MlflowClient().download_artifacts(run_id, file, str(folder)))


DOWNLOADS = 8  # at a time


def read_texts(files: Sequence[tuple[TrackedRun, str]]) -> Iterator[str | None]:
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
    """Return whether the error is a missing file; nothing else must pass for that."""
    if isinstance(error, MlflowException):
        return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))
    answer = getattr(error, "response", None)  # of requests
    return isinstance(error, FileNotFoundError) or getattr(answer, "status_code", None) == 404


def _place(run: TrackedRun, path: str) -> tuple[str, str]:
    """The folder that a run's artifacts share with those of its siblings, and a path in it."""
    root, mark, rest = run.artifact_uri.partition(f"/{run.run_id}/")
    return (root, f"{run.run_id}/{rest}/{path}") if mark else (run.artifact_uri, path)
