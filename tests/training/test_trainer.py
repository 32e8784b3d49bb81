from copy import deepcopy
from dataclasses import asdict, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trained import CPU, TINY, make_data, make_trainer

from lfranker.denoiser.scunet import ConvTransBlock
from lfranker.losses import Objective, build_objective
from lfranker.planning.time_estimate import seconds_per_step
from lfranker.training import trainer as trainer_module
from lfranker.training.batches import draw_batch
from lfranker.training.checkpoints import newest_checkpoint, save_checkpoint
from lfranker.training.config import TrainConfig, learning_rate_factor, leaves_at, parse_depth
from lfranker.training.curves import validate
from lfranker.training.trainer import BLOWN_MINIMUM, DivergedError, Trainer, build_network


def test_depth_is_one_for_all_stages_or_one_of_each() -> None:
    assert parse_depth("4") == 4
    assert replace(TINY, depth=parse_depth("0, 1,1,2,1,1,0")).blocks == (0, 1, 1, 2, 1, 1, 0)
    assert TINY.blocks == (1,) * 7
    network = build_network(replace(TINY, depth="0,0,0,2,0,0,0"))
    assert sum(isinstance(part, ConvTransBlock) for part in network.modules()) == 2


@pytest.mark.parametrize("depth", ["", "1,2", "-1", "1,1,1,x,1,1,1", "0", "0,0,0,0,0,0,0"])
def test_impossible_depths_are_named(depth: str) -> None:
    with pytest.raises(ValueError, match="depth is"):
        replace(TINY, depth=depth)


def test_noises_of_components_see_the_same_clean_patches() -> None:
    names = ("poisson", "lines", "poisson+correlation")
    ranges = {"line_offset": (0.0, 0.1), "correlation": (0.0, 0.0)}
    batches = []
    for name in names:
        own = ranges | ({"correlation": (0.0, 0.5)} if "correlation" in name else {})
        batches.append(draw_batch(make_data(noise=name, **own), replace(TINY, batch=16), 3)[1])
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[2])


def test_learning_rate_by_hand() -> None:
    config = TrainConfig(steps=20, warmup=4)
    factors = [learning_rate_factor(step, config) for step in (0, 3, 4, 16, 17, 18, 19)]
    # linear 1/4 .. 4/4, then 1, and 3/4 .. 1/4 in the last fifth but one step
    assert factors == pytest.approx([0.25, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25], abs=1e-12)


@pytest.mark.parametrize(
    ("steps", "log_every", "points"), [(7, 3, [3, 6, 7]), (2, 25, [2]), (6, 3, [3, 6])]
)
def test_curves_have_a_point_every_so_many_steps_and_at_the_end(
    steps: int, log_every: int, points: list[int]
) -> None:
    config = TrainConfig(steps=steps, log_every=log_every)
    assert [step for step in range(1, steps + 1) if config.logs(step)] == points


def test_initial_weights_depend_on_seed_and_repeat_alone_and_leave_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_network(TINY).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = build_network(TINY).state_dict()
    other = build_network(replace(TINY, repeat=1)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["m_head.0.weight"], other["m_head.0.weight"])


def test_weights_decay_by_what_is_asked_for() -> None:
    """AdamW's decay: beside the step itself, the learning rate times the decay of each weight."""
    none, some = (make_trainer(replace(TINY, weight_decay=decay)) for decay in (0.0, 0.5))
    before = deepcopy(none.network.state_dict())
    for trainer in (none, some):
        next(trainer.steps())
    rate = none.config.learning_rate * learning_rate_factor(0, none.config)
    for name, value in some.network.named_parameters():
        expected = none.network.state_dict()[name] - rate * 0.5 * before[name]
        torch.testing.assert_close(value.detach(), expected, rtol=0, atol=1e-6)
    assert rate * before["m_head.0.weight"].abs().max() > 1e-5


def test_patch_k_is_the_same_whatever_the_batch_size() -> None:
    data = make_data()
    small = draw_batch(data, replace(TINY, batch=2), step=5).noisy
    large = draw_batch(data, replace(TINY, batch=6), step=5).noisy
    assert torch.equal(large[:2], small)
    assert len({patch.numpy().tobytes() for patch in large}) > 1


def test_noisy_and_clean_are_the_same_patch_turned_the_same_way_and_never_validation() -> None:
    data, seen = make_data(), set()
    allowed = {
        np.rot90(data.clean[i], turns)[:, ::order].tobytes()
        for i in data.train for turns in range(4) for order in (1, -1)
    }  # fmt: skip
    for step in range(40):
        noisy, clean, _ = draw_batch(data, TINY, step)
        torch.testing.assert_close(noisy, 1 - clean)  # as make_data pairs them
        seen |= {np.round(patch.numpy()[0] * 255).astype(np.uint8).tobytes() for patch in clean}
    assert seen <= allowed
    assert len(seen) > 40  # of 80 draws among 10 patches in 8 orientations


