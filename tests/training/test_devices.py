"""Which device a training is on, and how it is used there. No GPU is needed."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from copies import start_function
from torch import Tensor
from trained import CPU, TINY, make_data, make_trainer

from lfranker.training.batches import Batches, draw_batch
from lfranker.training.devices import (
    device_of,
    gpus_of,
    in_bfloat16,
    places_of,
    read_device,
)

GPU = torch.device("cuda")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", ""])
def test_no_other_devices_are_read(text: str) -> None:
    with pytest.raises(ValueError, match="allowed are auto, cpu, cuda, or one GPU: cuda:0"):
        read_device(text)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == CPU
    with pytest.raises(ValueError, match=r"--device cuda:1: this machine has no GPU"):
        device_of("cuda:1")


def test_the_number_of_a_gpu_is_checked(two_gpus: None) -> None:
    assert [device_of(read_device(text)) for text in ("auto", "cuda", "cpu")] == [GPU, GPU, CPU]
    assert device_of("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match=r"cuda:2: there is no such GPU; allowed: cpu, cuda:0 to"):
        device_of("cuda:2")


def test_places_are_gpus_or_the_processor(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def named(device: torch.device) -> list[str | None]:
        return [place.get("CUDA_VISIBLE_DEVICES") for place in places_of(device)]

    assert gpus_of(GPU) == [0, 1]
    assert named(GPU) == ["0", "1"]
    assert named(torch.device("cuda", 1)) == ["1"]
    assert named(CPU) == [None]
    # a batch system has left two of eight to this process, one by its name
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-8932f937")
    assert named(GPU) == ["5", "GPU-8932f937"]
    assert named(torch.device("cuda", 1)) == ["GPU-8932f937"]


def test_sixteen_bits_are_the_choice_of_gpus_alone() -> None:
    assert [in_bfloat16(TINY, device) for device in (CPU, GPU)] == [False, True]
    assert not in_bfloat16(replace(TINY, precision="float32"), GPU)
    half = make_trainer(replace(TINY, precision="bfloat16"))
    kinds = set[torch.dtype]()
    half.network.m_tail[0].register_forward_hook(lambda _, __, out: kinds.add(out.dtype))
    next(half.steps())
    assert kinds == {torch.bfloat16}
    assert {weight.dtype for weight in half.ema.parameters()} == {torch.float32}


def test_batches_drawn_beside_the_steps_are_the_same() -> None:
    data, config = make_data(), replace(TINY, steps=10)
    batches = Batches(data, config, CPU)
    ahead = Batches(data, config, CPU)
    ahead.beside = True
    for step in (0, 1, 2, 7, 8):  # a branch, or one that was interrupted, begins elsewhere
        expected = draw_batch(data, config, step)
        for drawn in (batches.of(step), ahead.of(step)):
            assert all(map(torch.equal, drawn[:2], expected[:2]))
            assert drawn[0].is_contiguous(memory_format=torch.channels_last)
    assert ahead.next is not None
    assert ahead.next[0] == 9, "the next one is on its way"
    ahead.of(9)
    assert ahead.next[0] == 9, "there is none after the last"


def in_bad_fork() -> None:
    sys.stdout.write(str(torch.cuda._is_in_bad_fork()))


@pytest.mark.slow
def test_a_copy_of_a_process_that_is_prepared_may_use_a_gpu(tmp_path: Path) -> None:
    """A process that asked CUDA for its devices could not hand them to its copies.

    What is copied here has done `worker.prepare`, and imported more.
    """
    done = start_function(in_bad_fork, log=tmp_path / "said.txt")
    assert done.wait(60) == 0, done.said
    assert done.said.split() == ["False"]


def test_a_step_reads_from_its_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(replace(TINY, log_every=1000), losses=("mae", "ssim"))
    steps = trainer.steps()
    next(steps)
    read = list[str]()
    for name in ("item", "tolist", "__float__", "__bool__", "cpu", "numpy"):
        own = getattr(Tensor, name)

        def reading(*values: object, name: str = name, own: object = own) -> object:
            read.append(name)
            return own(*values)  # type: ignore[operator]

        monkeypatch.setattr(Tensor, name, reading)
    step = next(steps)
    assert read == ["tolist"]
    assert set(step.terms) == {"mae", "ssim"}
    assert step.loss == pytest.approx(sum(step.terms.values()), rel=1e-6)


def test_a_compiled_network_is_what_steps_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what compiles, which takes minutes: its weights are the network's own."""
    modes = list[str]()

    def traced(network: torch.nn.Module, mode: str) -> Callable[[Tensor], Tensor]:
        return lambda batch: (modes.append(mode), network(batch))[1]

    plain = make_trainer(TINY)
    assert modes == []
    monkeypatch.setattr(torch, "compile", traced)
    fast = make_trainer(replace(TINY, compile="reduce-overhead"))
    assert [next(fast.steps()).loss, next(fast.steps()).loss] == [
        next(plain.steps()).loss,
        next(plain.steps()).loss,
    ]
    assert modes == ["reduce-overhead"] * 2
    for name, weight in plain.ema.state_dict().items():
        assert torch.equal(fast.ema.state_dict()[name], weight), name
