"""How long a training takes to its first step: a copy of a prepared process, or a new one.

    python -m benchmarks.child_start [--rounds 3]

A small power set (preset smoke) is run first, in a folder of its own; then its first training is
started again and again, into new runs, in either way, and stopped at its first step. The first copy
waits for its template, which imports what all copies share; that is not counted.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from click.testing import CliRunner
from mlflow import MlflowClient

from benchmarks.paired import last_line
from entrypoints.powerset import main as powerset
from lfranker.child_runs.jobs import WORKER
from lfranker.processes.jobs import PROGRESS_VARIABLE
from lfranker.processes.template import Copy, Request, Template
from lfranker.tracking.power_set import load_power_set

PATIENCE = 300.0  # s
Started = Copy | subprocess.Popen[bytes]


def first_step(start: Callable[[dict[str, str]], Started], progress: Path) -> float:
    """Return the seconds from the start to the first step of a training into a new run."""
    run = MlflowClient().create_run(load_power_set().experiment_id)
    progress.unlink(missing_ok=True)
    began = perf_counter()
    process = start({"MLFLOW_RUN_ID": run.info.run_id, PROGRESS_VARIABLE: str(progress)})
    while not (progress.exists() and progress.read_text().isdigit() and int(progress.read_text())):
        if perf_counter() - began > PATIENCE or process.poll() is not None:
            sys.exit("the training did not begin")
        sleep(0.01)
    taken = perf_counter() - began
    process.kill()
    process.wait(PATIENCE)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        words = ["--preset", "smoke", "--cache", f"{folder}/cache", "--losses", "mae,ssim"]
        done = CliRunner().invoke(powerset, words)
        if done.exit_code:
            sys.exit(done.output)
        task = str(next(Path(folder, "cache", "logs").glob("*.json")))
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        log, progress = Path(folder) / "log.txt", Path(folder) / "steps"
        template = Template(WORKER, limits)

        def copied(told: dict[str, str]) -> Started:
            copy = template.start(Request((task,), str(log), told))
            return copy or sys.exit("no copy can be made here")

        def new(told: dict[str, str]) -> Started:
            with log.open("wb") as out:
                return subprocess.Popen(
                    [sys.executable, "-m", WORKER, task], env={**os.environ, **limits, **told},
                    stdout=out, stderr=out,
                )  # fmt: skip

        first_step(copied, progress)
        taken: dict[str, list[float]] = {"copy": [], "new": []}
        for _ in range(asked.rounds):
            taken["copy"].append(first_step(copied, progress))
            taken["new"].append(first_step(new, progress))
        template.close()
    for name, seconds in taken.items():
        sys.stdout.write(f"{name:<6}{median(seconds):6.2f} s to the first step\n")
    last_line("child_start", median(taken["new"]) / median(taken["copy"]))


if __name__ == "__main__":
    main()
