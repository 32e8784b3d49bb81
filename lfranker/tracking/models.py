"""Networks as MLflow models: logged without pickle, loaded anywhere.

MLflow runs the code that lies in a model's folder, and unpickles what is pickled there. Here a
network is built by this package's own code, of the numbers and the tensors in the folder alone.
"""

import json
import re
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import torch
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, get_model_info
from mlflow.types import Schema, TensorSpec
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import lfranker
from lfranker.denoiser.bundled import FOLDER as BUNDLED_FOLDER
from lfranker.denoiser.bundled import WEIGHTS as BUNDLED_WEIGHTS
from lfranker.denoiser.bundled import bundled_network
from lfranker.denoiser.likeness import Likeness, read_likeness
from lfranker.denoiser.networks import PACKAGE, build
from lfranker.denoiser.onnx_network import OnnxNetwork, has_package, write_onnx
from lfranker.evaluation.criteria import BUNDLED
from lfranker.files import inside, sha256_of
from lfranker.tracking.runs import get_run, set_tags
from lfranker.tracking.tags import Tag
from lfranker.training.config import TrainConfig
from lfranker.training.memory import NUMBER, weight_count

# what the served model imports, and nothing else, travels with a model
SHIPPED = (
    "arrays.py", "processes/free_memory.py",
    "denoiser/networks.py", "denoiser/scunet.py", "denoiser/tiling.py", "denoiser/served_model.py",
)  # fmt: skip
REQUIREMENTS = ("mlflow", "torch", "numpy", "einops", "safetensors")
ARTIFACTS = {"weights": "weights.safetensors", "network": "network.json"}
TRAINING_IMAGES = "training_images.json"  # beside them: what these look like; older ones lack it
ONNX = "network.onnx"  # beside them, of models that won something
ONNX_SHA256 = f"{ONNX}.sha256"  # beside that: its checksum
ABOUT = "MLmodel"  # the file in which MLflow says what a folder holds
LOADER = "mlflow.pyfunc.loaders.code_model"  # of models from code, as ours are
SHA256 = "weights_sha256"  # in the metadata of a model; 0.1.0 did not say
SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 1, -1, -1))]),
    outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 1, -1, -1))]),
)


def know_packages() -> None:
    """Have MLflow look through all installed packages, as it does once before it logs a model."""
    warn_dependency_requirement_mismatches(["mlflow"])


def log_network(
    run_id: str,
    network: nn.Module,
    settings: Mapping[str, object],
    trained_on: Likeness | None = None,
) -> str:
    """Log `network` with the active run and return the model's ID, also kept as a tag.

    `settings` are what `networks.build` makes the same network of, `trained_on` is what its
    training images look like. The model is named by the losses that the run was trained on, and has
    them as its parameter.
    """
    tags = get_run(run_id).data.tags
    losses = tags.get(Tag.LOSSES, "model")
    packages = (*REQUIREMENTS, PACKAGE) if "network" in settings else REQUIREMENTS
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
            metadata={SHA256: sha256_of(folder / ARTIFACTS["weights"])},
            code_paths=[str(package)],
            signature=SIGNATURE,
            input_example=np.full((1, 1, 16, 16), 0.5, np.float32),
            pip_requirements=[f"{name}=={_public(version(name))}" for name in packages],
        )
        if trained_on is not None:
            path = folder / TRAINING_IMAGES
            path.write_text(trained_on.to_json(), encoding="utf-8")
            MlflowClient().log_model_artifact(info.model_id, str(path), "artifacts")
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


def add_onnx(model_id: str) -> None:
    """Log the network of a logged model in ONNX beside its weights, unless that is done.

    Raises ValueError where the model cannot be read. Needs the package onnx.
    """
    client = MlflowClient()
    stored = client.list_logged_model_artifacts(model_id, "artifacts")
    if any(Path(file.path).name == ONNX for file in stored):
        return
    network = load_network(f"models:/{model_id}")
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / ONNX
        write_onnx(network, path)
        checksum = Path(temporary) / ONNX_SHA256
        checksum.write_text(sha256_of(path), encoding="utf-8")
        for file in (checksum, path):  # in this order: no network without its checksum
            client.log_model_artifact(model_id, str(file), "artifacts")


