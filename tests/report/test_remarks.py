from pathlib import Path

import pandas as pd
import pytest

from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.report.remarks import (
    AGREED,
    better_filters,
    caveats,
    reference_caveats,
    remarks,
    seen_caveats,
)

ROWS = {
    "mae": {"psnr": 21.0, "ssim": 0.7},
    "mse": {"psnr": 19.0, "ssim": 0.6},
    "noisy": {"psnr": 20.0, "ssim": 0.5, "baseline": True},
}


def ranked(rows: dict[str, dict[str, object]], expected: tuple[str, ...] = ()) -> Ranking:
    return rank(pd.DataFrame.from_dict(ROWS | rows, orient="index"), expected)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"mse": {"psnr": 20.5, "ssim": 0.6}}, []),
        ({}, ["1 of 2 subsets is worse than the noisy input in PSNR: mse."]),
        (
            {"mse": {"psnr": 99.0, "ssim": 0.9, "outcome": "collapsed"}},
            ["1 of 2 subsets collapsed to a nearly constant output and cannot win: mse."],
        ),
        (
            {"mse": {"psnr": 20.5}},
            ["1 of 2 subsets has no finite score in some criteria: mse (ssim)."],
        ),
        (
            {"mse": {"psnr": 21.0, "ssim": 0.7}},
            [],  # a tie is said in the answer
        ),
    ],
)
def test_each_remark_follows_from_the_leaderboard(rows, said) -> None:
    assert remarks(ranked(rows)) == said


def test_estimated_ssim_is_not_taken_for_ssim() -> None:
    scores = {"mae": (0.8, 0.7), "mse": (0.5, 0.1), "noisy": (0.0, 0.2)}
    board = pd.DataFrame.from_dict(
        scores, orient="index", columns=["noise_removed", "ssim_estimated"]
    )
    board["baseline"] = board.index == "noisy"
    assert remarks(rank(board)) == [
        "1 of 2 subsets is worse than the noisy input in estimated SSIM: mse."
    ]


def test_how_far_estimates_agreed_is_what_the_docs_measured() -> None:
    text = (Path(__file__).parents[2] / "docs/results.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| mean rank of the two"))
    measured = [cell.split(",")[0].strip() for cell in row.split("|")[2:-1]]
    assert measured == [AGREED["psnr"], AGREED["psnr_fitted"], AGREED["ssim"]]
    board = pd.DataFrame.from_dict(
        {"mae": (0.8, 0.7), "mse": (0.5, 0.1)}, orient="index",
        columns=["noise_removed", "ssim_estimated"],
    )  # fmt: skip
    (said,) = reference_caveats(rank(board.assign(baseline=False)))
    assert "by SSIM with a Kendall's tau of .84, and with that by PSNR with one of .52" in said
    assert list(reference_caveats(ranked({}))) == []


def test_scores_of_scans_that_were_trained_on_say_what_they_are() -> None:
    seen = {"noisy": ["1", "2", "3"], "trained_on": {"2", "3", "9"}}
    (said,) = seen_caveats(**seen, estimated=False)
    assert said.startswith("2 of the 3 noisy scans that are scored are among those trained on, ")
    assert said.endswith("other scans may be denoised less well.")
    (said,) = seen_caveats(**seen, estimated=True, noise="recorrupted")
    assert "trained on with recorrupted, without" in said
    assert said.endswith(", and the estimated scores of these may be too high.")


def test_networks_that_started_from_weights_may_have_forgotten_what_these_knew() -> None:
    for weights, told in (("none", []), ("0123456789abcdef", [True])):
        said = caveats({"initial_weights": weights}, "mae")
        assert ["may be worse than these weights" in one for one in said] == told
    assert not list(caveats({}, "mae")), "older power sets do not tell"


def test_several_are_counted_and_the_missing_come_first() -> None:
    failed = {name: {"outcome": "failed"} for name in ("mse", "ssim")}
    first, second = remarks(ranked(failed, ("mae", "mse", "ssim", "mae+mse")))
    assert first == "1 of 4 subsets is not trained yet: mae+mse."
    assert second == "2 of 4 subsets were not trained to the end and cannot win: mse, ssim."


def test_perceptual_networks_are_not_mixed_silently() -> None:
    mixed = {"perceptual": {"psnr": 20.5, "ssim": 0.6}, "mae+perceptual-random": {"psnr": 20.7}}
    said = remarks(ranked(mixed))
    assert (
        "Subsets are ranked together although weights differ: perceptual, perceptual-random."
        in said
    )


def test_baselines_that_are_better_than_the_champion_are_named() -> None:
    assert better_filters(ranked({})) == []
    filters = {
        "median-5": {"psnr": 30.0, "ssim": 0.6, "baseline": True},
        "tv": {"psnr": 31.0, "ssim": 0.6, "baseline": True},
    }
    assert better_filters(ranked(filters)) == [
        "No training is needed for the best PSNR: 2 baselines (tv, median-5) are above the "
        "champion, mae."
    ]
    one = {"bundled": {"psnr": 30.0, "ssim": 0.6, "baseline": True}}
    assert better_filters(ranked(one)) == [
        "No training is needed for the best PSNR: the network bundled is above the champion, mae."
    ]
    noisy = {"noisy": {"psnr": 40.0, "ssim": 0.5, "baseline": True}}
    (said,) = better_filters(ranked(noisy | filters))
    assert said.startswith("The champion, mae, has a lower PSNR than the noisy input")
