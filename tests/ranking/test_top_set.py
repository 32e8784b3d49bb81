import numpy as np
import pandas as pd
import pytest
from leaderboards import leaderboard

from lfranker.evaluation.criteria import VISUAL, limits_of
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.top_set import agreement, beats, erratic, front, intervals
from lfranker.statistics.score_array import Cube, cube_of

WORTH = {"mae": 1.0, "mse": 0.4, "mae+mse": 1.5}


def rows(places=12, repeats=1, noise=0.02, worth=WORTH, speeds=("s", "t")):
    """Psnr is 20 + worth (+ 1 at t) and some luck; ssim reverses it."""
    rng = np.random.default_rng(0)
    made = []
    for name, value in worth.items():
        for place in range(places):
            for repeat in range(repeats):
                for speed in speeds:
                    psnr = 20 + value + (speed == "t") + noise * rng.normal()
                    made.append((name, f"f{place}", f"p{place}", repeat, speed, psnr, -value))
    columns = ["name", "field", "place", "repeat", "speed", "psnr", "ssim"]
    return pd.DataFrame(made, columns=columns)


def test_a_cube_is_the_mean_over_speeds_of_every_place_and_repeat():
    table = rows(places=4, repeats=2)
    cube = cube_of(table, "psnr")
    assert cube.names == tuple(WORTH)
    assert cube.scores.shape == (3, 4, 2)
    own = table[(table["name"] == "mse") & (table["place"] == "p2") & (table["repeat"] == 1)]
    assert cube.scores[1, 2, 1] == pytest.approx(own["psnr"].mean())


def test_the_best_of_a_cube_are_those_with_the_highest_means():
    cube = cube_of(rows(), "psnr")
    best = cube.best(2)
    assert best.names == ("mae+mse", "mae")
    assert np.array_equal(best.scores, cube.scores[[2, 0]])
    assert cube.best(9).names == ("mae+mse", "mae", "mse")


def test_fields_of_one_place_are_one():
    table = rows(places=6)
    table["place"] = table["place"].replace({"p1": "p0", "p2": "p0"})
    cube = cube_of(table, "psnr")
    assert cube.scores.shape == (3, 4, 1)
    together = table[(table["name"] == "mae") & (table["place"] == "p0")]
    assert cube.scores[0, 0, 0] == pytest.approx(together["psnr"].mean())


def test_gaps_leave_out_the_entrant_or_the_place_and_too_little_gives_nothing():
    table = rows()
    table.loc[(table["name"] == "mse") & (table["field"] == "f3"), "psnr"] = np.inf
    assert cube_of(table, "psnr").names == ("mae", "mae+mse")
    table = rows(places=4, repeats=2)
    table = table[(table["place"] != "p1") | (table["repeat"] == 0)]
    assert cube_of(table, "psnr").places == ("p0", "p2", "p3")
    assert cube_of(rows(places=2), "psnr") is None
    assert cube_of(rows(worth={"mae": 1.0}), "psnr") is None


def test_intervals_hold_the_truth_and_the_best_comes_first():
    found = intervals(cube_of(rows(repeats=3), "psnr"), equivalence=0.1, seed=0)
    assert list(found.index) == ["mae+mse", "mae", "mse"]
    assert found["low"]["mae"] < 21.5 < found["high"]["mae"]
    assert found["below_low"]["mae"] < 0.5 < found["below_high"]["mae"]
    assert found["below_high"]["mae+mse"] == 0
    assert found[["best_rank", "worst_rank"]].to_numpy().tolist() == [[1, 1], [2, 2], [3, 3]]
    assert found["standing"].tolist() == ["equivalent", "worse", "worse"]
    assert found["chance_of_best"].tolist() == [1, 0, 0]


def test_intervals_of_scores_end_where_scores_do_and_those_of_differences_do_not() -> None:
    cube = cube_of(rows(repeats=3), "psnr")
    free = intervals(cube, equivalence=0.1, seed=0)
    low, high = free["mean"]["mse"], free["mean"]["mae"]
    found = intervals(cube, equivalence=0.1, seed=0, limits=(low, high))
    assert found["low"].min() == low
    assert found["high"].max() == high
    assert found["high"]["mse"] == free["high"]["mse"]
    assert found.drop(columns=["low", "high"]).equals(free.drop(columns=["low", "high"]))
    assert {name: limits_of(name) for name in ("psnr", "ssim", "repeatability", VISUAL)} == {
        "psnr": (-np.inf, np.inf), "ssim": (-1, 1), "repeatability": (0, 1), VISUAL: (1, 5),
    }  # fmt: skip


