"""Weights to start from, in the forms that training tools write them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor
from trained import TINY

from entrypoints.powerset import main
from lfranker.training.initial_weights import load_initial
from lfranker.training.trainer import build_network

Weights = dict[str, Tensor]
SOURCE = build_network(replace(TINY, seed=9)).state_dict()
OTHER = build_network(replace(TINY, seed=8)).state_dict()


def before(front: str, weights: Weights) -> Weights:
    return {front + name: value for name, value in weights.items()}


FORMS: dict[str, Callable[[], object]] = {
    "bare": lambda: SOURCE,
    "params": lambda: {"params": SOURCE},
    "averaged beside plain": lambda: {"params": OTHER, "params_ema": SOURCE},
    "state_dict with numbers": lambda: {"epoch": 3, "state_dict": SOURCE, "arch": "SCUNet"},
    "several GPUs": lambda: before("module.", SOURCE),
    "compiled": lambda: before("_orig_mod.", SOURCE),
    "compiled on several GPUs": lambda: {"state_dict": before("module._orig_mod.", SOURCE)},
    "Lightning": lambda: {
        "state_dict": {**before("net.", SOURCE), "loss.vgg.0.weight": torch.zeros(3)}
    },
    "Lightning with an average": lambda: {
        "state_dict": before("net.", OTHER) | before("net_ema.", SOURCE)
    },
    "nested twice": lambda: {"model": {"params": before("module.", SOURCE)}},
    "compiled blocks": lambda: {
        name.replace("m_body.", "m_body._orig_mod."): value for name, value in SOURCE.items()
    },
    "a checkpoint of lfranker": lambda: {"network": OTHER, "ema": SOURCE, "done": 3},
}


@pytest.mark.parametrize("form", FORMS)
def test_wrapped_weights_are_found(tmp_path: Path, form: str) -> None:
    torch.save(FORMS[form](), tmp_path / "weights.pth")
    network = build_network(TINY)
    load_initial(network, tmp_path / "weights.pth")
    for name, value in network.state_dict().items():
        assert torch.equal(value, SOURCE[name]), name


def test_safetensors_with_a_prefix_are_found(tmp_path: Path) -> None:
    save_file(before("module.", SOURCE), tmp_path / "weights.safetensors")
    network = build_network(TINY)
    load_initial(network, tmp_path / "weights.safetensors")
    assert torch.equal(network.m_head[0].weight, SOURCE["m_head.0.weight"])


def without_first() -> Weights:
    return {name: value for name, value in SOURCE.items() if name != "m_tail.0.weight"}


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (SOURCE, r"m_head.0.weight is \(16, 1, 3, 3\), and \(32, 1, 3, 3\) is asked for, and \d+"),
        ({"epoch": 3}, "no weights of a network found in it; holds epoch"),
        ([1, 2], "no weights of a network found in it"),
        ({"state_dict": {"conv.weight": torch.zeros(1)}}, "m_head.0.weight is not in it"),
    ],
)
def test_other_weights_are_named_in_one_line(tmp_path: Path, stored: object, words: str) -> None:
    torch.save(stored, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=words) as caught:
        load_initial(build_network(replace(TINY, dim=32)), tmp_path / "weights.pth")
    assert "weights.pth" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    torch.save(without_first(), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"m_tail\.0\.weight is not in it"):
        load_initial(build_network(TINY), tmp_path / "weights.pth")


def test_a_file_that_needs_code_to_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    torch.save({"state_dict": SOURCE, "args": np.random.default_rng(0)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth: cannot be read as weights") as caught:
        load_initial(build_network(TINY), tmp_path / "weights.pth")
    assert len(str(caught.value).splitlines()) == 1


def test_a_dry_run_checks_them_before_anything_is_made(tmp_path: Path, store: Path) -> None:
    torch.save(SOURCE, tmp_path / "weights.pth")
    words = ["--preset", "smoke", "--dry-run", "--cache", "kept", "--dim", "32", "--init"]
    done = CliRunner().invoke(main, [*words, str(tmp_path / "weights.pth")])
    assert done.exit_code == 2
    assert "m_head.0.weight is (16, 1, 3, 3), and (32, 1, 3, 3) is asked for" in done.output
    assert not (store / "kept" / "datasets").exists()


@pytest.mark.parametrize("front", ["", "network.", "module.", "net."])
@pytest.mark.parametrize("name", ["nafnet", "drunet", "dncnn"])
def test_published_weights_of_other_networks_are_found(
    tmp_path: Path, name: str, front: str
) -> None:
    """Published files have the names of the network itself, ours one more in front of them."""
    pytest.importorskip("spandrel", reason="needs the extra networks")
    config = replace(TINY, network=name, width=4)
    source = build_network(replace(config, seed=9)).state_dict()
    bare = {key.removeprefix("network."): value for key, value in source.items()}
    torch.save({"params": before(front, bare)}, tmp_path / "weights.pth")
    network = build_network(config)
    load_initial(network, tmp_path / "weights.pth")
    for key, value in network.state_dict().items():
        assert torch.equal(value, source[key]), key
    with pytest.raises(ValueError, match=r"\(set network, width and depth\)"):
        load_initial(build_network(replace(config, width=8)), tmp_path / "weights.pth")
