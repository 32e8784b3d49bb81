"""Sentences and table of the curve over own slow scans."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lfranker.ranking.own_scans import ScanCurve
from lfranker.report.findings import Findings
from lfranker.report.learning_curves import scan_sentences, scan_table
from lfranker.report.sections import own_scans
from lfranker.statistics.learning_curve import Forecast

TABLE = pd.DataFrame(
    {
        "measured": [0.8, 1.25, np.nan],
        "value": [0.81, 1.24, 1.352],
        "low": [0.7, 1.2, 1.15],
        "high": [0.9, 1.3, 1.601],
        "like_low": [0.5, 0.9, 0.8],
        "like_high": [1.1, 1.6, 1.9],
    },
    index=pd.Index([1, 4, 12], name="scans"),
)
CURVE = ScanCurve(
    "mae+ssim", (1, 4), 12, 2, 8, 6, {"psnr": TABLE}, {"psnr": Forecast(12, 0.11, 0.02, 0.32)},
    {"psnr": 0.3},
)  # fmt: skip


def test_a_sure_forecast_is_given_with_its_half_width() -> None:
    """The longer arm is 0.249: written it is rounded up, so that it holds the whole interval."""
    first, forecast, law = scan_sentences(CURVE)
    assert first.startswith(
        "mae+ssim was trained with 1 and 4 own slow scans among the clean images as well, drawn 2 "
        "times from different sites"
    )
    assert first.endswith("on 8 fields of 6 other sites.")
    assert forecast == (
        "12 scans would bring about 1.35 ± 0.25 dB in PSNR at the fields scored, where 4 brought "
        "1.25 dB; at fields like these it may be 0.80 to 1.90 dB, and there 12 would bring "
        "+0.11 dB (+0.02 to +0.32) more than 4."
    )
    assert "0.1 to 1.1 times what the doubling before brought" in law


def test_an_unsure_forecast_is_not_given() -> None:
    unsure = replace(CURVE, tolerances={"psnr": 0.2})
    _, forecast, _ = scan_sentences(unsure)
    assert forecast.startswith(
        "What 12 scans would bring in PSNR cannot be told within 0.200 dB from so few scans and "
        "draws: it may be 1.15 to 1.60 dB at the fields scored, where 4 brought 1.25 dB;"
    )
    assert "±" not in forecast


def test_too_few_draws_are_said() -> None:
    (only,) = scan_sentences(replace(CURVE, tables={}, draws=1, sites=5))
    assert "1 draws of them have scores after every number, at 5 sites" in only
    assert "2 draws and 3 sites" in only


def test_the_table_has_what_was_measured_and_what_was_not() -> None:
    grid = scan_table(CURVE, "psnr")
    assert grid.rows == [
        ["1", "+0.80", "+0.81", "+0.70 to +0.90", "+0.50 to +1.10"],
        ["4", "+1.25", "+1.24", "+1.20 to +1.30", "+0.90 to +1.60"],
        ["12", "-", "+1.35", "+1.15 to +1.60", "+0.80 to +1.90"],
    ]


def test_the_section_draws_each_metric() -> None:
    assert own_scans(Findings()).is_empty
    section = own_scans(Findings(own_scans=CURVE))
    assert section.question == "How many slow scans do I need?"
    (plot,) = section.plots.values()
    for words in ("measured", "power law", "fields like these", "these fields", "12"):
        assert words in plot
    assert list(section.grids) == ["Gain in PSNR (dB) over no own slow scans"]


@pytest.mark.parametrize("half", [0.0, 1e-12])
def test_an_interval_without_width_is_written(half: float) -> None:
    sure = TABLE.assign(low=TABLE["value"] - half, high=TABLE["value"] + half)
    _, forecast, _ = scan_sentences(replace(CURVE, tables={"psnr": sure}))
    assert "12 scans would bring about 1.35" in forecast
