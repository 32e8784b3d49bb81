"""Models are read by our own code alone; what is damaged or foreign is named in one line."""

import json
import pickle
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import importlib_metadata
import mlflow
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.utils import requirements_utils
from recorder import Recorder
from safetensors.torch import load_file, save_file
from torch import nn
from tracked import TINY, give_model, make_child, make_parent

from entrypoints.denoise import main as denoise
from lfranker.denoiser.likeness import likeness_of
from lfranker.denoiser.networks import build
from lfranker.denoiser.onnx_network import write_onnx
from lfranker.denoiser.scunet import SCUNet
from lfranker.images.image_file import read_image, write_image
from lfranker.tracking import models
from lfranker.tracking.models import (
    add_onnx,
    know_packages,
    load_likeness,
    load_network,
    load_onnx,
    log_network,
    read_network,
    weights_of,
)
from lfranker.tracking.runs import get_run, own_run
from lfranker.tracking.tags import Tag
from lfranker.training.initial_weights import read_weights

WEIGHTS = Path("artifacts", "weights.safetensors")
NETWORK = Path("artifacts", "network.json")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """The folder of a model of a small network, as `log_network` leaves it."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "models")
        MlflowClient().create_experiment("models", (folder / "mlruns").as_uri())
        torch.manual_seed(3)
        with own_run("train", "train") as run:
            model = log_network(run.run_id, SCUNet(**TINY), TINY)
        found = mlflow.artifacts.download_artifacts(f"models:/{model}")
        return Path(shutil.copytree(found, folder / "model"))


@pytest.fixture
def model(logged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(logged, tmp_path / "model"))


def change_about(model: Path, **changes: Any) -> None:
    about = yaml.safe_load((model / "MLmodel").read_text())
    about["flavors"]["python_function"] |= changes
    (model / "MLmodel").write_text(yaml.safe_dump(about))


class Evil:
    """Something that, unpickled, writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def give_code(model: Path, mark: Path) -> None:
    """Put code that leaves a mark into every file of a model that MLflow would run."""
    for file in model.rglob("*.py"):
        file.write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")


def test_a_network_is_read_as_it_was_logged_and_its_code_is_not_run(
    model: Path, tmp_path: Path
) -> None:
    give_code(model, tmp_path / "mark")
    torch.manual_seed(3)
    expected = SCUNet(**TINY).eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        found = load_network(str(model))(image.to(memory_format=torch.channels_last))
        np.testing.assert_allclose(found, expected(image), atol=1e-6)
    assert not (tmp_path / "mark").exists()


def test_a_pickle_in_a_model_folder_is_never_executed(
    model: Path, tmp_path: Path, store: Path
) -> None:
    mark = tmp_path / "mark"
    (model / "python_model.pkl").write_bytes(pickle.dumps(Evil(mark)))
    change_about(model, loader_module="mlflow.pyfunc.model", python_model="python_model.pkl")
    write_image(tmp_path / "scan.png", np.full((64, 64), 0.5, np.float32), np.dtype(np.uint8), 255)
    flags = ["--input", str(tmp_path / "scan.png"), "--output", str(tmp_path / "out.png")]
    for trust in ("false", "true"):  # a folder is nobody's, whatever the user says
        done = CliRunner().invoke(denoise, [*flags, "--model", str(model), "--trust-code", trust])
        assert done.exit_code == 2, done.output
        assert "not a model that lfranker logged" in " ".join(done.output.split())
    assert not mark.exists()
    assert not (tmp_path / "out.png").exists()


