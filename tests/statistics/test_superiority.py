import numpy as np
import pytest

from lfranker.statistics.superiority import judge

AHEAD = np.array([1.0, 2, 3])


def test_an_interval_by_hand():
    """Mean 2, standard error 1 / sqrt(3); t at 97.5 % and 2 degrees of freedom is 4.303."""
    verdict = judge({"psnr": AHEAD})
    half = 4.302653 / np.sqrt(3)
    assert verdict.intervals["psnr"].low == pytest.approx(2 - half, abs=1e-5)
    assert verdict.intervals["psnr"].high == pytest.approx(2 + half, abs=1e-5)
    assert not verdict.better
    assert judge({"psnr": AHEAD + 1}).better


def test_metrics_share_the_error():
    """With two of them t is at 98.75 %: 6.205."""
    verdict = judge({"psnr": AHEAD + 1, "ssim": AHEAD})
    assert verdict.intervals["psnr"].low == pytest.approx(3 - 6.205347 / np.sqrt(3), abs=1e-5)
    assert not verdict.better


def test_worse_in_one_is_not_better():
    verdict = judge({"psnr": AHEAD + 10, "ssim": -AHEAD - 10})
    assert verdict.intervals["psnr"].low > 0
    assert not verdict.better


def test_a_metric_that_cannot_be_judged_is_named_and_not_skipped():
    few = np.array([1.0, 1.0, np.nan, np.inf])
    verdict = judge({"psnr": AHEAD + 10, "repeatability": few})
    assert verdict.unjudged == ("repeatability",)
    assert list(verdict.intervals) == ["psnr"]
    assert not verdict.better
