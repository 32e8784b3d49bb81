"""Rate of `synthesise` in 128 x 128 patches a second, everything included.

    python -m benchmarks.synth [--patches 4000]

The other side, in the same process and alternating with it, is what anyone would write first:
scikit-image's `random_noise` (Poisson, then speckle) on the same patches, without storing them.
"""

import argparse
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from skimage.util import random_noise

from lfranker.datasets.clean_images import simulated_clean
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.processes.jobs import available_cores

ROUNDS = 3


def ours(patches: int, folder: Path) -> float:
    images = simulated_clean(2, 512, seed=0)
    config = DatasetConfig(patch=128, patches=patches)
    start = perf_counter()
    synthesise(images, folder / "dataset", config)
    return patches / (perf_counter() - start)


def theirs(patches: int) -> float:
    clean = simulated_clean(1, 512, seed=0)[0].image[:128, :128]
    start = perf_counter()
    for seed in range(patches):
        poisson = random_noise(clean, mode="poisson", rng=seed)
        random_noise(poisson, mode="speckle", var=0.01, rng=seed)
    return patches / (perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=4000)
    patches = parser.parse_args().patches
    rates: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with TemporaryDirectory() as folder:
            rates.append((ours(patches, Path(folder)), theirs(patches // 8)))
    own, other = (median(side) for side in zip(*rates, strict=True))
    ratio = median(a / b for a, b in rates)
    cores = available_cores()
    sys.stdout.write(
        f"{own:.0f} patches/s on {cores} cores; scikit-image on one {other:.0f}/s; "
        f"ratio {ratio:.2f} (median of {ROUNDS})\n"
    )


if __name__ == "__main__":
    main()
