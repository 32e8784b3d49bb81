"""Networks as MLflow models: logged without pickle, loaded anywhere."""

import json
import re
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, get_model_info
from mlflow.types import Schema, TensorSpec
from safetensors.torch import save_file
from torch import nn

import lfranker
from lfranker.tracking.runs import get_run, set_tags
from lfranker.tracking.tags import Tag

# what the served model imports, and nothing else, travels with a model
SHIPPED = ("arrays.py", "denoiser/scunet.py", "denoiser/tiling.py", "denoiser/served_model.py")
REQUIREMENTS = ("mlflow", "torch", "numpy", "einops", "safetensors")
ARTIFACTS = {"weights": "weights.safetensors", "network": "network.json"}
SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 1, -1, -1))]),
    outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 1, -1, -1))]),
)


def log_network(run_id: str, network: nn.Module, settings: Mapping[str, object]) -> str:
    """Log `network` with the active run and return the model's ID, also kept as a tag.

    `settings` are the arguments that build the same SCUNet. The model is named by the losses that
    the run was trained on, and has them as its parameter.
    """
    tags = get_run(run_id).data.tags
    losses = tags.get(Tag.LOSSES, "model")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_weights(network, folder / ARTIFACTS["weights"])
        (folder / ARTIFACTS["network"]).write_text(json.dumps(dict(settings)))
        package = _stage_package(folder / "lfranker")
        info = mlflow.pyfunc.log_model(
            name=re.sub(r"[/:.%\"']", "-", losses),  # which MLflow does not allow in it
            params={"losses": losses, "repeat": tags.get(Tag.REPEAT, "0")},
            python_model=str(package / "denoiser" / "served_model.py"),
            artifacts={key: str(folder / file) for key, file in ARTIFACTS.items()},
            code_paths=[str(package)],
            signature=SIGNATURE,
            input_example=np.full((1, 1, 16, 16), 0.5, np.float32),
            pip_requirements=[f"{name}=={_public(version(name))}" for name in REQUIREMENTS],
        )
    set_tags(run_id, {Tag.MODEL: info.model_id})
    return str(info.model_id)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the tensors of `network` as safetensors."""
    state = network.state_dict()
    save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, path)


def _stage_package(package: Path) -> Path:
    source = Path(lfranker.__file__).parent
    for name in SHIPPED:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, package / name)
        for folder in (package, (package / name).parent):
            (folder / "__init__.py").write_text('"""The part of lfranker that a model needs."""\n')
    return package


def _public(number: str) -> str:
    """A version without its local part ("2.14.1+cpu"), which indexes do not know."""
    return number.split("+")[0]


def load_network(uri: str) -> nn.Module:
    """The torch module of a logged or registered model.

    Raises ValueError saying what to do where there is none.
    """
    try:
        module: nn.Module = mlflow.pyfunc.load_model(uri).unwrap_python_model().network
    except (MlflowException, OSError) as error:
        raise ValueError(
            f"no model at {uri!r} ({error}): rank a power set first, or name a model as "
            f"models:/NAME@ALIAS, models:/NAME/VERSION or a folder"
        ) from error
    return module


def model_id_of(uri: str) -> str:
    """Return the ID of the logged model behind an address; "" where it is a folder's or older."""
    return str(get_model_info(uri).model_id or "")
