"""A real MLflow server behind a door that asks for user and password."""

import base64
import http.client
import os
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

from copies import Started, copy_store, start_mlflow

USER, PASSWORD = "somebody", "ein/Geheim wort"
QUOTED = "ein%2FGeheim%20wort"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
LOG = "server.txt"
NOT_PASSED_ON = {"authorization", "connection", "transfer-encoding"}


@contextmanager
def door(answer: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[int]:
    """Answer requests at a port of this machine, a free one unless told, which is yielded."""
    server = ThreadingHTTPServer(("127.0.0.1", port), answer)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


Refusal = tuple[int, list[tuple[str, str]], bytes]  # status, headers, text


def passing(
    behind: int, refuse: Callable[[Message], Refusal | None]
) -> type[BaseHTTPRequestHandler]:
    """A door that lets requests through to another port, but for those that are refused."""

    class Passing(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if (refusal := refuse(self.headers)) is not None:
                self._answer(*refusal)
                return
            passed = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
            server = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
            server.request(self.command, self.path, body, passed)
            answer = server.getresponse()
            text = answer.read()
            headers = [(k, v) for k, v in answer.getheaders() if k.lower() == "content-type"]
            self._answer(answer.status, headers, text)
            server.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = handle_any  # noqa: N815

        def _answer(self, status: int, headers: list[tuple[str, str]], text: bytes) -> None:
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", str(len(text)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Passing


def guard(behind: int) -> type[BaseHTTPRequestHandler]:
    """A door that lets those with the password through to another port."""

    def stranger(headers: Message) -> Refusal | None:
        known = headers.get("Authorization") == LOGIN
        return None if known else (401, [("WWW-Authenticate", "Basic")], b"who are you?")

    return passing(behind, stranger)


@dataclass
class Failures:
    """Answers of 500 to every second request, so many of them; for `passing`."""

    count: int
    given: int = 0
    requests: int = 0
    lock: Lock = field(default_factory=Lock)

    def __call__(self, _: Message) -> Refusal | None:
        with self.lock:
            self.requests += 1
            if self.given == self.count or self.requests % 2 == 0:
                return None
            self.given += 1
            return 500, [], b"out of order"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, empty_store: Path) -> Iterator[int]:
    """A server with its store, an empty one, and all artifacts in the folder; yields its port."""
    store = folder / "mlflow.db"
    copy_store(empty_store, store, "mlflow-artifacts:/0")
    words = ["--artifacts-destination", str(folder / "artifacts")]
    with serving(folder, f"sqlite:///{store}", *words) as port:
        yield port


@contextmanager
def serving(folder: Path, store: str, *words: str) -> Iterator[int]:
    """A tracking server of this store; yields its port."""
    port = free_port()
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    every = ["server", *place, "--backend-store-uri", store, *words]
    server = start_mlflow(every, own, folder / LOG)
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/health", server)
        yield port
    finally:
        server.kill()


def wait_for_answer(url: str, server: Started) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server ended: {server.said}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not answer")
