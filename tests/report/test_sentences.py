"""Each sentence claims what its numbers show."""

import numpy as np
import pandas as pd
import pytest

from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leads import BETWEEN, Advantage
from lfranker.ranking.top_set import Effort
from lfranker.report.findings import Agreement, Findings
from lfranker.report.sentences import (
    advantage_sentences,
    agreement_sentences,
    comparison_sentences,
    effect_sentences,
    left_out_sentence,
    standing_sentence,
)


def standings(*standing: str) -> pd.DataFrame:
    names = ["mae", "mse", "ssim", "mae+mse"][: len(standing)]
    return pd.DataFrame({"standing": standing, "chance_of_best": 0.25}, index=names)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (
            ("equivalent", "equivalent", "undecided", "worse"),
            "In PSNR, 2 of 4 are shown to be equivalent to the best within 0.1 dB (mae, mse), 1 is "
            "undecided (ssim) and 1 is shown to be worse.",
        ),
        (
            ("undecided", "worse", "worse"),
            "In PSNR, 0 of 3 are shown to be equivalent to the best within 0.1 dB, 1 is undecided "
            "(mae) and 2 are shown to be worse.",
        ),
        (
            ("equivalent", "worse", "worse"),
            "In PSNR, mae is shown to be the best: the other 2 are worse by more than 0.1 dB.",
        ),
        (
            ("equivalent", "worse"),
            "In PSNR, mae is shown to be the best: the other one is worse by more than 0.1 dB.",
        ),
    ],
)
def test_standings_are_counted_and_named(standing: tuple[str, ...], words: str) -> None:
    assert standing_sentence("PSNR", standings(*standing), 0.1, "dB") == words


@pytest.mark.parametrize(
    ("effort", "words"),
    [
        (None, ""),
        (Effort("mse", 0.12, None, None), ""),
        (
            Effort("mse", 0.12, (20, 45), None),
            "20 to 45 sites in all would show it with 80 %",
        ),
        (Effort("mse", 0.12, (20, 45), (7, 7)), "20 to 45 sites or 7 repeats in all would show it"),
    ],
)
def test_effort_is_said_where_something_would_do(effort: Effort | None, words: str) -> None:
    own = Evidence(4, 12, intervals=standings("undecided", "undecided"), effort=effort)
    counts, more, best, *rest = comparison_sentences("psnr", own, 0.1)
    assert counts == "Of 4 subsets, the 2 with the highest mean PSNR are compared."
    assert "0 of 2 are shown" in more
    assert best == (
        "mae has the highest mean PSNR; the probability that it is truly the best of these 2 in "
        "PSNR alone is 25 %."
    )
    assert len(rest) == bool(words)
    assert all(
        "It is open whether mae is better than mse." in said and words in said for said in rest
    )


def test_nothing_is_open_about_one_that_is_shown_to_be_worse() -> None:
    effort = Effort("mse", 0.12, (20, 45), None)
    known = Evidence(2, 12, intervals=standings("equivalent", "worse"), effort=effort)
    assert not [said for said in comparison_sentences("psnr", known, 0.1) if "open" in said]


def test_too_little_to_compare_is_said() -> None:
    (said,) = comparison_sentences("repeatability", Evidence(4, 2), 0.1)
    assert said.startswith(
        "In repeatability, 4 subsets were scored at 2 sites, which is too little"
    )


def test_effects_have_signs_intervals_and_what_they_are_without() -> None:
    index = pd.MultiIndex.from_tuples([("mean effect", "mae"), ("Shapley value", "mae")])
    table = pd.DataFrame({"value": [0.5, 9.0], "low": [0.3, 8.0], "high": [0.7, 10.0]}, index)
    first, second = effect_sentences("psnr", Evidence(effects=table, effects_without=("ssim",)))
    assert first == (
        "Adding a loss to others changes PSNR on average by: mae +0.5 dB (+0.3 to +0.7)."
    )
    assert second.startswith("In PSNR, ssim failed, collapsed or lack scores; the means are over")
    (none,) = effect_sentences("psnr", Evidence(effects_without=("ssim",)))
    assert none.startswith("What each loss adds to PSNR cannot be said: ssim failed")
    assert list(effect_sentences("psnr", Evidence())) == []


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0.1, 0.5), "the difference is +0.3 dB (+0.1 to +0.5): noisier scans want combined"),
        ((-0.5, -0.1), "the difference is -0.3 dB (-0.5 to -0.1): differences merely shrink"),
        ((-0.2, 0.2), "the difference is 0.0 dB (-0.2 to +0.2): the two are not significantly"),
    ],
)
def test_noisier_scans_want_what_the_interval_shows(ends: tuple[float, float], words: str) -> None:
    rows = {"fast": (0.5, 0.3, 0.7), "slow": (0.2, 0.0, 0.4), BETWEEN: (sum(ends) / 2, *ends)}
    table = pd.DataFrame(rows, index=["value", "low", "high"]).T
    parts = pd.DataFrame(
        {"value": 0.5, "low": 0.3, "high": 0.7, "in_combined": 7, "in_single": 1}, index=["ssim"]
    )
    advantage = Advantage(table, parts, 11, 4, (0.1, -0.1, 0.3))
    said, own, without = advantage_sentences("psnr", advantage)
    assert own.endswith(
        "at fast: ssim +0.5 dB (+0.3 to +0.7); each is in 7 of 11 combined and 1 of 4 single ones."
    )
    assert without == (
        "Less what each loss adds by itself, the lead of combined losses in PSNR is +0.1 dB (-0.1 "
        "to +0.3) at fast; a negative lead means that they are behind."
    )
    assert (
        "differ from single ones on average by +0.5 dB (+0.3 to +0.7) at fast and +0.2 dB" in said
    )
    assert words in said


def test_agreement_names_pairs_speeds_and_the_front() -> None:
    tau = pd.DataFrame([[1.0, 0.5], [0.5, 1.0]], index=["psnr", "ssim"], columns=["psnr", "ssim"])
    said = list(agreement_sentences(Agreement(tau, {"psnr": 0.9}, ("mae",))))
    assert "PSNR and SSIM 0.50." in said[0]
    assert said[1].endswith("PSNR 0.90.")
    assert said[2].endswith("being worse in another: mae.")
    gaps = Agreement(tau * np.nan, {}, ("mae",))
    assert len(list(agreement_sentences(gaps))) == 1


def test_subsets_left_out_on_purpose_are_counted() -> None:
    assert left_out_sentence(Findings(subsets=15, all_subsets=15)) == ""
    assert left_out_sentence(Findings(subsets=5, all_subsets=7)).startswith("2 of 7 subsets were")
