import numpy as np
import pandas as pd
import pytest

from lfranker.evaluation.criteria import DIRECTIONS
from lfranker.ranking.leaderboard import (
    RankConfig,
    parse_equivalence,
    parse_weights,
    weighted_score,
)
from lfranker.text import as_text, parse_values

SCORES = pd.DataFrame(
    {"psnr": [20.0, 22.0, 24.0], "ssim": [0.9, 0.5, 0.7]}, index=["mae", "mse", "ssim"]
)


def test_each_criterion_is_scaled_from_the_worst_to_the_best():
    """By hand: psnr 0, 1/2, 1 and ssim 1, 0, 1/2."""
    equal = weighted_score(SCORES, {"psnr": 1, "ssim": 1})
    assert equal.tolist() == pytest.approx([0.5, 0.25, 0.75])
    uneven = weighted_score(SCORES, {"psnr": 3, "ssim": 1})
    assert uneven.tolist() == pytest.approx([0.25, 0.375, 0.875])


def test_unknown_criteria_do_not_count_and_gaps_have_no_score():
    assert weighted_score(SCORES, {"psnr": 1, "visual": 9}).tolist() == [0, 0.5, 1]
    assert weighted_score(SCORES, {"visual": 1}).isna().all()
    gap = SCORES.assign(ssim=[0.9, np.nan, 0.7])
    assert weighted_score(gap, {"psnr": 1, "ssim": 1}).isna().tolist() == [False, True, False]
    assert weighted_score(SCORES.assign(ssim=0.5), {"ssim": 1}).tolist() == [1, 1, 1]


def test_texts_and_numbers_are_each_others_inverse():
    for values in (RankConfig().equivalence, RankConfig().weights):
        assert parse_values(as_text(values)) == values


@pytest.mark.parametrize(
    ("text", "match"),
    [("psnr", "'psnr' is not NAME=NUMBER"), ("psn=1", "'psn' is no criterion; allowed are psnr"),
     ("psnr=-1", "0 or more"), ("psnr=1,psnr=2", "one number"), ("psnr=nan", "0 or more"),
     ("", "not NAME=NUMBER")],
)  # fmt: skip
def test_what_cannot_be_read_is_named(text, match):
    with pytest.raises(ValueError, match=match):
        parse_values(text, DIRECTIONS)


def test_weights_of_nothing_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        parse_weights("psnr=0,ssim=0")


def test_metrics_whose_equivalence_is_not_given_keep_the_default():
    others = {"ssim": 0.005, "repeatability": 0.01, "noise_removed": 0.003, "ssim_estimated": 0.005}
    assert parse_equivalence("psnr=0.2") == {"psnr": 0.2, **others}
    assert parse_equivalence("keypoints=9") == {**RankConfig().equivalence, "keypoints": 9}


def test_criteria_whose_weight_is_not_given_do_not_count():
    assert parse_weights("psnr=2") == {"psnr": 2}
