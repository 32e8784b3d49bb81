"""How launchers and the tracking server stand a large power set of trainings that do nothing.

python -m benchmarks.launching local|slurm|ray --losses 10 --repeats 3 --folder FOLDER

Needs MLFLOW_TRACKING_URI, of a server on this machine whose process is --server PID. Prints a line
for each stage: seconds, trainings per second, and the largest memory of command and server.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.jobs import Child, same_package
from lfranker.child_runs.running import closing, run_all
from lfranker.files import write_text
from lfranker.launching.engine import EngineLauncher
from lfranker.launching.launcher import Launcher
from lfranker.launching.local import LocalLauncher
from lfranker.launching.ray_engine import RayEngine
from lfranker.launching.slurm import SlurmEngine, parse_slurm
from lfranker.losses.names import LOSS_ORDER
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import tasks
from lfranker.processes.jobs import Job
from lfranker.publishing import ranking_run
from lfranker.ranking.leaderboard import RankConfig
from lfranker.tracking.runs import own_run, set_owners, set_tags
from lfranker.tracking.tags import Tag, scan_set
from lfranker.training.config import TrainConfig

DIGEST = "0123456789abcdef"
STUB = "benchmarks.stub_worker"


def main() -> None:
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("launcher", choices=["local", "slurm", "ray"])
    words.add_argument("--losses", type=int, default=10)
    words.add_argument("--repeats", type=int, default=3)
    words.add_argument("--at-once", type=int, default=8)
    words.add_argument("--folder", type=Path, required=True)
    words.add_argument("--slurm", type=parse_slurm, default={})
    words.add_argument("--ray-address")
    words.add_argument("--hand-in-only", action="store_true", help="and cancel all jobs again")
    words.add_argument("--server", type=int, help="process of the server")
    asked = words.parse_args()
    losses = [name for name in LOSS_ORDER if name != "perceptual"][: asked.losses]
    plan = tasks(losses, asked.repeats, TrainConfig(steps=20))
    fake = SimpleNamespace(scans=SimpleNamespace(digest=DIGEST), facts={}, noise="", pace=1.0)
    with own_run("stub", "powerset") as run:
        key = f"stub-{run.run_id[:8]}"
        described = {
            Tag.POWERSET: key, Tag.SCANS: DIGEST, scan_set(DIGEST): "simulated",
            Tag.LOSS_SET: ",".join(losses), Tag.REPEATS: str(asked.repeats),
        }  # fmt: skip
        set_tags(run.run_id, {str(tag): value for tag, value in described.items()})
        engine = "" if asked.launcher == "local" else asked.launcher
        with measured("runs made", len(plan), asked.server):
            children = adopt(run, key, plan, cast("Inputs", fake), False, engine=engine)
        jobs = [job_of(child, asked.folder) for child in children]
        launcher = launcher_of(asked)
        with measured("handed in", len(plan), asked.server):
            launcher.submit(jobs)
        if asked.hand_in_only:
            with measured("cancelled", len(plan), asked.server):
                launcher.cancel()
            with measured("closed", len(plan), asked.server), closing(children):
                pass
            return
        launcher.submit = lambda _: None  # type: ignore[method-assign]
        with measured("done", len(plan), asked.server):
            failed = run_all(children, jobs, launcher, {}, lambda _: None)
        sys.stdout.write(f"{len(failed)} failed {sorted(set(failed.values()))[:3]}\n")
        # there are no models to register
        winners_of = patch.object(ranking_run, "register_winners", lambda *_, **__: ({}, []))
        with measured("ranked", len(plan), asked.server), winners_of:
            ranking_run.rank_power_set(run.run_id, "stub", None, RankConfig(promote="never"), None)


def launcher_of(asked: argparse.Namespace) -> Launcher:
    """Return the launcher that is asked for."""
    if asked.launcher == "local":
        return LocalLauncher(asked.at_once)
    if asked.launcher == "slurm":
        engine = SlurmEngine(asked.slurm, asked.folder / "slurm", None)
        engine.check()
        return EngineLauncher(engine, set_owners, 2)
    ray = RayEngine({"cpus": 1.0}, asked.ray_address, None)
    ray.check()
    return EngineLauncher(ray, set_owners, 2)


def job_of(child: Child, folder: Path) -> Job:
    """Return the stub's job for a run."""
    name = child.run.run_id
    task, log = folder / "tasks" / f"{name}.json", folder / "logs" / f"{name}.txt"
    write_text(task, json.dumps({"digest": DIGEST, "artifacts": child.run.artifact_uri}))
    known = {"MLFLOW_RUN_ID": name, **same_package()}
    return Job(name, [sys.executable, "-m", STUB, str(task)], log, known, None, STUB, task)


@contextmanager
def measured(stage: str, count: int, server: int | None) -> Iterator[None]:
    """Print how long the block takes for so many trainings, and what memory was used by then."""
    begun = time.monotonic()
    yield
    seconds = time.monotonic() - begun
    memory = f"command {peak('self')} MB" + (f", server {peak(str(server))} MB" if server else "")
    sys.stdout.write(f"{stage}: {seconds:.1f} s, {count / seconds:.1f}/s; {memory}\n")
    sys.stdout.flush()


def peak(process: str) -> int:
    """Return the largest resident memory of a process of this machine so far, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else 0


if __name__ == "__main__":
    main()
