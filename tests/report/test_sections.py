"""The sections of a page have the sentences, plots and tables of what was found."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pandas as pd
import pytest
from lengths import along
from recorder import Recorder

from lfranker.evaluation.criteria import VISUAL
from lfranker.ranking.along_training import Stop
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.ranking.leads import Advantage
from lfranker.ranking.learning_rate_check import HOLDS, RateCheck
from lfranker.ranking.own_scans import ScanCurve
from lfranker.ranking.weight_search import Outcome
from lfranker.ranking.winner_stability import Undistinguished
from lfranker.report import sections as parts
from lfranker.report.decisions import learning_rate_sentence, undistinguished_sentence
from lfranker.report.findings import Findings, Scope
from lfranker.report.html_page import Grid
from lfranker.report.learning_curves import length_sentences, scan_sentences, stop_sentences
from lfranker.report.noise import noise_section, noise_sentences
from lfranker.report.plots import (
    attribution_plot,
    heat_map,
    interval_plot,
    pareto_plot,
    rank_course_plot,
    rank_plot,
    share_plot,
)
from lfranker.report.sections import (
    combined_or_single,
    do_criteria_agree,
    how_sure,
    longer_training,
    sections,
    shares_section,
    stopped_early,
    what_losses_add,
    which_are_best,
)
from lfranker.report.sentences import (
    advantage_sentences,
    comparison_sentences,
    effect_sentences,
    search_sentence,
    share_sentence,
)

BOARD = pd.DataFrame(
    {
        "psnr": [30.0, 31.0, 29.0, 25.0, 20.0],
        "ssim": [0.9, 0.8, 0.7, 0.6, 0.5],
        "outcome": ["ok", "ok", "collapsed", "baseline", "baseline"],
        "baseline": [False, False, False, True, True],
    },
    index=["mae", "mse", "ssim", "median-5", "noisy"],
)
RANKING = rank(BOARD)
INTERVALS = pd.DataFrame(
    {"mean": [0.0, -1.0], "standing": ["equivalent", "worse"], "chance_of_best": [0.9, 0.1]},
    index=["mae", "mse"],
)
EFFECTS = pd.DataFrame(
    {"value": [0.5], "low": [0.3], "high": [0.7]},
    pd.MultiIndex.from_tuples([("mean effect", "mae")], names=["kind", "losses"]),
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Record what is drawn; each plot is the name of its function."""
    record = Recorder(monkeypatch)
    for function in (
        attribution_plot, heat_map, interval_plot, pareto_plot, rank_course_plot, rank_plot,
        share_plot,
    ):  # fmt: skip
        record.replace(function, lambda _, name=function.__name__: name)
    return record


def only(drawn: Recorder, function: str) -> Mapping[str, Any]:
    (call,) = drawn.calls["", function]
    return vars(call)


def test_without_findings_all_sections_are_empty_but_the_overview(drawn: Recorder) -> None:
    own = sections(RANKING, Findings())
    assert [section.question for section in own if not section.is_empty] == [
        "Do the criteria agree?"
    ]
    assert len({section.question for section in own}) == 13


def test_what_follows_a_power_set_is_told_each_under_its_question() -> None:
    check = RateCheck(HOLDS, 3, {1.0: "mae", 2.0: "mae"}, BOARD[["psnr"]])
    search = Outcome("mae+ssim", 12, None, pd.DataFrame())
    curve = ScanCurve("mae", (1, 2), target=12, draws=0, fields=9, sites=8)
    groups = {"tin": RANKING, "gold": replace(RANKING, champion=None)}
    found = Findings(learning_rate=check, search=search, own_scans=curve, samples=groups)
    told = {own.question: own.sentences for own in sections(RANKING, found)}
    assert told["Does the winner depend on the learning rate?"] == [learning_rate_sentence(check)]
    assert told["Do other weights of the losses do better?"] == [search_sentence(search)]
    assert told["How many slow scans do I need?"] == list(scan_sentences(curve))
    assert told["Do sample groups differ?"] == [
        f"Champions by sample group: tin: {RANKING.champion}, gold: none."
    ]


