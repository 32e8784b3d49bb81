"""A real Ray cluster on this machine: a head and two nodes, with caches of their own.

Where root starts them, the nodes do not see some folders: each has an empty file system of its own
in their place.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

STARTED = "Ray runtime started"  # as `ray start` says
TO_START = 300.0  # s


def why_not() -> str:
    """Return why there can be no Ray here; "" where it can."""
    if "LFRANKER_CLUSTERS" not in os.environ:
        return "clusters take many minutes: they are run with LFRANKER_CLUSTERS=1"
    return "" if find_spec("ray") else "Ray is not installed: pip install lfranker[ray]"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class SomeRay:
    """A cluster, whose nodes can be killed and added."""

    folder: Path
    temporary: Path  # of Ray: its logs, and sockets, whose paths may not be long
    hidden: Sequence[Path]
    port: int = field(default_factory=free_port)
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, name: str, *words: str) -> None:
        """Start a node with a cache of its own, and wait for it: Ray confuses several at once."""
        ray = str(Path(sys.executable).with_name("ray"))
        start = shlex.join([
            ray, "start", "--block", "--disable-usage-stats", "--node-ip-address=127.0.0.1",
            "--object-store-memory=80000000", *words,
        ])  # fmt: skip
        line = f"trap '' INT; exec {start}"  # as in the background of a script: SIGINT is ignored
        if _may_hide():
            mounts = [f"mount -t tmpfs none {shlex.quote(str(path))}" for path in self.hidden]
            inside = " && ".join(["mount --make-rprivate /", *mounts, line])
            line = f"exec unshare --mount sh -c {shlex.quote(inside)}"
        known = {name: v for name, v in os.environ.items() if not name.startswith("MLFLOW_")}
        known |= {"LFRANKER_CACHE": str(self.folder / f"cache-{name}")}
        known["RAY_health_check_period_ms"] = "1000"
        # else a head wants the token of ~/.ray, where there is one, and nodes do not send it
        known["RAY_AUTH_MODE"] = "disabled"
        with (self.folder / f"{name}.txt").open("wb") as log:
            self.nodes[name] = subprocess.Popen(
                ["sh", "-c", line], env=known, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + TO_START
        while STARTED not in (said := (self.folder / f"{name}.txt").read_text()):
            assert self.nodes[name].poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def add_worker(self, name: str) -> None:
        self.add(name, f"--address={self.address}", "--num-cpus=1", "--num-gpus=0")

    def kill(self, name: str) -> None:
        """Have a node die, with all that Ray has on it; what trains there is left behind."""
        process = self.nodes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _may_hide() -> bool:
    """Return whether a process may have a file system of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    alone = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return alone.returncode == 0


@contextmanager
def some_ray(folder: Path, hidden: Sequence[Path] = ()) -> Iterator[SomeRay]:
    """Start a head, on which no training runs, and two nodes with a processor each."""
    folder.mkdir()
    own = tempfile.mkdtemp(prefix="ray-")  # sockets have paths of 107 bytes at most
    cluster = SomeRay(folder, Path(own), hidden)
    try:
        cluster.add(
            "head", "--head", f"--port={cluster.port}", "--num-cpus=0", "--num-gpus=0",
            "--include-dashboard=false", f"--temp-dir={own}",
        )  # fmt: skip
        for name in ("one", "two"):
            cluster.add_worker(name)
        yield cluster
    finally:
        for name in list(cluster.nodes):
            cluster.kill(name)
        shutil.rmtree(own, ignore_errors=True)
