"""Input and target of networks that see no clean image."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trained import CPU, TINY

from lfranker.arrays import Image
from lfranker.datasets.noisy_scans import NoisyScan
from lfranker.datasets.patch_dataset import Dataset, DatasetConfig
from lfranker.datasets.synthesis import synthesise
from lfranker.losses import build_objective, gradient_norms, shares
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.scan_correlation import autocorrelation, filter_fast_axis, taps_for
from lfranker.noise.scan_noise import MeasuredNoise
from lfranker.simulation.scenes import scene
from lfranker.training.batches import draw_batch
from lfranker.training.curves import _psnr_where, validate
from lfranker.training.loss_balancing import fixed_output
from lfranker.training.noisy_targets import APART, LINES, hide, recorrupt
from lfranker.training.trainer import Trainer, build_network

TAPS = taps_for(0.48, (1.0, 0.1))
LAGS = autocorrelation(TAPS, 4)
NOISE = MeasuredNoise(1 / 50, 0.02, 0.05, 0.0, LAGS, TAPS)
PATCHES = 400


def correlated(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """Noise of variance 1, correlated along x."""
    return filter_fast_axis(rng.standard_normal(shape, dtype=np.float32), TAPS)


@cache
def scans(mode: str, radius: int | None = None) -> Dataset:
    """Patches of two noisy scans of scenes, each a field of its own, at 100ns."""
    made = []
    for seed in range(4):
        clean = scene("particles", (288, 288), seed, 0)
        rng = np.random.default_rng(seed)
        noise = correlated(clean.shape, rng) * NOISE.deviation(clean.astype(float))
        noisy = np.clip(clean + noise, 0, 1).astype(np.float32)
        made.append(NoisyScan(f"100ns/{seed}", "100ns", noisy, "there", field=str(seed)))
    config = DatasetConfig(patch=32, patches=60, noise=NoiseConfig(mode=mode, blind_radius=radius))
    return synthesise(made, Path(mkdtemp()) / "set", config)


def test_a_run_is_replaced_by_pixels_of_another_line_side_by_side() -> None:
    numbered = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)  # each pixel has its place
    for seed in range(50):
        replaced, hidden = hide(numbered, 2, np.random.default_rng(seed))
        runs = np.zeros_like(hidden)
        for row, column in np.argwhere(hidden):
            run = np.s_[row, column - 2 : column + 3]
            runs[run] = True
            rows, columns = np.divmod(replaced[run], 64)
            assert len(replaced[run]) == 5
            assert set(abs(rows - row)) <= {1, 2}
            assert len(set(rows)) == 1
            assert (abs(columns - np.arange(column - 2, column + 3)) <= 2).all()
            inside = 4 <= column < 60
            assert not inside or set(np.diff(columns)) == {1}
        np.testing.assert_array_equal(replaced[~runs], numbered[~runs])
        rows, columns = np.nonzero(hidden)
        assert set(np.diff(np.unique(rows))) == {LINES}
        assert (np.diff(np.unique(rows)) > 2).all()  # what replaces a run is in no run
        for row in np.unique(rows):
            assert set(np.diff(columns[rows == row])) == {5 + APART}
        assert len(rows) > 0.6 * numbered.size / (LINES * (5 + APART))


@pytest.mark.parametrize("radius", [0, 1, 2, 3])
def test_what_is_hidden_does_not_reach_the_network(radius: int) -> None:
    patch = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    replaced, hidden = hide(patch, radius, np.random.default_rng(7))
    changed = patch.copy()
    for row, column in np.argwhere(hidden):
        changed[row, column - radius : column + radius + 1] += 1
    again, same = hide(changed, radius, np.random.default_rng(7))
    np.testing.assert_array_equal(again, replaced)
    np.testing.assert_array_equal(same, hidden)


def seen_noise(radius: int) -> list[float]:
    """Correlation of the noise of hidden pixels with that of the network's input in their line."""
    rng = np.random.default_rng(3)
    products: dict[int, list[float]] = {lag: [] for lag in range(6)}
    for _ in range(PATCHES):
        noise = correlated((32, 64), rng)
        replaced, hidden = hide(noise, radius, rng)
        for row, column in np.argwhere(hidden):
            for lag in products:
                if column + lag < 64:
                    products[lag].append(float(noise[row, column] * replaced[row, column + lag]))
    return [float(np.mean(products[lag])) for lag in products]


@pytest.mark.slow
def test_a_run_as_long_as_the_correlation_leaves_nothing_of_the_noise_to_be_seen() -> None:
    assert NOISE.radius == 2  # lags 0.48, 0.11, 0.01
    tolerance = 5 / math.sqrt(PATCHES * 40)  # five standard errors
    assert max(map(abs, seen_noise(2)[:6])) < tolerance + LAGS[2]
    single = seen_noise(0)  # the pixel alone is hidden: its neighbours tell its noise
    assert abs(single[0]) < tolerance
    assert abs(single[1] - 0.48) < tolerance


def test_recorrupted_pairs_have_noise_that_is_not_correlated() -> None:
    rng = np.random.default_rng(5)
    level = np.float32(0.45)
    variance = float(NOISE.deviation(np.array(0.45))) ** 2  # (0.45 - 0.05) / 50 + 0.02^2
    assert variance == pytest.approx(0.0084)
    noisier, target = [], []
    for _ in range(PATCHES):
        scan = level + np.float32(math.sqrt(variance)) * correlated((32, 32), rng)
        pair = recorrupt(scan, NOISE, rng)
        noisier.append(pair[0].astype(float) - level)
        target.append(pair[1].astype(float) - level)
    one, other = np.stack(noisier), np.stack(target)
    n = one.size / 2  # about as many are independent
    assert abs(other.mean()) < 5 * other.std() / math.sqrt(n) * 2  # sums of correlated pixels
    assert one.var() > 1.15 * variance  # noise of at least 0.4 of the scan's was added
    assert other.var() > 1.9 * variance
    for lag in range(4):
        product = (one[:, :, : 32 - lag] * other[:, :, lag:]).mean()
        # clipping the first at 0, 3.5 deviations away, and the blur of the signal do not show
        assert abs(product) < 5 * one.std() * other.std() * math.sqrt(2 / n)


