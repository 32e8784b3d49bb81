"""Why a process or a command failed, in words."""

import re
import signal
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from lfranker.text import listed

LONGEST = 300  # characters of a reason
TRACEBACK = "Traceback (most recent call last):"
BY_SIGNAL = {
    signal.SIGKILL: "most likely out of memory (killed by the system, signal 9): fewer jobs at "
    "once or a smaller batch need less",
    signal.SIGSEGV: "segmentation fault (signal 11)",
    signal.SIGBUS: "bus error (signal 7): a file that it reads was cut off, or the disk is full",
}
DISK_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")
OUT_OF_MEMORY = ("MemoryError", "allocate memory", "out of memory")
MODULE = re.compile(r"^(?:\w+\.)+(?=\w+(?::|$))")  # of an exception: "torch.cuda."


class CommandError(RuntimeError):
    """A command could not do all that it was asked to do; the message is for the user."""


class FailedTrainingsError(CommandError):
    """Some trainings of a power set failed; what could be done without them is done.

    ``failures``: title of the training -> reason. ``total``: how many trainings there are.
    """

    def __init__(self, failures: Mapping[str, str], total: int) -> None:
        self.failures, self.total = dict(failures), total
        by_reason = defaultdict[str, list[str]](list)
        for title, reason in failures.items():
            by_reason[reason].append(title)
        reasons = "; ".join(f"{listed(names)}: {why}" for why, names in by_reason.items())
        super().__init__(f"{len(failures)} of {total} trainings failed: {reasons}")


def reason_of(code: int, log: Path) -> str:
    """Return why a process ended with an exit code other than 0, in one line.

    A negative code is a signal, as in `subprocess`. The reason is else the last error in the log.
    """
    error = last_error(log.read_text(errors="replace")) if log.exists() else ""
    if code < 0:
        return _cut(_by_signal(-code, error))
    if not error:
        where = "without a word" if log.exists() else f"and its log, {log}, is gone"
        return f"it ended with exit code {code} {where}"
    if any(words in error for words in DISK_FULL):
        return _cut(f"disk full: {error}")
    if any(words in error for words in OUT_OF_MEMORY):
        return _cut(f"out of memory: {error}")
    return _cut(error)


def last_error(text: str) -> str:
    """Return the last error that a process wrote in one line; its last line where there is none."""
    lines = [line.rpartition("\r")[2].rstrip() for line in text.strip().splitlines()]
    begins = [at for at, line in enumerate(lines) if line.strip() == TRACEBACK]
    if begins:
        after = (line for line in lines[begins[-1] + 1 :] if line and not line[0].isspace())
        if error := next(after, ""):
            return MODULE.sub("", error)
    return lines[-1] if lines else ""


def _by_signal(number: int, error: str) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    why = BY_SIGNAL.get(number, f"ended by signal {number} ({name})")  # type: ignore[call-overload]
    return f"{why}; {error}" if error and number not in BY_SIGNAL else why


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
