"""Fits to simulated scans whose noise is known; tests/test_noise_scans.py has real ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import shift

from lfranker.noise.fit import Fit, Measured, _values, fit_noise, measure_pairs, measure_scans
from lfranker.noise.fit_check import compare, synthetic
from lfranker.noise.models import microscope_noise, shot_noise
from lfranker.noise.profile import FROM_PAIRS, NEEDED, Estimate, SpeedNoise
from lfranker.noise.residuals import Sums, _products, blind_residuals, pair_residuals, sums_of
from lfranker.noise.scan_correlation import kernel_for
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair
from lfranker.simulation.scenes import KINDS, scene

SIZE = 256
TRUE = {"gamma": 1 / 60, "sigma": 0.03, "lag1": 0.45, "lag2": 0.10, "lag3": 0.03,
        "line_offset": 0.01, "black": 0.0, "gain": 0.96, "offset": 0.02, "lag_y": 0.0}  # fmt: skip


def simulated(
    number: int, true: dict[str, float], clean_peak: float = 2000.0, moved: float = 0.15
) -> Pair:
    """A scene, noisy by ``true``, and clean as a slow scan is: less noisy, a little off."""
    rng = np.random.default_rng([7, number])
    kind = list(KINDS)[number % len(KINDS)]
    view = 0.1 + 0.6 * scene(kind, (SIZE, SIZE), 3, number)
    lags = tuple(true[name] for name in ("lag1", "lag2", "lag3"))
    noisy = microscope_noise(
        (true["gain"] * view + true["offset"]).astype(np.float32), 1 / true["gamma"],
        true["sigma"], true["lag1"], kernel_for(lags), true["black"], true["line_offset"], 1.0, rng,
    )  # fmt: skip
    clean = shift(view, (moved, -moved), order=3, mode="mirror")
    clean = np.clip(shot_noise(np.clip(clean, 0, 1), clean_peak, rng), 0, 1)
    mask = np.ones(noisy.shape, np.bool_)
    return Pair(str(number), "1us", noisy, clean, mask, clean, Transform(), str(number))


def fitted(true: dict[str, float], count: int = 12) -> Fit:
    return fit_noise(measure_pairs(simulated(number, true) for number in range(count)))


def contains(fit: Fit, true: dict[str, float], names: Sequence[str], wider: float) -> None:
    for name in names:
        found = fit.estimates[name]
        half = wider * (found.high - found.low) / 2
        assert abs(found.value - true[name]) <= half, (name, found)
        assert found.low <= found.value <= found.high


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fitted(TRUE)


def test_known_noise_is_fitted_back_within_its_intervals(fit: Fit) -> None:
    # ten 95 % intervals at once: Bonferroni widens them from t = 2.2 to 3.5 with 12 places
    contains(fit, TRUE, [*NEEDED, *FROM_PAIRS], wider=1.6)
    assert fit.places == 12


def test_intervals_are_narrow_enough_to_be_of_use(fit: Fit) -> None:
    for name, relative in (("gamma", 0.08), ("lag1", 0.03), ("sigma", 0.2), ("line_offset", 0.3)):
        found = fit.estimates[name]
        assert (found.high - found.low) / 2 < relative * found.value, name


@pytest.mark.slow
def test_a_black_level_is_told_from_read_out_noise() -> None:
    true = {**TRUE, "sigma": 0.0, "black": 0.08}
    fit = fitted(true)
    contains(fit, true, ["gamma", "black"], wider=1.6)
    assert fit.estimates["sigma"].value == 0


def test_the_clean_scans_own_noise_does_not_enter() -> None:
    """At a fifth of the noisy scan's dwell time it would add a fifth of the variance."""
    pairs = [simulated(number, TRUE, clean_peak=300.0, moved=0.0) for number in range(8)]
    fit = fit_noise(measure_pairs(pairs))
    at = np.interp(0.4, fit.signal, fit.variance)
    assert at == pytest.approx(0.4 * TRUE["gamma"] + 0.03**2 + 0.01**2, rel=0.04)
    by_hand = np.concatenate([(p.noisy - 0.96 * p.clean - 0.02).ravel() for p in pairs])
    signal = np.concatenate([(0.96 * p.clean + 0.02).ravel() for p in pairs])
    middle = np.abs(signal - 0.4) < 0.02
    assert by_hand[middle].var() > 1.08 * at


