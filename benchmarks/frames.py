"""Two simulated fast frames of each slow scan, for trainings on frames where none were scanned.

    python -m benchmarks.frames SLOW --noise profile.json@100ns --out FOLDER

The frames of a field differ in their noise alone, which is that of --noise (what `powerset --noise`
takes), and lie in FOLDER/frame1 and FOLDER/frame2. They are as bright as the slow scan, and do not
drift, as real ones do.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lfranker.datasets.clean_images import load_clean
from lfranker.images.image_file import write_image
from lfranker.noise.noise_config import add_noise
from lfranker.planning.settings import preset_settings


def main() -> None:
    """Write the frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slow", type=Path)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    noise = preset_settings("small", noise=options.noise).dataset.noise
    noise = replace(noise, gain=(1.0, 1.0), offset=(0.0, 0.0))
    slow, _ = load_clean(options.slow, max_noise=1.0)
    for number, image in enumerate(tqdm(slow, disable=None)):
        for frame in (1, 2):
            rng = np.random.default_rng([options.seed, number, frame])
            file = options.out / f"frame{frame}" / f"{Path(image.name).stem}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_image(file, add_noise(image.image, noise, rng), np.dtype(np.uint16), 65535)


if __name__ == "__main__":
    main()