class Foreign(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    """Another's model, which MLflow pickles."""

    def load_context(self, context: Any) -> None:
        self.network = nn.Identity()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return model_input


def test_a_registered_model_of_others_is_run_only_where_the_user_trusts_it(store: Path) -> None:
    with own_run("train", "train"):
        info = mlflow.pyfunc.log_model(name="foreign", python_model=Foreign(), pip_requirements=[])
    mlflow.register_model(info.model_uri, "foreign")
    with pytest.raises(ValueError, match=r"not a model that lfranker logged.*trust_code=true"):
        load_network("models:/foreign/1")
    assert isinstance(load_network("models:/foreign/1", trust_code=True), nn.Identity)
    assert MlflowClient().get_model_version("foreign", "1").version == 1


def flip(path: Path) -> None:
    stored = bytearray(path.read_bytes())
    stored[-1] ^= 1
    path.write_bytes(stored)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def forget_checksum(model: Path) -> None:
    """Make a model one of 0.1.0, which kept no checksum."""
    about = yaml.safe_load((model / "MLmodel").read_text())
    del about["metadata"]
    (model / "MLmodel").write_text(yaml.safe_dump(about))


def test_damaged_weights_are_named(model: Path) -> None:
    flip(model / WEIGHTS)
    with pytest.raises(ValueError, match=rf"{model / WEIGHTS}: damaged, it is not the file"):
        load_network(str(model))
    forget_checksum(model)
    assert load_network(str(model)), "0.1.0 kept no checksum"
    cut(model / WEIGHTS)
    with pytest.raises(ValueError, match=rf"{model / WEIGHTS}: damaged, cannot be read as"):
        load_network(str(model))
    (model / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=rf"{model / WEIGHTS}: is missing"):
        load_network(str(model))


def test_weights_of_another_shape_are_named_with_the_first_that_differs(model: Path) -> None:
    forget_checksum(model)
    stored = load_file(model / WEIGHTS)
    save_file(stored | {"m_tail.0.weight": torch.zeros(1, 9, 3, 3)}, model / WEIGHTS)
    message = r"another network: m_tail.0.weight is \[1, 9, 3, 3\], network.json says \[1, 16, 3"
    with pytest.raises(ValueError, match=message):
        load_network(str(model))
    del stored["m_tail.0.weight"]
    save_file(stored, model / WEIGHTS)
    with pytest.raises(ValueError, match=r"m_tail.0.weight is missing, network.json says \["):
        load_network(str(model))


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ("{", "Expecting"),
        ("[1]", "it says 1"),
        ('{"config": [1, 1, 1, 1, 1, 1, 1], "dim": 1e12, "head_dim": 8}', "dim is"),
        ('{"config": [1, 1], "dim": 16, "head_dim": 8}', "depth is '1,1'"),
        ('{"config": [99999999, 1, 1, 1, 1, 1, 1], "dim": 16, "head_dim": 8}', "depth is"),
        ('{"config": [1, 1, 1, 1, 1, 1, 1], "dim": 16, "head_dim": 8, "in_nc": 3}', "it says"),
    ],
)
def test_a_network_that_cannot_be_is_refused_before_it_is_built(
    model: Path, stored: str, why: str
) -> None:
    (model / NETWORK).write_text(stored)
    with pytest.raises(ValueError, match=rf"{model / NETWORK}: does not describe .*{why}"):
        load_network(str(model))


def test_a_network_larger_than_its_file_is_not_built(model: Path) -> None:
    (model / NETWORK).write_text('{"config": [9, 9, 9, 9, 9, 9, 9], "dim": 1024, "head_dim": 8}')
    with pytest.raises(ValueError, match=r"weights.safetensors: too short for the network that"):
        load_network(str(model))


@pytest.mark.parametrize("elsewhere", ["a path", "a link"])
def test_no_file_of_a_model_is_read_from_elsewhere(
    model: Path, tmp_path: Path, elsewhere: str
) -> None:
    (model / WEIGHTS).rename(tmp_path / "secret.safetensors")
    if elsewhere == "a link":
        (model / WEIGHTS).symlink_to(tmp_path / "secret.safetensors")
        message = "leaves its folder"
    else:
        weights, network = {"path": "../secret.safetensors"}, {"path": str(NETWORK)}
        change_about(model, artifacts={"weights": weights, "network": network})
        message = "not a model that lfranker logged"
    with pytest.raises(ValueError, match=message):
        load_network(str(model))


def test_a_folder_without_a_model_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a model, it has no file MLmodel"):
        load_network(str(tmp_path))
    (tmp_path / "MLmodel").write_text(json.dumps(["no", "model"]))
    with pytest.raises(ValueError, match="not a model that lfranker logged"):
        load_network(str(tmp_path))


