"""Networks in ONNX, for programs without torch: written by torch, run by ONNX Runtime.

Both packages come with the extra `onnx`.
"""

import copy
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lfranker.denoiser.scunet import seam_mask

OPSET = 17  # the first with layer normalisation
INPUT, OUTPUT = "noisy", "denoised"  # float32 (1, 1, h, w)
EXAMPLE = (1, 1, 100, 130)  # no multiples of 64: the padding must be in the graph


def has_package(name: str) -> bool:
    """Return whether a package of the extra is installed."""
    return find_spec(name) is not None


def write_onnx(network: nn.Module, path: Path) -> None:
    """Write a network for one image of any height and width. Needs the package onnx."""
    own = copy.deepcopy(network).cpu().float().to(memory_format=torch.contiguous_format).eval()
    size = {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        # Of the exporter that traces: the other one needs onnxscript, and no size that varies goes
        # through its shift masks.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                own, (torch.rand(EXAMPLE),), str(path), dynamo=False, opset_version=OPSET,
                input_names=[INPUT], output_names=[OUTPUT],
                dynamic_axes={INPUT: size, OUTPUT: size},
            )  # fmt: skip
        finally:
            seam_mask.cache_clear()  # of masks that were traced


class OnnxNetwork(nn.Module):
    """A network that ONNX Runtime runs on the processor; takes and gives tensors as any other.

    Raises ValueError where the stored graph is damaged. Needs the package onnxruntime.
    """

    def __init__(self, graph: bytes, threads: int) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of classes that onnxruntime has no public names for
            raise ValueError(f"ONNX Runtime cannot read it ({error})") from error

    def forward(self, image: Tensor) -> Tensor:
        (output,) = self.session.run([OUTPUT], {INPUT: np.asarray(image)})
        return torch.from_numpy(output)
