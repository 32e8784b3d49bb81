import io
import itertools
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.report.note import NOTE_LIMIT, note
from lfranker.report.remarks import remarks
from lfranker.report.sentences import NOTHING_KNOWN
from lfranker.report.tables import tables, to_csv, to_markdown

GOLDEN = Path(__file__).parents[1] / "golden" / "paper_tables.csv"
PAPER = pd.read_csv(GOLDEN, index_col="losses")
SPEEDS = ("spd2", "spd3", "spd5")


def with_baselines() -> Ranking:
    extra = PAPER.loc[["mae", "mse"]] * 0.5
    extra.index = pd.Index(["noisy", "median-5"])
    scores = pd.concat([PAPER.assign(baseline=False), extra.assign(baseline=True)])
    return rank(scores.assign(seconds_per_step=[1 + i / 8 for i in range(17)]))


def cells(markdown: str) -> dict[str, list[str]]:
    """The cells of each row of a Markdown table, by the first of them."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_table_ii_follows_from_table_iii():
    per_speed = PAPER.drop(columns=["psnr", "ssim"])
    table = tables(rank(per_speed))["table2"]
    assert list(table.index) == list(PAPER.index)
    pd.testing.assert_frame_equal(
        table[["psnr", "ssim"]], PAPER[["psnr", "ssim"]], atol=1e-4, rtol=0, check_names=False
    )


def test_the_tables_have_the_papers_columns_and_the_baselines_at_the_end():
    made = tables(with_baselines())
    assert list(made) == ["leaderboard", "table2", "table3", "table4", "table5"]
    assert list(made["table2"]) == ["psnr", "ssim", "outcome"]
    quality = [f"{metric}/{speed}" for metric in ("psnr", "ssim") for speed in SPEEDS]
    assert list(made["table3"]) == [*quality, "outcome"]
    assert list(made["table4"]) == [*(f"keypoints/{speed}" for speed in SPEEDS), "outcome"]
    for table in made.values():
        assert list(table.index[-2:]) == ["noisy", "median-5"]
        assert table["outcome"].tolist() == ["ok"] * (len(table) - 2) + ["baseline"] * 2
    for name in ("table2", "table3", "table4"):
        assert list(made[name].index[:-2]) == list(PAPER.index)
        given = PAPER[[column for column in made[name] if column != "outcome"]]
        pd.testing.assert_frame_equal(
            made[name].loc[PAPER.index, given.columns],
            given,
            check_names=False,
            check_dtype=False,
        )
    assert set(made["table5"]) == {*PAPER, "keypoints", "wins", "outcome"}
    assert made["leaderboard"].index[0] == "ssim+perceptual"
    assert made["leaderboard"]["seconds_per_step"]["mse"] == 1.125
    assert made["leaderboard"]["mean_rank"]["ssim+perceptual"] == 2.5


def test_table_v_holds_the_rows_that_win_a_column():
    wins = tables(with_baselines())["table5"]["wins"]
    assert wins.to_dict() == {
        "mse": "keypoints, keypoints/spd3, keypoints/spd5",
        "mae+ssim": "ssim, ssim/spd2, ssim/spd3, ssim/spd5",
        "ssim+perceptual": "psnr, psnr/spd2, psnr/spd3, psnr/spd5",
        "mae+mse+ssim+perceptual": "keypoints/spd2",
        "noisy": "",
        "median-5": "",
    }


def test_markdown_has_the_best_in_bold_and_sensible_digits():
    made = tables(with_baselines())
    rows = cells(to_markdown(made["table2"], "Means"))
    assert rows["Losses"] == ["PSNR (dB)", "SSIM"]
    assert rows["ssim+perceptual"] == ["**18.46**", "0.3233"]
    assert rows["mae+ssim"] == ["18.14", "**0.3290**"]
    assert rows["noisy (baseline)"] == ["9.09", "0.1628"]
    assert to_markdown(made["table2"], "Means").count("**") == 2 + 4  # the caption, two values

    rows = cells(to_markdown(made["table4"], "Keypoints"))
    assert rows["Losses"] == ["Keypoints spd2", "Keypoints spd3", "Keypoints spd5"]
    assert rows["mse"] == ["483.0", "**648.0**", "**783.0**"]  # noisy has halves in these columns
    assert cells(to_markdown(tables(rank(PAPER))["table4"], ""))["mse"][1:] == [
        "**648**",
        "**783**",
    ]

    rows = cells(to_markdown(made["leaderboard"], "All"))
    head = ["Mean rank", "Weighted score", "PSNR (dB)", "SSIM", "Keypoints", "Cost per step (s)"]
    assert rows["Losses"] == [*head, "Worse than noisy in"]
    assert "Worse than noisy in" not in to_markdown(tables(rank(PAPER))["leaderboard"], "All")
    assert rows["ssim+perceptual"][0] == "**2.50**"
    weighted = [row[1] for name, row in rows.items() if name in PAPER.index]
    (bold,) = (text.strip("*") for text in weighted if "*" in text)
    assert float(bold) == max(float(text.strip("*")) for text in weighted), "higher is better"
    assert rows["mae"][5] == "**1**"
    assert rows["median-5 (baseline)"][0] == "-"


def test_equals_are_all_bold_and_what_cannot_win_is_not():
    scores = pd.DataFrame(
        {
            "psnr": [20.0, 20.0, 30.0, 40.0, math.inf],
            "outcome": ["ok", "ok", "collapsed", "ok", "ok"],
            "baseline": [False, False, False, True, False],
        },
        index=["mae", "mse", "ssim", "median-5", "perceptual"],
    )
    rows = cells(to_markdown(tables(rank(scores))["table2"], "Ties"))
    assert rows["mae"] == rows["mse"] == ["**20.00**"]
    assert rows["ssim (collapsed)"] == ["30.00"]
    assert rows["median-5 (baseline)"] == ["40.00"]
    assert rows["perceptual"] == ["-"]


def test_a_lower_that_is_better_is_bold():
    table = pd.DataFrame({"psnr": [1.0, 2.0], "outcome": "ok"}, index=["a", "b"])
    assert cells(to_markdown(table, "", directions={"psnr": False}))["a"] == ["**1.00**"]
    assert cells(to_markdown(table, ""))["b"] == ["**2.00**"]


def test_markdown_is_a_well_formed_table_whatever_the_names():
    table = pd.DataFrame({"psnr/a|b": [1.0, 2.0], "outcome": "ok"}, index=["x|y", "two\nlines"])
    text = to_markdown(table, "Bars")
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == r"| Losses | PSNR a\|b (dB) |"
    assert rule == "|---|---:|"
    assert rows == [r"| x\|y | 1.00 |", "| two lines | **2.00** |"]
    assert text.splitlines()[:2] == ["**Bars**", ""]  # a table needs a blank line before it


def test_simulated_is_said_in_every_caption():
    ranking = with_baselines()
    for table in tables(ranking).values():
        assert to_markdown(table, "Means", simulated=True).startswith("**Simulated scans: Means**")
        assert "imulated" not in to_markdown(table, "Means")
    assert note(ranking, simulated=True).count("imulated") == 3  # under the answer and two captions
    assert "imulated" not in note(ranking)


def test_csv_reads_back_with_every_digit():
    for table in tables(with_baselines()).values():
        back = pd.read_csv(io.StringIO(to_csv(table)), index_col="losses", keep_default_na=False)
        assert list(back.index) == list(table.index)
        for column in table:
            assert [*map(str, back[column])] == [
                "" if isinstance(v, float) and math.isnan(v) else str(v) for v in table[column]
            ]


def test_names_in_a_note_are_no_markup() -> None:
    text = note(with_baselines(), caveats=["field a<script>alert(1)</script> at 2 < 3 is dark"])
    assert "<" not in text
    assert "> field a&lt;script>alert(1)&lt;/script> at 2 &lt; 3 is dark" in text


def test_the_note_answers_first_and_then_says_what_to_mind():
    caveats = ["The demo preset shows the machinery; its ranking is not evidence."]
    text = note(with_baselines(), caveats=caveats)
    answer, caveat, scope, *_ = text.split("\n\n")
    assert answer == (
        "Train on **ssim+perceptual**: of 15 loss subsets it has the best mean rank, 2.50, "
        "over PSNR and SSIM at spd2, spd3 and spd5."
    )
    assert caveat == f"> {caveats[0]}"
    assert scope == NOTHING_KNOWN
    rows = cells(text)
    assert rows["mae"][3] == "605.7"  # the most of the five shown, not of all
    assert rows["PSNR spd2 (dB)"] == ["ssim+perceptual", "18.02"]
    assert rows["Keypoints spd2"] == ["mae+mse+ssim+perceptual", "498.0"]
    leaders = [name for name in rows if name in PAPER.index]
    assert len(leaders) == 5
    assert leaders[0] == "ssim+perceptual"
    assert "noisy (baseline)" in rows


def test_the_note_without_a_champion_says_so():
    ranking = rank(pd.DataFrame({"outcome": ["failed"]}, index=["mae"]), expected=["mae", "mse"])
    text = note(ranking, caveats=remarks(ranking))
    assert text.startswith("**No answer**")
    assert "> 1 of 2 subsets is not trained yet: mse." in text
    assert "> 1 of 2 subsets was not trained to the end and cannot win: mae." in text


@pytest.mark.parametrize("speeds", [3, 40])
@pytest.mark.parametrize("outcomes", [["ok"], ["ok", "failed", "collapsed", "diverged"]])
def test_the_note_of_1023_subsets_fits_into_a_tag(speeds, outcomes):
    losses = ["mae", "mse", "ssim", "perceptual-random", *(f"another-loss-{i}" for i in range(6))]
    subsets = ["+".join(c) for n in range(1, 11) for c in itertools.combinations(losses, n)]
    assert len(subsets) == 1023
    columns = {
        f"{metric}/speed-{speed}": [float((7919 * i + speed) % 1023) for i in range(1023)]
        for metric in ("psnr", "ssim", "keypoints")
        for speed in range(speeds)
    }
    scores = pd.DataFrame(columns, index=subsets)
    scores["outcome"] = [outcomes[i % len(outcomes)] for i in range(1023)]
    scores.loc["noisy", [*columns, "baseline"]] = [500.0] * len(columns) + [True]
    ranking = rank(scores, expected=[*subsets, *(f"{name}+gone" for name in subsets)])
    text = note(ranking, simulated=True, caveats=["A demonstration.", *remarks(ranking)])
    assert len(text) <= NOTE_LIMIT == 7500
    assert text.startswith(f"Train on **{ranking.champion}**: of 1,023 loss subsets")
    assert "\n\n> These scans are simulated, not measured.\n>\n> A demonstration.\n" in text
    assert "\n> 1,023 of 2,046 subsets are not trained yet: mae+gone, " in text
    assert re.search(r"\n- \d+ of 2,046 subsets are worse than the noisy input in PSNR: ", text)
    assert len(cells(text)) > 5  # the first five have their place, whatever else has
    assert ("(More is in the tables" in text) == (speeds == 40)


def test_the_note_keeps_its_limit_with_a_caveat_beyond_it():
    text = note(with_baselines(), caveats=["x" * 8000])
    assert len(text) <= NOTE_LIMIT
    assert text.startswith("Train on")
    assert "(More is in the tables" in text


def test_the_note_shows_the_noisy_input_however_many_baselines_there_are():
    names = ["mae", "mse", *(f"filter-{at}" for at in range(12)), "noisy"]
    scores = pd.DataFrame({"psnr": [float(at) for at in range(15)], "ssim": 0.5}, index=names)
    rows = cells(note(rank(scores.assign(baseline=[False] * 2 + [True] * 13))))
    assert "noisy (baseline)" in rows
    assert "filter-11 (baseline)" in rows, "the best of them"
    assert "filter-5 (baseline)" in rows
    assert "filter-4 (baseline)" not in rows
