"""Time and memory of denoising a whole image, against SCUNet as deepinv has it.

    python -m benchmarks.inference [--height 768] [--width 1024] [--rounds 3] [--threads 2]

Both networks have one block a stage, 64 channels and the same weights; that their outputs are equal
is checked. deepinv's gets the whole image; ours goes through `denoise`, as users' images do. The
two take turns in one process; the ratio is that of their medians. Memory is the largest resident
set of a process of its own, less what it was after one small image.
"""

import argparse
import re
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch

from lfranker.arrays import Image
from lfranker.denoiser.scunet import SCUNet
from lfranker.denoiser.tiling import denoise

BLOCKS, DIM = [1] * 7, 64
MIB = 2**20
TOLERANCE = 1e-5
Denoise = Callable[[Image], Image]


def denoisers() -> dict[str, Denoise]:
    """Return both by name, with the same weights."""
    from deepinv.models import SCUNet as Reference  # of the extra `bench`

    torch.manual_seed(0)
    ours = SCUNet(config=BLOCKS, dim=DIM).eval()
    theirs = Reference(in_nc=1, config=BLOCKS, dim=DIM, pretrained=None).eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    ours.to(memory_format=torch.channels_last)  # as models are loaded

    def whole(image: Image) -> Image:
        with torch.inference_mode():
            output = theirs(torch.from_numpy(image)[None, None])
        return output[0, 0].clamp(0, 1).numpy()

    return {"deepinv": whole, "lfranker": lambda image: denoise(ours, image)}


def picture(height: int, width: int) -> Image:
    return np.random.default_rng(0).random((height, width), np.float32)


def peak_bytes(name: str, height: int, width: int, threads: int) -> int:
    """Return what denoising the image adds to the largest resident set; in a new process."""
    torch.set_num_threads(threads)
    function, image = denoisers()[name], picture(height, width)
    function(picture(64, 64))
    before = largest_bytes()
    function(image)
    return largest_bytes() - before


def largest_bytes() -> int:
    """Return the largest resident set so far (Linux).

    By the kernel's own page: what getrusage says begins with that of the process that started it.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag, default in (("height", 768), ("width", 1024), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    both, image = denoisers(), picture(asked.height, asked.width)
    seconds: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(asked.rounds):
        outputs = []
        for name, function in both.items():
            start = perf_counter()
            outputs.append(function(image))
            seconds[name].append(perf_counter() - start)
        np.testing.assert_allclose(outputs[1], outputs[0], rtol=0, atol=TOLERANCE)
    memory = {}
    for name in both:
        with get_context("spawn").Pool(1) as pool:
            memory[name] = pool.apply(peak_bytes, (name, asked.height, asked.width, asked.threads))
    lines = [
        f"| {asked.height} x {asked.width}, {asked.threads} threads | s | MiB |",
        "|---|---:|---:|",
    ]
    for name, taken in seconds.items():
        lines.append(f"| {name} | {median(taken):.2f} | {memory[name] / MIB:.0f} |")
    lines.append(f"ratio inference_memory {memory['deepinv'] / memory['lfranker']:.2f}")
    lines.append(f"ratio inference {median(seconds['deepinv']) / median(seconds['lfranker']):.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
