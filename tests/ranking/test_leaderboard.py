import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from lfranker.evaluation.criteria import Criterion, criteria_of
from lfranker.ranking.entrants import tie_key
from lfranker.ranking.leaderboard import COLUMNS, Ranking, rank

GOLDEN = Path(__file__).parents[1] / "golden" / "paper_tables.csv"
PAPER = pd.read_csv(GOLDEN, index_col="losses")
PAPER_SPEEDS = ("spd2", "spd3", "spd5")
SUBSETS = [
    "+".join(subset)
    for size in range(1, 5)
    for subset in itertools.combinations(("mae", "mse", "ssim", "perceptual"), size)
]


def board(rows: dict[str, dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index")


def winners(ranking: Ranking) -> dict[str, str]:
    return {str(criterion): name for criterion, name in ranking.winners.items()}


def test_the_papers_winners_and_champion():
    ranking = rank(PAPER, expected=SUBSETS)

    assert winners(ranking) == {
        "psnr": "ssim+perceptual",
        "psnr/spd2": "ssim+perceptual",
        "psnr/spd3": "ssim+perceptual",
        "psnr/spd5": "ssim+perceptual",
        "ssim": "mae+ssim",
        "ssim/spd2": "mae+ssim",
        "ssim/spd3": "mae+ssim",
        "ssim/spd5": "mae+ssim",
        "keypoints": "mse",
        "keypoints/spd2": "mae+mse+ssim+perceptual",
        "keypoints/spd3": "mse",
        "keypoints/spd5": "mse",
    }
    assert ranking.leaderboard.loc["mae+mse+ssim+perceptual", "keypoints/spd2"] == 498
    assert ranking.champion == "ssim+perceptual" == ranking.leaderboard.index[0]
    assert ranking.champion_mean_rank == 2.5
    assert ranking.judged == tuple(Criterion(m, s) for m in ("psnr", "ssim") for s in PAPER_SPEEDS)
    assert ranking.missing == ranking.tied == ()
    assert ranking.gaps == ranking.better_baselines == {}


def test_ranks_and_mean_ranks_agree_with_scipy():
    ranking = rank(PAPER)
    expected = {c: rankdata(-PAPER[str(c)], method="average") for c in ranking.judged}
    for criterion, ranks in expected.items():
        got = ranking.leaderboard.loc[PAPER.index, f"rank/{criterion}"]
        np.testing.assert_array_equal(got, ranks)
    mean = np.mean(list(expected.values()), axis=0)
    np.testing.assert_allclose(ranking.leaderboard.loc[PAPER.index, "mean_rank"], mean, rtol=1e-12)
    assert ranking.leaderboard["mean_rank"].is_monotonic_increasing


def test_the_order_of_the_rows_given_does_not_matter():
    first, second = rank(PAPER), rank(PAPER.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(first.leaderboard, second.leaderboard)
    assert first.winners == second.winners


def test_ties_go_to_fewer_losses_then_to_their_order():
    names = ["mse+perceptual-random", "mae+perceptual-random", "mse+ssim", "mae+mse+ssim"]
    for present, winner in [
        (names, "mae+perceptual-random"),
        ([*names, "ssim", "perceptual"], "ssim"),
        (["zebra", "apple", "perceptual-random"], "perceptual-random"),
        (["zebra", "apple"], "apple"),
    ]:
        ranking = rank(board({name: {"psnr": 20.0, "ssim": 0.5} for name in present}))
        assert ranking.champion == winner
        assert not ranking.winners, "where all are alike, nothing is won"
        worse = {"zzz": {"psnr": 19.0, "ssim": 0.4}}
        some = rank(board({name: {"psnr": 20.0, "ssim": 0.5} for name in present} | worse))
        assert set(some.winners.values()) == {winner}
        assert len(some.winners) == 2
        assert ranking.champion_mean_rank == (1 + len(present)) / 2  # the average of 1..n
        assert set(ranking.tied) == {*present} - {winner}


def test_the_subsets_sort_by_size_and_then_by_order():
    assert sorted(SUBSETS[5:] + SUBSETS[:5], key=tie_key) == SUBSETS
    assert sorted(["mae", "ssim"], key=lambda name: tie_key(name, ("ssim", "mae"))) == [
        "ssim",
        "mae",
    ]
    every = ["a:own", "mae+ssim", "anscombe", "huber", "perceptual-random"]
    assert sorted(every, key=tie_key) == [
        "perceptual-random", "huber", "anscombe", "a:own", "mae+ssim",
    ]  # fmt: skip


@pytest.mark.parametrize("outcome", ["failed", "collapsed", "diverged"])
def test_only_a_run_that_went_well_wins(outcome):
    ranking = rank(
        board(
            {
                "mae": {"psnr": 99.0, "ssim": 0.99, "outcome": outcome},
                "mse": {"psnr": 20.0, "ssim": 0.5, "outcome": "ok"},
                "ssim": {"psnr": 19.0, "ssim": 0.6, "outcome": "ok"},
            }
        )
    )
    assert winners(ranking) == {"psnr": "mse", "ssim": "ssim"}
    assert list(ranking.leaderboard.index) == ["mse", "ssim", "mae"]
    assert ranking.leaderboard.loc["mae", ["rank/psnr", "rank/ssim"]].tolist() == [3, 3]
    assert ranking.tied == ("ssim",)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_wins(value):
    rows = {
        "mae": {"psnr": value, "ssim": 0.9, "keypoints": 9.0},
        "mse": {"psnr": 20.0, "ssim": 0.5, "keypoints": value},
    }
    ranking = rank(board(rows))
    assert winners(ranking) == {"psnr": "mse", "ssim": "mae", "keypoints": "mae"}
    assert ranking.champion == "mse"  # mean ranks are equal and mae comes before mse
    assert ranking.leaderboard.index[0] == "mse"
    assert ranking.gaps == {"mse": ("keypoints",), "mae": ("psnr",)}


def test_nobody_wins_where_nobody_can():
    for scores in (
        board(
            {"mae": {"psnr": math.nan, "outcome": "ok"}, "mse": {"psnr": 20, "outcome": "failed"}}
        ),
        board({"mae": {"outcome": "failed"}}),
        board({"noisy": {"psnr": 20.0, "ssim": 0.5, "baseline": True}}),
        pd.DataFrame(),
    ):
        ranking = rank(scores)
        assert ranking.champion is None
        assert winners(ranking) == {}
        assert math.isnan(ranking.champion_mean_rank)
        assert list(ranking.leaderboard.index) == list(scores.index)
        assert ranking.tied == ()


def test_keypoints_alone_make_a_winner_but_no_champion():
    ranking = rank(board({"mae": {"keypoints": 5.0}, "mse": {"keypoints": 6.0}}))
    assert winners(ranking) == {"keypoints": "mse"}
    assert ranking.champion is None
    assert ranking.judged == ()


def test_baselines_come_last_the_best_first_and_neither_win_nor_take_a_rank():
    rows = {
        "noisy": {"psnr": 20.0, "ssim": 0.5, "baseline": True},
        "median-5": {"psnr": 40.0, "ssim": 0.4, "baseline": True},
        "gaussian-1": {"psnr": 30.0, "ssim": 0.4, "baseline": True},
        "mse": {"psnr": 25.0, "ssim": 0.6, "baseline": False},
        "mae": {"psnr": 24.0, "ssim": 0.7, "baseline": math.nan},
    }
    ranking = rank(board(rows))
    assert list(ranking.leaderboard.index) == ["mae", "mse", "median-5", "gaussian-1", "noisy"]
    assert winners(ranking) == {"psnr": "mse", "ssim": "mae"}
    assert ranking.leaderboard["rank/psnr"].tolist()[:2] == [2, 1]
    assert ranking.leaderboard["rank/psnr"].isna().tolist() == [False, False, True, True, True]
    assert ranking.better_baselines == {"psnr": ("median-5", "gaussian-1")}


def test_filters_are_compared_with_the_champion_and_not_with_those_that_tie_with_it():
    rows = {
        "median-5": {"psnr": 30.5, "ssim": 0.75, "baseline": True},
        "mae": {"psnr": 30.0, "ssim": 0.8, "baseline": False},
        "mse": {"psnr": 31.0, "ssim": 0.7, "baseline": False},
    }
    ranking = rank(board(rows))
    assert (ranking.champion, ranking.tied) == ("mae", ("mse",))
    assert ranking.better_baselines == {"psnr": ("median-5",)}


def test_the_champion_is_judged_without_keypoints_and_with_repeatability():
    rows = {
        "mae": {"psnr": 20.0, "ssim": 0.5, "keypoints": 999.0, "repeatability": 0.5},
        "mse": {"psnr": 21.0, "ssim": 0.6, "keypoints": 1.0, "repeatability": 0.4},
        "ssim": {"psnr": 20.5, "ssim": 0.55, "keypoints": 2.0, "repeatability": 0.6},
    }
    without = rank(board(rows).drop(columns="repeatability"))
    assert (without.champion, without.champion_mean_rank) == ("mse", 1)
    assert list(map(str, without.judged)) == ["psnr", "ssim"]
    ranking = rank(board(rows))  # mse ranks 1 1 3, ssim 2 2 1, mae 3 3 2
    assert (ranking.champion, ranking.champion_mean_rank) == ("mse", 5 / 3)
    assert list(map(str, ranking.judged)) == ["psnr", "ssim", "repeatability"]
    assert ranking.tied == ("ssim",)


def test_the_champion_is_judged_per_speed_where_speeds_are_told_apart():
    # mae wins two of three speeds, mse the mean over them
    rows = {
        "mae": {"psnr/a": 21.0, "psnr/b": 21.0, "psnr/c": 10.0, "ssim": 0.5},
        "mse": {"psnr/a": 20.0, "psnr/b": 20.0, "psnr/c": 20.0, "ssim": 0.5},
    }
    ranking = rank(board(rows))
    assert list(map(str, ranking.judged)) == ["psnr/a", "psnr/b", "psnr/c", "ssim"]
    assert ranking.champion == "mae"
    assert ranking.winners[Criterion("psnr")] == "mse"
    assert ranking.leaderboard.loc["mae", "psnr"] == pytest.approx(52 / 3, rel=1e-15)


def test_a_direction_turns_a_metric_round():
    rows = {"mae": {"psnr": 20.0, "ssim": 0.5}, "mse": {"psnr": 19.0, "ssim": 0.4}}
    directions = {"psnr": True, "ssim": False}
    ranking = rank(board(rows), directions=directions)
    assert winners(ranking) == {"psnr": "mae", "ssim": "mse"}


def test_a_mean_that_is_there_is_kept_and_a_missing_one_is_computed():
    rows = {
        "mae": {"psnr/a": 20.0, "psnr/b": 22.0, "psnr": 25.0},
        "mse": {"psnr/a": 20.0, "psnr/b": 22.0},
        "ssim": {"psnr/a": 20.0},
    }
    psnr = rank(board(rows)).leaderboard["psnr"]
    assert (psnr["mae"], psnr["mse"]) == (25, 21)
    assert math.isnan(psnr["ssim"])


def test_worse_than_the_noisy_input_is_marked():
    rows = {
        "mae": {"psnr": 21.0, "ssim": 0.6},
        "mse": {"psnr": 19.0, "ssim": 0.6},
        "ssim": {"psnr": 20.0, "ssim": 0.4},
        "perceptual": {"psnr": 19.0, "ssim": 0.4},
        "noisy": {"psnr": 20.0, "ssim": 0.5, "baseline": True},
        "median-5": {"psnr": 10.0, "ssim": 0.1, "baseline": True},
    }
    ranking = rank(board(rows))
    assert ranking.leaderboard["worse_than_noisy"].to_dict() == {
        "mae": "",
        "mse": "psnr",
        "ssim": "ssim",
        "perceptual": "psnr, ssim",
        "noisy": "",
        "median-5": "",
    }
    assert not rank(board(rows).drop("noisy")).leaderboard["worse_than_noisy"].any()


def test_without_clean_scans_baselines_are_compared_by_what_is_estimated():
    rows = {
        "mae": {"noise_removed": 0.8, "ssim_estimated": 0.7},
        "mse": {"noise_removed": -0.1, "ssim_estimated": 0.6},
        "ssim": {"noise_removed": 0.7, "ssim_estimated": 0.1},
        "noisy": {"noise_removed": 0.0, "ssim_estimated": 0.2, "baseline": True},
        "median-5": {"noise_removed": 0.9, "ssim_estimated": 0.5, "baseline": True},
    }
    ranking = rank(board(rows))
    worse = ranking.leaderboard["worse_than_noisy"]
    assert worse[["mae", "mse", "ssim"]].to_list() == ["", "noise_removed", "ssim_estimated"]
    assert ranking.better_baselines == {"noise_removed": ("median-5",)}


def test_criteria_come_metric_by_metric_and_from_fast_to_slow():
    given = ["ssim", "psnr/30us", "psnr/500ns", "cost", "psnr/2us", "keypoints/x", "psnr"]
    table = pd.DataFrame([[1.0] * 7], columns=given, index=["mae"])
    dwell = ["psnr/500ns", "psnr/2us", "psnr/30us"]
    assert list(map(str, criteria_of(table))) == ["psnr", *dwell, "ssim", "keypoints/x"]
    names = ["psnr/spd10", "psnr/slow", "psnr/spd2.5", "psnr/spd2"]
    table = pd.DataFrame([[1.0] * 4], columns=names)
    assert list(map(str, criteria_of(table))) == [
        "psnr/slow",
        "psnr/spd2",
        "psnr/spd2.5",
        "psnr/spd10",
    ]


def test_the_missing_are_named():
    ranking = rank(PAPER.drop(["mae", "mse+ssim"]), expected=SUBSETS)
    assert ranking.missing == ("mae", "mse+ssim")


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"one row per entrant.*mae"):
        rank(pd.concat([PAPER, PAPER.loc[["mae"]]]))


def test_the_scores_given_are_left_alone():
    before = PAPER.copy(deep=True)
    rank(PAPER)
    pd.testing.assert_frame_equal(PAPER, before)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_leaderboard_without_one_of_its_columns_is_refused(column):
    ranking = rank(pd.DataFrame({"psnr": [20.0, 21.0], "ssim": 0.5}, index=["mae", "mse"]))
    with pytest.raises(ValueError, match=f"lacks the columns {column}$"):
        replace(ranking, leaderboard=ranking.leaderboard.drop(columns=column))
