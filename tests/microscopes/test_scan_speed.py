import re

import pytest

from lfranker.microscopes.reading import ScanMetadata
from lfranker.microscopes.scan_speed import (
    by_speed,
    exposure_name,
    nearest_speed,
    seconds_of,
    time_name,
    vendor_speed_name,
)


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (1e-7, "100ns"),
        (30e-6, "30us"),
        (4.9999999999999996e-06, "5us"),
        (63.43e-3 / 1024, "61.9us"),
        (12.5e-6, "12.5us"),
        (999.6e-9, "1us"),  # three digits: 1000 ns
        (1e-3, "1ms"),
        (2.0, "2s"),
        (50e-12, "0.05ns"),
    ],
)
def test_times_have_si_units(seconds, name):
    assert time_name(seconds) == name


def test_names_of_times_are_read_back_in_order():
    times = [10.0**e * m for e in range(-9, 1) for m in (1, 2.8, 9.99)]
    names = [time_name(t) for t in times]
    assert by_speed(sorted(names)) == names


def test_a_scan_is_called_by_exposure_before_scan_speed():
    assert exposure_name(ScanMetadata(exposure=3e-6, scan_speed="7")) == "3us"
    assert exposure_name(ScanMetadata(scan_speed="7")) == "spd7"
    assert exposure_name(ScanMetadata()) is None
    assert vendor_speed_name(ScanMetadata(exposure=3e-6, scan_speed="7")) == "spd7"


def test_passes_are_a_part_of_a_scan_speed():
    """Eight passes take as long as one that is three speeds slower: 2^3 = 8."""
    assert vendor_speed_name(ScanMetadata(scan_speed="3", passes=8)) == "spd3x8"
    assert vendor_speed_name(ScanMetadata(scan_speed="07.0")) == "spd7"
    assert vendor_speed_name(ScanMetadata(scan_speed="TV", passes=16)) == "TVx16"
    assert by_speed(["spd7", "spd3x32", "spd3x8", "spd5"]) == ["spd5", "spd3x8", "spd7", "spd3x32"]
    assert nearest_speed("spd3x8", ["spd2", "spd6", "spd9"]) == "spd6"


@pytest.mark.parametrize("speed", ["Slow3", "a/b", "50 %", "schnell µ"])
def test_names_can_be_names_of_metrics(speed):
    name = vendor_speed_name(ScanMetadata(scan_speed=speed))
    assert re.fullmatch(r"[\w.\- :]+", name, re.ASCII)


@pytest.mark.parametrize(
    ("name", "names", "nearest"),
    [
        ("1us", ["100ns", "30us"], "100ns"),  # ratios 10 and 30, though 0.9 and 29 us apart
        ("2us", ["100ns", "30us"], "30us"),  # ratios 20 and 15, though 1.9 and 28 us apart
        ("1us", ["100ns", "10us"], "10us"),  # equally near: the slower
        ("spd4", ["spd2", "spd5", "spd8"], "spd5"),
        ("Slow3", ["Slow3", "100ns"], "Slow3"),
        ("30 us", ["100ns", "30us"], "30us"),
    ],
)
def test_the_nearest_speed_is_that_of_the_nearest_ratio(name, names, nearest):
    assert nearest_speed(name, names) == nearest
    assert nearest_speed(name, names[::-1]) == nearest


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [("spd3", ["100ns", "1us"], "100ns, 1us"), ("1us", [], "none"), ("x", ["y"], "y")],
)
def test_speeds_of_different_kinds_are_not_compared(name, names, said):
    with pytest.raises(ValueError, match=f"{name!r} cannot be compared with {said}: allowed are"):
        nearest_speed(name, names)


def test_seconds_of_a_name() -> None:
    assert seconds_of("100ns") == 1e-7
    assert seconds_of("2 µs") == 2e-6
    assert seconds_of("300 nsec") == 3e-7
    assert seconds_of("20_USEC") == seconds_of("20 μsec") == 2e-5
    assert seconds_of("5 msec") == 5e-3
    for name in ("spd3", "fast", "0s", ""):
        assert seconds_of(name) is None
