"""Inputs of trainings that an engine runs, where no disk is shared: sent, and found on a node."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lfranker.datasets.patch_dataset import read_dataset
from lfranker.files import sha256_of
from lfranker.planning.inputs import Inputs
from lfranker.scans.preparation import read_scans
from lfranker.tracking.runs import TrackedRun
from lfranker.tracking.shared_inputs import SharedInput, at_hand, share

CACHE_VARIABLE = "LFRANKER_CACHE"  # on a node: its cache of inputs
USUAL_CACHE = "~/.cache/lfranker"


@dataclass
class Sender:
    """Logs inputs of trainings in a power set's run as they are first needed, each once."""

    run: TrackedRun
    drafts: Path  # a folder with room for copies
    sent: dict[Path, SharedInput] = field(default_factory=dict)

    def inputs_of(self, inputs: Inputs, repeat: int) -> dict[str, SharedInput]:
        """Return all that the trainings of a repeat need, by the options that name it."""
        data = inputs.data_of(repeat)
        shared = {"data": self._send(data.folder, data.digest), **self.scans_of(inputs)}
        files = {"perceptual": inputs.perceptual_file, "init": inputs.init}
        for name, file in files.items():
            if file is not None:
                shared[name] = self._send(file)
        return shared

    def scans_of(self, inputs: Inputs) -> dict[str, SharedInput]:
        """Return what a model is scored on."""
        return {"scans": self._send(inputs.scans.folder, inputs.scans.digest)}

    def _send(self, path: Path, digest: str = "") -> SharedInput:
        path = path.resolve()
        if path not in self.sent:
            self.sent[path] = share(self.run, path, digest or sha256_of(path), self.drafts)
        return self.sent[path]


def node_cache() -> Path:
    """Return the cache of this machine, for inputs that come from elsewhere."""
    return Path(os.environ.get(CACHE_VARIABLE) or USUAL_CACHE).expanduser()


def found_here(shared: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, Path]]:
    """Return where each input was for the command, and where this machine has it."""
    places = {}
    for name, stored in shared.items():
        one = SharedInput(Path(stored["path"]), stored["digest"], stored["run"])
        is_it = partial(IS_IT.get(name, _is_file), digest=one.digest)
        places[name] = (stored["path"], at_hand(one, node_cache(), is_it))
    return places


def _is_dataset(path: Path, digest: str) -> bool:
    try:
        return read_dataset(path, verify=True).digest == digest
    except ValueError:
        return False


def _is_scan_set(path: Path, digest: str) -> bool:
    try:
        scans = read_scans(path)
        scans.verify()
    except (ValueError, OSError):
        return False
    return scans.digest == digest


def _is_file(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest


IS_IT: Mapping[str, Callable[..., bool]] = {"data": _is_dataset, "scans": _is_scan_set}