@pytest.mark.parametrize(
    "noise", [{"correlation": (0.0, 0.5)}, {"noise": "lines", "line_offset": (0.0, 0.1)}]
)
def test_noise_that_is_correlated_along_x_stays_so(noise: dict[str, Any]) -> None:
    plain, correlated = make_data(), make_data(**noise)
    turned = {
        data.clean[i][:: y, ::x].tobytes(): (y, x)
        for data in (correlated,) for i in data.train for y in (1, -1) for x in (1, -1)
    }  # fmt: skip
    orientations = set()
    for step in range(40):
        clean = draw_batch(correlated, TINY, step).clean
        patches = [np.round(patch.numpy()[0] * 255).astype(np.uint8) for patch in clean]
        orientations |= {turned[patch.tobytes()] for patch in patches}  # KeyError: a quarter turn
        other = draw_batch(plain, TINY, step).clean
        assert sorted(clean.flatten().tolist()) == sorted(other.flatten().tolist())
    assert len(orientations) == 4


def test_a_training_shorter_than_its_warm_up_decays_all_the_same() -> None:
    config = TrainConfig(steps=20, warmup=100)
    factors = [learning_rate_factor(step, config) for step in (0, 9, 18, 19)]
    assert factors == pytest.approx([0.01, 0.1, 0.19, 0.2], abs=1e-12)
    slow = replace(config, warmup=10_000)
    assert [learning_rate_factor(step, slow) for step in (0, 19)] == [1e-4, 2e-3]
    assert learning_rate_factor(0, replace(config, warmup=0)) == 1


@pytest.mark.parametrize(
    ("steps", "branches", "total"),
    [(8000, (2000, 4000), 8000 + 400 + 800), (5, (1, 2), 5 + 1 + 1), (3, (1,), 3 + 1), (1, (), 1)],
)
def test_branches_have_a_quarter_and_a_half_of_the_steps(
    steps: int, branches: tuple[int, ...], total: int
) -> None:
    config = TrainConfig(steps=steps)
    assert config.branches == branches
    assert config.total_steps == total
    assert replace(config, shorter=False).branches == ()
    assert replace(config, shorter=False).total_steps == steps


@pytest.mark.slow
def test_a_branch_is_the_shorter_training_to_the_bit_and_leaves_the_longer_as_it_was() -> None:
    """With a warm-up longer than the quarter's constant rate, and all of it clipped."""
    losses = ("mae", "ssim")
    config = replace(TINY, steps=24, warmup=5, clip_factor=0.5, log_every=5)
    plain = make_trainer(config, losses)
    expected = [step.loss for step in plain.steps()]
    assert plain.clipped > 0
    branched, got = make_trainer(config, losses), list[float]()
    steps = branched.steps()
    for length in config.branches:
        got += [next(steps).loss for _ in range(leaves_at(length) - branched.done)]
        branch = branched.branch(length)
        ends = list(branch.steps())
        alone = make_trainer(replace(config, steps=length, log_every=25), losses)
        assert [step.loss for step in alone.steps()][-len(ends) :] == [s.loss for s in ends]
        assert branch.norms == alone.norms
        for name, value in alone.ema.state_dict().items():
            assert torch.equal(value, branch.ema.state_dict()[name]), name
    got += [step.loss for step in steps]
    assert got == expected
    for name, value in plain.ema.state_dict().items():
        assert torch.equal(value, branched.ema.state_dict()[name]), name


def test_a_training_goes_on_from_a_branch_as_if_there_had_been_none() -> None:
    config = replace(TINY, depth="0,0,0,1,0,0,0")
    expected = [step.loss for step in make_trainer(config).steps()]
    branched = make_trainer(config)
    steps = branched.steps()
    got = [next(steps).loss for _ in range(2)]
    assert len(list(branched.branch(4).steps())) == 2
    assert [*got, *(step.loss for step in steps)] == expected


def test_one_step_can_be_timed_and_no_validation_patches_give_no_validation() -> None:
    config = replace(TINY, steps=1)
    assert seconds_per_step(build_objective(("mae",), None), make_data(), config, CPU) > 0
    data = replace(make_data(), validation=np.arange(0))
    assert validate(build_network(TINY), data, CPU) == {}


def test_outputs_are_clipped_before_they_are_validated() -> None:
    class Contrast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 4 * x - 1.5

    data = make_data()
    noisy, clean = (patches[data.validation] / 255 for patches in (data.noisy, data.clean))
    errors = ((np.clip(4 * noisy - 1.5, 0, 1) - clean) ** 2).mean(axis=(1, 2))
    psnr = float(np.mean(-10 * np.log10(errors)))
    assert validate(Contrast(), data, CPU)["val/psnr"] == pytest.approx(psnr, abs=1e-4)


