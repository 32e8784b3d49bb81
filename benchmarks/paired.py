"""Ways to compute the same, timed in turn in one process."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter, process_time

import torch


def rounds_asked(description: str | None, threads: int, rounds: int) -> int:
    """Read the command line and use the threads it asks for; returns the rounds it asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--rounds", type=int, default=rounds)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    return int(asked.rounds)


def seconds(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return each side's seconds in every round, after one that does not count.

    With one thread it is processor time, which other processes disturb least.
    """
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    for side in sides.values():
        side()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            start = clock()
            side()
            taken[name].append(clock() - start)
    return taken


def times_faster(own: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over rounds of the other's seconds divided by the own ones."""
    return median(b / a for a, b in zip(own, other, strict=True))


def compare(title: str, own: Callable[[], object], other: Callable[[], object], n: int) -> float:
    """Print a row with the median milliseconds of both, and return their ratio."""
    taken = seconds({"own": own, "other": other}, n)
    ratio = times_faster(taken["own"], taken["other"])
    first, second = (1000 * median(taken[name]) for name in ("own", "other"))
    sys.stdout.write(f"{title:<32}{first:>10.1f}{second:>10.1f}{ratio:>8.2f}\n")
    return ratio


def header(what: str, other: str) -> None:
    cores = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    sys.stdout.write(f"{what}, {cores}\n{'':<32}{'own ms':>10}{other + ' ms':>10}{'ratio':>8}\n")


def last_line(name: str, ratio: float) -> None:
    sys.stdout.write(f"ratio {name} {ratio:.2f}\n")
