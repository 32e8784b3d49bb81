"""The network that comes with the package, where none of one's own was ranked on real scans yet.

`bundled_network/README.md` says what it was trained on, how, and whose images these were. Its
weights are stored in half precision and computed with in single.
"""

import json
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file

from lfranker.arrays import Image
from lfranker.denoiser.scunet import SCUNet
from lfranker.denoiser.tiling import denoise

FOLDER = Path(__file__).parent / "bundled_network"
WEIGHTS = FOLDER / "weights.safetensors"
NETWORK = FOLDER / "network.json"


@cache
def bundled_network() -> SCUNet:
    """Return it as models are served, on a GPU where there is one; loaded once."""
    network = SCUNet(**json.loads(NETWORK.read_text(encoding="utf-8")))
    stored = load_file(WEIGHTS)
    network.load_state_dict({name: value.float() for name, value in stored.items()}, strict=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return network.to(device).to(memory_format=torch.channels_last).eval()


def denoise_bundled(image: Image) -> Image:
    """Denoise by it, float32 (h, w) in [0, 1] to the same."""
    return denoise(bundled_network(), image)