def load_onnx(uri: str, threads: int) -> OnnxNetwork:
    """Load the ONNX network of a logged or registered model, or of a model's folder.

    Raises ValueError saying what to do where there is none, or ONNX Runtime is not installed.
    """
    if uri == BUNDLED:
        raise ValueError("the network that comes with lfranker is not kept in ONNX: engine=torch")
    if not has_package("onnxruntime"):
        raise ValueError(
            "engine=onnx needs the package onnxruntime: `pip install onnxruntime`, or take "
            "engine=torch"
        )
    try:
        if Path(uri).is_dir():
            return _read_onnx(Path(uri), threads)
        with TemporaryDirectory() as temporary:
            return _read_onnx(Path(download_artifacts(uri, dst_path=temporary)), threads)
    except (MlflowException, OSError) as error:
        raise ValueError(f"no model at {uri!r} ({error})") from error


def _read_onnx(folder: Path, threads: int) -> OnnxNetwork:
    path = inside(folder / "artifacts", ONNX)
    if not path.is_file():
        raise ValueError(
            f"{path}: is missing from the model; ranking its power set again (`mlflow run . -e "
            f"rank --env-manager local`) adds it to winners where the package onnx is installed; "
            f"or take engine=torch"
        )
    checksum = inside(folder / "artifacts", ONNX_SHA256)
    if checksum.is_file() and checksum.read_text(encoding="utf-8") != sha256_of(path):
        raise ValueError(f"{path}: damaged, it is not the file that was logged")
    try:
        return OnnxNetwork(path.read_bytes(), threads)
    except ValueError as error:
        raise ValueError(f"{path}: damaged, {error}") from error


class ForeignModelError(ValueError):
    """A model that is not of lfranker's layout."""


def load_network(uri: str, trust_code: bool = False) -> nn.Module:
    """The torch module of a logged or registered model, or of a model's folder.

    Raises ValueError saying what to do where there is none, where its files are damaged, and where
    it is not of lfranker's own layout: that of others is loaded by running what lies in its folder,
    which is done for a registered one with ``trust_code`` alone. ``bundled`` is the network that
    comes with the package.
    """
    if uri == BUNDLED:
        return bundled_network()
    try:
        if Path(uri).is_dir():
            return read_network(Path(uri))
        with TemporaryDirectory() as temporary:
            return read_network(Path(download_artifacts(uri, dst_path=temporary)))
    except ForeignModelError as error:
        if not uri.startswith("models:/"):
            raise
        if not trust_code:
            raise ValueError(
                f"{uri}: {error}; a registered model whose code you trust is loaded with "
                f"trust_code=true"
            ) from error
        return _run(uri)
    except (MlflowException, OSError) as error:
        raise ValueError(
            f"no model at {uri!r} ({error}): rank a power set first, or name a model as "
            f"models:/NAME@ALIAS, models:/NAME/VERSION, {BUNDLED} or a folder"
        ) from error


def load_likeness(uri: str) -> Likeness | None:
    """Return what the training images of a model look like; None where it does not say.

    `uri`: as of `load_network`. Raises ValueError where there is no such model, or that is damaged.
    """
    if uri == BUNDLED:
        return _read_likeness(BUNDLED_FOLDER)
    if Path(uri).is_dir():
        return _read_likeness(Path(uri) / "artifacts")
    try:
        with TemporaryDirectory() as temporary:
            return _read_likeness(Path(download_artifacts(uri, dst_path=temporary)) / "artifacts")
    except (MlflowException, OSError) as error:
        raise ValueError(f"no model at {uri!r} ({error})") from error


