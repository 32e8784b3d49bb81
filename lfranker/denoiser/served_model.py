"""The model as MLflow serves it: the network and tiled inference, nothing else.

MLflow runs this file ("model from code") wherever the model is loaded; no pickle is involved.
Input and output are float32 `(b, 1, h, w)` in [0, 1]; any h and w. What is not in these units is
refused: it would come back as white, or as noise that the network does not know.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from lfranker.denoiser.networks import build
from lfranker.denoiser.tiling import denoise


class ServedModel(PythonModel):
    """`unwrap_python_model().network` is the torch module."""

    network: nn.Module
    # the signature is given; MLflow would ask for type hints as a second, weaker one
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        settings = json.loads(Path(context.artifacts["network"]).read_text())
        self.network = build(settings)
        self.network.load_state_dict(load_file(context.artifacts["weights"]), strict=True)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # as it was trained; also faster on processors
        self.network.to(device).to(memory_format=torch.channels_last).eval()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        batch = _checked(np.asarray(model_input))
        return np.stack([denoise(self.network, image[0])[None] for image in batch])


def _checked(batch: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the input as float32. Raises ValueError saying what to send."""
    send = (
        "send gray values as floats in [0, 1]: divide by the value of full brightness, 255 of 8 "
        "bits, 65535 of 16, 4095 where 12 bits are used"
    )
    if batch.dtype.kind != "f":
        raise ValueError(f"got {batch.dtype.name}; {send}")
    if batch.ndim != 4 or batch.shape[1] != 1:
        raise ValueError(f"expected an array (b, 1, h, w), got {batch.shape}")
    if batch.size and not batch.max() <= 1:  # which NaN is not, either
        raise ValueError(f"got values up to {batch.max():g}; {send}")
    return batch.astype(np.float32)


set_model(ServedModel())
