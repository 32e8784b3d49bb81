"""Time and memory of denoising one large scan in tiles, from one memory-mapped file into another.

    python -m benchmarks.tiled [--side 16384] [--model models:/lfranker@champion]

Without --model an untrained network of the preset demo, which costs the same. Memory is the
largest resident set above the one before the first tile; pages of the two mapped files count
in it as far as the kernel keeps them, so anonymous memory (RssAnon) is reported too.
"""

import argparse
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
import torch
from tqdm import tqdm

from lfranker.denoiser.tiling import denoise
from lfranker.simulation.scenes import scene
from lfranker.training.presets import PRESETS
from lfranker.training.trainer import build_network

GIB = 2**30


def memory() -> dict[str, int]:
    """Bytes of this process, by the kernel's names."""
    status = Path("/proc/self/status").read_text()
    return {name: int(kb) * 1024 for name, kb in re.findall(r"(VmRSS|RssAnon):\s+(\d+) kB", status)}


@contextmanager
def largest() -> Iterator[dict[str, int]]:
    peak, ended = memory(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for name, size in memory().items():
                peak[name] = max(peak[name], size)
            sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def mapped(path: Path, side: int) -> np.memmap:
    return np.lib.format.open_memmap(path, "w+", np.float32, (side, side))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=16384)
    parser.add_argument("--model")
    asked = parser.parse_args()
    if asked.model:
        from lfranker.tracking.models import load_network

        network = load_network(asked.model)
    else:
        torch.manual_seed(0)
        network = build_network(PRESETS["demo"].train)
    with TemporaryDirectory(dir=".") as name:
        noisy = mapped(Path(name) / "noisy.npy", asked.side)
        field = scene("powder", (1024, 1024), 0, 0)
        for top in range(0, asked.side, 1024):
            rows = field[: min(1024, asked.side - top)]
            noisy[top : top + 1024] = np.tile(rows, (1, -(-asked.side // 1024)))[:, : asked.side]
        out = mapped(Path(name) / "denoised.npy", asked.side)
        denoise(network, field[:512, :512])  # caches, threads
        before, start = memory(), perf_counter()
        with largest() as peak, tqdm(unit="tile", disable=None) as bar:

            def on_tile(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            denoise(network, noisy, out=out, on_tile=on_tile)
        seconds = perf_counter() - start
    rate = seconds / asked.side**2 * 1e6
    sys.stdout.write(f"{asked.side} x {asked.side} px: {seconds:.0f} s, {rate:.2f} s/MP\n")
    for kind, size in peak.items():
        sys.stdout.write(
            f"{kind}: {(size - before[kind]) / GIB:.2f} GiB above {before[kind] / GIB:.2f} GiB\n"
        )


if __name__ == "__main__":
    main()
