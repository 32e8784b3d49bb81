"""The memory of a training: as much as is really kept, and refused where there is less."""

import pytest
import torch
from torch import Tensor, nn

from lfranker.denoiser.networks import FOREIGN
from lfranker.perceptual.vgg import VGG19
from lfranker.perceptual.winograd import MANY
from lfranker.training import memory
from lfranker.training.config import TrainConfig
from lfranker.training.memory import (
    kept_bytes,
    most_at_once,
    refuse_too_large,
    training_bytes,
    weight_count,
)
from lfranker.training.trainer import build_network

CPU = torch.device("cpu")


def really_kept(network: nn.Module, batch: Tensor) -> int:
    """Bytes of the storages that autograd keeps, each once."""
    sizes, alive = dict[int, int](), list[Tensor]()
    own = {id(parameter) for parameter in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            sizes[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            alive.append(tensor)  # or another storage may get its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(batch)
    return sum(sizes.values())


@pytest.mark.parametrize(
    ("config", "patch"),
    [
        (TrainConfig(batch=2, depth="1,0,2,0,1,3,1", dim=16, head_dim=8), 48),
        (TrainConfig(batch=1, depth=1, dim=48, head_dim=24), 100),
    ],
)
def test_what_is_kept_and_the_weights_are_estimated(config: TrainConfig, patch: int) -> None:
    network = build_network(config)
    batch = torch.rand(config.batch, 1, patch, patch)
    assert kept_bytes(config, patch) == pytest.approx(really_kept(network, batch), rel=0.1)
    named = network.named_parameters()
    weights = [value.numel() for name, value in named if value.ndim > 1 and "relative" not in name]
    assert weight_count(config) == sum(weights)


@pytest.mark.parametrize("name", FOREIGN)
def test_of_other_networks_it_is_counted_without_any_data(name: str) -> None:
    pytest.importorskip("spandrel", reason="needs the extra networks")
    config = TrainConfig(network=name, batch=3, width=8, depth="1,0,2,1,0,1,1")
    network = build_network(config)
    assert kept_bytes(config, 40) == really_kept(network, torch.rand(3, 1, 40, 40))
    assert weight_count(config) == sum(weight.numel() for weight in network.parameters())


def test_the_perceptual_loss_takes_memory_of_its_own() -> None:
    config = TrainConfig(batch=8)
    more = training_bytes(config, 64) - training_bytes(config, 64, perceptual=False)
    direct = sum(9 * conv.channels_in * conv.channels_out for conv in VGG19)
    wide = [conv for conv in VGG19 if conv.channels_out >= MANY]
    again = sum(16 * conv.channels_in * conv.channels_out for conv in wide)
    assert abs(memory.VGG19 - 4 * (direct + again)) < 0.02 * memory.VGG19
    assert more == memory.VGG19 + memory.PERCEPTUAL * 8 * 64**2


def test_a_training_larger_than_the_machine_is_refused_with_what_to_lower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: 16e9)
    refuse_too_large(TrainConfig(), 64, CPU, jobs=8)
    message = r"a training needs about \d{2,} GB .* has 16 GB: .* batch \(now 4000\), patch \(now 6"
    with pytest.raises(ValueError, match=message):
        refuse_too_large(TrainConfig(batch=4000), 64, CPU, jobs=1)
    with pytest.raises(ValueError, match=r"width \(now 1024\) or depth \(now 1\)"):
        refuse_too_large(TrainConfig(network="dncnn", width=1024), 640, CPU, jobs=1)
    with pytest.raises(ValueError, match=r"200 trainings at once need .*: ask for less of jobs"):
        refuse_too_large(TrainConfig(), 64, CPU, jobs=200)


def test_as_many_trainings_run_at_once_as_memory_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = training_bytes(TrainConfig(), 64)
    monkeypatch.setattr(memory, "machine_bytes", lambda: 3.5 * needed)
    assert most_at_once(TrainConfig(), 64) == 3
    monkeypatch.setattr(memory, "machine_bytes", lambda: None)
    assert most_at_once(TrainConfig(), 64) == memory.MOST
    refuse_too_large(TrainConfig(batch=60000), 4096, CPU, jobs=1)


def test_a_limit_of_the_group_of_processes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "group_limits", lambda: iter([]))
    assert memory.machine_bytes() != 123456
    monkeypatch.setattr(memory, "group_limits", lambda: iter([(123456, 5), (10**18, 5)]))
    assert memory.machine_bytes() == 123456
