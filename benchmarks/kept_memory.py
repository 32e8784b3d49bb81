"""A training step with freed memory kept by the process, against glibc as it comes.

    python -m benchmarks.kept_memory [--steps 10] [--rounds 5]

How much is kept is read when a process starts, so both sides have processes of their own, which
take turns: batches of 8 x 64 x 64, one thread, processor time, the networks of `roofline`. Also
printed: faults of pages a step, and the largest resident set. The last line is the ratio of
preset `small`.
"""

import argparse
import json
import os
import subprocess
import sys
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import process_time

import torch

from benchmarks.paired import last_line, times_faster
from benchmarks.roofline import NETWORKS
from benchmarks.train_step import stepper
from lfranker.denoiser.scunet import SCUNet
from lfranker.processes.jobs import KEEPS_MEMORY

SIDES = {"kept": KEEPS_MEMORY, "as it comes": {}}


def measure(name: str, steps: int) -> dict[str, float]:
    """Return milliseconds and page faults of a step, and MiB of the process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config, dim, head_dim = NETWORKS[name]
    network = SCUNet(config=config, dim=dim, head_dim=head_dim)
    step = stepper(network.to(memory_format=torch.channels_last))
    for _ in range(2):
        step()
    before, start = getrusage(RUSAGE_SELF), process_time()
    for _ in range(steps):
        step()
    seconds, after = process_time() - start, getrusage(RUSAGE_SELF)
    return {
        "ms": 1000 * seconds / steps,
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "MiB": after.ru_maxrss / 1024,
    }


def in_a_process(name: str, steps: int, environment: dict[str, str]) -> dict[str, float]:
    plain = {key: value for key, value in os.environ.items() if key not in KEEPS_MEMORY}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kept_memory", "--steps", str(steps), "--of", name],
        env={**plain, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def ratio(name: str, steps: int, rounds: int) -> float:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, environment in SIDES.items():
            found[side].append(in_a_process(name, steps, environment))
    for side, measured in found.items():
        middle = {key: median(one[key] for one in measured) for key in measured[0]}
        cells = "".join(f"{value:>8.0f} {key}" for key, value in middle.items())
        sys.stdout.write(f"{name:<18}{side:<14}{cells}\n")
    kept, plain = ([one["ms"] for one in found[side]] for side in SIDES)
    return times_faster(kept, plain)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--of", choices=tuple(NETWORKS), help="measure this in this process")
    asked = parser.parse_args()
    if asked.of:
        sys.stdout.write(json.dumps(measure(asked.of, asked.steps)))
        return
    ratios = {name: ratio(name, asked.steps, asked.rounds) for name in ("[1] * 7, dim 64", "small")}
    last_line("kept_memory", ratios["small"])


if __name__ == "__main__":
    main()