@pytest.mark.parametrize(("repeats", "said"), [(1, 1), (2, 2), (3, 1)])
def test_two_repeats_are_too_few_to_see_that_one_subset_scatters_more(
    repeats: int, said: int
) -> None:
    unknown = Undistinguished(("psnr",), pd.DataFrame(), None)
    findings = Findings(undistinguished=unknown, scope=Scope(9, repeats))
    section = how_sure(RANKING, findings)
    assert RANKING.champion is not None
    assert section.sentences[0] == undistinguished_sentence(unknown, RANKING.champion)
    assert len(section.sentences) == said
    assert all(text.startswith("With two repeats it cannot be") for text in section.sentences[1:])


def test_lengths_are_drawn_and_tabulated(drawn: Recorder) -> None:
    found = along()
    section = longer_training(Findings(along=found))
    assert section.sentences == length_sentences(found)
    assert section.plots == {"Mean ranks by the length of the training": "rank_course_plot"}
    assert next(iter(only(drawn, "rank_course_plot").values())) is found.mean_ranks
    assert section.grids == {
        "PSNR (dB) by the length of the training": Grid(
            ["Losses", "500 steps", "1,000 steps", "2,000 steps", "8,000 steps, extrapolated"],
            [
                ["mae", "28.00", "29.00", "30.00", "31.50 (31.00 to 32.00)"],
                ["ssim", "29.00", "29.25", "29.50", "29.90 (29.70 to 30.10)"],
            ],
        )
    }


def test_long_tables_of_lengths_are_cut(drawn: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 1)
    (grid,) = longer_training(Findings(along=along())).grids.values()
    assert [row[0] for row in grid.rows] == ["mae"]


def test_what_was_stopped_is_tabulated_with_what_it_lacked() -> None:
    stops = {
        "mse": Stop(2000, {"psnr": "mae", "ssim": "mae"}, {"psnr": 1.5, "ssim": 0.25}),
        "tv+mse": Stop(500, {}, {}),
        "ssim": Stop(1000, {"ssim": "mae"}, {"ssim": 0.125}),
    }
    findings = Findings(stops=stops, saved=0.256, subsets=7)
    section = stopped_early(findings)
    assert section.sentences == stop_sentences(findings)
    (grid,) = section.grids.values()
    assert grid.heads == [
        "Losses", "after a training of so many steps", "PSNR (dB): behind by at least",
        "SSIM: behind by at least",
    ]  # fmt: skip
    assert [row[:2] for row in grid.rows] == [
        ["mse", "2,000"], ["tv+mse", "500"], ["ssim", "1,000"]
    ]  # fmt: skip
    assert [float(cell) for cell in grid.rows[0][2:]] == [1.5, 0.25]
    assert float(grid.rows[2][3]) == 0.125
    assert (grid.rows[1][2:], grid.rows[2][2]) == (["-", "-"], "-")
    first = section.sentences[0]
    assert "3 of 7 subsets were stopped" in first
    assert "spared 26 %" in first
    one = stop_sentences(replace(findings, stops={"ssim": stops["ssim"]}))
    assert "1 of 7 subsets was stopped" in one[0]


def test_evidence_on_each_metric_is_said_and_drawn_and_that_of_people_elsewhere(
    drawn: Recorder,
) -> None:
    psnr = Evidence(2, 9, intervals=INTERVALS, effects=EFFECTS)
    own = {"psnr": psnr, "ssim": Evidence(2, 2), VISUAL: psnr}
    findings = Findings(evidence=own, margins={"psnr": 0.2, "ssim": 0.005})
    best = which_are_best(findings)
    assert best.sentences == [
        *comparison_sentences("psnr", psnr, 0.2),
        *comparison_sentences("ssim", own["ssim"], 0.005),
    ]
    assert best.plots == {"Ranks in PSNR that cannot be excluded": "rank_plot"}
    assert list(only(drawn, "rank_plot").values()) == [INTERVALS, "PSNR"]
    adds = what_losses_add(findings)
    assert adds.sentences[-1:] == list(effect_sentences("psnr", psnr))
    assert adds.plots == {"Mean effect on PSNR of adding a loss to others": "attribution_plot"}
    call = only(drawn, "attribution_plot")
    assert list(call.values())[1] == "PSNR (dB)"
    assert next(iter(call.values())).equals(EFFECTS.reset_index())


