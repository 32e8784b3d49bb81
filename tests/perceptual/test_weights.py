import hashlib
import math
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor

from lfranker.perceptual import weights as weights_module
from lfranker.perceptual.vgg import VGG16, VGG19, VGGFeatures, convolutions_for
from lfranker.perceptual.weight_files import find_imagenet
from lfranker.perceptual.weights import (
    PerceptualWeights,
    load_features,
    load_levels,
    random_state,
    resolve_weights,
)

SHALLOW = ("conv1_2",)


class NoNetwork:
    def head(self, url: str, timeout: float) -> None:
        assert timeout <= 10
        raise OSError(f"no route to {url}")


@pytest.fixture(autouse=True)
def empty_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on disk, no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub, "get_session", NoNetwork)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)


@pytest.fixture
def state() -> dict[str, Tensor]:
    """As a VGG19 file with more in it than is needed."""
    state = random_state(convolutions_for(SHALLOW), 3)
    return {
        **state,
        "features.5.weight": torch.zeros(128, 64, 3, 3),
        "head.fc.bias": torch.zeros(9),
    }


def output(weights: PerceptualWeights) -> Tensor:
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return load_features(weights, SHALLOW)(image)[0]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", "legacy.pth"])
def test_file_of_either_kind_gives_its_weights(
    tmp_path: Path, state: dict[str, Tensor], suffix: str
) -> None:
    path = tmp_path / f"vgg{suffix}"
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:  # torchvision's own file is of the legacy format
        torch.save(state, path, _use_new_zipfile_serialization="legacy" not in suffix)
    weights = resolve_weights(str(path), random_allowed=False, download=False)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert weights == PerceptualWeights("file", path, digest)
    assert weights.label == "perceptual"
    expected = output(resolve_weights("random", random_allowed=True, download=False, seed=3))
    torch.testing.assert_close(output(weights), expected, rtol=0, atol=0)


def test_half_precision_files_become_float32(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file({key: value.half() for key, value in state.items()}, path)
    found = output(resolve_weights(str(path), random_allowed=False, download=False))
    assert found.dtype == torch.float32


def test_file_that_is_no_vgg19_is_named_with_what_is_missing(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    path = tmp_path / "other.safetensors"
    del state["features.2.bias"]
    save_file(state, path)
    with pytest.raises(ValueError, match=r"other\.safetensors: .* features\.2\.bias missing"):
        load_features(PerceptualWeights("file", path, ""), SHALLOW)
    state["features.2.bias"] = torch.zeros(64)
    state["features.2.weight"] = torch.zeros(64, 64, 5, 5)
    save_file(state, path)
    with pytest.raises(ValueError, match=r"features\.2\.weight is \(64, 64, 5, 5\), expected \(64"):
        load_features(PerceptualWeights("file", path, ""), SHALLOW)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all, whatever the name says"])
def test_unreadable_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"broken\{suffix}: cannot be read"):
        load_features(PerceptualWeights("file", path, ""), SHALLOW)


def test_code_hidden_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth: cannot be read"):
        load_features(PerceptualWeights("file", tmp_path / "evil.pth", ""), SHALLOW)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("choice", "why"),
    [("absent.pth", r" \(no such file, looked for in /.*\)"), ("vgg.npz", ""), ("Imagenet", "")],
)
def test_choice_that_is_no_file_lists_what_is_allowed(choice: str, why: str) -> None:
    wanted = rf"`{choice}`{why}: expected `auto`, `imagenet`, `random`"
    with pytest.raises(ValueError, match=wanted):
        resolve_weights(choice, random_allowed=True, download=True)


def test_random_weights_keep_scale_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    state = random_state(VGG19, 0)
    features = load_features(PerceptualWeights("random", None, "random-0"))
    assert torch.equal(torch.get_rng_state(), before)
    for conv in VGG19:
        weight, fan_in = state[f"{conv.key}.weight"], 9 * conv.channels_in
        spread = math.sqrt(2 / fan_in)  # He et al. 2015
        # Six standard errors of a standard deviation from n normal numbers.
        assert abs(weight.std().item() - spread) < 6 * spread / math.sqrt(2 * weight.numel())
        assert not state[f"{conv.key}.bias"].any()
    scales = [f.std().item() for f in features(torch.rand(1, 1, 64, 64))]
    assert min(scales) > 0.2 * max(scales)


