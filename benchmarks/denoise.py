"""Time of denoising one field with a network, against BM3D of the baselines.

    python -m benchmarks.denoise [--model MODEL --scans FOLDER] [--strength 1.5] [--rounds 3]

Without --model and --scans an untrained network of the preset small, which costs the same, and
noise of 442 x 512 px; with them the field in the middle of the scans, and PSNR and SSIM of each
denoiser. BM3D (extra `bench`) gets a strength that was tuned elsewhere. Engines of the network:
torch, torch in bfloat16, ONNX Runtime in float32 and with weights of 8 bits (extra `onnx`). All
take turns; the ratio is that of the medians of BM3D and of torch, which `denoise` takes.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from torch import nn

from lfranker.arrays import Image
from lfranker.denoiser.onnx_network import OnnxNetwork, write_onnx
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.metrics import METRICS
from lfranker.evaluation.stabilised import stabilised_bm3d
from lfranker.scans.preparation import prepare_scans
from lfranker.scans.scan_set import Pair
from lfranker.tracking.models import load_network
from lfranker.training.presets import PRESETS
from lfranker.training.trainer import build_network


class Bfloat16(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(image)


def engines(network: nn.Module, threads: int) -> dict[str, nn.Module]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        whole, small = Path(folder) / "network.onnx", Path(folder) / "int8.onnx"
        write_onnx(network, whole)
        quantize_dynamic(whole, small, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])
        return {
            "torch": network,
            "torch bfloat16": Bfloat16(network),
            "onnx": OnnxNetwork(whole.read_bytes(), threads),
            "onnx int8": OnnxNetwork(small.read_bytes(), threads),
        }


def middle_pair(folder: Path) -> Pair:
    scans = prepare_scans(folder, None, Path(".lfranker").resolve() / "scans")
    return scans.read(scans.records[len(scans.records) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    parser.add_argument("--scans", type=Path)
    parser.add_argument("--strength", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    network = load_network(asked.model) if asked.model else build_network(PRESETS["small"].train)
    network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    pair = middle_pair(asked.scans) if asked.scans else None
    image = pair.noisy if pair else np.random.default_rng(0).random((442, 512), np.float32)
    denoisers: dict[str, Callable[[Image], Image]] = {
        "bm3d": partial(stabilised_bm3d, strength=asked.strength)
    }
    for name, module in engines(network, asked.threads).items():
        denoisers[name] = partial(denoise, module)
    seconds: dict[str, list[float]] = {name: [] for name in denoisers}
    outputs = {}
    for _ in range(asked.rounds):
        for name, function in denoisers.items():
            start = perf_counter()
            outputs[name] = function(image)
            seconds[name].append(perf_counter() - start)
    np.testing.assert_allclose(outputs["onnx"], outputs["torch"], rtol=0, atol=1e-4)
    sys.stdout.write(f"| {image.shape[0]} x {image.shape[1]} px, {asked.threads} threads | s |")
    sys.stdout.write(" PSNR | SSIM |\n|---|---:|---:|---:|\n" if pair else "\n|---|---:|\n")
    for name, taken in seconds.items():
        scored = [METRICS[key].function(np.clip(outputs[name], 0, 1), pair) for key in
                  ("psnr", "ssim")] if pair else []  # fmt: skip
        cells = [f"{median(taken):.3f}", *(f"{value:.4f}" for value in scored)]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
    ratio = median(seconds["bm3d"]) / median(seconds["torch"])
    sys.stdout.write(f"ratio denoise {ratio:.1f}\n")


if __name__ == "__main__":
    main()
