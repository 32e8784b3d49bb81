"""A network in ONNX gives what torch gives, at sizes that it was not traced with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lfranker.denoiser.onnx_network import OPSET, OnnxNetwork, write_onnx
from lfranker.denoiser.scunet import SCUNet
from lfranker.denoiser.tiling import denoise

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
SIZES = [(64, 64), (100, 130), (442, 512)]


@pytest.fixture(scope="module")
def network() -> SCUNet:
    """Return a network with shifted blocks whose attention is not weak."""
    torch.manual_seed(0)
    network = SCUNet(config=[2, 1, 0, 2, 1, 0, 1], dim=16, head_dim=8).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def path(network: SCUNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    write_onnx(network, path)
    return path


@pytest.mark.slow
def test_torch_and_onnx_agree_at_every_size(network: SCUNet, path: Path) -> None:
    found = OnnxNetwork(path.read_bytes(), threads=1)
    for height, width in SIZES:
        image = torch.rand(1, 1, height, width)
        with torch.inference_mode():
            expected = network(image)
            assert expected.std() > 0.1, "an output that is all alike could not tell"
            torch.testing.assert_close(found(image), expected, rtol=0, atol=1e-4)
    assert list(found.parameters()) == []


@pytest.mark.slow
def test_it_is_denoised_with_as_any_network(network: SCUNet, path: Path) -> None:
    image = np.random.default_rng(0).random((90, 70), np.float32)
    found = OnnxNetwork(path.read_bytes(), threads=1)
    np.testing.assert_allclose(denoise(found, image), denoise(network, image), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_opset_is_the_stated_one_and_the_network_stays_as_it_was(
    network: SCUNet, path: Path
) -> None:
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    assert [entry.version for entry in graph.opset_import] == [OPSET]
    assert all(parameter.requires_grad for parameter in network.parameters())
    image = torch.rand(1, 1, 64, 64)
    network(image).sum().backward()  # masks made while tracing serve no training


def test_a_damaged_graph_is_said_to_be_one(path: Path) -> None:
    with pytest.raises(ValueError, match="ONNX Runtime cannot read it"):
        OnnxNetwork(path.read_bytes()[:-5000], threads=1)
