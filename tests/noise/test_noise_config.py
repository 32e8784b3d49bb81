import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lfranker.noise.models import gamma_noise, microscope_noise, mixed_noise
from lfranker.noise.noise_config import MODES, NoiseConfig, add_noise
from lfranker.noise.scan_correlation import autocorrelation, taps_for

SHAPE = (1000, 1000)
N = SHAPE[0] * SHAPE[1]
PEAK, SPECKLE, SIGMA = 200.0, 0.01, 0.02
KERNEL = (1.0, 0.1, 0.05)
FIXED = NoiseConfig(
    (1.0, 1.0), (1.0, 1.0), (PEAK, PEAK), (SPECKLE, SPECKLE), (0.0, 0.0), sigma=(SIGMA, SIGMA)
)


def level(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


def variance(mode: str, x: float) -> float:
    """By theory, without correlation."""
    shot, speckle, read = x / PEAK, x**2 * SPECKLE, SIGMA**2
    return {
        "eq1": shot + speckle,
        "sequential": shot + (x**2 + shot) * SPECKLE,
        "literal": shot + speckle,
        "gamma": speckle,
        "microscope": shot + read,
    }[mode]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("x", [0.2, 0.3, 0.4])
def test_mean_and_variance_against_the_signal(mode: str, x: float) -> None:
    noisy = add_noise(level(x), replace(FIXED, mode=mode), np.random.default_rng(0))
    assert noisy.dtype == np.float32
    values, expected = noisy.astype(np.float64), variance(mode, x)
    mean = 2 * x if mode == "literal" else x
    assert abs(values.mean() - mean) < 5 * math.sqrt(expected / N)
    # kurtosis of the parts is at most 3 + 6 / looks = 3.06; levels are 5 deviations from the ends
    assert abs(values.var() - expected) < 5 * expected * math.sqrt(2.1 / N)


@pytest.mark.parametrize("mode", [m for m in MODES if "correlation" in MODES[m].uses])
def test_every_mode_can_be_correlated_along_x(mode: str) -> None:
    ranges = replace(FIXED, mode=mode, correlation=(0.4, 0.4), kernel=KERNEL)
    noise = add_noise(level(0.4), ranges, np.random.default_rng(0)).astype(np.float64) - 0.4
    taps = taps_for(0.4, KERNEL if mode == "microscope" else (1.0,))
    for lag, expected in enumerate(autocorrelation(taps, 4), 1):
        # Bartlett, as in test_fast_axis
        for axis, value in ((1, expected), (0, 0.0)):
            measured = (noise * np.roll(noise, lag, axis)).mean() / noise.var()
            assert abs(measured - value) < 5 * math.sqrt(3 / N), (lag, axis)
    assert abs(noise.var() / variance(mode, 0.4) - 1) < 5 * math.sqrt(3 / N)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_stays_in_its_bounds(mode: str) -> None:
    ramp = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (64, 1))
    strong = replace(
        FIXED, mode=mode, peak=(5.0, 5.0), speckle_variance=(0.2, 0.2), sigma=(0.3, 0.3),
        saturation=(0.9, 0.9), line_offset=(0.1, 0.1),
    )  # fmt: skip
    noisy = add_noise(ramp, strong, np.random.default_rng(0))
    assert noisy.min() >= 0
    assert noisy.max() == np.float32(0.9 if mode == "microscope" else 1.0)
    assert np.isfinite(noisy).all()


def test_literal_doubles_the_brightness_and_saturates_the_bright_half() -> None:
    noisy = add_noise(level(0.5), replace(FIXED, mode="literal"), np.random.default_rng(0))
    assert (noisy == 1).mean() == pytest.approx(0.5, abs=0.02)  # Poisson counts are skewed


def test_gamma_speckle_is_gamma_and_not_normal() -> None:
    noisy = gamma_noise(level(0.2), 0.25, np.random.default_rng(0)).astype(np.float64) / 0.2
    # 4 looks: skewness 2 / sqrt(4) = 1; the clamp at 5 times the mean cuts off 1e-5 of the pixels
    skew = ((noisy - noisy.mean()) ** 3).mean() / noisy.std() ** 3
    assert skew == pytest.approx(1, abs=0.05)
    assert noisy.min() > 0


def test_microscope_noise_follows_the_signal_at_an_edge() -> None:
    """Filtered before it is scaled: beside a bright pixel the dark one keeps its own variance."""
    step = np.full((200_000, 8), 0.1, np.float32)
    step[:, 4:] = 0.5
    noisy = microscope_noise(step, 400, 0.01, 0.5, (1.0,), 0, 0, 1.0, np.random.default_rng(0))
    for column in (2, 3, 4, 5):
        expected = float(step[0, column]) / 400 + 0.01**2
        measured = float(noisy[:, column].var(dtype=np.float64))
        # at least 19 counts: kurtosis below 3.1
        assert abs(measured / expected - 1) < 5 * math.sqrt(2.1 / len(step)), column