def test_ema_follows_its_formula() -> None:
    trainer = make_trainer()
    name = "m_tail.0.weight"
    expected = trainer.network.state_dict()[name].clone()
    for step in trainer.steps():
        decay = min(0.999, (1 + step.index) / (10 + step.index))
        expected = decay * expected + (1 - decay) * trainer.network.state_dict()[name]
        torch.testing.assert_close(trainer.ema.state_dict()[name], expected)


@pytest.mark.slow
def test_training_lowers_the_loss() -> None:
    config = replace(TINY, steps=40, learning_rate=3e-3, warmup=5)
    losses = [step.loss for step in make_trainer(config).steps()]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_clipping_is_indifferent_to_the_scale_of_the_loss() -> None:
    def scaled(factor: float) -> list[bool]:
        objective = Objective({"mae": lambda x, y: factor * (x - y).abs().mean()})
        config = replace(TINY, steps=25, batch=1, depth="0,0,0,1,0,0,0", clip_factor=1.05)
        trainer = Trainer(build_network(config), objective, make_data(), config, CPU)
        return [step.clipped for step in trainer.steps()]

    small, large = scaled(1.0), scaled(1024.0)
    assert small == large
    assert any(small)
    assert not any(small[:10])


@pytest.mark.parametrize("before", [12, pytest.param(BLOWN_MINIMUM, marks=pytest.mark.slow)])
def test_a_network_that_blows_up_goes_back_to_its_average_without_momentum(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(trainer_module, "BLOWN_MINIMUM", before)
    # the first jump comes one norm too early to be judged, the second has gone wrong
    factors = iter([*[1.0] * (before - 1), 1000.0, 1000.0, *[1.0] * 5])

    def jumping(output: Tensor, target: Tensor) -> Tensor:
        return next(factors) * (output - target).abs().mean()

    config = replace(TINY, steps=before + 6, batch=1, depth="0,0,0,1,0,0,0")
    trainer = Trainer(build_network(config), Objective({"mae": jumping}), make_data(), config, CPU)
    steps = trainer.steps()
    for _ in range(before):
        next(steps)
    kept, norms = deepcopy(trainer.ema.state_dict()), list(trainer.norms)
    assert (trainer.restored, len(norms)) == (0, before), "too few norms to judge the first jump"
    assert next(steps).clipped
    assert (trainer.restored, trainer.done, list(trainer.norms)) == (1, before + 1, norms)
    after = trainer.network.state_dict()
    assert all(torch.equal(kept[name], after[name]) for name in kept)
    momenta = [state["exp_avg"].abs().max() for state in trainer.optimizer.state.values()]
    squares = [state["exp_avg_sq"].max() for state in trainer.optimizer.state.values()]
    assert max(momenta) == 0 < max(squares)
    assert len(list(steps)) == 5
    assert trainer.restored == 1
    resumed = make_trainer(config)
    resumed.load_state_dict(trainer.state_dict())
    assert resumed.restored == 1


def test_a_gradient_that_is_only_large_is_clipped_and_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "BLOWN_MINIMUM", 12)
    factors = iter([*[1.0] * 14, 8.0, *[1.0] * 2])
    objective = Objective({"mae": lambda x, y: next(factors) * (x - y).abs().mean()})
    config = replace(TINY, steps=17, batch=1, depth="0,0,0,1,0,0,0")
    trainer = Trainer(build_network(config), objective, make_data(), config, CPU)
    clipped = [step.clipped for step in trainer.steps()]
    assert clipped[14]
    assert trainer.clipped == sum(clipped)
    assert (trainer.restored, len(trainer.norms)) == (0, 17)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    def broken(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs().mean() * float("nan")

    trainer = Trainer(build_network(TINY), Objective({"mae": broken}), make_data(), TINY, CPU)
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    with pytest.raises(DivergedError, match="step 1"):
        next(trainer.steps())
    after = trainer.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("stop", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 5))])
def test_resuming_goes_on_to_the_bit(tmp_path: Path, stop: int) -> None:
    whole = make_trainer(losses=("mae", "ssim"))
    straight = [step.loss for step in whole.steps()]

    first = make_trainer(losses=("mae", "ssim"))
    losses = [step.loss for _, step in zip(range(stop), first.steps(), strict=False)]
    save_checkpoint(first.state_dict(), tmp_path, 0)
    second = make_trainer(losses=("mae", "ssim"))
    state = newest_checkpoint(tmp_path, pytest.fail)
    assert state is not None
    second.load_state_dict(state)
    losses += [step.loss for step in second.steps()]

    assert losses == straight
    for name, value in whole.ema.state_dict().items():
        assert torch.equal(value, second.ema.state_dict()[name]), name


