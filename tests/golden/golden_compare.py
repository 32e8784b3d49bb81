"""Compare two records of golden runs: every difference with its place, before and after."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

MISSING = "(missing)"


def differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (place, before, after) of all that differs; what is on one side only is MISSING.

    Lists of lines are aligned, so that one line more is one difference.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            sides = before.get(name, MISSING), after.get(name, MISSING)
            yield from differences(*sides, f"{place} > {name}" if place else str(name))
    elif _is_text(before) and _is_text(after):
        aligned = SequenceMatcher(None, before, after, autojunk=False)
        for kind, start, end, other_start, other_end in aligned.get_opcodes():
            if kind != "equal":
                lines = before[start:end], after[other_start:other_end]
                yield (f"{place} > line {start + 1}", *("\n".join(side) for side in lines))
    elif before != after:
        yield place, before, after


def _is_text(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and all(isinstance(line, str) for line in value)
        and (not isinstance(value, str))
    )


def described(place: str, before: Any, after: Any) -> str:
    """Return one difference as it is shown to people."""
    return f"{place}\n  before: {_shown(before)}\n  after:  {_shown(after)}\n"


def _shown(value: Any) -> str:
    return str(value).replace("\n", "\n          ") or "(nothing)"
