import itertools

import numpy as np
import pandas as pd

from lfranker.ranking.leaderboard import rank
from lfranker.report.tables import FIRST, MOST_ROWS, shortened, standings, tables

SCORES = pd.DataFrame(
    {"psnr": [30.0, 29.0, 22.0], "ssim": [0.9, 0.8, 0.4], "baseline": [False, False, True]},
    index=["mae", "mse", "noisy"],
)
PSNR = pd.DataFrame(
    {"mean": 30.0, "low": [29.5], "high": [30.25], "standing": ["equivalent"]}, index=["mae"]
)
SSIM = pd.DataFrame(
    {"mean": [0.9, 0.8], "low": [0.7, 0.6], "high": [1.0, np.nan],
     "standing": ["undecided", "worse"]},
    SCORES.index[:2],
)  # fmt: skip


def many():
    names = ["+".join(c) for n in (1, 2, 3) for c in itertools.combinations("abcdefgh", n)]
    assert len(names) == 92
    falling = [float(100 - at) for at in range(92)]
    rising = [float(at) for at in range(92)]  # won by the last one
    scores = pd.DataFrame({"psnr": falling, "ssim": falling, "keypoints": rising}, index=names)
    scores.loc["noisy"] = [1.0, 1.0, 1.0]
    return names, rank(scores.assign(baseline=[False] * 92 + [True]))


def test_intervals_and_the_top_set_stand_beside_their_scores():
    grid = standings(rank(SCORES), {"psnr": PSNR, "ssim": SSIM})
    assert list(grid.heads) == ["Losses", "Mean rank", "PSNR (dB)", "SSIM"]
    assert [list(row) for row in grid.rows] == [
        ["mae", "**1.00**", "**30.00** (29.50 to 30.25) ●", "**0.9000** (0.7000 to 1.0000) ◐"],
        ["mse", "2.00", "29.00", "0.8000"],
        ["noisy (baseline)", "-", "22.00", "0.4000"],
    ]
    assert "In brackets: 95 % intervals of each score" in grid.note
    assert "a subset is ● shown to be equivalent, ◐ undecided, or, without" in grid.note
    assert standings(rank(SCORES), {}).note == ""


def test_a_long_table_is_cut_and_says_so():
    names, ranking = many()
    first = standings(ranking, {})
    assert [row[0] for row in first.rows] == [*names[:FIRST], "noisy (baseline)"]
    assert first.note == "The best 16 of 92 subsets; the CSV files beside this page have all."
    cut = shortened(ranking, tables(ranking)["table2"])
    shown = [row[0] for row in cut.rows]
    assert len(shown) == MOST_ROWS + 2
    assert {*names[:MOST_ROWS], names[-1], "noisy (baseline)"} == set(shown)
    assert cut.note.startswith("The best 40 of 92")


def test_a_short_table_is_whole():
    ranking = rank(SCORES)
    grid = shortened(ranking, tables(ranking)["table2"])
    assert [row[0] for row in grid.rows] == ["mae", "mse", "noisy (baseline)"]
    assert grid.note == ""


def test_a_column_that_a_baseline_wins_is_named_but_for_the_clean_scan():
    scores = SCORES.assign(repeatability=[0.5, 0.4, 0.6])
    scores.loc["median-5"] = {"psnr": 30.5, "ssim": 0.7, "baseline": True, "repeatability": 0.3}
    scores.loc["clean"] = {"psnr": np.inf, "ssim": 1.0, "baseline": True, "repeatability": 1.0}
    note = standings(rank(scores), {}).note
    assert (
        note == "A baseline is better than every subset in PSNR (median-5), repeatability (noisy)."
    )