def test_an_onnx_network_is_fetched_into_a_folder_that_is_removed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[Path] = []

    def download(uri: str, dst_path: str) -> str:
        artifacts = Path(dst_path) / "model" / "artifacts"
        artifacts.mkdir(parents=True)
        (artifacts / "network.onnx").write_bytes(b"graph")
        own = b"graph" if uri == "models:/whole/1" else b"another"
        (artifacts / "network.onnx.sha256").write_text(sha256(own).hexdigest())
        fetched.append(artifacts.parent)
        return str(fetched[-1])

    monkeypatch.setattr(models, "has_package", lambda name: name == "onnxruntime")
    monkeypatch.setattr(models, "download_artifacts", download)
    monkeypatch.setattr(models, "OnnxNetwork", lambda *words: words)
    assert load_onnx("models:/whole/1", threads=3) == (b"graph", 3)
    with pytest.raises(ValueError, match=r"network\.onnx: damaged, it is not the file"):
        load_onnx("models:/other/1", threads=3)
    assert not any(folder.exists() for folder in fetched)


@pytest.mark.slow
def test_the_onnx_network_lies_beside_the_weights_and_is_added_once(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    torch.manual_seed(3)
    with own_run("train", "train") as run:
        logged = log_network(run.run_id, SCUNet(**TINY), TINY)
    with pytest.raises(ValueError, match=r"network.onnx: is missing .*engine=torch"):
        load_onnx(f"models:/{logged}", threads=1)
    add_onnx(logged)
    mlflow.register_model(f"models:/{logged}", "winner")
    image = torch.rand(1, 1, 70, 64)
    with torch.inference_mode():
        expected = load_network("models:/winner/1")(image)
        found = load_onnx("models:/winner/1", threads=1)(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    monkeypatch.setattr("lfranker.tracking.models.write_onnx", None)  # would be called
    add_onnx(logged)
    write_image(tmp_path / "a.png", np.full((64, 64), 0.5, np.float32), np.dtype(np.uint8), 255)
    flags = ["--input", str(tmp_path / "a.png"), "--model", "models:/winner/1"]
    outputs = []
    for engine in ("torch", "onnx"):
        target = str(tmp_path / f"{engine}.png")
        done = CliRunner().invoke(denoise, [*flags, "--output", target, "--engine", engine])
        assert done.exit_code == 0, done.output
        outputs.append(read_image(Path(target)).pixels)
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=0, atol=1 / 255)
    found = mlflow.artifacts.download_artifacts("models:/winner/1", dst_path=str(tmp_path))
    graph = Path(found, "artifacts", "network.onnx")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1  # of a weight: it is a network still
    graph.write_bytes(content)
    with pytest.raises(ValueError, match=r"network\.onnx: damaged, it is not the file that was"):
        load_onnx(found, threads=1)
    monkeypatch.setattr("lfranker.tracking.models.has_package", lambda name: False)
    target = str(tmp_path / "none.png")
    done = CliRunner().invoke(denoise, [*flags, "--output", target, "--engine", "onnx"])
    assert done.exit_code == 2
    assert "pip install onnx" in " ".join(done.output.split())


def test_an_onnx_network_whose_upload_was_cut_off_is_added_the_next_time(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, upload = Recorder(monkeypatch), MlflowClient.log_model_artifact
    record.replace(load_network, lambda _: nn.Identity())
    record.replace(write_onnx, lambda call: call.path.write_bytes(b"graph"))
    model = MlflowClient().create_logged_model("0", "mae").model_id

    def cut_off(client: MlflowClient, model_id: str, path: str, folder: str) -> None:
        if path.endswith(".onnx"):
            raise OSError("no answer")
        upload(client, model_id, path, folder)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_model_artifact", cut_off)
        with pytest.raises(OSError, match="no answer"):
            add_onnx(model)
    for _ in range(2):
        add_onnx(model)
    assert len(record.calls["", "write_onnx"]) == 2, "it is complete then"
    stored = MlflowClient().list_logged_model_artifacts(model, "artifacts")
    assert {Path(file.path).name for file in stored} == {"network.onnx", "network.onnx.sha256"}


@pytest.mark.slow
def test_packages_are_looked_through_once_for_all_models_of_a_process(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = list[str]()
    look = importlib_metadata.packages_distributions
    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    monkeypatch.setattr(
        importlib_metadata, "packages_distributions", lambda: (looked.append("once"), look())[1]
    )
    know_packages()
    assert looked == ["once"]
    with own_run("train", "train") as run:
        log_network(run.run_id, SCUNet(**TINY), TINY)
    assert looked == ["once"]


def test_weights_of_a_registered_model_or_of_a_run_start_a_training(
    store: Path, tmp_path: Path
) -> None:
    run = make_child(make_parent("mae"), "mae", {})
    give_model(run)
    model = get_run(run.info.run_id).data.tags[Tag.MODEL]
    own = load_network(f"models:/{model}").state_dict()
    kept = tmp_path / "init"
    for uri in (f"models:/{model}", f"runs:/{run.info.run_id}"):
        file = weights_of(uri, kept)
        assert file == weights_of(uri, kept), "the same file, for the same weights"
        for name, value in read_weights(file).items():
            assert torch.equal(value, own[name].cpu()), name
    digests = [path.stem.rpartition("-")[2] for path in kept.iterdir()]
    assert len(digests) == 2, "one for each address, and no draft is left"
    assert len(set(digests)) == 1
    for uri, said in (
        (f"runs:/{make_parent('mse').info.run_id}", "has no model"),
        ("runs:/nowhere", "no run 'nowhere'"),
        ("models:/nowhere@champion", "no model at"),
    ):
        with pytest.raises(ValueError, match=said):
            weights_of(uri, kept)


def test_what_the_training_images_look_like_is_kept_with_a_model(
    store: Path, tmp_path: Path
) -> None:
    network = SCUNet(**TINY)
    patches = np.random.default_rng(0).random((60, 16, 16), dtype=np.float32)
    looks = likeness_of(patches, network)
    assert looks is not None
    with own_run("train", "train") as run:
        model = log_network(run.run_id, network, TINY, looks)
    assert load_likeness(f"models:/{model}") == looks
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{model}", dst_path=str(tmp_path)))
    assert load_likeness(str(folder)) == looks
    read_network(folder)
    file = folder / "artifacts" / "training_images.json"
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ValueError, match=r"training_images\.json: damaged"):
        load_likeness(str(folder))
    file.unlink()
    assert load_likeness(str(folder)) is None
    bundled = load_likeness("bundled")
    assert bundled is not None
    assert bundled.patch == 64


@pytest.mark.parametrize("name", ["nafnet", "drunet", "dncnn"])
def test_other_networks_are_served_and_need_spandrel_too(store: Path, name: str) -> None:
    pytest.importorskip("spandrel", reason="needs the extra networks")
    settings = {"network": name, "width": 4, "config": [0, 1, 1, 1, 1, 1, 0]}
    torch.manual_seed(3)
    network = build(settings).eval()
    with own_run("train", "train") as run:
        model = log_network(run.run_id, network, settings)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{model}"))
    needed = (folder / "requirements.txt").read_text()
    assert any(line.startswith("spandrel==") for line in needed.splitlines())
    image = torch.rand(1, 1, 70, 50)
    with torch.inference_mode():
        expected = network(image)
        found = load_network(f"models:/{model}")(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    served = mlflow.pyfunc.load_model(f"models:/{model}").predict(image.numpy())
    np.testing.assert_allclose(served, expected.clamp(0, 1), atol=1e-6)
    (folder / NETWORK).write_text(json.dumps({**settings, "network": "vgg"}))
    with pytest.raises(ValueError, match="network is vgg; allowed are scunet, nafnet"):
        read_network(folder)


def test_scunet_needs_what_it_needed_before(model: Path) -> None:
    assert "spandrel" not in (model / "requirements.txt").read_text()
