"""The curve over own slow scans, from scores of fields."""

import numpy as np
import pandas as pd
import pytest

from lfranker.ranking.own_scans import (
    ScanCurve,
    checked_counts,
    parse_counts,
    scan_curve,
    shown_counts,
)
from lfranker.statistics.learning_curve import Forecast

MARGINS = {"psnr": 0.1, "ssim": 0.005, "repeatability": 0.01}


def rows_of(draws: int = 2, sites: int = 4, luck: float = 0.0, apart: float = 0.1) -> pd.DataFrame:
    """PSNR 30 at none, and 1.4 - 0.6 / n more; two fields a site, unequal ones, two speeds.

    apart: by which share of the mean gain the next site gains more.
    """
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "draw": draw, "count": count, "place": f"s{site}", "field": f"f{site}-{field}",
                "speed": speed, "psnr": psnr, "ssim": psnr / 100, "repeatability": 0.5,
            }
            for draw in range(draws)
            for count in (0, 1, 2, 4)
            for gain in [1.4 - 0.6 / count + rng.normal(0, luck + 1e-9) if count else 0]
            for site in range(sites)
            for field in range(2)
            for speed in ("100ns", "1us")
            for psnr in [30 + site + 3 * field + gain * (1 + apart * (site - (sites - 1) / 2))]
        ]
    )  # fmt: skip


def curve_of(rows: pd.DataFrame, target: int = 12) -> ScanCurve:
    return scan_curve(rows, "mae", (1, 2, 4), target, MARGINS, 0)


def test_gains_are_those_over_none_at_the_same_fields() -> None:
    found = curve_of(rows_of())
    assert (found.losses, found.draws, found.sites, found.fields) == ("mae", 2, 4, 8)
    assert list(found.tables) == ["psnr", "ssim"]
    for metric, unit in (("psnr", 1), ("ssim", 0.01)):
        table = found.tables[metric]
        assert list(table.index) == [1, 2, 4, 8, 12]
        measured = table["measured"].to_numpy()
        assert measured[:3] == pytest.approx([0.8 * unit, 1.1 * unit, 1.25 * unit])
        assert np.isnan(measured[3:]).all()
        assert (table["low"] <= table["value"]).all()
        assert (table["like_low"] < table["low"]).all()
        assert (table["high"] < table["like_high"]).all()
    assert found.forecast("psnr").low <= 1.35 <= found.forecast("psnr").high
    assert found.forecast("psnr").value == found.tables["psnr"]["value"][12]
    assert found.further["psnr"].low <= 0.1 <= found.further["psnr"].high


def test_what_more_scans_bring_at_fields_like_these_is_less_sure_where_sites_differ() -> None:
    """The means over the sites are the same, and so is what is known of these very sites."""
    near, far = (curve_of(rows_of(apart=apart)) for apart in (0.1, 0.3))
    known = ["value", "low", "high"]
    pd.testing.assert_frame_equal(near.tables["psnr"][known], far.tables["psnr"][known])
    alike, unlike = near.further["psnr"], far.further["psnr"]
    assert unlike.low < alike.low < 0.1 < alike.high
    assert unlike.high - unlike.low > 1.1 * (alike.high - alike.low)


def test_only_a_sure_forecast_is_told() -> None:
    assert curve_of(rows_of()).tolerances == pytest.approx({"psnr": 0.3, "ssim": 0.015})
    assert curve_of(rows_of()).is_told("psnr")
    unsure = curve_of(rows_of(luck=0.5))
    assert unsure.forecast("psnr").half_width > 0.3
    assert not unsure.is_told("psnr")


def test_a_draw_without_all_its_trainings_is_left_out() -> None:
    rows = rows_of(draws=3)
    spoiled = rows[(rows["draw"] != 1) | (rows["count"] != 2)]
    found = curve_of(spoiled)
    assert found.draws == 2
    expected = curve_of(rows[rows["draw"] != 1])
    pd.testing.assert_frame_equal(found.tables["psnr"], expected.tables["psnr"])
    without = curve_of(rows[(rows["draw"] != 1) | (rows["count"] != 0)])
    pd.testing.assert_frame_equal(without.tables["psnr"], expected.tables["psnr"])


def test_fields_that_only_some_trainings_were_scored_on_do_not_count() -> None:
    rows = rows_of()
    extra = rows[(rows["count"] == 0) & (rows["place"] == "s0")]
    extra = extra.assign(place="trained on", field="trained on", psnr=50.0)
    found = curve_of(pd.concat([rows, extra]))
    assert (found.sites, found.fields) == (4, 8)
    pd.testing.assert_frame_equal(found.tables["psnr"], curve_of(rows).tables["psnr"])


@pytest.mark.parametrize(("draws", "sites"), [(1, 4), (2, 2), (0, 0)])
def test_with_too_little_there_are_no_tables(draws: int, sites: int) -> None:
    columns = rows_of().columns
    found = curve_of(pd.DataFrame(rows_of(draws, sites), columns=columns))
    assert (found.draws, found.tables) == (draws, {})


def test_a_metric_with_a_gap_is_left_out() -> None:
    rows = rows_of()
    rows.loc[rows["place"].eq("s0") & rows["count"].eq(2), "ssim"] = np.nan
    assert list(curve_of(rows).tables) == ["psnr"]


def test_forecasts_of_doublings_stand_between() -> None:
    assert shown_counts((1, 2, 4), 12) == [1, 2, 4, 8, 12]
    assert shown_counts((1, 2), 4) == [1, 2, 4]
    assert shown_counts((1, 3), 4) == [1, 3, 4]


def test_counts_are_read() -> None:
    assert parse_counts("1,2,4") == (1, 2, 4)
    for text in ("1", "2,1", "0,1", "1,1", "1,two", "1,2000"):
        with pytest.raises(ValueError, match="allowed are 2 whole numbers"):
            parse_counts(text)
    with pytest.raises(ValueError, match=r"curve is 1,1; allowed"):
        checked_counts((1, 1))


def test_a_forecast_is_that_of_its_table() -> None:
    table = pd.DataFrame({"value": [1.0], "low": [0.8], "high": [1.3]}, index=[12])
    own = ScanCurve("mae", (1, 2), 12, 2, 8, 4, {"psnr": table}, {}, {"psnr": 0.3})
    assert own.forecast("psnr") == Forecast(12, 1.0, 0.8, 1.3)