def test_a_resumed_training_clips_by_the_last_norms_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "MEDIAN_WINDOW", 10)
    config, stop = replace(TINY, steps=14, clip_factor=0.5, depth="0,0,0,1,0,0,0"), 11
    straight = [(step.loss, step.clipped) for step in make_trainer(config).steps()]
    first, second = make_trainer(config), make_trainer(config)
    begun = [step for _, step in zip(range(stop), first.steps(), strict=False)]
    second.load_state_dict(first.state_dict())
    resumed = [(step.loss, step.clipped) for step in (*begun, *second.steps())]
    assert resumed == straight
    assert any(clipped for _, clipped in straight[stop:])


def test_a_checkpoint_with_one_changed_byte_is_named_and_the_other_used(tmp_path: Path) -> None:
    trainer = make_trainer()
    for slot in (0, 1):
        next(trainer.steps())
        save_checkpoint(trainer.state_dict(), tmp_path, slot)
    newest = tmp_path / "checkpoint-1.pt"
    stored = bytearray(newest.read_bytes())
    stored[len(stored) // 2] ^= 1  # within the numbers, where torch itself notices nothing
    newest.write_bytes(stored)
    torch.load(newest, weights_only=True)
    notices: list[str] = []
    state = newest_checkpoint(tmp_path, notices.append)
    assert state is not None
    assert state["done"] == 1
    assert "another checksum" in notices[0]
    torch.save({"answer": 42}, tmp_path / "checkpoint-0.pt")
    assert newest_checkpoint(tmp_path, notices.append) is None
    assert "checkpoint-0.pt is damaged" in notices[1]


@pytest.mark.parametrize("steps_of_branch", [(2, 5), (5, 2), (None, 5), (5, None)])
def test_of_checkpoints_at_one_step_that_further_on_in_a_branch_is_the_newest(
    tmp_path: Path, steps_of_branch: tuple[int | None, int | None]
) -> None:
    for slot, done in enumerate(steps_of_branch):
        state = {"done": 4} | ({} if done is None else {"branch": {"done": done}})
        save_checkpoint(state, tmp_path, slot)
    assert newest_checkpoint(tmp_path, pytest.fail) == {"done": 4, "branch": {"done": 5}}


def test_a_damaged_checkpoint_is_named_and_the_other_used(tmp_path: Path) -> None:
    trainer, notices = make_trainer(), list[str]()
    steps = trainer.steps()
    for slot in range(2):
        next(steps)
        save_checkpoint(trainer.state_dict(), tmp_path, slot)
    newest = tmp_path / "checkpoint-1.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    state = newest_checkpoint(tmp_path, notices.append)
    assert state is not None
    assert state["done"] == 1
    assert len(notices) == 1
    assert "checkpoint-1.pt" in notices[0]


def test_logging_settings_do_not_determine_the_weights() -> None:
    added = {"precision": "bfloat16", "compile": "default", "network": "nafnet", "width": 8}
    settings = replace(TINY, **added).determining()
    assert set(asdict(TINY)) - set(settings) == {"shorter", "log_every", "checkpoint_seconds"}
    assert not set(added) & set(TINY.determining()), "stored before they were options"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("precision", ("auto", "float32", "bfloat16")),
        ("compile", ("none", "default", "reduce-overhead", "max-autotune")),
    ],
)
def test_choices_are_those_of_torch(name: str, allowed: tuple[str, ...]) -> None:
    for choice in allowed:
        assert getattr(replace(TINY, **{name: choice}), name) == choice
    with pytest.raises(ValueError, match=f"{name} .*{allowed[-1]}"):
        replace(TINY, **{name: "float16"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("learning_rate", 0.0),
        ("threads", 0),
        ("clip_factor", 0.0),
        ("ema_decay", 1.0),
        ("warmup", -1),
        ("weight_decay", -1e-4),
        ("checkpoint_seconds", -1.0),
        ("clip_factor", nan),
    ],
)
def test_impossible_settings_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        replace(TINY, **{name: value})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["nafnet", "drunet", "dncnn"])
def test_other_networks_learn_and_go_on_to_the_bit(name: str, precision: str) -> None:
    pytest.importorskip("spandrel", reason="needs the extra networks")
    config = replace(TINY, network=name, width=4, steps=8, precision=precision)
    whole = make_trainer(config)
    losses = [step.loss for step in whole.steps()]
    assert losses[-1] < losses[0]
    first, second = make_trainer(config), make_trainer(replace(config, repeat=1))
    steps = first.steps()
    for _ in range(3):
        next(steps)
    assert not same_weights(first.network, second.network)
    second = make_trainer(config)
    second.load_state_dict(deepcopy(first.state_dict()))
    for _ in second.steps():
        pass
    assert same_weights(second.network, whole.network)
    assert same_weights(second.ema, whole.ema)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