def test_agreement_and_front():
    tau, w = agreement(rows(noise=0), ["psnr", "ssim"])
    assert tau.loc["psnr", "ssim"] == -1
    assert w == {"psnr": 1, "ssim": 1}
    assert agreement(rows(speeds=("s",)), ["psnr"])[1] == {}
    assert front(rows(), ["psnr", "ssim"]) == sorted(WORTH)
    assert front(rows(), ["psnr"]) == ["mae+mse"]


def test_attributions_have_intervals_about_the_truth():
    """v: none 15, mae 21.5, mse 20.9, both 22 (means over the two speeds)."""
    cube = cube_of(rows(repeats=3), "psnr")
    table = attributions(cube, np.full((12, 3), 15.0), seed=0)
    truth = {
        ("mean effect", "mae"): 1.1, ("mean effect", "mse"): 0.5,
        ("Shapley value", "mae"): (6.5 + 1.1) / 2, ("Shapley value", "mse"): (5.9 + 0.5) / 2,
        ("interaction", "mae and mse"): 22 - 21.5 - 20.9 + 15,
    }  # fmt: skip
    assert [(row.kind, row.losses) for row in table.itertuples()] == list(truth)
    for row, expected in zip(table.itertuples(), truth.values(), strict=True):
        assert row.low < expected < row.high
        assert row.high - row.low < 0.1
    assert table["pairs"].dropna().tolist() == [1, 1]


def test_without_a_subset_or_the_noisy_input_only_mean_effects_are_left():
    whole, gap = cube_of(rows(), "psnr"), cube_of(rows(worth={"mae": 1.0, "mae+mse": 1.5}), "psnr")
    assert attributions(whole, None, 0)[["kind", "losses"]].to_numpy().tolist() == [
        ["mean effect", "mae"],
        ["mean effect", "mse"],
    ]
    left = attributions(gap, np.zeros((12, 1)), 0)
    assert left[["losses", "pairs"]].to_numpy().tolist() == [["mse", 1]]
    assert left["value"].item() == pytest.approx(0.5, abs=0.05)
    assert attributions(cube_of(rows(worth={"mae": 1.0, "mse": 0.4}), "psnr"), None, 0).empty


def test_chances_of_beating_are_one_for_the_far_better_and_add_up():
    table = beats(cube_of(rows(), "psnr"), seed=0)
    assert table.loc["mae", "mse"] == 1
    assert table.loc["mse", "mae+mse"] == 0
    assert np.allclose(table + table.T, 1)
    assert np.allclose(np.diag(table), 0.5)


def test_the_evidence_counts_by_standing() -> None:
    table = pd.DataFrame(
        {"standing": ["undecided", "equivalent", "worse"]}, index=["mae+mse", "mae", "mse"]
    )
    own = Evidence(intervals=table)
    assert (own.equivalent, own.undecided, own.worse) == (("mae",), ("mae+mse",), ("mse",))
    assert own.top_set == ("mae+mse", "mae")
    assert (Evidence().top_set, Evidence().worse) == ((), ())


def test_an_erratic_entrant_is_named_from_three_repeats_on() -> None:
    def found(repeats: int, models: int = 8) -> tuple[str, ...] | None:
        deviations = np.array([12.0] + [1.0] * (models - 1))
        scores = leaderboard(
            np.random.default_rng(0), [0.0] * models, repeats=repeats, of_repeats=deviations
        )
        places = tuple(f"p{at}" for at in range(12))
        return erratic(Cube(tuple("abcdefgh"[:models]), places, scores))

    assert found(5) == ("a",)
    assert found(2) is None
    assert found(5, models=3) is None


def test_raw_keypoint_counts_put_nothing_on_the_front() -> None:
    table = pd.DataFrame(
        {"name": ["mae", "mse"], "psnr": [30.0, 29], "ssim": [0.9, 0.8], "keypoints": [1.0, 9]}
    )
    metrics = ["psnr", "ssim", "keypoints"]
    assert front(table, metrics) == ["mae"]
    assert front(table.assign(ssim=[0.7, 0.8]), metrics) == ["mae", "mse"]
