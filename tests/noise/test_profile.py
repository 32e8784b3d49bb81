import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from lfranker.noise.dwell_time_scaling import carry, pole_lags, time_constants
from lfranker.noise.noise_config import NoiseConfig
from lfranker.noise.parsing import carried, fei_profile, parse_noise
from lfranker.noise.profile import (
    LAGS,
    Estimate,
    Profile,
    SpeedNoise,
    read_profile,
    write_profile,
)
from lfranker.noise.scan_correlation import autocorrelation, reachable, taps_for
from lfranker.options import changed
from lfranker.simulation.scans import SPEEDS


def around(value: float, by: float = 0.1) -> Estimate:
    return Estimate(value, value * (1 - by), value * (1 + by))


FAST = SpeedNoise(
    {
        "gamma": around(0.02), "sigma": around(0.03), "lag1": around(0.4), "lag2": around(0.1),
        "lag3": around(0.03), "line_offset": around(0.002),
        "black": around(0.01), "gain": around(1.0),
    },
    1e-7,
)  # fmt: skip
SLOW = SpeedNoise(
    {
        "gamma": around(0.002), "sigma": around(0.01), "lag1": around(0.01),
        "lag2": Estimate(0.0, -0.01, 0.01), "lag3": Estimate(0.0, -0.01, 0.01),
        "line_offset": around(0.001), "black": around(0.02),
    },
    2e-6,
)  # fmt: skip


def made(settings: dict[str, Any]) -> NoiseConfig:
    return changed(NoiseConfig(), settings)


PROFILE = Profile({"100ns": FAST, "2us": SLOW}, {"method": "by hand"})


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "profile.json"
    write_profile(PROFILE, path)
    assert read_profile(path) == PROFILE
    assert [item.name for item in path.parent.iterdir()] == ["profile.json"]


def test_training_draws_from_all_speeds_widened() -> None:
    settings = PROFILE.settings()
    config = made(settings)
    assert config.mode == "microscope"
    assert config.peak == pytest.approx((1 / (0.02 * 1.1 * 1.25), 1.25 / (0.002 * 0.9)))
    assert config.sigma == pytest.approx((0.01 * 0.9 / 1.25, 0.03 * 1.1 * 1.25))
    assert config.correlation == pytest.approx((0.01 * 0.9 / 1.25, 0.4 * 1.1 * 1.25))
    assert config.line_offset == pytest.approx((0.001 * 0.9 / 1.25, 0.002 * 1.1 * 1.25))
    assert config.black == pytest.approx((0.01 * 0.9 / 1.25, 0.02 * 1.1 * 1.25))
    kernel = taps_for(0.4, config.kernel)
    assert autocorrelation(kernel, 3) == pytest.approx(FAST.lags, abs=1e-6)


def test_brightness_is_learned_where_it_was_measured_at_every_speed() -> None:
    measured = {"gain": Estimate(0.98, 0.97, 0.99), "offset": Estimate(0.02, 0.01, 0.03)}
    bright = replace(FAST, estimates={**FAST.estimates, **measured})
    config = made(Profile({"a": bright}, {}).settings())
    assert (config.gain, config.offset) == ((0.97, 0.99), (0.01, 0.03))
    derived = carry(bright, 2.8e-7, "a")
    also = made(Profile({"a": bright, "c": derived}, {}).settings())
    assert (also.gain, also.offset) == ((0.97, 0.99), (0.01, 0.03))
    assert "gain" not in Profile({"c": derived}, {}).settings()
    other = made(Profile({"a": bright, "b": SLOW}, {}).settings())
    assert (other.gain, other.offset) == ((1.0, 1.0), (0.0, 0.0))


