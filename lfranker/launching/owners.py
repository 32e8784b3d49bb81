"""Who is responsible for an open run: a process, `host:pid`, or a job of an engine.

An engine's job is named with the engine and where that is: `slurm:12_3@cluster`,
`ray:1a2b3c@host:port`.
"""

import os
import socket

from lfranker.launching import ray_engine, slurm_queue
from lfranker.launching.on_node import owner_here
from lfranker.processes.jobs import alive


def own_name() -> str:
    """Return the name of this process: of the engine's job that it does, or `host:pid`."""
    return owner_here() or f"{socket.gethostname()}:{os.getpid()}"


def engine_of(owner: str) -> str:
    """Return the engine whose job an owner is; "" where it is a process."""
    return owner.partition(":")[0] if "@" in owner else ""


def gone(owner: str) -> bool:
    """Return whether an owner is known to be gone, as far as can be told from this machine."""
    if engine_of(owner) == "slurm":
        return slurm_queue.gone(owner.removeprefix("slurm:"))
    if engine_of(owner) == "ray":
        return ray_engine.gone(owner)
    host, _, pid = owner.rpartition(":")
    return host == socket.gethostname() and pid.isdigit() and not alive(int(pid))
