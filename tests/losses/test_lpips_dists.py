"""LPIPS and DISTS against piq's, with random weights in both; and the files they need."""

import re
import sys
import tomllib
from pathlib import Path

import huggingface_hub
import piq
import piq.perceptual
import pytest
import torch
from huggingface_hub import constants
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from lfranker.losses import LOSSES, files_digest
from lfranker.losses.lpips_dists import DISTS_FILE, LPIPS_FILE, l2_pool
from lfranker.perceptual.vgg import VGG16
from lfranker.perceptual.weights import random_state
from tests.fitted import dists_weights, fitted, lpips_weights

KIND = torch.float64
ROOT = Path(__file__).parents[2]


class Features(nn.Module):
    """As torchvision's VGG16, without the classifier that weighs 480 MB."""

    def __init__(self) -> None:
        super().__init__()
        self.features = make_layers(cfgs["D"])
        self.load_state_dict(random_state(VGG16, 0))
        self.to(KIND)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> dict[str, nn.Module]:
    alpha, beta = dists_weights(KIND)
    total = alpha.sum() + beta.sum()
    shaped = {
        name: (w / total)[None, :, None, None] for name, w in (("alpha", alpha), ("beta", beta))
    }
    monkeypatch.setattr(piq.perceptual, "vgg16", lambda **_: Features())
    load = "load_state_dict_from_url"
    monkeypatch.setattr(torch.hub, load, lambda *_, **__: shaped)
    dists = piq.DISTS()
    lpips = [w[None, :, None, None] for w in lpips_weights(KIND)]
    monkeypatch.setattr(torch.hub, load, lambda *_, **__: lpips)
    return {"lpips": piq.LPIPS(), "dists": dists}


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    output, target = torch.rand(2, 2, 1, 32, 40, generator=generator, dtype=KIND)
    return output, target


@pytest.mark.slow
def test_distances_are_those_of_piq(theirs: dict[str, nn.Module]) -> None:
    output, target = pair()
    colour = output.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1)
    for loss, name in zip(fitted(KIND), theirs, strict=True):
        wanted = theirs[name](*colour).item()
        # piq's pooling window has float32's rounding
        assert loss(output, target).item() == pytest.approx(wanted, rel=1e-6), name


def test_pooling_is_a_root_mean_square_under_a_hann_window() -> None:
    """By hand: of a constant it is the constant, and of a point half of it."""
    constant = torch.full((1, 2, 9, 9), 3.0, dtype=KIND)
    torch.testing.assert_close(
        l2_pool(constant)[..., 1:-1, 1:-1], torch.full((1, 2, 3, 3), 3.0, dtype=KIND)
    )
    points = torch.zeros(1, 1, 9, 9, dtype=KIND)
    points[..., 4, 4], points[..., 0, 7] = 2.0, 4.0
    found = l2_pool(points)[0, 0]
    # the window is (1/4, 1/2, 1/4) both ways, so 1/4 in its middle and 1/8 beside it
    assert found[2, 2].item() == pytest.approx(2 * 0.25**0.5, abs=1e-5)
    assert found[0, 3].item() == found[0, 4].item() == pytest.approx(4 * 0.125**0.5, abs=1e-5)
    assert found[1, 1].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_the_fitted_weights_come_with_a_declared_dependency(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published ones, on a VGG16 with random weights."""
    package = {"lpips": LPIPS_FILE, "dists": DISTS_FILE}[name][0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split("[<>=!~ ]", text)[0] for text in project["dependencies"]}
    assert package.replace("_", "-") in declared
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    put_vgg16(tmp_path)
    output, target = (image.float() for image in pair())
    loss = LOSSES[name].build(None)
    assert loss(target, target).item() == pytest.approx(0, abs=1e-6)
    assert loss(output, target).item() > 1e-3


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches and a folder for packages; no download."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    for name in ("lpips", "DISTS_pytorch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(
        sys, "path", [str(tmp_path), *(p for p in sys.path if "site-packages" not in p)]
    )
    return tmp_path


def put_package(folder: Path, name: str, file: str, state: dict[str, Tensor]) -> None:
    path = folder / name / file
    path.parent.mkdir(parents=True)
    (folder / name / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    torch.save(state, path)


def put_vgg16(folder: Path) -> None:
    path = folder / "torch" / "hub" / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir(parents=True)
    torch.save(random_state(VGG16, 0), path)


@pytest.mark.parametrize(("name", "package"), [("lpips", "lpips"), ("dists", "DISTS_pytorch")])
def test_what_is_missing_is_said_and_not_downloaded(caches: Path, name: str, package: str) -> None:
    says = rf"{name}: needs VGG16's ImageNet weights .*vgg16-397923af.pth in .*torch"
    with pytest.raises(ValueError, match=says) as error:
        LOSSES[name].build(None)
    assert f"pip install --no-deps {package}" in str(error.value)
    assert "hf download timm/vgg16.tv_in1k model.safetensors" in str(error.value)
    assert "nothing is downloaded" in str(error.value)
    with pytest.raises(ValueError, match=says):
        files_digest([name])
    put_vgg16(caches)
    fitted_alone = rf"{name}: needs the fitted weights \(pip install --no-deps {package}\);"
    with pytest.raises(ValueError, match=fitted_alone):
        LOSSES[name].build(None)


@pytest.mark.slow
def test_distances_are_read_from_the_files(caches: Path) -> None:
    put_vgg16(caches)
    shaped = [w[None, :, None, None] for w in lpips_weights(torch.float32)]
    lpips = {f"lin{block}.model.1.weight": w for block, w in enumerate(shaped)}
    put_package(caches, "lpips", "weights/v0.1/vgg.pth", lpips)
    alpha, beta = dists_weights(torch.float32)
    dists = {"alpha": alpha[None, :, None, None], "beta": beta[None, :, None, None]}
    put_package(caches, "DISTS_pytorch", "weights.pt", dists)
    output, target = (image.float() for image in pair())
    for name, wanted in zip(("lpips", "dists"), fitted(torch.float32), strict=True):
        assert torch.equal(LOSSES[name].build(None)(output, target), wanted(output, target)), name
    both = files_digest(["mae", "lpips"]), files_digest(["dists"])
    assert len(set(both)) == 2
    torch.save({"alpha": alpha[:-1], "beta": beta}, caches / "DISTS_pytorch" / "weights.pt")
    with pytest.raises(ValueError, match=r"weights\.pt: expected alpha, beta of \[1475, 1475\]"):
        LOSSES["dists"].build(None)