@pytest.mark.slow
def test_a_single_scan_gives_what_needs_no_clean_one(fit: Fit) -> None:
    scans = [simulated(number, TRUE).noisy for number in range(12)]
    blind = fit_noise(measure_scans(scans))
    assert not set(FROM_PAIRS) & set(blind.estimates)
    contains(blind, TRUE, ["lag1", "lag2", "lag3", "line_offset"], wider=1.6)
    # structure that bends between lines is taken for noise
    assert blind.estimates["gamma"].value == pytest.approx(TRUE["gamma"], rel=0.06)
    lone = fit_noise(measure_scans(scans[:1]))
    assert lone.places == 8, "a lone scan is cut into bands"
    assert lone.estimates["gamma"].value == pytest.approx(TRUE["gamma"], rel=0.15)


def test_one_place_says_nothing_of_the_interval_of_gain_and_offset() -> None:
    lone = fit_noise(measure_pairs([simulated(0, TRUE)]))
    for name in ("gain", "offset"):
        estimate = lone.estimates[name]
        assert estimate.value == pytest.approx(TRUE[name], abs=0.02)
        assert np.isnan([estimate.low, estimate.high]).all(), "not of width 0"
    assert lone.estimates["gamma"].low < lone.estimates["gamma"].high
    known = {name: e for name, e in lone.estimates.items() if np.isfinite(e.low)}
    dark = SpeedNoise({**known, "line_offset": Estimate(0.0, 0.0, 0.0)}, 1e-6)
    pair = simulated(0, TRUE)
    (made,) = synthetic([pair], dark, lone)
    offsets = made.noisy.mean() - (lone.estimates["gain"].value * pair.clean.mean())
    assert offsets == pytest.approx(lone.estimates["offset"].value, abs=0.003)


def inverted(pair: Pair) -> Pair:
    """Return the pair as a negative: brightness x becomes 1 - x."""
    return replace(pair, noisy=1 - pair.noisy, clean=1 - pair.clean)


def test_saturated_pixels_are_not_used() -> None:
    bright, over = simulated(0, {**TRUE, "offset": 0.4}), simulated(0, {**TRUE, "offset": 2.0})
    for pair in (bright, inverted(bright)):
        cut_off = np.isin(pair.noisy, (0, 1))
        assert cut_off.mean() > 0.02
        for residuals in (pair_residuals(pair)[0], blind_residuals(pair.noisy)):
            assert residuals.used.any()
            assert cut_off[residuals.used].mean() < 0.002
    for pair in (over, inverted(over)):
        with pytest.raises(ValueError, match="0 at 1us: no part that is not saturated"):
            pair_residuals(pair)


def test_brightness_that_one_place_alone_has_is_not_used() -> None:
    """A half of so many of four scans is at 0.8, all else at 0.3."""
    for bright, most in ((1, 0.3), (2, 0.8)):
        rng = np.random.default_rng(0)
        scans = [rng.normal(0.3, 0.02, (96, 96)).astype(np.float32) for _ in range(4)]
        for scan in scans[:bright]:
            scan[:, 48:] += np.float32(0.5)
        assert fit_noise(measure_scans(scans)).signal.max() == pytest.approx(most, abs=0.02)


