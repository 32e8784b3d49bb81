"""Learning curves: against the formula, a fit by hand, and simulations of laws that are known."""

from collections.abc import Callable

import numpy as np
import pytest

from lfranker.arrays import Floats
from lfranker.statistics.learning_curve import RATIOS, Forecast, LearningCurve, fit

COUNTS = (1, 2, 4)


def curve(ratio: float, counts: tuple[int, ...] = COUNTS) -> LearningCurve:
    return LearningCurve(counts, np.array([1.0]), np.array([0.6]), np.array([ratio]))


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9, 1.0, 1.1])
def test_each_doubling_brings_the_ratio_of_the_one_before(ratio: float) -> None:
    """1 at one scan, 1.6 at four: the doublings to 2 and to 4 bring g and ratio g."""
    first = 0.6 / (1 + ratio)
    gains = [1.0]
    for doubling in range(4):
        gains.append(gains[-1] + first * ratio**doubling)
    found = [curve(ratio).at(2**at).value for at in range(5)]
    assert found == pytest.approx(gains, abs=1e-5)
    further = curve(ratio).from_to(4, 16).value
    assert further == pytest.approx(gains[4] - gains[2], abs=1e-5)


def test_between_doublings_it_is_a_power_law() -> None:
    """It is a - b / n for a ratio of a half: 1 = a - b and 1.6 = a - b / 4."""
    b = 0.6 / 0.75
    assert curve(0.5).at(12).value == pytest.approx(1 + b - b / 12)
    assert curve(0.5, (1, 4)).at(3).value == pytest.approx(1 + b - b / 3)


def simulated(
    law: Callable[[int], float],
    rng: np.random.Generator,
    draws: int = 3,
    sites: int = 8,
    training: float = 0.05,
    image: float = 0.15,
    spread: float = 0.0,
) -> Floats:
    """Gains of nested draws, with luck of both kinds (standard deviations), and unequal sites."""
    of_sites = rng.normal(0, spread, sites)
    gains = np.empty((draws, len(COUNTS), sites))
    for draw in range(draws):
        none, images = rng.normal(0, training), rng.normal(0, image, COUNTS[-1])
        for at, count in enumerate(COUNTS):
            luck = rng.normal(0, training) - none + images[:count].mean()
            gains[draw, at] = law(count) + luck + of_sites + rng.normal(0, 0.02, sites)
    return gains


LAWS: dict[str, Callable[[int], float]] = {
    "logarithm": lambda n: 0.8 + 0.25 * np.log2(n),
    "root": lambda n: 1.6 - 0.8 * n**-0.5,
    "inverse": lambda n: 1.4 - 0.6 / n,
    "steep": lambda n: 1.4 - 1.4 / n,
    "nothing more": lambda n: 1.2,
}


def test_without_luck_the_forecast_is_what_the_laws_allow() -> None:
    """The measured gains lie on a law of ratio 0.5; interval ends are laws through them."""
    rng = np.random.default_rng(0)
    gains = simulated(LAWS["inverse"], rng, training=1e-4, image=1e-4)
    found = fit(gains, COUNTS, 0.1, these_sites=True)
    for count in COUNTS:
        assert found.at(count).value == pytest.approx(LAWS["inverse"](count), abs=0.02)
    forecast = found.at(12)
    assert forecast.low <= LAWS["inverse"](12) <= forecast.high
    assert forecast.half_width < 0.1
    lowest, highest = (
        LearningCurve(COUNTS, np.array([0.8]), np.array([0.45]), np.array([ratio])).at(12).value
        for ratio in (RATIOS[0], RATIOS[-1])
    )
    assert lowest < forecast.value < highest


def test_more_luck_makes_wider_intervals_and_more_draws_narrower_ones() -> None:
    def width(draws: int, luck: float) -> float:
        widths = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            gains = simulated(LAWS["inverse"], rng, draws, training=luck, image=luck)
            widths.append(fit(gains, COUNTS, 0.1, these_sites=True).at(12).half_width)
        return float(np.mean(widths))

    assert width(6, 0.1) < 0.8 * width(2, 0.1)
    assert width(3, 0.03) < 0.6 * width(3, 0.3)


