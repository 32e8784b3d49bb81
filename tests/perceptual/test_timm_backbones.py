from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from lfranker.losses import PerceptualLoss, try_losses
from lfranker.perceptual.timm_backbones import BackboneFeatures, clouds, full_name, load_backbone
from lfranker.perceptual.weights import load_levels, resolve_weights

RESNET = "test_resnet.r160_in1k"  # batch norms; its names of tensors stay in timm's features
CONVNEXT = "test_convnext.r160_in1k"  # four levels, layer norms; `stages.0` becomes `stages_0`


@pytest.fixture(autouse=True)
def empty_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on disk, no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "get_session", None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)


def image(seed: int = 0, side: int = 64) -> Tensor:
    return torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(seed))


def whole_network(name: str) -> nn.Module:
    """With weights and statistics unlike those it starts with."""
    generator = torch.Generator().manual_seed(5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = timm.create_model(name, pretrained=False).eval()
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand(value.shape, generator=generator))
    return network


def saved(name: str, folder: Path, suffix: str = ".safetensors") -> Path:
    path = folder / f"network{suffix}"
    state = whole_network(name).state_dict()
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", [RESNET, CONVNEXT])
def test_features_are_those_of_timms_own_network(tmp_path: Path, name: str, suffix: str) -> None:
    """The network that the file was saved from is given three normalised equal channels."""
    network, path = whole_network(name), saved(name, tmp_path, suffix)
    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    gray = image()
    wanted = network.forward_intermediates(
        (torch.cat((gray, gray, gray), dim=1) - mean) / std, intermediates_only=True
    )
    with torch.no_grad():
        found = load_backbone(name, path, 0, 9)(gray)
    assert len(found) == (5 if name == RESNET else 4)
    assert equal(found, wanted)


def random(name: str, seed: int = 0, levels: int = 9) -> BackboneFeatures:
    return load_backbone(name, None, seed, levels)


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_random_weights_depend_on_the_seed_only_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = random(RESNET), random(RESNET), random(RESNET, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(first(image()), again(image()))
    assert not equal(first(image()), other(image()))


@pytest.mark.parametrize("name", [RESNET, CONVNEXT])
def test_random_weights_are_kaiming_normal_with_zero_bias(name: str) -> None:
    for key, value in random(name).network.named_parameters():
        if value.ndim > 1:
            spread = (2 / value[0].numel()) ** 0.5  # He et al. 2015
            # Six standard errors of a standard deviation from n normal numbers.
            assert abs(value.std().item() - spread) < 6 * spread / (2 * value.numel()) ** 0.5, key
        else:
            assert torch.equal(value, torch.full_like(value, not key.endswith("bias"))), key


def test_batch_norms_give_unit_variance_for_the_images_they_were_calibrated_on() -> None:
    features = random("resnet18")
    found: list[Tensor] = []
    for module in features.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, value: found.append(value.clone()))
    generator = torch.Generator().manual_seed(0)
    for parameter in features.network.parameters():
        if parameter.ndim > 1:  # bring the generator to where the images are drawn
            nn.init.kaiming_normal_(torch.empty_like(parameter), generator=generator)
    features(clouds(generator))
    assert len(found) == 20
    for value in found:
        channels = value.transpose(0, 1).flatten(1)
        # Sums of float32 are exact to some 1e-4 here, and BatchNorm adds 1e-5 to the variance.
        assert channels.mean(1).abs().max() < 1e-3
        assert channels.var(1).mean().item() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    "name", [pytest.param("resnet50", marks=pytest.mark.slow), "efficientnet_b0"]
)
def test_calibrated_levels_are_of_one_size(name: str) -> None:
    """Uncalibrated they span a factor of 300 and of 1000."""
    images = clouds(torch.Generator())
    assert (images.min(), images.max()) == (0, 1)
    spreads = [level.std().item() for level in random(name)(images)]
    assert max(spreads) < 10 * min(spreads)


@pytest.mark.parametrize("name", [RESNET, CONVNEXT])
def test_random_weights_saved_and_chosen_as_a_file_are_the_same(tmp_path: Path, name: str) -> None:
    path, made = tmp_path / "mine.safetensors", random(name, seed=3)
    save_file(made.network.state_dict(), path)
    weights = resolve_weights(f"timm/{name}:{path}", random_allowed=False, download=False)
    assert (weights.kind, weights.network, weights.path) == ("file", f"timm/{name}", path)
    assert weights.fact == f"timm/{name}-{weights.digest}"
    again = resolve_weights(weights.choice, random_allowed=False, download=False)
    assert again == weights
    assert equal(load_levels(again, 9)(image()), made(image()))