def test_combined_losses_are_compared_where_that_was_found() -> None:
    index = ["spd2"]
    table = pd.DataFrame({"value": [0.5], "low": [0.3], "high": [0.7]}, index)
    composition = pd.DataFrame(
        {"value": [0.5, 0.25], "low": 0.1, "high": 0.7, "in_combined": [7, 6], "in_single": 1},
        index=["ssim", "mae"],
    )
    advantage = Advantage(table, composition, 11, 4, None)
    own = {"psnr": Evidence(combined=advantage), "ssim": Evidence()}
    section = combined_or_single(Findings(evidence=own))
    assert section.sentences == list(advantage_sentences("psnr", advantage))
    assert section.sentences[1] == (
        "What each loss adds by itself to PSNR at spd2: ssim +0.5 dB (+0.1 to +0.7), which is in "
        "7 of 11 combined and 1 of 4 single ones, mae +0.2 dB (+0.1 to +0.7), which is in 6 of 11 "
        "combined and 1 of 4 single ones."
    )


@pytest.mark.parametrize("speeds", [("spd2",), ("spd2", "spd5")])
def test_ranks_at_a_single_speed_are_not_drawn_twice(
    drawn: Recorder, speeds: tuple[str, ...]
) -> None:
    """The one that collapsed, and the noisy input, are not among the points."""
    columns = {f"{m}/{s}": BOARD[m] for m in ("psnr", "ssim") for s in speeds}
    ranking = rank(BOARD.assign(**columns))
    section = do_criteria_agree(ranking, Findings())
    assert section.plots == {
        "Ranks by criterion (1 is best)": "heat_map", "PSNR against SSIM": "pareto_plot"
    }  # fmt: skip
    ranks = next(iter(only(drawn, "heat_map").values()))
    titles = ["PSNR", "SSIM"]
    at = [f"{title} {speed}" for title in titles for speed in speeds] if len(speeds) > 1 else []
    assert sorted(ranks.columns) == sorted([*titles, *at])
    assert list(ranks.index) == list(ranking.leaderboard.index[:3])
    table, first, second, front, labels = only(drawn, "pareto_plot").values()
    assert list(table.index) == ["mae", "mse", "median-5"]
    assert (first, second, labels) == ("psnr", "ssim", ("PSNR (dB)", "SSIM"))
    assert set(front) == {"mae", "mse"}


def test_shares_of_the_first_combined_losses_are_drawn(
    drawn: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_COMBINED", 2)
    shares = pd.DataFrame({"mae": [0.95, 0.5, 0.5], "ssim": [0.05, 0.5, 0.5]}, list("abc"))
    section = shares_section(Findings(shares=shares, unmeasured=4))
    assert section.sentences == [share_sentence(shares, 4, 0.9)]
    (caption,) = section.plots
    assert caption.endswith("mean over training, the first 2 of 3")
    assert next(iter(only(drawn, "share_plot").values())).equals(shares.iloc[:2])
    whole = shares_section(Findings(shares=shares.iloc[:2]))
    assert next(iter(whole.plots)).endswith("mean over training")


def test_noises_are_said_and_drawn_by_metric(drawn: Recorder) -> None:
    noises = INTERVALS.assign(low=-2.0, high=1.0).rename(index={"mae": "eq1", "mse": "gamma"})
    index = pd.MultiIndex.from_tuples([("mean effect", "lines")], names=["kind", "components"])
    effects = pd.DataFrame({"value": [0.5], "low": [0.3], "high": [0.7]}, index)
    both = Evidence(noise_losses=("mae", "ssim"), noises=noises, component_effects=effects)
    findings = Findings(evidence={"psnr": both, VISUAL: both}, margins={"psnr": 0.1})
    drawn.replace(noise_sentences, lambda _: ["It is so."])
    section = noise_section(findings)
    assert section.sentences == ["It is so."]
    assert list(only(drawn, "noise_sentences").values()) == ["psnr", both, 0.1]
    assert section.plots == {
        "PSNR by noise, mean over the losses": "interval_plot",
        "Mean effect on PSNR of adding a component to the noise of the training":
            "attribution_plot",
    }  # fmt: skip
    assert list(only(drawn, "interval_plot").values())[:2] == [noises, "PSNR (dB)"]
    table, label, what = list(only(drawn, "attribution_plot").values())[:3]
    assert (table["losses"].item(), label, what) == ("lines", "PSNR (dB)", "a component")


def test_a_champion_that_is_not_there_is_not_told_apart() -> None:
    nobody = cast(Ranking, replace(RANKING, champion=None))
    unknown = Undistinguished(("psnr",), pd.DataFrame(), None)
    assert how_sure(nobody, Findings(undistinguished=unknown)).is_empty