def test_dark_pixels_are_skewed_and_stay_above_zero() -> None:
    """Filtered counts: skewness of the counts by the sum of cubes of the taps; none is negative."""
    x, taps = 0.05, taps_for(0.5, KERNEL)
    noisy = microscope_noise(
        level(x), 76, 0, 0.5, KERNEL, 0, 0, 1.0, np.random.default_rng(0)
    ).astype(np.float64)
    spread = taps[0] + 2 * sum(taps[1:])
    cubes = taps[0] ** 3 + 2 * sum(tap**3 for tap in taps[1:])
    skew = ((noisy - noisy.mean()) ** 3).mean() / noisy.std() ** 3
    # the sixth moment of so few counts (1.7) is some 60 times that of the deviation
    expected = cubes * spread / math.sqrt(76 * x)
    assert skew == pytest.approx(expected, abs=5 * math.sqrt(60 / N))
    assert abs(noisy.mean() - x) < 5 * spread * math.sqrt(x / 76 / N)
    assert (noisy == 0).mean() < 0.05, "no count at all is the only way down to zero"


def test_below_black_there_is_read_out_noise_alone() -> None:
    for x, expected in ((0.1, 0.01**2), (0.4, 0.2 / 400 + 0.01**2)):
        noisy = microscope_noise(
            level(x), 400, 0.01, 0.3, (1.0,), 0.2, 0, 1.0, np.random.default_rng(0)
        ).astype(np.float64)
        assert abs(noisy.mean() - x) < 5 * math.sqrt(3 * expected / N)
        assert abs(noisy.var() / expected - 1) < 5 * math.sqrt(2 * (1 + 2 * 0.3**2 + 0.01) / N)


def test_lines_are_offset_as_a_whole() -> None:
    offset, x = 0.02, 0.4
    noisy = microscope_noise(
        level(x), 1000, 0, 0.3, (1.0,), 0, offset, 1.0, np.random.default_rng(0)
    ).astype(np.float64)
    rows = noisy.mean(axis=1)
    inside = x / 1000 * (1 + 2 * sum(autocorrelation(taps_for(0.3, (1.0,)), 2))) / SHAPE[1]
    expected = offset**2 + inside
    assert abs(rows.var() / expected - 1) < 5 * math.sqrt(2 / SHAPE[0])
    between = np.corrcoef(rows[1:], rows[:-1])[0, 1]
    assert abs(between) < 5 / math.sqrt(SHAPE[0])


def test_default_noise_is_to_the_bit_what_it_was_before_there_were_modes() -> None:
    ranges = NoiseConfig((0.5, 1.0), (0.0, 2.0), (20.0, 200.0), (0.01, 0.1), (0.0, 0.5))
    clean = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        expected = mixed_noise(
            clean,
            alpha=rng.uniform(*ranges.alpha),
            beta=rng.uniform(*ranges.beta),
            peak=float(np.exp(rng.uniform(*np.log(ranges.peak)))),
            speckle_variance=rng.uniform(*ranges.speckle_variance),
            rng=rng,
            correlation=rng.uniform(*ranges.correlation),
        )
        np.testing.assert_array_equal(
            add_noise(clean, ranges, np.random.default_rng(seed)), expected
        )


@pytest.mark.parametrize("mode", MODES)
def test_parameters_are_drawn_from_all_of_their_ranges(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = NoiseConfig(
        (0.5, 1.5), (0.2, 0.4), (10.0, 1000.0), (0.01, 0.2), (0.1, 0.5), mode,
        (0.01, 0.05), (0.0, 0.2), (0.0, 0.1), (0.7, 1.0), KERNEL,
    )  # fmt: skip
    drawn: list[Mapping[str, Any]] = []

    def note(clean: np.ndarray, rng: np.random.Generator, **values: Any) -> np.ndarray:
        drawn.append(values)
        return clean

    monkeypatch.setitem(MODES, mode, replace(MODES[mode], apply=note))  # type: ignore[arg-type]
    for seed in range(400):
        add_noise(level(0.5), ranges, np.random.default_rng(seed))
    for name in MODES[mode].uses:
        if name == "kernel":
            assert {values[name] for values in drawn} == {KERNEL}
            continue
        low, high = getattr(ranges, name)
        seen = np.array([values[name] for values in drawn])
        assert low <= seen.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < seen.max() <= high
        middle = math.sqrt(low * high) if name == "peak" else (low + high) / 2
        assert abs((seen < middle).mean() - 0.5) < 5 * 0.5 / math.sqrt(400)


def test_impossible_parameters_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"speckle variance is 0\.0; gamma noise needs more"):
        gamma_noise(level(0.5), 0.0, rng)
    with pytest.raises(ValueError, match=r"peak is 0"):
        microscope_noise(level(0.5), 0.0, 0, 0, (1.0,), 0, 0, 1, rng)


@pytest.mark.parametrize("mode", MODES)
def test_gain_and_offset_are_those_of_the_signal(mode: str) -> None:
    given = np.random.default_rng(1).uniform(0.1, 0.8, SHAPE).astype(np.float32)
    ranges = replace(FIXED, mode=mode, gain=(0.9, 0.9), offset=(0.05, 0.05))
    noisy = add_noise(given, ranges, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    rng.uniform(size=2)  # gain and offset are drawn first
    of_signal = np.float32(0.9) * given + np.float32(0.05)
    expected = add_noise(of_signal, replace(FIXED, mode=mode), rng)
    assert np.array_equal(noisy, expected)
