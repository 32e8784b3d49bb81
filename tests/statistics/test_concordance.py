import math
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest

from lfranker.statistics.concordance import kendall_tau, kendall_w, krippendorff_alpha, pareto_front

PAPER = pd.read_csv(
    Path(__file__).parents[1] / "golden" / "paper_tables.csv", index_col="losses"
).assign(
    keypoints=lambda t: t[[c for c in t if c.startswith("keypoints/")]].mean(axis=1)
)  # fmt: skip
WITHOUT_BLACK = PAPER.drop("ssim")  # a black image in the paper


def test_psnr_and_keypoints_contradict_each_other_in_the_paper():
    tau = kendall_tau(WITHOUT_BLACK[["psnr", "keypoints"]])
    assert tau.loc["psnr", "keypoints"] == pytest.approx(-0.73, abs=0.005)
    assert tau.loc["psnr", "psnr"] == 1


def test_tau_by_hand():
    """Five of the six pairs of 1 2 3 4 and 1 2 4 3 agree: (5 - 1) / 6."""
    table = pd.DataFrame({"a": [1, 2, 3, 4], "b": [1, 2, 4, 3], "c": [4, 3, 2, 1], "d": [5] * 4})
    tau = kendall_tau(table)
    assert tau.loc["a", "b"] == pytest.approx(4 / 6)
    assert tau.loc["a", "c"] == -1
    assert np.isnan(tau.loc["a", "d"])


@pytest.mark.parametrize(
    ("metric", "expected"), [("psnr", 0.93), ("ssim", 0.97), ("keypoints", 0.80)]
)
def test_speeds_agree_in_the_paper(metric, expected):
    speeds = WITHOUT_BLACK[[f"{metric}/{speed}" for speed in ("spd2", "spd3", "spd5")]]
    assert kendall_w(speeds) == pytest.approx(expected, abs=0.005)


def test_w_of_two_judges_is_a_half_of_one_more_than_spearmans_rho():
    """W = (1 + mean rho) / 2 for two judges without ties; with them, rho by pandas on ranks."""
    rng = np.random.default_rng(0)
    for digits in (6, 1):
        table = pd.DataFrame(rng.random((12, 2))).round(digits)
        rho = table.rank().corr().iloc[0, 1]
        assert kendall_w(table) == pytest.approx((1 + rho) / 2, abs=0.03 if digits == 1 else 1e-9)


def test_w_of_nothing_to_compare_is_missing():
    assert np.isnan(kendall_w(pd.DataFrame({"a": [1.0, 2.0]})))
    assert np.isnan(kendall_w(pd.DataFrame({"a": [1.0], "b": [2.0]})))
    assert np.isnan(kendall_w(pd.DataFrame({"a": [1.0, 1.0], "b": [2.0, 2.0]})))
    gaps = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": [1.0, 2.0, 9.0]})
    assert kendall_w(gaps) == 1


def test_eleven_of_the_papers_subsets_are_pareto_optimal():
    front = pareto_front(PAPER[["psnr", "ssim", "keypoints"]])
    assert len(front) == 11
    assert {"ssim+perceptual", "mae+ssim", "mse"} <= set(front)
    assert not {"ssim", "perceptual", "mae+perceptual", "mse+ssim"} & set(front)


def test_equals_share_the_front_and_gaps_are_on_none():
    table = pd.DataFrame({"x": [1, 2, 2, 0, 9], "y": [1.0, 0, 0, 0.5, np.nan]}, index=list("abcde"))
    assert pareto_front(table) == ["a", "b", "c"]


def test_alpha_of_krippendorffs_own_example():
    gap = np.nan
    ratings = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
            [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
        ]
    )  # Computing Krippendorff's Alpha-Reliability (2011), section E: ordinal 0.815
    assert round(krippendorff_alpha(ratings), 3) == 0.815


def test_alpha_agrees_with_another_implementation():
    rng = np.random.default_rng(0)
    for raters in (2, 3, 5):
        ratings = rng.integers(1, 6, (raters, 20)).astype(float)
        ratings[rng.random(ratings.shape) < 0.3] = np.nan
        theirs = krippendorff.alpha(ratings, level_of_measurement="ordinal")
        assert krippendorff_alpha(ratings) == pytest.approx(theirs, abs=1e-12)


def test_alpha_of_nothing_to_compare_is_missing():
    alone = np.array([[1.0, 2.0, np.nan], [np.nan, np.nan, 3.0]])
    assert math.isnan(krippendorff_alpha(alone))
    assert math.isnan(krippendorff_alpha(np.ones((3, 4))))
