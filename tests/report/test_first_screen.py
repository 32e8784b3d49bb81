"""The first screen claims what the numbers show."""

from collections.abc import Mapping

import pandas as pd
import pytest
from lengths import along

from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.ranking.leads import BaselineLead, Leads
from lfranker.ranking.winner_stability import Stability
from lfranker.report.findings import Findings, Scope
from lfranker.report.first_screen import (
    MOST_CAVEATS,
    against,
    answer,
    filter_caveats,
    speed_caveats,
    split,
)
from lfranker.report.sentences import NOTHING_KNOWN, scope_sentence

SCORES = pd.DataFrame({"psnr/a": [30.0, 29.0], "ssim/a": [0.9, 0.8]}, index=["mae", "mse"])


def ranking() -> Ranking:
    return rank(SCORES)


def stability(shares: Mapping[str, float], repeats: int = 1) -> Stability:
    series = pd.Series(shares).sort_values(ascending=False)
    return Stability(12, repeats, 1000, ("psnr/a",), series, "mae", pd.DataFrame())


def lead(baseline: str, value: float, half: float) -> BaselineLead:
    return BaselineLead(baseline, 20.0, value, value - half, value + half)


@pytest.mark.parametrize(
    ("shares", "repeats", "words"),
    [
        ({"mae": 0.824, "mse": 0.176}, 1, "It was chosen in 82 of 100 re-samplings of 12 sites."),
        (
            {"mae": 0.18, "mse": 0.82},
            2,
            "It was chosen in 18 of 100 re-samplings of 12 sites and 2 repeats, so that other "
            "losses remain in question: mse (82 of 100).",
        ),
    ],
)
def test_the_answer_carries_its_share_and_names_rivals_of_a_weak_one(
    shares: Mapping[str, float], repeats: int, words: str
) -> None:
    said = answer(ranking(), Findings(stability=stability(shares, repeats)))
    assert said == (
        f"Train on **mae**: of 2 loss subsets it has the best mean rank, 1.00, over PSNR and SSIM "
        f"at a. {words}"
    )


def test_what_is_not_trained_yet_is_no_part_of_the_answer() -> None:
    said = answer(rank(SCORES, ["mae", "mse", "mae+mse"]), Findings(along=along()))
    assert said == (
        "Train on **mae**: of 2 loss subsets that are trained (1 more is not yet) it has the best "
        "mean rank, 1.00, over PSNR and SSIM at a."
    )
    assert "Still changing" in answer(ranking(), Findings(along=along()))


def test_trainings_that_are_too_short_give_no_advice() -> None:
    said = answer(ranking(), Findings(too_short=True))
    assert said == (
        "No advice yet, the networks are too small or too briefly trained: of 2 loss subsets, "
        "**mae** has the best mean rank, 1.00, over PSNR and SSIM at a."
    )


def test_a_tie_is_said_in_the_answer() -> None:
    tied = rank(SCORES.assign(**{"ssim/a": [0.8, 0.9]}))
    assert answer(tied, Findings()) == (
        "Train on **mae**: of 2 loss subsets it has the best mean rank, 1.50, over PSNR and SSIM "
        "at a, which it shares with mse (ties go to fewer losses, then by the order of losses and "
        "noises)."
    )


def test_one_that_is_alone_is_no_answer_to_which_loss() -> None:
    lone = rank(SCORES.loc[["mse"]])
    assert answer(lone, Findings(along=along(), too_short=True)) == (
        "**mse** alone was trained, so that no losses are compared. Its network is too small or "
        "too briefly trained."
    )
    beside = SCORES.assign(outcome=["ok", "failed"])
    assert answer(rank(beside), Findings(along=along())) == (
        "**mae** alone has all scores that decide, so that no losses are compared."
    )
    assert "No advice yet" in answer(
        rank(SCORES.loc[["mse"]], ["mae", "mse"]), Findings(too_short=True)
    )


def test_many_speeds_are_counted() -> None:
    scores = pd.DataFrame({f"psnr/s{at}": [2.0, 1.0] for at in range(9)}, index=["mae", "mse"])
    assert "over PSNR at 9 scan speeds." in answer(rank(scores), Findings())


@pytest.mark.parametrize(
    ("scope", "said", "unsaid"),
    [
        (Scope(12, 1), "about these trained models, not about the losses", "training images"),
        (Scope(12, 2), "about the losses, not about single trained models", "these trained"),
        (
            Scope(12, 2),
            "made always with the same training images: with others",
            "of its own",
        ),
        (Scope(12, 2, True), "made each with training images of its own.", "with others"),
        (None, NOTHING_KNOWN, "12"),
    ],
)
def test_the_scope_says_what_intervals_hold_of(scope: Scope, said: str, unsaid: str) -> None:
    assert said in scope_sentence(scope)
    assert unsaid not in scope_sentence(scope)


