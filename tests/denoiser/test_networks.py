"""Networks beside SCUNet: what they are made of, and that any image goes through them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from lfranker.denoiser import networks
from lfranker.denoiser.networks import FOREIGN, NETWORKS, Padded, build, require
from lfranker.denoiser.onnx_network import OnnxNetwork, write_onnx
from lfranker.denoiser.scunet import SCUNet
from lfranker.denoiser.tiling import denoise

TINY = {"width": 4, "config": [0, 1, 1, 1, 1, 1, 0]}
needs_spandrel = pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is None, reason="needs the extra networks"
)


def tiny(name: str) -> Padded:
    """Return a small network whose parts are all at work, which NAFNet's are not at first."""
    torch.manual_seed(0)
    network = build({"network": name, **TINY})
    assert isinstance(network, Padded)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def test_scunet_is_built_as_ever() -> None:
    network = build({"config": [1] * 7, "dim": 16, "head_dim": 8})
    assert isinstance(network, SCUNet)


@needs_spandrel
@pytest.mark.parametrize("name", FOREIGN)
def test_memory_of_a_pixel_grows_with_the_width(name: str) -> None:
    for width in (4, 8):
        network = build({"network": name, **TINY, "width": width})
        assert network.pixel_bytes == int(4 * FOREIGN[name].maps * width), "float32"


@needs_spandrel
@pytest.mark.parametrize("name", FOREIGN)
def test_an_image_of_any_size_is_padded_by_its_own_edge(name: str) -> None:
    network = tiny(name)
    image = torch.rand(2, 1, 21, 30)
    with torch.inference_mode():
        found = network(image)
        padded = torch.nn.functional.pad(image, (0, 2, 0, 3), mode="replicate")
        expected = network.network(padded)[..., :21, :30]
    assert found.shape == image.shape
    if name == "dncnn":  # which needs no padding
        torch.testing.assert_close(found[..., :4, :12], expected[..., :4, :12])
    else:
        torch.testing.assert_close(found, expected)


@needs_spandrel
def test_depth_and_width_are_those_of_the_stages() -> None:
    nafnet = build({"network": "nafnet", "width": 4, "config": [1, 2, 3, 4, 3, 2, 0]})
    assert isinstance(nafnet, Padded)
    assert [len(stage) for stage in nafnet.network.encoders] == [1, 2, 3]
    assert [len(stage) for stage in nafnet.network.decoders] == [3, 2, 0]
    assert len(nafnet.network.middle_blks) == 4
    assert nafnet.network.intro.weight.shape == (4, 1, 3, 3)
    drunet = build({"network": "drunet", "width": 4, "config": [0, 2, 1, 1, 1, 1, 0]})
    kernels = [name for name in drunet.state_dict() if "m_body" in name]
    assert len(kernels) == 2 * 2, "two convolutions in each of two blocks"
    assert drunet.state_dict()["network.m_body.0.res.0.weight"].shape == (32, 32, 3, 3)
    dncnn = build({"network": "dncnn", "width": 4, "config": [1] * 7})
    assert len([name for name in dncnn.state_dict() if name.endswith("weight")]) == 17


@needs_spandrel
@pytest.mark.parametrize("name", FOREIGN)
def test_all_that_a_training_changes_is_among_the_parameters(name: str) -> None:
    """The average of the weights is one of parameters: running means would be left out."""
    assert not list(build({"network": name, **TINY}).buffers())


@needs_spandrel
@pytest.mark.parametrize("name", ["drunet", "dncnn"])
def test_tiles_give_what_the_whole_gives(name: str) -> None:
    network, image = tiny(name), np.random.default_rng(0).random((300, 280), np.float32)
    whole, tiled = denoise(network, image, tile=512), denoise(network, image, tile=256)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


@needs_spandrel
@pytest.mark.slow
@pytest.mark.parametrize("name", FOREIGN)
def test_torch_and_onnx_agree_at_every_size(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    network = tiny(name)
    write_onnx(network, tmp_path / "network.onnx")
    found = OnnxNetwork((tmp_path / "network.onnx").read_bytes(), threads=1)
    for height, width in ((64, 64), (100, 130), (51, 203)):
        image = torch.rand(1, 1, height, width)
        with torch.inference_mode():
            expected = network(image)
            assert expected.std() > 0.1, "an output that is all alike could not tell"
            torch.testing.assert_close(found(image), expected, rtol=0, atol=1e-4)


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    require("scunet")
    for name in NETWORKS[1:]:
        with pytest.raises(ValueError, match=r"spandrel: `pip install 'lfranker\[networks\]'`"):
            build({"network": name, **TINY})
