"""What is asked of the tracking server before any work, and where its password goes."""

import os
import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from guarded_server import PASSWORD, QUOTED, USER, door, free_port, guard
from mlflow import MlflowClient

from entrypoints.denoise import main as denoise
from entrypoints.powerset import main as powerset
from entrypoints.rank import main as rank
from lfranker.processes.failures import CommandError
from lfranker.processes.jobs import PARENT_VARIABLE
from lfranker.tracking import store
from lfranker.tracking.runs import own_run
from lfranker.tracking.store import (
    check_server,
    hide_credentials,
    require_passed_on,
    require_server,
)

NAMES = ("TRACKING_URI", "REGISTRY_URI", "TRACKING_USERNAME", "TRACKING_PASSWORD", "TRACKING_AUTH")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own, which is put back."""
    for name in NAMES:
        monkeypatch.setenv(f"MLFLOW_{name}", "")
        monkeypatch.delenv(f"MLFLOW_{name}")


def login() -> tuple[str | None, str | None]:
    return os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")


@pytest.mark.parametrize("registry", [None, "http://a:b%2Fc@host:5000/x", "http://host:5000"])
def test_user_and_password_move_out_of_the_address(
    registry: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://a:b%2Fc@host:5000/path")
    if registry:
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    hide_credentials()
    assert mlflow.get_tracking_uri() == "http://host:5000/path"
    assert login() == ("a", "b/c")
    if registry:
        assert os.environ["MLFLOW_REGISTRY_URI"] == registry.replace("a:b%2Fc@", "")
    hide_credentials()
    assert login() == ("a", "b/c"), "a second time changes nothing"


def test_what_was_set_in_python_moves_too() -> None:
    try:
        mlflow.set_tracking_uri("https://a:b@host")
        hide_credentials()
        assert mlflow.get_tracking_uri() == "https://host"
        assert login() == ("a", "b")
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {"TRACKING_URI": "http://a:b@host", "REGISTRY_URI": "http://other"},  # would be sent there
        {"TRACKING_URI": "http://a:b@host", "REGISTRY_URI": "http://c:d@host"},
        {"TRACKING_URI": "http://TOKEN@host"},  # MLflow sends no user without a password
        {"TRACKING_URI": "postgresql://a:b@host/mlflow"},
        {"TRACKING_URI": "http://host"},
        {"TRACKING_URI": "sqlite:///mlflow.db"},
    ],
)
def test_a_login_stays_where_moving_it_would_not_do_the_same(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    hide_credentials()
    assert {name: os.environ.get(f"MLFLOW_{name}") for name in given} == given
    assert login() == (None, None)


def test_an_address_that_cannot_be_read_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:slash/hidden@host:5000")
    with pytest.raises(CommandError, match="write / as %2F") as caught:
        hide_credentials()
    assert "hidden" not in str(caught.value)


def answering(*answers: tuple[int, bytes]) -> type[BaseHTTPRequestHandler]:
    """Answer one after another, and the last again."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def check(port: int, monkeypatch: pytest.MonkeyPatch, login: str = "") -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{login}127.0.0.1:{port}")
    check_server()


@pytest.mark.slow
def test_nobody_at_the_address_is_said_within_fifteen_seconds(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"http://me:secret-word@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    begun = time.monotonic()
    done = CliRunner().invoke(powerset, ["--preset", "smoke"])
    assert time.monotonic() - begun < 15
    assert done.exit_code == 1
    (line,) = done.output.strip().splitlines()
    assert line.startswith(f"no answer from {uri.replace('me:secret-word@', '')}: connection ref")


def test_a_server_that_is_just_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAUSE", 0.01)
    with door(answering((503, b""), (500, b""), (200, b'{"experiments": []}'))) as port:
        check(port, monkeypatch)


def test_a_server_that_stays_busy_is_named_with_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.0)
    with (
        door(answering((503, b""))) as port,
        pytest.raises(CommandError, match=rf"127.0.0.1:{port} answers with HTTP 503 .*MLFLOW_TRAC"),
    ):
        check(port, monkeypatch)


@pytest.mark.parametrize("answer", [(200, b"<html>"), (404, b"no"), (200, b"[]")])
def test_something_else_than_mlflow_is_told_apart_at_once(
    answer: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 1e9)
    with (
        door(answering(answer)) as port,
        pytest.raises(CommandError, match="not as an MLflow server does"),
    ):
        check(port, monkeypatch)


@pytest.mark.parametrize("login", ["", "somebody:wrong-word@"])
def test_a_wrong_password_is_said_at_once(login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PATIENCE", 1e9)
    with door(guard(0)) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{login}127.0.0.1:{port}")
        done = CliRunner().invoke(powerset, ["--preset", "smoke"])
    assert done.exit_code == 1
    (line,) = done.output.strip().splitlines()
    user = "somebody" if login else "us"
    assert f"does not know {user} (HTTP 401): check MLFLOW_TRACKING_USERNAME" in line
    assert "wrong-word" not in line


def test_the_right_password_is_let_in_however_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with door(answering((200, b"{}"))) as behind, door(guard(behind)) as port:
        check(port, monkeypatch, f"{USER}:{QUOTED}@")
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        check(port, monkeypatch)


def test_a_server_that_fails_after_the_start_ends_a_command_in_one_line(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with door(answering((200, b"{}"), (503, b""))) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hidden-word@127.0.0.1:{port}")
        done = CliRunner().invoke(rank, ["--parent", "1"])
    assert done.exit_code == 1
    (line,) = done.output.strip().splitlines()
    assert line.startswith("the tracking server fails, the same command goes on later: API request")
    assert "503" in line
    assert "hidden-word" not in line


def test_processes_of_a_power_set_and_models_on_this_machine_ask_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{nobody}")
    (store / "model").mkdir()
    (store / "a.png").touch()
    done = CliRunner().invoke(
        denoise, ["--input", "a.png", "--output", "b.png", "--model", "model"]
    )
    assert "no answer" not in done.output
    assert "model: not a model, it has no file MLmodel" in " ".join(done.output.split())
    monkeypatch.setenv(PARENT_VARIABLE, str(os.getppid()))
    check(nobody, monkeypatch)


def test_a_run_that_mlflow_run_made_loses_the_password_of_its_repository(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = MlflowClient().create_run("0", tags={"mlflow.gitRepoURL": "https://me:tok@host/a.git"})
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with own_run("name", "role"):
        pass
    tags = MlflowClient().get_run(run.info.run_id).data.tags
    assert tags["mlflow.gitRepoURL"] == "https://***@host/a.git"


@pytest.mark.parametrize(
    "uri", ["sqlite:///mlflow.db", "", "mlruns", "postgresql://me:word@host/db"]
)
def test_files_are_refused_as_the_store_of_other_machines(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: uri)
    with pytest.raises(ValueError, match="Start `mlflow server --backend-store-uri ") as refused:
        require_server("slurm")
    assert f"--allowed-hosts 'localhost:*,{socket.gethostname()}:*'" in str(refused.value)
    assert "word" not in str(refused.value)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://host:5000")
    require_server("slurm")


def test_artifacts_on_the_servers_own_disk_are_refused() -> None:
    require_passed_on("mlflow-artifacts:/1/a/artifacts", "1")
    require_passed_on("s3://bucket/1/a/artifacts", "1")
    for uri in ("/data/1/a/artifacts", "file:///data/1/a/artifacts"):
        with pytest.raises(ValueError, match="--serve-artifacts"):
            require_passed_on(uri, "1")
