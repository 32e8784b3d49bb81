"""The folder in which command lines are run by a recorder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from drunet_weights import drunet_weights

from lfranker.images.image_file import write_image


@pytest.fixture
def folder(store: Path) -> Path:
    """The folder that a command line is run in, with all that it names."""
    for name in ("clean", "scans", "more-scans", "stored", "taken", "given"):
        (store / name).mkdir()
    for name in ("start.pth", "vgg.pth", "ratings.csv"):
        (store / name).write_text(name)
    torch.save(drunet_weights(), store / "gray.pth")
    for name in ("taken/a.png", "taken/b.png", "given/a.png"):
        write_image(store / name, np.zeros((8, 8), np.float32), np.dtype(np.uint16), 65535)
    return store
