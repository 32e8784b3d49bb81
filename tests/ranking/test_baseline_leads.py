import numpy as np
import pandas as pd
import pytest

from lfranker.ranking.leads import baseline_leads

BASELINES = {"noisy": 15.0, "median-5": 19.0, "tv": 20.5, "clean": 99.0}


def rows(repeats: int = 1, gap: str = "") -> pd.DataFrame:
    """Six sites of their own difficulty at two speeds; networks are 20 and 21, and some noise."""
    rng = np.random.default_rng(0)
    made = [
        {"name": name, "repeat": repeat, "baseline": name in BASELINES, "field": f"f{site}",
         "place": f"f{site}", "speed": speed, "sample": "",
         "psnr": worth + 3 * site + 4 * fast + 0.01 * rng.normal()}
        for name, worth in {"mae": 20.0, "mse": 21.0, **BASELINES}.items()
        for repeat in range(1 if name in BASELINES else repeats)
        for site in range(6)
        for fast, speed in enumerate(("slow", "fast"))
        if (name, site, fast) != (gap, 2, 1)
    ]  # fmt: skip
    return pd.DataFrame(made)


def test_leads_are_paired_by_site_and_of_the_best_filter() -> None:
    own = baseline_leads(rows(), "mse", ["psnr"], seed=0)["psnr"]
    assert own.over_noisy is not None
    assert own.over_filter is not None
    assert (own.over_noisy.baseline, own.over_filter.baseline) == ("noisy", "tv")
    for lead, truth in ((own.over_noisy, 6.0), (own.over_filter, 0.5)):
        assert lead.low < truth < lead.high
        assert lead.high - lead.low < 0.1, "sites differ by 3 each, the leads do not"
    assert abs(own.over_filter.mean - (20.5 + 7.5 + 2)) < 0.02
    alone = rows()
    alone = alone[alone["name"] != "mae"]
    lone = baseline_leads(alone, "mse", ["psnr"], seed=0)["psnr"].over_filter
    assert lone == own.over_filter, "it takes no other network"
    behind = baseline_leads(rows(), "mae", ["psnr"], seed=0)["psnr"].over_filter
    assert behind is not None
    assert behind.high < 0


def test_networks_made_elsewhere_are_compared_apart_from_filters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(BASELINES, "bundled", 22.0)
    monkeypatch.setitem(BASELINES, "init scunet", 21.5)
    own = baseline_leads(rows(), "mse", ["psnr"], seed=0)["psnr"]
    assert own.over_filter is not None
    assert own.over_network is not None
    assert (own.over_filter.baseline, own.over_network.baseline) == ("tv", "bundled")
    assert own.over_network.low < -1 < own.over_network.high
    monkeypatch.delitem(BASELINES, "bundled")
    other = baseline_leads(rows(), "mse", ["psnr"], seed=0)["psnr"].over_network
    assert other is not None
    assert other.baseline == "init scunet"


def test_a_baseline_with_a_gap_is_not_compared_and_the_next_is_taken() -> None:
    own = baseline_leads(rows(gap="tv"), "mse", ["psnr"], seed=0)["psnr"]
    assert own.over_filter is not None
    assert own.over_filter.baseline == "median-5"
    assert baseline_leads(rows(gap="noisy"), "mse", ["psnr"], seed=0)["psnr"].over_noisy is None


@pytest.mark.parametrize("left", ["noisy", "tv", "bundled"])
def test_one_baseline_is_compared_where_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.setitem(BASELINES, "bundled", 22.0)
    table = rows()
    alone = table[~table["baseline"] | (table["name"] == left)]
    own = baseline_leads(alone, "mse", ["psnr"], seed=0)["psnr"]
    over = {"noisy": own.over_noisy, "tv": own.over_filter, "bundled": own.over_network}
    assert [name for name, lead in over.items() if lead is not None] == [left]


def test_repeats_widen_the_interval_and_the_unknown_have_no_leads() -> None:
    table = rows(repeats=2)
    table.loc[(table["name"] == "mse") & (table["repeat"] == 1), "psnr"] += 0.5
    twice = baseline_leads(table, "mse", ["psnr"], seed=0)["psnr"].over_noisy
    assert twice is not None
    assert twice.high - twice.low > 0.5
    assert baseline_leads(rows(), "ssim", ["psnr"], seed=0) == {}
    networks = rows()[lambda table: ~table["baseline"]]
    assert baseline_leads(networks, "mse", ["psnr"], seed=0) == {}
