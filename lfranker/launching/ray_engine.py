"""Ray as an engine: tasks of Ray Core in a cluster that is there, or in one on this machine.

All nodes need lfranker installed in the version of this command. Passwords travel with a task and
not in its environment, which Ray shows.
"""

import logging
import os
import socket
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from lfranker.launching.engine import End
from lfranker.launching.on_node import Work
from lfranker.processes.failures import CommandError

NAME = "lfranker"  # of the keeper and of its namespace
PASSED_ON = "MLFLOW_"  # how the variables begin that a training needs
OF_THIS_COMMAND = ("MLFLOW_RUN_ID",)
AT_A_TIME = 500  # pieces of work that are handed in
CONNECT = 5.0  # seconds


def parse_ray(text: str) -> dict[str, float]:
    """Read `cpus=2,gpus=0.5`. Raises ValueError."""
    asked: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            asked[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"ray is {text!r}; allowed are numbers: cpus=2,gpus=0.5") from None
    check_ray(asked)
    return asked


def check_ray(asked: Mapping[str, float]) -> None:
    """Raise ValueError where no machine could have what is asked for."""
    for name, value in asked.items():
        if name not in ("cpus", "gpus"):
            raise ValueError(f"ray: {name} is not known; allowed are cpus and gpus")
        if not 0 <= value <= 1024:
            raise ValueError(f"ray: {name} is {value:g}; allowed are 0 to 1024")


class RayEngine:
    """The Ray cluster at an address; None: the one that RAY_ADDRESS names, or one made here."""

    name = "ray"

    def __init__(self, request: Mapping[str, float], address: str | None, at_once: int | None):
        """Take what each training asks for: `cpus` and `gpus`."""
        self.request, self.address, self.at_once = dict(request), address, at_once
        self._name = uuid.uuid4().hex  # of this command's group of tasks

    def check(self) -> None:
        """Raise ValueError where there is no Ray, or no cluster at the address."""
        if find_spec("ray") is None:
            raise ValueError("--launcher ray needs Ray: pip install 'lfranker[ray]'")
        if (self.address or "").startswith("ray://"):
            raise ValueError(
                f"--ray-address {self.address}: give the command on a machine of the cluster, with "
                f"the address that its nodes have, such as 10.0.0.1:6379, or auto"
            )
        try:
            _connect(self.address)
        except ConnectionError as error:
            raise ValueError(f"--ray-address {self.address}: no cluster there ({error})") from error

    @cached_property
    def _keeper(self) -> Any:
        return _keeper()

    def _ask(self, method: str, *words: Any) -> Any:
        """Ask the keeper. Raises CommandError where it or the cluster is gone."""
        import ray

        try:
            return ray.get(getattr(self._keeper, method).remote(*words))
        except ray.exceptions.RayError as error:
            raise CommandError(f"the Ray cluster does not answer: {error}") from error

    def submit(self, work: Sequence[Work]) -> Iterator[list[str]]:
        """Hand work in."""
        from lfranker.launching.ray_keeper import Group, Request

        group = Group(self._name, self.at_once or 0)
        request = Request(self.request.get("cpus", 1.0), self.request.get("gpus", 0.0))
        secrets = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(PASSED_ON) and name not in OF_THIS_COMMAND
        }
        for at in range(0, len(work), AT_A_TIME):
            some = [_without_paths(one) for one in work[at : at + AT_A_TIME]]
            yield self._ask("submit", some, request, secrets, group)

    def ends(self, owners: Collection[str]) -> Mapping[str, End]:
        """Return how those that ended did."""
        return dict(self._ask("ends", list(owners)))

    def cancel(self, owners: Collection[str]) -> None:
        """Cancel tasks."""
        self._ask("cancel", list(owners))

    def waits_for(self) -> set[str]:
        """Return nothing: Ray does not say why tasks wait."""
        return set()


def _without_paths(work: Work) -> Work:
    """Return work without this machine's folders: on others, packages are elsewhere."""
    known = {name: value for name, value in work.environment.items() if name != "PYTHONPATH"}
    return replace(work, environment=known)


def _connect(address: str | None) -> str:
    """Be a part of the cluster at an address, and return the address that its nodes know it by."""
    import ray

    if not ray.is_initialized():
        # without an address Ray would take whatever cluster runs on this machine
        where = address or "local"
        ray.init(where, namespace=NAME, log_to_driver=False, logging_level=logging.ERROR)
    return str(ray.get_runtime_context().gcs_address)


def _keeper() -> Any:
    """Return the keeper of the cluster that this process is a part of; there is one."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from lfranker.launching.ray_keeper import Keeper

    heads = [n for n in ray.nodes() if n["Alive"] and "node:__internal_head__" in n["Resources"]]
    where = NodeAffinitySchedulingStrategy(heads[0]["NodeID"], soft=False)
    address = str(ray.get_runtime_context().gcs_address)
    return (
        ray.remote(Keeper)
        .options(
            name=NAME, namespace=NAME, lifetime="detached", get_if_exists=True, num_cpus=0,
            max_restarts=-1, scheduling_strategy=where,
        )
        .remote(address)
    )  # fmt: skip


def gone(owner: str) -> bool:
    """Return whether a task, `ray:ID@host:port`, is known to run no more.

    False where nobody can tell: there is no Ray here, or no way to that cluster.
    """
    address = owner.partition("@")[2]
    host, _, port = address.rpartition(":")
    if find_spec("ray") is None or not port.isdigit():
        return False
    try:
        socket.create_connection((host, int(port)), CONNECT).close()
    except ConnectionRefusedError:
        return _is_own(host)
    except OSError:
        return False
    import ray

    try:
        if _connect(address) != address:
            return False
        keeper = ray.get_actor(NAME, NAME)
        return bool(ray.get(keeper.ends.remote([owner])))
    except ValueError:  # no keeper: nothing was ever handed in
        return True
    except (ConnectionError, ray.exceptions.RayError):
        return False


def _is_own(host: str) -> bool:
    """Return whether an address is one of this machine."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