def test_ranges_stay_within_what_can_be_made() -> None:
    estimates = {**FAST.estimates, "lag1": Estimate(0.6, -0.1, 0.64)}
    config = made(Profile({"a": replace(FAST, estimates=estimates)}, {}).settings())
    assert config.correlation == (0.0, reachable(config.kernel))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "something"}, "not a noise profile; noise-fit makes them"),
        ({"schema": 99}, "a profile of schema 99, this version reads 1; run noise-fit again"),
        ({"speeds": {}}, "without scan speeds"),
        ({"speeds": {"100ns": {}}}, "incomplete noise profile"),
        ({"speeds": None}, "incomplete noise profile"),
    ],
)
def test_what_is_no_profile_is_named(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "profile.json"
    write_profile(PROFILE, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f"profile.json: .*{message}"):
        read_profile(path)


@pytest.mark.parametrize(
    ("name", "estimate"),
    [("gamma", [0.0, 0.0, 0.0]), ("sigma", [0.1, 0.2, 0.3]), ("lag1", [2.0, -2.0, 3.0])],
)
def test_impossible_estimates_are_named(name: str, estimate: list[float], tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(PROFILE, path)
    stored = json.loads(path.read_text())
    keys = ("value", "low", "high")
    stored["speeds"]["100ns"]["estimates"][name] = dict(zip(keys, estimate, strict=True))
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=f"{name} is Estimate"):
        read_profile(path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    for name in ("a.json", "b.json"):
        with pytest.raises(ValueError, match=f"{name}: not a noise profile"):
            read_profile(tmp_path / name)


def test_lags_of_a_single_pole_are_those_of_a_simulated_amplifier() -> None:
    """Fine steps of a recursive filter, averaged over the dwell time."""
    steps, constants = 64, 1.5  # a pixel; dwell time in time constants
    decay = np.exp(-constants / steps)
    white = np.random.default_rng(0).standard_normal(steps * 40_000)
    seen = lfilter([1 - decay], [1, -decay], white).reshape(-1, steps).mean(axis=1)
    measured = [np.mean(seen[lag:] * seen[: len(seen) - lag]) / seen.var() for lag in (1, 2, 3)]
    # Bartlett, as in test_fast_axis; the steps' discreteness is below 1 / 64^2
    assert measured == pytest.approx(pole_lags(constants), abs=5 * (3 / len(seen)) ** 0.5)
    variance = (constants - 1 + np.exp(-constants)) / constants / steps
    assert seen.var() == pytest.approx(variance, rel=5 * (4 / len(seen)) ** 0.5 + 1 / steps)


@pytest.mark.parametrize("constants", [0.5, 1.25, 8.0, 100.0])
def test_time_constants_are_found_again(constants: float) -> None:
    assert time_constants(pole_lags(constants)) == pytest.approx(constants, rel=1e-3)


def test_slow_scans_lose_correlation_and_gain_counts_by_the_whole_sum() -> None:
    slow = carry(FAST, 1e-4, "100ns")
    # 1000 times the dwell time; the lags are gone, and with them what hid (1 + 2 sum) of the noise
    correlated = 1 + 2 * (0.4 + 0.1 + 0.03)
    assert slow["gamma"] == pytest.approx(0.02 / 1000 * correlated, rel=1e-3)
    assert slow["sigma"] == pytest.approx(0.03 * (correlated / 1000) ** 0.5, rel=1e-3)
    assert slow["lag1"] < 1e-3
    assert (slow.dwell_time, slow.derived_from) == (1e-4, "100ns")
    assert "gain" not in slow.estimates
    assert carry(slow, 3e-4, "other").derived_from == "100ns"
    assert carry(FAST, 1e-7, "100ns") is FAST


def test_the_fit_carried_to_the_speeds_of_the_paper_is_the_table_of_simulated_scans() -> None:
    """The table is rounded, and its lags come from another fit: 5 % in peak, 0.04 in lag 1."""
    for speed in SPEEDS.values():
        ours = carried(fei_profile(), {speed.name: speed.dwell_time}).speeds[speed.name]
        assert 1 / ours["gamma"] == pytest.approx(speed.peak, rel=0.05)
        assert ours["lag1"] == pytest.approx(speed.correlation, abs=0.04)
        assert ours.derived_from == "100ns"


def test_the_nearest_measured_speed_is_carried() -> None:
    found = carried(PROFILE, {"300ns": 3e-7, "1us": 1e-6}).speeds
    assert {name: noise.derived_from for name, noise in found.items()} == {
        "300ns": "100ns",
        "1us": "2us",
    }
    with pytest.raises(ValueError, match="dwell times of a are not known"):
        carried(Profile({"a": replace(FAST, dwell_time=None)}, {}), {"1us": 1e-6})


def test_noise_is_a_mode_a_profile_or_a_profile_carried(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(PROFILE, path)
    assert parse_noise("gamma") == {"noise": "gamma"}
    assert parse_noise(str(path)) == PROFILE.settings()
    assert parse_noise(f"{path}@300ns") == carried(PROFILE, {"x": 3e-7}).settings()
    assert parse_noise("microscope@280ns") == carried(fei_profile(), {"x": 280e-9}).settings()
    for text in ("white", "microscope@fast", "no.json", "no.json@1us", "@1us"):
        with pytest.raises(ValueError, match=r"allowed are eq1, sequential, .*microscope@DWELL"):
            parse_noise(text)
    assert set(LAGS) < set(FAST.estimates)
