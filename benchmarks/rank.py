"""Time and memory of ranking a large power set through a tracking server.

    python -m benchmarks.rank [--losses 10] [--repeats 3] [--keep FOLDER]

A synthetic power set is put into a store (minutes; --keep makes it once): for each subset of
made-up losses and each repeat a run with metrics, tags and a table of scores, as a scored training
leaves them. A real `mlflow server` on loopback serves it, artifacts too, and a process of its own
ranks it, twice: what the first ranking wrote on the runs the second need not. Reported are wall and
CPU seconds, the latter without the server's, and the largest resident set.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from tqdm import tqdm

from lfranker.evaluation.metrics import METRICS
from lfranker.evaluation.scoring import summarise
from lfranker.losses.subsets import ALL
from lfranker.tracking.tags import Tag, scan_set

DIGEST = "0123456789abcdef"
TYPICAL = {"psnr": 30, "keypoints": 500}  # of metrics that are not about 1


def table_of(effects: np.ndarray, fields: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Scores like those of `evaluation.score`: what the losses bring, the field's luck, noise."""
    speeds = ("spd2", "spd3", "spd5")
    rows = list(product(range(len(fields)), range(len(speeds))))
    field, speed = np.array(rows).T
    shared = effects.sum() + fields[field] + 0.5 * speed
    scores = {
        name: TYPICAL.get(name, 1) * (1 + 0.01 * (shared + 0.3 * rng.standard_normal(len(rows))))
        for name in METRICS
    }
    words = {
        "field": [f"field_{at:03}" for at in field],
        "speed": [speeds[at] for at in speed],
        "place": [f"field_{at:03}" for at in field],
        "sample": "sample",
    }
    alike = {"seconds": 1.0, "megapixels": 0.8, "output_mean": 0.4, "output_std": 0.1}
    return pd.DataFrame({**words, **scores, **alike, "input_correlation": 0.8, "finite": True})


def make(folder: Path, losses: int, repeats: int, fields: int) -> str:
    """The power set in `folder`; returns the ID of its parent."""
    client, rng = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}"), np.random.default_rng(0)
    experiment = client.create_experiment("rank", artifact_location="mlflow-artifacts:/rank")
    names = [f"loss{at:02}" for at in range(losses)]
    brings = dict(zip(names, rng.normal(0, 1, losses), strict=True))
    luck = rng.normal(0, 1, fields)
    parent = client.create_run(experiment, run_name=f"{losses} losses").info.run_id
    tags = {"powerset": "key", "role": "powerset", "loss-set": ",".join(names)}
    tags |= {"repeats": str(repeats), "scans": DIGEST}
    own = [RunTag(f"lfranker.{name}", value) for name, value in tags.items()]
    client.log_batch(parent, tags=[*own, RunTag(scan_set(DIGEST), "real")])
    entrants = [(s, {Tag.LOSSES: "+".join(s)}) for s in ALL.subsets(names)]
    for subset, kind in tqdm([*entrants, ((), {Tag.BASELINE: "noisy"})], desc="making"):
        effects = np.array([brings[name] for name in subset] or [-20.0])
        for repeat in range(repeats if subset else 1):
            tags = {**kind, Tag.POWERSET: "key", Tag.REPEAT: str(repeat), Tag.PARENT: parent}
            tags |= {Tag.SCORING: DIGEST, Tag.OUTCOME: "ok"}
            run = client.create_run(
                experiment,
                run_name="+".join(subset) or "noisy",
                tags={str(k): v for k, v in tags.items()},
            )
            table = table_of(effects / np.sqrt(len(effects)), luck, rng)
            where = folder / "artifacts/rank" / run.info.run_id / "artifacts/scores"
            where.mkdir(parents=True)
            table.to_csv(where / f"scans-{DIGEST[:8]}.csv", index=False)
            metrics = [Metric(k, v, 0, 0) for k, v in summarise(table).items()]
            client.log_batch(run.info.run_id, metrics=metrics, synchronous=True)
            client.set_terminated(run.info.run_id, "FINISHED")
    return parent


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of an `mlflow server` over the store in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
         "--artifacts-destination", str(folder / "artifacts")],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while server.poll() is None:
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def rank(uri: str, parent: str) -> None:
    """Rank in a process of its own, and report on it."""
    words = ["--parent", parent, "--model-name", "benchmark"]
    load, begun = os.getloadavg()[0], time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "entrypoints.rank", *words],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    if status:
        raise SystemExit(f"ranking failed with status {status}")
    sys.stdout.write(
        f"{wall:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU, "
        f"{used.ru_maxrss / 2**20:.2f} GiB at most, load {load:.1f} before\n"
    )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fields", type=int, default=24)
    parser.add_argument("--keep", type=Path, help="folder of the store, made where it is not there")
    asked = parser.parse_args()
    with TemporaryDirectory(dir=".") as temporary:
        folder = (asked.keep or Path(temporary)).resolve()
        known = folder / "parent.txt"
        if not known.exists():
            folder.mkdir(parents=True, exist_ok=True)
            known.write_text(make(folder, asked.losses, asked.repeats, asked.fields))
        with served(folder) as uri:
            for _ in range(2):
                rank(uri, known.read_text())


if __name__ == "__main__":
    main()