def test_fewer_levels_are_the_shallowest_and_take_smaller_patches() -> None:
    whole, part = random(RESNET), random(RESNET, levels=2)
    assert (whole.smallest, len(whole.weights)) == (32, 5)
    assert (part.smallest, part.weights) == (4, (1.0, 1.0))
    for name, value in part.network.named_parameters():
        assert torch.equal(value, whole.network.get_parameter(name))
    with pytest.raises(ValueError, match=r"image of 16x16 px, 5 levels of `test_resnet.* 32 a"):
        try_losses(["perceptual"], whole, 16)
    try_losses(["perceptual"], part, 16)


def test_loss_is_the_sum_of_the_levels_mean_absolute_distances() -> None:
    features = random(RESNET)
    output, target = image(1), image(2)
    levels = zip(features(output), features(target), strict=True)
    wanted = sum(nn.functional.l1_loss(*level).item() for level in levels)
    assert PerceptualLoss(features)(output, target).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", [RESNET, CONVNEXT, "test_efficientnet.r160_in1k"])
def test_gradient_reaches_the_output_only_and_is_finite_for_constant_patches(name: str) -> None:
    loss = PerceptualLoss(random(name)).train()
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    flat = torch.zeros(2, 1, 32, 32)
    for output, target in ((image(1), image(2)), (flat.clone(), flat), (flat + 2, flat)):
        output.requires_grad_()
        value = loss(output, target)
        value.backward()
        assert value.isfinite()
        assert output.grad is not None
        assert output.grad.isfinite().all()
        assert output.grad.any() == (not torch.equal(output, target))
    assert not any(parameter.requires_grad for parameter in loss.parameters())
    after = loss.state_dict()  # no batch norm learns, though told to train
    assert all(torch.equal(before[key], after[key]) for key in after)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test_resnat", r"no network `test_resnat`; did you mean test_resnet"),
        ("resnet50.a1_in1", r"no network `resnet50.a1_in1`; did you mean resnet50.a1_in1k"),
        ("§", r"no network `§`; timm.list_models\(\) lists them"),
        ("vit_tiny_patch16_224", r"`vit_tiny_patch16_224` takes images of 224x224 px only"),
    ],
)
def test_network_that_cannot_be_had_is_refused_by_name(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resolve_weights(f"timm/{name}:random", random_allowed=True, download=False)


def test_names_without_tag_are_those_of_the_default_weights() -> None:
    assert full_name("resnet50") == "resnet50.a1_in1k"
    assert full_name("resnet50.tv_in1k") == "resnet50.tv_in1k"
    assert full_name("darknet17") == "darknet17"  # nobody published any
    with pytest.raises(ValueError, match="no published weights of timm/darknet17; run once"):
        resolve_weights("timm/darknet17:imagenet", random_allowed=True, download=True)


def test_network_without_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_: object, **__: object) -> nn.Module:
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(ValueError, match=r"no features of `test_resnet` \(features_only not impl"):
        random("test_resnet")


@pytest.mark.slow
def test_network_that_wants_larger_images_is_refused_before_training() -> None:
    network = random("inception_v3")  # no padding: 75 px at least, its stride is 32
    with pytest.raises(ValueError, match=r"64x64 px, 5 levels of `inception_v3` need 128 a side"):
        try_losses(["perceptual"], network, 64)
    with pytest.raises(ValueError, match=r"`halonet26t` takes no image of 260x260 px"):
        random("halonet26t")(image(side=260))


def test_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = saved(CONVNEXT, tmp_path)
    with pytest.raises(ValueError, match=rf"not a {RESNET}, bn1\.bias, .* and 71 more missing"):
        load_backbone(RESNET, path, 0, 5)
    state = whole_network(RESNET).state_dict()
    state["layer2.0.conv1.weight"] = torch.zeros(1)
    save_file(state, path)
    with pytest.raises(ValueError, match=r"layer2\.0\.conv1\.weight is \(1,\), expected \("):
        load_backbone(RESNET, path, 0, 5)


def test_published_weights_are_found_in_the_cache_else_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice, path = f"timm/{RESNET}:auto", tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    path = path / "snapshots" / "abc" / "model.safetensors"
    offline = resolve_weights(choice, random_allowed=True, download=True, seed=2)
    assert (offline.label, offline.fact) == ("perceptual-random", f"timm/{RESNET}-random-2")
    assert f"sought timm/{RESNET};" in offline.notice
    asked = []

    class Network:
        def head(self, url: str, timeout: float) -> None:
            asked.append(url)

    def fetch(*where: str) -> str:
        asked.append(where)
        path.parent.mkdir(parents=True)
        (path.parents[2] / "refs").mkdir()
        (path.parents[2] / "refs" / "main").write_text("abc")
        save_file(whole_network(RESNET).state_dict(), path)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "get_session", Network)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    for _ in range(2):
        found = resolve_weights(choice, random_allowed=False, download=True)
        assert (found.kind, found.path, found.label) == ("imagenet", path, "perceptual")
    where = (f"timm/{RESNET}", "model.safetensors")
    assert asked == [f"https://huggingface.co/{where[0]}/resolve/main/{where[1]}", where]
    assert len(load_levels(found, 3).weights) == 3
