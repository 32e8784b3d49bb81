"""Signals to end: turned into one interrupt, or into a question between steps."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 40.0  # seconds in which another signal cannot tear the work of ending
# Ctrl-C, `kill`, and a terminal that was closed (Windows knows no SIGHUP)
END_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def terminate_as_interrupt(patience: float = PATIENCE) -> Iterator[None]:
    """A signal to end raises KeyboardInterrupt inside the block: one path cleans up for all.

    More signals within `patience` seconds do nothing, so that they cannot tear the cleanup: Ctrl-C
    under `mlflow run` arrives twice, from the terminal and from MLflow.
    """
    came: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if came and time.monotonic() - came[-1] < patience:
            return
        came.append(time.monotonic())
        raise KeyboardInterrupt(f"signal {number}")

    with _handling(interrupt):
        yield


@contextmanager
def stop_between_steps(patience: float = PATIENCE) -> Iterator[Callable[[], bool]]:
    """Make a signal to end, inside the block, only let the yielded function say True.

    Work that must not be torn apart asks it between steps. A signal that comes more than
    `patience` seconds after the first interrupts.
    """
    came: list[float] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(time.monotonic())
        if came[-1] - came[0] > patience:
            raise KeyboardInterrupt(f"signal {number}")

    with _handling(remember):
        yield lambda: bool(came)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
