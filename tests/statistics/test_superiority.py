import numpy as np
import pandas as pd
import pytest

from lfranker.statistics.superiority import judge


def table(psnr: float, ssim: float = 0.9, places: int = 8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = [
        (f"p{place}", speed, psnr + place + 0.02 * rng.normal(), ssim + 0.001 * rng.normal())
        for place in range(places)
        for speed in ("fast", "slow")
    ]
    return pd.DataFrame(values, columns=["place", "speed", "psnr", "ssim"])


METRICS = ("psnr", "ssim")


def test_better_in_one_and_worse_in_none_is_better():
    verdict = judge(table(20.5, seed=1), table(20.0), METRICS, None, seed=0)
    assert verdict.better
    assert "psnr +0.4" in verdict.why or "psnr +0.5" in verdict.why


@pytest.mark.parametrize(
    "new", [table(20.0, seed=1), table(20.5, 0.8, seed=1), table(19.0, seed=1)]
)
def test_equal_mixed_and_worse_are_not_better(new):
    assert not judge(new, table(20.0), METRICS, None, seed=0).better


def test_at_one_speed_only_that_one_counts():
    new = table(20.0, seed=1)
    new.loc[new["speed"] == "fast", "psnr"] += 1
    assert judge(new, table(20.0), ("psnr",), "fast", seed=0).better
    assert not judge(new, table(20.0), ("psnr",), "slow", seed=0).better


def test_too_few_common_places_or_no_such_metric_is_not_better():
    assert "too few fields" in judge(table(30, places=2), table(20), METRICS, None, 0).why
    assert not judge(table(30).drop(columns="psnr"), table(20), ("psnr",), None, 0).better
    other = table(30).assign(place=lambda t: "other " + t["place"])
    assert not judge(other, table(20), METRICS, None, 0).better
