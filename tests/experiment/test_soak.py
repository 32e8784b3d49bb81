"""A power set of many trainings: what its own process needs does not grow with their number.

The trainings are processes that only say that they are done; all else is what a power set does.
"""

import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest
from tracked import make_parent

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import run_all
from lfranker.launching.local import LocalLauncher
from lfranker.planning.inputs import Inputs
from lfranker.planning.plan import tasks
from lfranker.processes import jobs as processes
from lfranker.processes.jobs import Job
from lfranker.tracking.runs import tracked
from lfranker.training.config import TrainConfig

COUNT, WARM = 60, 20  # trainings; what is held after so many is held for good
MOST = 8  # MB more
SCANS = SimpleNamespace(digest="0" * 64, has_clean=True)
INPUTS = cast(
    "Inputs", SimpleNamespace(scans=SCANS, facts={"perceptual": "none"}, noise="", pace=1.0)
)
LINE = "done"
STUB = f"import sys; open(sys.argv[1], 'w').write('8'); print('{LINE}')"


class Held(NamedTuple):
    """Resources that a process holds."""

    megabytes: float
    files: int
    threads: int
    disk: int  # bytes of the cache


def held(cache: Path) -> Held:
    resident = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert resident is not None
    disk = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    files = len(list(Path("/proc/self/fd").iterdir()))
    return Held(int(resident[1]) / 1024, files, threading.active_count(), disk)


def stub(child: Child, cache: Path) -> Job:
    log = cache / "logs" / f"{child.run.run_id}.txt"
    steps = log.with_suffix(".steps")
    return Job(log.stem, [sys.executable, "-S", "-c", STUB, str(steps)], log, {}, steps)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
def test_memory_files_threads_and_disk_stay_flat(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "POLL", 0.05)
    cache, seen = store / "cache", list[Held]()
    parent = tracked(make_parent("mae"))
    plan = tasks(["mae"], COUNT, TrainConfig(steps=8))
    children = adopt(parent, "key", plan, INPUTS, take_over=False)
    jobs = [stub(child, cache) for child in children]
    reasons = run_all(children, jobs, LocalLauncher(2), {}, lambda _: seen.append(held(cache)))
    assert reasons == {}
    assert len(seen) == COUNT
    warm, later = seen[WARM - 1], seen[WARM:]
    assert max(now.megabytes for now in later) < warm.megabytes + MOST
    assert max(now.files for now in later) <= max(now.files for now in seen[:WARM])
    assert max(now.threads for now in later) <= max(now.threads for now in seen[:WARM])
    assert seen[-1].disk <= COUNT * (len(LINE) + 2), "a log's line and a count of steps"
