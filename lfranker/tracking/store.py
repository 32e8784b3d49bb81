"""The tracking store before any work: whom it lets in, its first use, and our experiment in it.

Of a server, that it answers: MLflow itself asks for minutes before it says that there is no answer,
which is right in the middle of a power set and wrong at its start.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.file_utils import ExclusiveFileLock
from mlflow.utils.rest_utils import http_request
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from lfranker.processes.failures import CommandError
from lfranker.processes.jobs import launched
from lfranker.redaction import address_shown, redacted
from lfranker.tracking.tags import Tag

TRACKING, REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
OTHER_WAY_IN = "MLFLOW_TRACKING_AUTH"
QUIET = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
SERVE = (  # MLflow answers to no name of a host that it is not told
    "mlflow server --backend-store-uri sqlite:///mlflow.db --serve-artifacts "
    "--artifacts-destination mlartifacts --host 0.0.0.0 --port 5000 "
    "--allowed-hosts 'localhost:*,{host}:*'"
)
PATIENCE = 10.0  # seconds in which a server may begin to answer
ONE_TRY = 5  # seconds
PAUSE = 1.0  # seconds between tries
REFUSED = {401: "does not know", 403: "has no permission for"}
OF_A_SERVER = ("http", "https", "databricks")
ON_ITS_DISK = ("", "file")  # artifacts that a server does not pass on
BUSY = (408, 429, 500, 502, 503, 504)


def hide_credentials() -> None:
    """Move user and password out of the tracking server's address.

    They go where MLflow takes them from as well, MLFLOW_TRACKING_USERNAME and _PASSWORD: MLflow
    prints the address, and puts it into its messages. They stay where moving would send them to
    another server, or nowhere. Raises CommandError where the address cannot be read.
    """
    uri = mlflow.get_tracking_uri()
    parts = _parts(uri)
    if "@" not in parts.netloc or not _movable(parts):
        return
    os.environ[USER], os.environ[PASSWORD] = _login(parts)
    os.environ[TRACKING] = _without_login(parts)
    if mlflow.get_tracking_uri() == uri:  # where it was set in Python
        mlflow.set_tracking_uri(_without_login(parts))
    registry = urlsplit(os.environ.get(REGISTRY, ""))
    if registry.netloc == parts.netloc:
        os.environ[REGISTRY] = _without_login(registry)


def _parts(uri: str) -> SplitResult:
    """Return the parts of an address. Raises CommandError, without the address."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018
    except ValueError:
        raise CommandError(
            f"{TRACKING} cannot be read as an address: in a password write / as %2F, @ as %40, "
            f": as %3A and # as %23"
        ) from None
    return parts


def _movable(parts: SplitResult) -> bool:
    """Return whether MLflow, told user and password, sends them to this server and no other."""
    user, password = _login(parts)
    registry = urlsplit(os.environ.get(REGISTRY, ""))
    return (
        parts.scheme in ("http", "https")
        and bool(user and password)
        and OTHER_WAY_IN not in os.environ
        and registry.hostname in (None, parts.hostname)
        and registry.netloc in ("", parts.netloc, _host(parts))
    )


def _login(parts: SplitResult) -> tuple[str, str]:
    return unquote(parts.username or ""), unquote(parts.password or "")


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _without_login(parts: SplitResult) -> str:
    return parts._replace(netloc=_host(parts)).geturl()


def without_bars() -> None:
    """Keep MLflow from a progress bar for every folder of artifacts, unless the user wants them."""
    os.environ.setdefault(BARS, "false")


def check_server() -> None:
    """Raise CommandError where the tracking server does not answer, or does not let us in.

    It is asked once in a process. A process of a power set asks nothing: MLflow's own patience
    carries it over minutes without a server.
    """
    uri = mlflow.get_tracking_uri()
    if uri.startswith(("http:", "https:")) and not launched():
        _check(uri)


@cache
def _check(uri: str) -> None:
    shown, deadline = address_shown(uri), time.monotonic() + PATIENCE
    while True:
        problem = _ask(uri, shown)
        if problem is None:
            return
        if time.monotonic() + PAUSE > deadline:
            raise CommandError(f"{problem} ({TRACKING} says where the tracking server is)")
        time.sleep(PAUSE)


def _ask(uri: str, shown: str) -> str | None:
    """Return what may pass with time; None where all is well. Raises CommandError at once else."""
    try:
        answer = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=ONE_TRY,
            raise_on_status=False,
        )
    except MlflowException as error:
        return f"no answer from {shown}: {_why(redacted(str(error)))}"
    if answer.status_code in REFUSED:
        user = os.environ.get(USER) or urlsplit(uri).username or "us"
        raise CommandError(
            f"{shown} {REFUSED[answer.status_code]} {user} (HTTP {answer.status_code}): check "
            f"{USER} and {PASSWORD}, or MLFLOW_TRACKING_TOKEN"
        )
    if answer.status_code in BUSY:
        return f"{shown} answers with HTTP {answer.status_code}"
    try:
        known = answer.status_code == 200 and isinstance(answer.json(), dict)
    except ValueError:
        known = False
    if not known:
        raise CommandError(
            f"{shown} answers with HTTP {answer.status_code}, and not as an MLflow server does"
        )
    return None


def require_server(launcher: str) -> None:
    """Raise ValueError where trainings on other machines could not log to the tracking store."""
    uri = mlflow.get_tracking_uri()
    if urlsplit(uri).scheme not in OF_A_SERVER:
        host = socket.gethostname()
        raise ValueError(
            f"--launcher {launcher} trains on other machines, which log to a tracking server, and "
            f"the tracking store is {address_shown(uri)}, files of this one. Start "
            f"`{SERVE.format(host=host)}` here, and set {TRACKING}=http://{host}:5000"
        )


def require_passed_on(artifact_uri: str, experiment: str) -> None:
    """Raise ValueError where only the server's own machine can write a run's artifacts."""
    if urlsplit(artifact_uri).scheme in ON_ITS_DISK:
        raise ValueError(
            f"experiment {experiment} keeps its artifacts in {artifact_uri}, on the server's disk, "
            f"which other machines do not see: start the server with `--serve-artifacts`, and name "
            f"a new experiment by MLFLOW_EXPERIMENT_NAME"
        )


UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: of an alias


def is_unknown(error: MlflowException) -> bool:
    """Return whether a store answers that it knows no such thing, rather than not at all."""
    return error.error_code in UNKNOWN


REASONS = {
    "Connection refused": "connection refused, no server runs there",
    "Name or service not known": "there is no such host",
    "nodename nor servname": "there is no such host",
    "Temporary failure in name resolution": "the host's name cannot be looked up",
    "No route to host": "no route to the host",
    "Network is unreachable": "the network is unreachable",
    "certificate": "its certificate is not accepted",
    "timed out": f"nothing within {ONE_TRY} s",
    "timeout": f"nothing within {ONE_TRY} s",
}


def _why(error: str) -> str:
    """Return the reason in MLflow's long message in a few words."""
    return next((words for part, words in REASONS.items() if part in error), error)


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