def test_random_weights_depend_on_the_seed_only() -> None:
    zero, again, one = (random_state(convolutions_for(SHALLOW), seed) for seed in (0, 0, 1))
    deep = random_state(VGG19, 0)
    assert all(torch.equal(zero[key], again[key]) for key in zero)
    assert all(torch.equal(zero[key], deep[key]) for key in zero)
    assert not torch.equal(zero["features.0.weight"], one["features.0.weight"])
    weights = resolve_weights("random", random_allowed=False, download=False, seed=1)
    assert (weights.digest, weights.label) == ("random-1", "perceptual-random")
    wanted = output(PerceptualWeights("random", None, "", seed=1))
    assert torch.equal(output(weights), wanted)
    assert not torch.equal(output(PerceptualWeights("random", None, "")), wanted)


def put_in_hub_cache(root: Path) -> Path:
    folder = root / "models--timm--vgg19.tv_in1k"
    path = folder / "snapshots" / "abc" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"hub")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    return path


def test_imagenet_is_found_in_both_caches_and_then_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "download_imagenet", lambda _: pytest.fail("downloads"))
    assert find_imagenet() is None
    torchvision = tmp_path / "torch" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    torchvision.parent.mkdir(parents=True)
    torchvision.write_bytes(b"torchvision")
    assert find_imagenet() == torchvision
    hub = put_in_hub_cache(tmp_path / "hub")
    assert find_imagenet() == hub
    for choice in ("auto", "imagenet"):
        weights = resolve_weights(choice, random_allowed=True, download=True)
        digest = hashlib.sha256(b"hub").hexdigest()[:16]
        assert weights == PerceptualWeights("imagenet", hub, digest)


@pytest.mark.parametrize("download", [True, False])
def test_offline_auto_goes_on_only_where_random_is_allowed(download: bool) -> None:
    weights = resolve_weights("auto", random_allowed=True, download=download, seed=5)
    assert (weights.kind, weights.digest) == ("random", "random-5")
    assert "going on with random weights" in weights.notice
    assert ("no route to https://huggingface.co/timm/vgg19.tv_in1k" in weights.notice) == download
    for choice, allowed in (("auto", False), ("imagenet", True), ("imagenet", False)):
        with pytest.raises(
            ValueError, match=rf"`{choice}`: .* run once online .* -P perceptual=random,"
        ):
            resolve_weights(choice, random_allowed=allowed, download=download)


def test_online_auto_downloads_the_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Network:
        def head(self, url: str, timeout: float) -> None:
            asked.append(url)

    def fetch(repository: str, name: str) -> str:
        asked.append(f"{repository} {name}")
        return str(put_in_hub_cache(tmp_path / "hub"))

    monkeypatch.setattr(huggingface_hub, "get_session", Network)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    weights = resolve_weights("auto", random_allowed=True, download=True)
    assert (weights.kind, weights.label, weights.notice) == ("imagenet", "perceptual", "")
    assert asked == [
        "https://huggingface.co/timm/vgg19.tv_in1k/resolve/main/model.safetensors",
        "timm/vgg19.tv_in1k model.safetensors",
    ]


def test_vgg16_is_asked_for_by_name_and_told_from_vgg19(tmp_path: Path) -> None:
    path = tmp_path / "torch" / "hub" / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir(parents=True)
    torch.save(random_state(VGG16, 3), path)
    found = resolve_weights("vgg16:imagenet", random_allowed=False, download=False)
    assert (found.network, found.kind, found.label) == ("vgg16", "imagenet", "perceptual")
    assert found.fact == f"vgg16-{found.digest}"
    again = resolve_weights(found.choice, random_allowed=False, download=False)
    assert (again.path, again.fact, again.choice) == (path, found.fact, f"vgg16:{path}")
    random = resolve_weights("vgg16:random", random_allowed=True, download=False, seed=3)
    assert (random.fact, random.choice) == ("vgg16-random-3", "vgg16:random")
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for one, other in zip(load_features(found)(image), load_features(random)(image), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match=r"VGG19 weights are not on this disk"):
        resolve_weights("imagenet", random_allowed=True, download=False)
    with pytest.raises(ValueError, match=r"not a VGG19, features\.\d+\.bias"):
        load_features(PerceptualWeights("file", path, ""))
    with pytest.raises(ValueError, match=r"`vgg11:random`: .* another network than vgg19 of vgg19"):
        resolve_weights("vgg11:random", random_allowed=True, download=False)


def test_as_many_levels_are_loaded_as_are_asked_for() -> None:
    random = resolve_weights("random", random_allowed=True, download=False)
    features = load_levels(random, 2)
    assert isinstance(features, VGGFeatures)
    assert features.layers == ("conv1_2", "conv2_2")
    assert len(features(torch.zeros(1, 1, 16, 16))) == 2
