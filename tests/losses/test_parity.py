"""Every loss against code that others wrote, and by hand."""

import numpy as np
import pytest
import torch

from lfranker.losses import LOSSES
from lfranker.losses.structure import scales_for
from tests.loss_references import REFERENCES, batch

# What our eps in a logarithm or a root may change, relative to the value; else rounding.
EPS = {
    "psnr": 1e-6,  # 1e-8 of an MSE of 0.008, in 21 dB
    "gmsd": 1e-4,  # 1e-6 as the magnitude of a flat target, times 2 x 0.1 of the output, over c
    "ncc": 1e-5,  # 1e-8 of a variance of 0.05, in 1 - 0.9
    "anscombe": 1e-6,  # the reference's end points are of float32
}


def images(side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A target with edges and slopes, some of it dark, and a noisy output; float64 in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    target = np.clip(x * (y > 0.3) + 0.3 * (np.hypot(x - 0.5, y - 0.6) < 0.2), 0, 1)
    return np.clip(target + 0.1 * rng.standard_normal(target.shape), 0, 1), target


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("name", REFERENCES)
def test_is_what_others_compute(name: str, side: int) -> None:
    output, target = images(side)
    found = LOSSES[name].build(None)(batch(output), batch(target)).item()
    wanted = REFERENCES[name](output, target)
    assert found == pytest.approx(wanted, rel=EPS.get(name, 1e-9))


def test_every_loss_without_weights_has_a_reference() -> None:
    assert list(REFERENCES) == [name for name, spec in LOSSES.items() if not spec.needs_weights]


def test_wavelets_of_odd_sides_are_those_of_pywavelets() -> None:
    output, target = (image[:, :27] for image in images(30))
    for name in ("wavelet", "wavelet_db2"):
        found = LOSSES[name].build(None)(batch(output), batch(target)).item()
        assert found == pytest.approx(REFERENCES[name](output, target), rel=1e-9)


def test_scales_that_leave_room_for_a_window() -> None:
    sides = (10, 11, 21, 22, 43, 44, 48, 64, 87, 88, 128, 175, 176, 2000)
    assert [scales_for(side) for side in sides] == [0, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5]


def test_by_hand() -> None:
    black, white = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    half = torch.full_like(black, 0.5)
    step = torch.cat((black[..., :4], white[..., :4]), dim=-1)
    expected = [
        ("huber", half, black, 0.05 * (0.5 - 0.025)),
        ("mape", half, black, 0.5 / 0.05),
        ("msle", -half, black, 0.25),  # the tangent
        ("psnr", half, black, 10 * np.log10(0.25)),
        ("psnr", half, half, -80),
        ("fft", half, black, 0.5 * 8 / 64),  # all of it at frequency 0
        ("focal_frequency", half, black, 0.25),
        ("histogram", white, black, 2),
        ("histogram", 3 * white, white, 0),
        ("histogram", -white, black, 0),
        ("wasserstein", half, step, 0.5),
        ("gradient", step, black, 2 / 6 * 0.5),  # 2 of 6 columns see the step, half of it a px
        ("tv", step, black, 1 / 7),
        ("ncc", white - step, step, 2),
        ("ncc", half, black, 0),
        ("anscombe", white, black, 1),
        ("poisson_nll", -0.02 + black, black, 0.01 - 0.02 + 0.02 * np.log(2) + 0.01),  # the tangent
        ("poisson_nll", -0.02 + black, 0.03 + black, 0.05 * np.log(5)),
    ]
    for name, output, target, value in expected:
        found = LOSSES[name].build(None)(output.double(), target.double()).item()
        assert found == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert LOSSES["anscombe"].build(None)(-half, black).item() > 0.25
