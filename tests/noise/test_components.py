"""Composed noise against arithmetic: variances of the parts add up, correlation is a filter."""

import math
from itertools import combinations

import numpy as np
import pytest

from lfranker.noise.components import (
    COMPONENTS,
    canonical,
    components_of,
    is_noise,
    noise_subsets,
    parse_components,
    same_noise,
)
from lfranker.noise.noise_config import NoiseConfig, add_noise, mode_of
from lfranker.noise.parsing import parse_noise
from lfranker.noise.scan_correlation import autocorrelation, taps_for

SHAPE = (1000, 1000)
N = SHAPE[0] * SHAPE[1]
PEAK, SPECKLE, SIGMA, LINES, LAG1 = 400.0, 0.01, 0.03, 0.02, 0.4
X = 0.4  # nine deviations from either end with all parts together
WHITE = {"poisson": X / PEAK, "gaussian": SIGMA**2, "speckle": X**2 * SPECKLE}
EVERY = noise_subsets(list(COMPONENTS))


def made(noise: str) -> np.ndarray:
    ranges = NoiseConfig(
        (9.0, 9.0), (9.0, 9.0), (PEAK, PEAK), (SPECKLE, SPECKLE), (LAG1, LAG1), noise,
        (SIGMA, SIGMA), line_offset=(LINES, LINES),
    )  # fmt: skip
    clean = np.full(SHAPE, X, np.float32)
    noisy = add_noise(clean, ranges, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    return noisy.astype(np.float64) - X


@pytest.mark.parametrize("noise", EVERY)
def test_variances_of_the_parts_add_up_and_the_mean_stays(noise: str) -> None:
    names = noise.split("+")
    white = sum(WHITE.get(name, 0.0) for name in names)
    lines = LINES**2 if "lines" in names else 0.0
    rho = [*autocorrelation(taps_for(LAG1, (1.0,)), 2)] if "correlation" in names else []
    found = made(noise)
    rows = found.mean(axis=1)
    # a mean of a correlated row varies by the sum of its correlations
    spread = white * (1 + 2 * sum(rho)) / SHAPE[1]
    assert abs(found.mean()) < 5 * math.sqrt((lines + spread) / SHAPE[0])
    assert abs(rows.var() - lines - spread) < 5 * (lines + spread) * math.sqrt(2 / SHAPE[0])
    if white:
        # within rows: white less what the mean of each row takes
        within = (found - rows[:, None]).var()
        tolerance = 5 * white * math.sqrt(2.1 * (1 + 2 * sum(r**2 for r in rho)) / N)
        assert abs(within - white + spread) < tolerance
    else:
        assert np.ptp(found, axis=1).max() == 0, "lines are offset as a whole"


@pytest.mark.parametrize("noise", [n for n in EVERY if set(n.split("+")) & set(WHITE)])
def test_correlation_is_along_x_and_only_where_it_is_chosen(noise: str) -> None:
    found = made(noise)
    white = found - found.mean(axis=1, keepdims=True)
    asked = autocorrelation(taps_for(LAG1, (1.0,)), 3) if "correlation" in noise else (0, 0, 0)
    for lag, expected in enumerate(asked, 1):
        for axis, value in ((1, expected), (0, 0.0)):
            measured = (white * np.roll(white, lag, axis)).mean() / white.var()
            # Bartlett; and a thousandth, a row's own mean being taken out
            assert abs(measured - value) < 5 * math.sqrt(3 / N) + 2 / SHAPE[1], (lag, axis)


def test_composed_noise_stays_in_its_bounds() -> None:
    ramp = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (64, 1))
    strong = NoiseConfig(
        (1.0, 1.0), (1.0, 1.0), (5.0, 5.0), (0.3, 0.3), (0.5, 0.5),
        "poisson+gaussian+speckle+lines+correlation", (0.3, 0.3), line_offset=(0.2, 0.2),
    )  # fmt: skip
    noisy = add_noise(ramp, strong, np.random.default_rng(0))
    assert (noisy.min(), noisy.max()) == (0, 1)


def test_every_subset_that_is_a_noise_is_one_by_size_then_by_order() -> None:
    assert noise_subsets(("poisson", "gaussian", "correlation")) == [
        "poisson", "gaussian", "poisson+gaussian", "poisson+correlation", "gaussian+correlation",
        "poisson+gaussian+correlation",
    ]  # fmt: skip
    assert noise_subsets(("lines", "correlation")) == ["lines"]
    # of 31 subsets correlation alone and lines with correlation are none
    assert len(EVERY) == len(set(EVERY)) == 29
    every = [s for size in range(1, 6) for s in combinations(COMPONENTS, size)]
    assert sum(map(is_noise, every)) == 29


def test_correlation_that_filters_nothing_makes_no_difference() -> None:
    assert same_noise({"correlation"}) == frozenset()
    assert same_noise({"lines", "correlation"}) == {"lines"}
    assert same_noise({"poisson", "correlation"}) == {"poisson", "correlation"}
    assert same_noise(()) == frozenset()


def test_components_are_named_in_one_order() -> None:
    assert canonical("correlation+gaussian+poisson") == "poisson+gaussian+correlation"
    assert parse_components("speckle, lines", ",") == ("speckle", "lines")
    assert parse_noise("speckle+poisson") == {"noise": "poisson+speckle"}
    assert NoiseConfig(mode="poisson+speckle").mode == "poisson+speckle"
    assert mode_of("gaussian+lines+correlation").uses == ("sigma", "line_offset", "correlation")
    assert components_of("microscope") == components_of("eq1") == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "correlation",
            "there is none that it could; add one or more of poisson, gaussian, speckle$",
        ),
        ("lines+correlation", "there is none that it could"),
        ("poisson+poisson", "one is named twice; allowed are poisson, gaussian, speckle, lines"),
        ("poisson+gausian", "some of poisson, gaussian, speckle, lines, correlation joined"),
    ],
)
def test_what_is_no_noise_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_noise(text)
    with pytest.raises(ValueError, match="noise"):
        NoiseConfig(mode=text)


def test_a_stored_noise_has_its_name_in_order() -> None:
    with pytest.raises(ValueError, match=r"'speckle\+poisson'.*named poisson\+speckle"):
        NoiseConfig(mode="speckle+poisson")
