"""What a fit says of several speeds, and noise made from it against the real one."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from lfranker.arrays import Image
from lfranker.noise.fit import Fit
from lfranker.noise.fit_check import compare, synthetic
from lfranker.noise.profile import WHITE, Estimate, Profile, SpeedNoise
from lfranker.noise.profile_measurement import Measurement, fit_pairs
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair, ScanSet

LEVELS = {"gamma": 0.02, "sigma": 0.0, "black": 0.0, "line_offset": 0.0, "lag_y": 0.0}


def estimates(half: float, **values: float) -> dict[str, Estimate]:
    return {name: Estimate(value, value - half, value + half) for name, value in values.items()}


def fit(
    signal: list[float], variance: list[float], half: list[float], found: dict[str, Estimate]
) -> Fit:
    return Fit(found, np.array(signal), np.array(variance), np.array(half), places=2, pixels=9)


REAL = fit(
    [0.1, 0.3, 0.5, 0.9], [1.0, 2.4, 3.4, 9.0], [0.1] * 4,
    estimates(0.03, lag1=0.4, lag2=0.1, lag3=0.0, lag4=0.2),
)  # fmt: skip
MADE = fit(
    [0.2, 0.6], [1.5, 3.5], [0.3, 0.5], estimates(0.04, lag1=0.45, lag2=0.17, lag3=0.01, lag4=0.26)
)
KEPT = SpeedNoise(estimates(0.12, lag1=0.4, lag2=0.1, lag3=0.0) | estimates(0.0, **LEVELS), 1e-7)


def test_made_noise_is_compared_by_hand() -> None:
    """By hand: at 0.3 and 0.5 the line through the made bins is 2 and 3, its halves .35 and .45.

    Allowed are hypot(.1, .35) and hypot(.1, .45); of lags sqrt(.03^2 + .04^2 + .12^2) = .13, of
    lag4, which a profile does not keep, hypot(.03, .04) = .05.
    """
    table = compare(REAL, MADE, KEPT)
    assert table["what"].to_list() == ["variance"] * 2 + ["autocorrelation"] * 4
    assert table["at"].to_list() == [0.3, 0.5, 1, 2, 3, 4]
    assert table["real"].to_list() == [2.4, 3.4, 0.4, 0.1, 0.0, 0.2]
    assert table["made"].to_list() == pytest.approx([2.0, 3.0, 0.45, 0.17, 0.01, 0.26])
    allowed = [np.hypot(0.1, 0.35), np.hypot(0.1, 0.45), 0.13, 0.13, 0.13, 0.05]
    assert table["allowed"].to_list() == pytest.approx(allowed)
    assert table["agrees"].to_list() == [False, True, True, True, True, False]


def test_a_twentieth_of_the_real_value_is_always_allowed() -> None:
    exact = fit([0.3], [2.0], [0.0], estimates(0.0, lag1=-0.4, lag2=0.0, lag3=0.0, lag4=0.0))
    near = fit([0.3], [2.099], [0.0], estimates(0.0, lag1=-0.421, lag2=0.0, lag3=0.0, lag4=0.0))
    table = compare(exact, near, SpeedNoise({}, None))
    assert table["allowed"].to_list() == pytest.approx([0.1, 0.02, 0, 0, 0])
    assert table["agrees"].to_list() == [True, False, True, True, True]


def pair(field: str, speed: str, clean: Image, noisy: Image) -> Pair:
    seen = np.ones(clean.shape, dtype=bool)
    return Pair(field, speed, noisy, clean, seen, clean, Transform(), place=field)


def test_made_noise_lies_on_the_measured_brightness_and_differs_from_pair_to_pair() -> None:
    """Variance of Poisson noise at 50 counts and brightness b: b / 50."""
    clean = np.full((60, 80), 0.5, np.float32)
    measured = fit([], [], [], estimates(0.0, gain=0.8, offset=0.1))
    white = estimates(0.0, **{**LEVELS, "lag1": 0.0, "lag2": 0.0, "lag3": 0.0})
    pairs = [pair(name, "fast", clean, np.zeros_like(clean)) for name in "ab"]
    first, second = synthetic(pairs, SpeedNoise(white, None), measured, seed=3)
    for made in (first, second):
        assert made.clean is clean
        assert made.noisy.mean() == pytest.approx(0.5, abs=5 * np.sqrt(0.5 / 50 / clean.size))
        assert made.noisy.var() == pytest.approx(0.5 / 50, rel=5 * np.sqrt(2 / clean.size))
        np.testing.assert_allclose(made.noisy * 255, np.rint(made.noisy * 255), atol=1e-4)
    assert not np.array_equal(first.noisy, second.noisy)
    again, _ = synthetic(pairs, SpeedNoise(white, None), measured, seed=3)
    np.testing.assert_array_equal(again.noisy, first.noisy)
    other, _ = synthetic(pairs, SpeedNoise(white, None), measured, seed=4)
    assert not np.array_equal(other.noisy, first.noisy)


def test_a_measurement_has_a_row_for_each_speed_and_number() -> None:
    speeds = {"fast": KEPT, "slow": SpeedNoise({}, None)}
    whole = Measurement(Profile(speeds, {}), {"fast": REAL, "slow": MADE}, {"fast": MADE})
    rows = whole.estimates()
    assert list(rows.columns) == ["speed", "parameter", "value", "low", "high"]
    assert rows["speed"].to_list() == ["fast"] * 4 + ["slow"] * 4
    assert rows.iloc[5].to_list() == [
        "slow",
        "lag2",
        0.17,
        pytest.approx(0.13),
        pytest.approx(0.21),
    ]
    levels = whole.levels()
    assert levels["speed"].to_list() == ["fast"] * 4 + ["slow"] * 2
    assert levels.iloc[4][["brightness", "variance", "half"]].to_list() == [0.2, 1.5, 0.3]
    checks = whole.checks()
    assert set(checks["speed"]) == {"fast"}
    pd.testing.assert_frame_equal(checks.drop(columns="speed"), compare(REAL, MADE, KEPT))
    assert Measurement(Profile({}, {}), {"fast": REAL}, {}).checks().empty


def test_each_speed_is_fitted_on_its_own_pairs() -> None:
    """40 counts on ramps of three fields; 160 on one, which does not show how brightness varies."""
    rng = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0.2, 0.8, 176, dtype=np.float32), (160, 1))
    found = {
        (field, speed): pair(
            field, speed, ramp, (rng.poisson(ramp * counts) / counts).astype(np.float32)
        )
        for speed, counts, fields in (("fast", 40, "abc"), ("2us", 160, "a"))
        for field in fields
    }
    records = [SimpleNamespace(field=field, speed=speed) for field, speed in found]
    scans = SimpleNamespace(
        speeds=["fast", "2us"], records=records, digest="d1", target="slow", white=[4095],
        read=lambda record: found[record.field, record.speed],
    )  # fmt: skip
    whole = fit_pairs(cast(ScanSet, cast(Any, scans)), {"fast": 3e-7, "2us": 2e-6}, seed=1)
    for speed, counts, dwell_time in (("fast", 40, 3e-7), ("2us", 160, 2e-6)):
        noise, made = whole.profile.speeds[speed], whole.made[speed].estimates["gamma"].value
        assert 1 / noise["gamma"] == pytest.approx(counts, rel=0.1)
        assert made == pytest.approx(noise["gamma"], rel=0.1)
        assert made != noise["gamma"], "measured again, on noise that was made"
        assert noise.dwell_time == dwell_time
    assert whole.profile.speeds["fast"]["gain"] == pytest.approx(1, abs=0.03)
    assert "gain" not in whole.profile.speeds["2us"].estimates
    assert dict(whole.profile.origin) == {
        "method": "registered pairs", "scans": "d1", "target": "slow", WHITE: "4095",
        "places at fast": "3", "places at 2us": "1, in 8 bands",
    }  # fmt: skip
    checks = whole.checks()
    assert list(checks["speed"].unique()) == ["fast", "2us"]
    assert checks["agrees"].mean() > 0.7