def _read_likeness(folder: Path) -> Likeness | None:
    path = inside(folder, TRAINING_IMAGES)
    if not path.is_file():
        return None
    try:
        return read_likeness(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: damaged, {error}") from error


def read_network(folder: Path) -> nn.Module:
    """Build the network that a model's folder describes; nothing in the folder is run.

    Raises ForeignModelError where it is not of our layout, ValueError naming a file that is
    damaged.
    """
    checksum = _checked_layout(folder)
    artifacts = folder / "artifacts"
    network, weights = (inside(artifacts, ARTIFACTS[key]) for key in ("network", "weights"))
    for path in (network, weights):
        if not path.is_file():
            raise ValueError(f"{path}: is missing from the model")
    if checksum and sha256_of(weights) != checksum:
        raise ValueError(f"{weights}: damaged, it is not the file that was logged")
    settings = _settings(network)
    if NUMBER * weight_count(settings) > weights.stat().st_size:  # before it takes the memory
        raise ValueError(f"{weights}: too short for the network that {network.name} describes")
    module = build(settings.network_settings)
    _check_shapes(weights, module)
    module.load_state_dict(load_file(weights), strict=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return module.to(device).to(memory_format=torch.channels_last).eval()  # as it is served


def _checked_layout(folder: Path) -> str:
    """Return the checksum of the weights, "" where none was kept. Raises ForeignModelError."""
    about = inside(folder, ABOUT)
    if not about.is_file():
        raise ForeignModelError(f"{folder}: not a model, it has no file {ABOUT}")
    try:
        stored = yaml.safe_load(about.read_text(encoding="utf-8"))
        own = stored["flavors"]["python_function"]
        artifacts = {key: own["artifacts"][key]["path"] for key in ARTIFACTS}
        loader, checksum = own["loader_module"], (stored.get("metadata") or {}).get(SHA256, "")
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ForeignModelError(f"{about}: not a model that lfranker logged ({why})") from error
    expected = {key: f"artifacts/{name}" for key, name in ARTIFACTS.items()}
    if loader != LOADER or "python_model" in own or artifacts != expected:
        raise ForeignModelError(
            f"{about}: not a model that lfranker logged, but one of {loader}, whose code would run"
        )
    return str(checksum)


def _settings(path: Path) -> TrainConfig:
    """Read the network's shape, within the bounds of the options. Raises ValueError."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if set(stored) not in ({"config", "dim", "head_dim"}, {"network", "width", "config"}):
            raise ValueError(f"it says {', '.join(map(str, stored))}")
        depth = ",".join(str(int(count)) for count in stored.pop("config"))
        return TrainConfig(depth=depth, **stored)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: does not describe a network ({error})") from error


def _check_shapes(path: Path, network: nn.Module) -> None:
    """Raise ValueError where the tensors in a file are not those of the network."""
    expected = {name: list(value.shape) for name, value in network.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as stored:
            found = {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: damaged, cannot be read as weights ({error})") from error
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path}: holds weights of another network: {name} is "
                f"{found.get(name, 'missing')}, {ARTIFACTS['network']} says "
                f"{expected.get(name, 'there is none')}"
            )


def _run(uri: str) -> nn.Module:
    """Load another's model as MLflow does, which runs its code."""
    try:
        network = mlflow.pyfunc.load_model(uri).unwrap_python_model().network
    except (MlflowException, OSError, AttributeError, ImportError) as error:
        raise ValueError(f"{uri}: gives no network ({type(error).__name__}: {error})") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"{uri}: its network is a {type(network).__name__}, no torch module")
    return network


def is_model(text: str) -> bool:
    """Return whether a text is the address of a model, and not a file's."""
    return text == BUNDLED or text.startswith(("models:/", "runs:/"))


def weights_of(uri: str, folder: Path) -> Path:
    """Return a file of the weights of a model, or of the one that a run has trained (runs:/ID).

    It is kept in ``folder`` under their digest. Raises ValueError where there is no such model, or
    it is not of lfranker's own layout.
    """
    if uri == BUNDLED:
        return BUNDLED_WEIGHTS
    network = load_network(_trained_by(uri) if uri.startswith("runs:/") else uri)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        written = Path(temporary) / ARTIFACTS["weights"]
        save_weights(network, written)
        name = re.sub(r"[^\w@.-]+", "-", uri.partition(":/")[2])
        return written.rename(folder / f"{name}-{sha256_of(written)[:8]}.safetensors")


def _trained_by(uri: str) -> str:
    run_id = uri.removeprefix("runs:/")
    try:
        model = get_run(run_id).data.tags.get(Tag.MODEL)
    except MlflowException as error:
        raise ValueError(f"no run {run_id!r}: {error}") from error
    if not model:
        raise ValueError(f"run {run_id!r} has no model: allowed is one that has trained a network")
    return f"models:/{model}"


def model_id_of(uri: str) -> str:
    """Return the ID of the logged model behind an address; "" where it is a folder's or older."""
    if uri == BUNDLED:
        return ""
    return str(get_model_info(uri).model_id or "")