def test_leads_are_a_table_with_each_filter_named_where_they_differ() -> None:
    leads = {
        "psnr": Leads(lead("noisy", 7.5, 0.5), lead("tv", 0.8, 0.3)),
        "ssim": Leads(None, lead("tv", -0.1, 0.05)),
    }
    grid = against(ranking(), Findings(leads=leads))
    assert grid is not None
    assert [list(row) for row in grid.rows] == [
        ["mae", "30.00", "0.9000"],
        ["difference to the noisy input", "+7.5 (+7.0 to +8.0)", "-"],
        ["difference to the best filter, tv", "+0.8 (+0.5 to +1.1)", "-0.10 (-0.15 to -0.05)"],
    ]
    leads["ssim"] = Leads(None, lead("median-5", 0.3, 0.05))
    other = against(ranking(), Findings(leads=leads))
    assert other is not None
    assert other.rows[2][1:] == ["+0.8 (+0.5 to +1.1), tv", "+0.30 (+0.25 to +0.35), median-5"]
    leads["ssim"] = Leads(None, None, lead("bundled", 0.2, 0.05))
    third = against(ranking(), Findings(leads=leads))
    assert third is not None
    assert list(third.rows[3]) == [
        "difference to the best network made elsewhere, bundled", "-", "+0.20 (+0.15 to +0.25)",
    ]  # fmt: skip
    assert against(ranking(), Findings()) is None


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        (Leads(lead("noisy", 7.0, 1), lead("tv", 0.3, 0.5)), []),
        (
            Leads(lead("noisy", 7.0, 1), lead("tv", -0.8, 0.3)),
            [
                "In PSNR, the filter tv, which needs no training, is significantly better than the "
                "champion: the difference is 0.8 dB (0.5 to 1.1)."
            ],
        ),
        (
            Leads(lead("noisy", 7.0, 1), lead("tv", -0.2, 0.3)),
            [
                "In PSNR, the filter tv, which needs no training, has no lower mean than the "
                "champion, though the two are not significantly different: the difference is "
                "0.2 dB (-0.1 to 0.5)."
            ],
        ),
        (
            Leads(lead("noisy", 7.0, 1), lead("tv", 0.8, 0.3), lead("bundled", -0.8, 0.3)),
            [
                "In PSNR, the network bundled, which was made elsewhere, is significantly better "
                "than the champion: the difference is 0.8 dB (0.5 to 1.1)."
            ],
        ),
        (
            Leads(lead("noisy", -0.8, 0.3), lead("tv", -0.9, 0.3)),
            [
                "In PSNR, the noisy input is significantly better than the champion: the "
                "difference is 0.8 dB (0.5 to 1.1)."
            ],
        ),
    ],
)
def test_a_filter_that_wins_is_a_caveat(leads: Leads, said: list[str]) -> None:
    assert filter_caveats(Findings(leads={"psnr": leads})) == said


def test_a_speed_at_which_the_noisy_input_is_better_is_a_caveat() -> None:
    """By hand: at b the noisy input has 32 dB and the champion 31; over both speeds 26 and 30.5."""
    scores = pd.DataFrame(
        {
            "psnr/a": [30.0, 29.0, 20.0], "psnr/b": [31.0, 29.0, 32.0], "psnr": [30.5, 29.0, 26.0],
            "ssim/a": [0.9, 0.8, 0.4], "ssim/b": [0.9, 0.8, 0.5], "ssim": [0.9, 0.8, 0.45],
            "repeatability/b": [0.6, 0.5, 0.9], "baseline": [False, False, True],
        },
        index=["mae", "mse", "noisy"],
    )  # fmt: skip
    assert speed_caveats(rank(scores)) == [
        "At b the noisy input itself has a higher mean PSNR (32.00) than the champion (31.00)."
    ]
    everywhere = scores.assign(psnr=[30.5, 29.0, 31.0])
    assert speed_caveats(rank(everywhere)) == [], "that is told of all speeds together"
    assert speed_caveats(rank(scores.drop("noisy"))) == []


def test_three_caveats_are_shown_at_most() -> None:
    first, later = split(["a", "b", "c", "d"])
    assert (first, later) == (["a", "b", "c"], ["d"])
    assert MOST_CAVEATS == 3
