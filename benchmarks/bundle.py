"""Put a trained network into the package, as the one that comes with it.

    python -m benchmarks.bundle models:/m-0123...

`lfranker/denoiser/bundled_network/README.md` has the command that trains it. Weights are stored in
half precision; how far that moves the output of noise at mid-gray is told.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from mlflow.artifacts import download_artifacts
from safetensors.torch import save_file

from lfranker.denoiser.bundled import FOLDER, NETWORK, WEIGHTS, bundled_network
from lfranker.denoiser.tiling import denoise
from lfranker.tracking.models import TRAINING_IMAGES, read_network

LARGEST = 3e6  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="models:/ID, models:/NAME@ALIAS or a model's folder")
    model = Path(download_artifacts(parser.parse_args().model))
    network = read_network(model)
    FOLDER.mkdir(exist_ok=True)
    tensors = network.state_dict().items()
    halves = {name: value.cpu().to(torch.float16).contiguous() for name, value in tensors}
    save_file(halves, WEIGHTS)
    for name in (NETWORK.name, TRAINING_IMAGES):
        shutil.copy(model / "artifacts" / name, FOLDER / name)
    size = WEIGHTS.stat().st_size
    if size > LARGEST:
        sys.exit(f"{size / 1e6:.2f} MB of weights; at most {LARGEST / 1e6:.0f} MB are allowed")
    scan = np.random.default_rng(0).normal(0.5, 0.1, (128, 128)).clip(0, 1).astype(np.float32)
    moved = np.abs(denoise(bundled_network(), scan) - denoise(network, scan)).max()
    sys.stdout.write(f"{size / 1e6:.2f} MB; half precision moves outputs by at most {moved:.1e}\n")


if __name__ == "__main__":
    main()