def test_second_differences_of_a_plane_are_nothing_and_of_white_noise_keep_it() -> None:
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    plane = 0.3 + 0.001 * x + 0.0005 * y
    assert np.abs(blind_residuals(plane).first).max() < 1e-6
    noise = np.random.default_rng(0).normal(0, 0.05, plane.shape).astype(np.float32)
    sums = sums_of(blind_residuals(plane + noise))
    # neighbours of second differences along y correlate by -2/3 and 1/6: 2 (1 + 8/9 + 1/18)
    relative = 5 * (4 / sums.pixels.sum()) ** 0.5
    assert sums.squares.sum() / sums.pixels.sum() == pytest.approx(0.05**2, rel=relative + 0.01)


@pytest.mark.slow
def test_made_noise_is_compared_row_by_row(fit: Fit) -> None:
    pairs = [simulated(number, TRUE) for number in range(12)]
    noise = SpeedNoise(fit.estimates, 1e-6)
    made = fit_noise(measure_pairs(synthetic(pairs, noise, fit)))
    table = compare(fit, made, noise)
    assert set(table["what"]) == {"variance", "autocorrelation"}
    assert table["agrees"].all(), table
    estimates = {
        **fit.estimates, "gamma": type(fit.estimates["gamma"])(1 / 30, 1 / 30, 1 / 30),
        "lag1": type(fit.estimates["lag1"])(0.3, 0.3, 0.3),
    }  # fmt: skip
    other = SpeedNoise(estimates, 1e-6)
    table = compare(fit, fit_noise(measure_pairs(synthetic(pairs, other, fit))), other)
    assert not table["agrees"][table["what"] == "variance"].any()
    assert not table["agrees"][(table["what"] == "autocorrelation") & (table["at"] == 1)].any()


def test_too_little_to_fit_is_said() -> None:
    pair = simulated(0, TRUE)
    small = [pair.noisy[:60, :60]]
    with pytest.raises(ValueError, match="px are flat and not saturated, at least 2000"):
        fit_noise(measure_scans(small))


def test_products_of_two_residuals_are_of_one_and_the_other():
    """By hand: 1 x 5 and 2 x 4, and 3 x 7 alone where a pixel is not used; squares likewise."""
    first, second = np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[4.0, 5.0], [7.0, 0.0]])
    used = np.array([[True, True], [False, True]])
    product, square = _products(first, second, first**2, used, 1, 1)
    assert (product, square) == ((1 * 5 + 2 * 4) / 2, (1 + 4) / 2)
    product, _ = _products(first, second, first**2, np.ones((2, 2), bool), 1, 1)
    assert product == (1 * 5 + 2 * 4 + 0 * 0 + 3 * 7) / 2


@pytest.mark.parametrize(
    ("constant", "sigma", "black"), [(0.0025, 0.03, 0.0), (0.0016 - 0.02 * 0.05, 0.0, 0.05)]
)
def test_the_variance_of_line_offsets_is_neither_read_out_noise_nor_correlation(
    constant: float, sigma: float, black: float
) -> None:
    """By hand: gamma 0.02, line offsets of 0.04, 0.4 and 0.1 the correlation of all else at lag 1.

    A line has the same offset at all lags along it, and none in common with the next line.
    """
    signal, count, line = np.array([0.2, 0.6]), np.array([1000.0, 1000.0]), 0.04**2
    whole = 0.02 * 0.4 + constant
    along, across = 0.4 * (whole - line) + line, 0.1 * (whole - line)
    sums = Sums(
        count, signal * count, (0.02 * signal + constant) * count, np.full(4, along),
        np.full(4, whole), np.full(4, across), np.full(4, whole), np.array([500 * line, 500.0]),
    )  # fmt: skip
    measured = [Measured(sums, np.array([[0.96, 0.02]]))]
    values, _ = _values(measured, np.ones(1), np.array([True, True]))
    expected = {"gamma": 0.02, "line_offset": 0.04, "sigma": sigma, "black": black}
    expected |= {"lag1": 0.4, "lag_y": 0.1}
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-9)
