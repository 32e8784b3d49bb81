"""Messages of a power set to whoever runs it."""

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]


def _nothing(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Console:
    """Outputs for lines: results, and notes of what happens on the way."""

    say: Say = _nothing
    note: Say = _nothing


QUIET = Console()
