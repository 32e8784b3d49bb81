from dataclasses import replace

import pandas as pd
import pytest
from lengths import along
from matplotlib.figure import Figure

from lfranker.ranking.along_training import Verdict
from lfranker.report import plots
from lfranker.report.learning_curves import length_sentences, length_table, verdict_sentence
from lfranker.report.plots import rank_course_plot


@pytest.mark.parametrize(
    ("champions", "verdict", "sentence"),
    [
        (
            ("ssim", "mae", "mae"),
            Verdict.SETTLED,
            "Settled so far: trainings of half the steps (1,000) have the same champion, which "
            "does not show that longer ones would.",
        ),
        (
            ("ssim", "ssim", "mae"),
            Verdict.SETTLED,
            "Settled so far: the champion of trainings of half the steps (1,000) is ssim, which "
            "after 2,000 steps is equivalent to mae.",
        ),
        (
            ("ssim", "ssim", "mae"),
            Verdict.CHANGING,
            "Still changing: the champion of trainings of half the steps (1,000) is ssim, which "
            "after 2,000 steps is significantly worse than mae.",
        ),
        (
            ("ssim", "ssim", "mae"),
            Verdict.UNDECIDED,
            "Not shown to be settled: the champion of trainings of half the steps (1,000) is "
            "ssim; after 2,000 steps it is open whether that or mae is better.",
        ),
    ],
)
def test_verdict_is_said_in_one_sentence(champions, verdict, sentence):
    assert verdict_sentence(along(champions, verdict)) == sentence


def test_sentences_name_champions_agreement_and_what_is_extrapolated():
    champions, agreement, later = length_sentences(along())
    assert "ssim after 500, ssim after 1,000, mae after 2,000" in champions
    assert "after 1,000 and 2,000 steps is -0.05 (-0.30 to 0.20) in PSNR" in agreement
    assert "after 8,000 steps is that of mae in 80 %, ssim in 20 %" in later
    assert "not a measurement" in later
    assert (
        "of the re-samplings of sites and repeats."
        in length_sentences(replace(along(), repeats=2))[2]
    )
    assert "of the re-samplings of sites." in length_sentences(replace(along(), repeats=1))[2]
    unshrunk = replace(along(), later=pd.Series(dtype=float), forecasts={})
    assert length_sentences(unshrunk)[2:] == [
        "What longer training brings cannot be extrapolated: in PSNR the last doubling of the "
        "steps moved the scores about as much as the one before, or more."
    ]
    two = replace(unshrunk, lengths=along().lengths[1:], champions=along().champions[1:])
    assert len(length_sentences(two)) == 2


def test_table_has_the_best_first_and_the_extrapolation_apart():
    table = length_table(along(), "psnr")
    assert list(table.index) == ["mae", "ssim"]
    assert table.loc["mae"].tolist() == ["28.00", "29.00", "30.00", "31.50 (31.00 to 32.00)"]
    assert table.columns[-1] == "8,000 steps, extrapolated"
    bare = replace(along(), forecasts={})
    assert list(length_table(bare, "psnr").columns) == ["500 steps", "1,000 steps", "2,000 steps"]


def test_plot_names_the_best_and_draws_all():
    ranks = pd.DataFrame(
        {500: range(1, 16), 2000: range(15, 0, -1)}, index=[f"entrant{n}" for n in range(15)]
    )
    text = rank_course_plot(ranks)
    figures = list[Figure]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_svg", figures.append)
        rank_course_plot(ranks)
    (axes,) = figures[0].axes
    assert (axes.get_xscale(), axes.yaxis_inverted()) == ("log", True)
    assert "entrant14" in text  # first at the end
    assert "entrant0<" not in text
    assert text.count("2,000") == 1
    assert text == rank_course_plot(ranks)
