"""Saving and restoring a training so that it goes on to the bit.

Two checkpoint files take turns: one is whole whatever happens while the other is written or sent.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from lfranker.files import new_file

UNREADABLE = (RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError, OSError)
NOT_A_STATE = (KeyError, TypeError, ValueError, AttributeError)
SLOTS = ("checkpoint-0.pt", "checkpoint-1.pt")


def save_checkpoint(state: dict[str, Any], folder: Path, slot: int) -> Path:
    """Write `state` to slot 0 or 1 of `folder`."""
    path = folder / SLOTS[slot % len(SLOTS)]
    with new_file(path) as draft:
        torch.save(state, draft)
    return path


def newest_checkpoint(folder: Path, notice: Callable[[str], None]) -> dict[str, Any] | None:
    """The readable state that is furthest on, or None; says which files were not readable."""
    states = []
    for path in (folder / name for name in SLOTS):
        if not path.exists():
            continue
        try:
            state = _checked(path)
            states.append((_progress(state), state))
        except (*UNREADABLE, *NOT_A_STATE) as error:
            notice(f"{path.name} is damaged and not used: {error}".splitlines()[0])
    return max(states, key=lambda known: known[0], default=(None, None))[1]


def _checked(path: Path) -> dict[str, Any]:
    """Load a state, after its checksums, which torch writes but does not compare."""
    with ZipFile(path) as stored:
        if name := stored.testzip():
            raise BadZipFile(f"{name} has another checksum than when it was written")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _progress(state: dict[str, Any]) -> tuple[int, int]:
    """Steps of a training, then those of its branch that is under way."""
    return int(state["done"]), int(state.get("branch", {}).get("done", 0))