def test_losses_get_gradient_from_hidden_pixels_alone() -> None:
    batch = draw_batch(scans("blind"), replace(TINY, batch=4), 0)
    assert batch.hidden is not None
    for name in ("mae", "mse", "ssim"):
        output = (batch.noisy + 0.1).requires_grad_()
        objective = build_objective([name])
        loss, _ = objective(batch.composite(output), batch.clean)
        (gradient,) = torch.autograd.grad(loss, output)
        assert (gradient[~batch.hidden] == 0).all()
        assert (gradient[batch.hidden] != 0).float().mean() > 0.99
        measured = gradient_norms(objective, batch.composite(output), batch.clean, batch.hidden)[
            name
        ]
        assert measured == pytest.approx(float(torch.linalg.vector_norm(gradient)), rel=1e-4)


def test_shares_of_losses_are_measured_at_hidden_pixels_alone() -> None:
    """Elsewhere SSIM has a gradient too, as its windows reach there, and MAE has none."""
    config, objective = replace(TINY, log_every=1), build_objective(["mae", "ssim"])
    trainer = Trainer(build_network(config), objective, scans("blind"), config, CPU)
    batch = trainer.batches.of(0)
    output = batch.composite(trainer.network.train()(batch.noisy))
    hidden = shares(gradient_norms(objective, output, batch.clean, batch.hidden))
    everywhere = shares(gradient_norms(objective, output, batch.clean))
    assert everywhere["mae"] < 0.99 * hidden["mae"]
    assert next(trainer.steps()).shares == pytest.approx(hidden, rel=1e-5)


@pytest.mark.parametrize("mode", ["blind", "recorrupted"])
def test_patches_do_not_depend_on_the_batch_and_differ_from_step_to_step(mode: str) -> None:
    data, config = scans(mode), replace(TINY, batch=6)
    large, small = draw_batch(data, config, 5), draw_batch(data, replace(config, batch=2), 5)
    for one, other in zip(large, small, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one[:2], other)
    other_step = draw_batch(data, config, 6)
    assert not torch.equal(large.noisy, other_step.noisy)


def test_all_losses_see_the_same_batches() -> None:
    data, seen = scans("blind"), []
    for losses in (["mae"], ["mse", "ssim"]):
        trainer = Trainer(build_network(TINY), build_objective(losses), data, TINY, CPU)
        seen.append(trainer.batches.of(3))
        next(trainer.steps())
    for one, other in zip(*seen, strict=True):
        assert torch.equal(one, other)


def test_half_turns_keep_the_fast_axis() -> None:
    """The scan is constant along x, and so is every patch, however it is turned."""
    lines = np.random.default_rng(0).random((96, 1), dtype=np.float32) * np.ones(
        (1, 96), np.float32
    )
    scan = NoisyScan("100ns/a", "100ns", lines, "there", field="a")
    noise = NoiseConfig(mode="blind", blind_radius=1)
    config = DatasetConfig(patch=32, patches=20, validation=0, minimum_contrast=0, noise=noise)
    data = synthesise([scan], Path(mkdtemp()) / "set", config)
    for step in range(4):
        clean = draw_batch(data, replace(TINY, batch=8), step).clean
        assert torch.equal(clean, clean[..., :1].expand_as(clean))


class Blur(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)


@pytest.mark.parametrize("mode", ["blind", "recorrupted"])
def test_validation_does_not_reward_what_gives_back_its_input(mode: str) -> None:
    data = scans(mode)
    copied, blurred = validate(nn.Identity(), data, CPU), validate(Blur(), data, CPU)
    assert blurred["val/psnr"] > copied["val/psnr"] + 0.5
    assert validate(nn.Identity(), data, CPU) == copied
    assert ("val/ssim" in copied) == (mode == "recorrupted")


def test_validation_of_hidden_pixels_is_of_them_alone() -> None:
    """Squares of 0.1 and 0.3 over two hidden pixels: 0.05, which is 13.01 dB; and 0.04 of one."""
    clean, hidden = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    outputs = torch.full_like(clean, 0.7)
    for place, value in (((0, 0, 1, 2), 0.1), ((0, 0, 3, 0), 0.3), ((1, 0, 0, 0), 0.2)):
        hidden[place], outputs[place] = True, value
    expected = [-10 * math.log10(0.05), -10 * math.log10(0.04)]
    assert _psnr_where(hidden, outputs, clean) == pytest.approx(expected, rel=1e-6)


def test_weights_of_losses_are_measured_where_pixels_are_hidden() -> None:
    output, clean = fixed_output(scans("blind"), 0)
    differ = (output != clean).double().mean()
    assert 0.01 < float(differ) < 1 / (LINES * (5 + APART - 1))


def test_the_radius_is_that_of_the_noise_unless_it_is_given() -> None:
    assert scans("blind").blind_radius == 2
    assert scans("blind", 0).blind_radius == 0
    assert "measured" not in scans("blind", 0).manifest["request"]
    found = scans("recorrupted").noise_in(0)
    assert found.lags[0] == pytest.approx(0.48, abs=0.05)
    assert found.gamma == pytest.approx(1 / 50, rel=0.3)
