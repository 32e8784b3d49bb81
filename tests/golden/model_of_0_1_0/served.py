"""The model as MLflow serves it: the network and tiled inference, nothing else.

MLflow runs this file ("model from code") wherever the model is loaded; no pickle is involved.
Input and output are float32 `(b, 1, h, w)`, the output in [0, 1]; any h and w.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from safetensors.torch import load_file

from lfranker.inference import denoise
from lfranker.scunet import SCUNet


class ServedModel(PythonModel):
    """`unwrap_python_model().network` is the torch module."""

    network: SCUNet
    # the signature is given; MLflow would ask for type hints as a second, weaker one
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        settings = json.loads(Path(context.artifacts["network"]).read_text())
        self.network = SCUNet(**settings)
        self.network.load_state_dict(load_file(context.artifacts["weights"]), strict=True)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # as it was trained; also faster on processors
        self.network.to(device).to(memory_format=torch.channels_last).eval()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        batch = np.asarray(model_input, dtype=np.float32)
        if batch.ndim != 4 or batch.shape[1] != 1:
            raise ValueError(f"expected an array (b, 1, h, w), got {batch.shape}")
        return np.stack([denoise(self.network, image[0])[None] for image in batch])


set_model(ServedModel())