def test_the_mean_over_draws_is_as_sure_as_its_standard_error() -> None:
    """At 4 images: 2 s^2 + t^2 / 4 over 12 draws, s = t = 0.1; twice the root of that is 0.087."""
    gains = simulated(LAWS["inverse"], np.random.default_rng(4), 12, training=0.1, image=0.1)
    found = fit(gains, COUNTS, 0.1, these_sites=True).at(4)
    assert found.half_width == pytest.approx(0.087, rel=0.5)


def test_unequal_sites_count_where_other_sites_are_meant() -> None:
    gains = simulated(LAWS["inverse"], np.random.default_rng(1), spread=0.5)
    here, like = (fit(gains, COUNTS, 0.1, these_sites=these).at(12) for these in (True, False))
    # of a mean over 8 sites: t on 7 degrees of freedom is 2.36
    sites = float(gains.mean(axis=(0, 1)).std(ddof=1)) / np.sqrt(8)
    assert here.half_width < 0.5
    assert like.half_width > 1.8 * sites > here.half_width


def test_the_unit_does_not_matter() -> None:
    gains = simulated(LAWS["inverse"], np.random.default_rng(2))
    whole = fit(gains, COUNTS, 0.1, these_sites=False).at(12)
    small = fit(gains / 1000, COUNTS, 0.0001, these_sites=False).at(12)
    assert small.value * 1000 == pytest.approx(whole.value, rel=1e-6)
    assert small.low * 1000 == pytest.approx(whole.low, rel=1e-6)


def test_gains_that_fall_are_taken_for_next_to_no_rise() -> None:
    gains = simulated(lambda n: 1.0 - 0.3 * np.log2(n), np.random.default_rng(3), training=0.01)
    found = fit(gains, COUNTS, 0.1, these_sites=True)
    assert (found.rise >= -0.1).all(), "the difference that hardly matters"
    assert abs(found.from_to(4, 12).value) < 0.05
    assert np.isfinite(found.rise).all()


def test_the_longer_arm_is_the_half_width() -> None:
    assert Forecast(12, 1.0, 0.9, 1.3).half_width == pytest.approx(0.3)
    assert Forecast(12, 1.0, 0.5, 1.3).half_width == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 3, 8), (2, 1, 8), (2, 3, 2)])
def test_too_little_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least"):
        fit(np.zeros(shape), COUNTS[: shape[1]], 0.1, these_sites=True)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("draws", "training", "image"), [(2, 0.03, 0.1), (3, 0.05, 0.15), (5, 0.08, 0.3)]
)
def test_intervals_hold_the_truth(law: str, draws: int, training: float, image: float) -> None:
    """In 95 of 100 where intervals are exact: at the least in 85 of 100, in each of these laws."""
    truth, rng = LAWS[law](12), np.random.default_rng(7)
    held = wrong = 0
    for seed in range(100):
        gains = simulated(LAWS[law], rng, draws, training=training, image=image, spread=0.2)
        # these very sites: their own mean is part of the truth
        gains = gains - (gains.mean(axis=(0, 1)) - gains.mean())
        found = fit(gains, COUNTS, 0.1, seed, these_sites=True).at(12)
        held += found.low <= truth <= found.high
        wrong += found.half_width <= 0.3 and abs(found.value - truth) > 0.3
    assert held >= 85
    assert wrong <= 5


@pytest.mark.slow
def test_intervals_of_other_sites_hold_the_truth() -> None:
    rng, held = np.random.default_rng(8), 0
    for seed in range(100):
        gains = simulated(LAWS["inverse"], rng, sites=4, spread=0.5)
        found = fit(gains, COUNTS, 0.1, seed, these_sites=False).at(12)
        held += found.low <= LAWS["inverse"](12) <= found.high
    assert held >= 88
