import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from svg import texts

from lfranker.noise.fit import Fit
from lfranker.noise.profile import Estimate
from lfranker.report import plots
from lfranker.report.plots import (
    REST,
    STANDINGS,
    TOP,
    attribution_plot,
    heat_map,
    interval_plot,
    noise_level_plot,
    pareto_plot,
    rank_plot,
    standing_plot,
)

NAMES = ["mae+mse", "mae", "mse"]
TABLE = pd.DataFrame(
    {"low": [29.0, 28, 20], "mean": [30.0, 29, 21], "high": [31.0, 30, 22],
     "best_rank": [1, 1, 3], "worst_rank": [2, 2, 3],
     "standing": ["equivalent", "undecided", "worse"]},
    index=NAMES,
)  # fmt: skip
BOARD = pd.DataFrame(
    {"psnr": [30.0, 29, 28, 22], "ssim": [0.8, 0.9, 0.7, 0.4], "baseline": [False] * 3 + [True]},
    index=[*NAMES, "noisy"],
)
EFFECTS = pd.DataFrame(
    {"kind": ["mean effect", "mean effect", "Shapley value"], "losses": ["mae", "mse", "mae"],
     "value": [0.5, -0.2, 9.0], "low": [0.4, -0.3, 8.0], "high": [0.6, -0.1, 10.0]}
)  # fmt: skip

PLOTS = {
    "intervals": lambda: interval_plot(TABLE, "PSNR (dB)"),
    "ranks": lambda: rank_plot(TABLE, "PSNR (dB)"),
    "heat": lambda: heat_map(pd.DataFrame(np.eye(3) + 1, NAMES, ["PSNR", "SSIM", "x"])),
    "pareto": lambda: pareto_plot(BOARD, "psnr", "ssim", NAMES[:2], ("PSNR", "SSIM")),
    "effects": lambda: attribution_plot(EFFECTS, "PSNR (dB)"),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_svg_with_words_and_the_same_twice(name):
    svg = PLOTS[name]()
    assert svg == PLOTS[name]()
    expected = NAMES if name != "effects" else ["mae", "mse"]
    words = {word for text in texts(svg) for word in text.split()}
    assert set(expected[:2]) <= words


def test_each_standing_has_a_colour_of_its_own():
    svg = PLOTS["intervals"]()
    assert len(re.findall(TOP.lower(), svg)) > len(re.findall(REST.lower(), svg)) > 0
    alone = interval_plot(TABLE.assign(standing="worse"), "PSNR (dB)")
    assert TOP.lower() not in alone
    undecided, _ = STANDINGS["undecided"]
    assert undecided.lower() in svg
    assert undecided.lower() not in alone


def test_ranks_stand_in_the_cells():
    ranks = pd.DataFrame({"PSNR": [1, 2.5, 2.5], "SSIM": [np.nan, 1, 2]}, index=NAMES)
    found = texts(heat_map(ranks))
    assert found.count("2.5") == 2
    assert "-" in found


def test_only_the_front_is_named_and_only_mean_effects_are_bars():
    assert "mse" not in texts(PLOTS["pareto"]())
    assert len([t for t in texts(PLOTS["effects"]()) if t in ("mae", "mse")]) == 2


def test_each_axis_of_the_front_has_its_own_criterion(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = list[Figure]()
    monkeypatch.setattr(plots, "_svg", figures.append)
    PLOTS["pareto"]()
    (axes,) = figures[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("PSNR", "SSIM")
    drawn = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
    assert drawn == {
        "baselines": [[22, 0.4]],
        "subsets": [[30, 0.8], [29, 0.9], [28, 0.7]],
        "not beaten in both": [[29, 0.9], [30, 0.8]],
    }


def test_effects_are_bars_with_their_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = list[Figure]()
    monkeypatch.setattr(plots, "_svg", figures.append)
    PLOTS["effects"]()
    (axes,) = figures[0].axes
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [0.5, -0.2]
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[0.4, 0.6], [-0.3, -0.1]]


def test_noise_levels_show_scans_fit_and_made_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.array([0.1, 0.4, 0.7])
    estimates = {"gamma": 0.02, "sigma": 0.01, "black": 0.05}
    fit = Fit(
        {name: Estimate(value, value, value) for name, value in estimates.items()},
        levels, 0.02 * (levels - 0.05) + 1e-4, np.full(3, 1e-4), 9, 5000,
    )  # fmt: skip
    alone, both = noise_level_plot(fit, None, "spd2"), noise_level_plot(fit, fit, "spd2")
    for text in ("spd2", "fit, peak 50 counts", "scans, 95 % interval"):
        assert text in alone
    assert "noise made from the fit" in both
    assert "noise made from the fit" not in alone
    figures = list[Figure]()
    monkeypatch.setattr(plots, "_svg", figures.append)
    noise_level_plot(fit, None, "spd2")
    line = next(line for line in figures[0].axes[0].lines if "fit" in str(line.get_label()))
    np.testing.assert_allclose(line.get_xydata(), [[0.05, 1e-4], [0.7, 0.0131]])


def test_standings_are_intervals_of_what_an_entrant_is_below_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = TABLE.assign(below_low=[0.0, 0.5, 8.0], below_high=[0.0, 1.5, 10.0])
    figures = list[Figure]()
    monkeypatch.setattr(plots, "_svg", figures.append)
    standing_plot({"PSNR (dB)": table}, NAMES, {"PSNR (dB)": 0.1}, {})
    drawn = [list(line.get_xdata()) for line in figures[0].axes[0].lines]
    assert drawn == [[0, 0], [0], [-1.5, -0.5], [-1], [-10, -8], [-9]]


def test_standings_of_each_criterion_have_three_shades_and_a_filter_where_it_is_near() -> None:
    table = TABLE.assign(below_low=[0.0, 0.5, 8.0], below_high=[0.0, 1.5, 10.0])
    tables, margins = {"PSNR (dB)": table, "SSIM": table}, {"PSNR (dB)": 0.1, "SSIM": 0.1}
    without = standing_plot(tables, NAMES, margins, {})
    near = standing_plot(tables, NAMES, margins, {"SSIM": 29.0})
    far = standing_plot(tables, NAMES, margins, {"SSIM": -99.0})
    for colour, _ in STANDINGS.values():
        assert colour.lower() in without
    assert len(near) > len(far) == len(without)
    words = texts(without)
    assert {"PSNR (dB), less that of the best", "SSIM, less that of the best", *NAMES} <= set(words)
    assert words.count("mae") == 1, "rows are named once"
