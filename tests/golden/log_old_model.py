"""Log a tiny model as trainings do today, and keep it with what it makes of an image.

Run once with the code of 0.1.0 (its model is in model_of_0_1_0/), before the modules that a
model's code names were moved; kept to show how that folder was made:

    python tests/golden/log_old_model.py tests/golden/model_of_0_1_0

The folder is what `mlflow.pyfunc.load_model` loads, plus denoised.npz: an image and what the
model made of it. Temporary folders that MLflow notes in MLmodel, and never reads, have a neutral
name there.
"""

import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from urllib.parse import urlparse
from urllib.request import url2pathname

import mlflow
import numpy as np
import torch

from lfranker.denoiser.scunet import SCUNet
from lfranker.tracking.models import log_network

NETWORK = {"config": [0, 0, 0, 2, 0, 0, 0], "dim": 4, "head_dim": 2}
SHAPE = 70, 90  # px: no multiple of what the network pads to
STEPS = 150  # to copy its input, roughly: outputs of random weights are mostly clipped


def trained() -> SCUNet:
    """Return a network that gives something like its input."""
    torch.manual_seed(0)
    network = SCUNet(**NETWORK)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(STEPS):
        image = torch.rand(2, 1, 64, 64)
        loss = (network(image) - image).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def log_model(folder: Path) -> Path:
    """Log the network in a store in `folder`; return the model's folder."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("old", (folder / "mlruns").as_uri())
    network = trained()
    with mlflow.start_run(experiment_id=experiment) as run:
        model_id = log_network(run.info.run_id, network, NETWORK)
    location = mlflow.get_logged_model(model_id).artifact_location
    return Path(url2pathname(urlparse(location).path))


def main(target: Path) -> None:
    with TemporaryDirectory() as temporary:
        shutil.copytree(log_model(Path(temporary)), target)
    about = target / "MLmodel"
    folders = re.escape(gettempdir()) + r"/tmp\w+"
    about.write_text(re.sub(folders, "/tmp/model", about.read_text()))
    image = np.random.default_rng(0).random((1, 1, *SHAPE), dtype=np.float32)
    model = mlflow.pyfunc.load_model(str(target))
    np.savez_compressed(target / "denoised.npz", image=image, denoised=model.predict(image))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
