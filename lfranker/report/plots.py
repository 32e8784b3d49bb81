"""Plots of a ranking as SVG text, and a picture of matched keypoints: legible in print.

Okabe & Ito's colours and cividis, told apart by the colour-blind; what a colour says, a label or a
marker says too.
"""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import FillStyleType
from PIL import ImageDraw, ImageFont

from lfranker.arrays import Image
from lfranker.evaluation.keypoints import Points, Shared
from lfranker.noise.fit import Fit
from lfranker.statistics.multiple_comparisons import EQUIVALENT, UNDECIDED, WORSE

TOP, REST, BASELINE = "#0072B2", "#999999", "#E69F00"
STANDINGS: Mapping[str, tuple[str, FillStyleType]] = {
    EQUIVALENT: (TOP, "full"),
    UNDECIDED: ("#56B4E9", "left"),
    WORSE: (REST, "none"),
}
SHADES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "--", "++")
LABELLED = 0.18  # of the width: a share with room for its name
ROW, LOW_ROW = 0.26, 0.15  # inches of height for each entrant; where the page has little room
WIDTH, PAGE_WIDTH = 7.5, 11.4  # inches


def standing_plot(
    tables: Mapping[str, pd.DataFrame],
    names: Sequence[str],
    margins: Mapping[str, float],
    filters: Mapping[str, float],
) -> str:
    """How far entrants are below the best one, by criterion, in colours and markers by standing.

    ``tables`` are those of `top_set.intervals` by label; the rows are ``names``, the first on top.
    ``margins``, the differences that do not matter, are shaded; ``filters``, mean scores of the
    best filter, are lines where they are near.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 0.6 + LOW_ROW * len(names)), layout="constrained")
    columns = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, (label, table) in zip(columns, tables.items(), strict=True):
        best = table["mean"].max()
        behind = pd.DataFrame(
            {
                "low": -table["below_high"],
                "mean": table["mean"] - best,
                "high": -table["below_low"],
                "standing": table["standing"],
            }
        )
        shown = behind.loc[[name for name in names if name in table.index]]
        _draw_intervals(axes, shown, [names.index(str(name)) for name in shown.index])
        low, high = axes.get_xlim()
        axes.axvspan(-margins[label], margins[label], color="black", alpha=0.08, linewidth=0)
        at = filters.get(label, np.nan) - best
        if low - (high - low) / 2 < at < high + (high - low) / 2:
            axes.axvline(at, color="black", linestyle="--", linewidth=1)
        axes.set_xlabel(f"{label}, less that of the best", fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(labelsize=7)
        axes.grid(axis="x", alpha=0.3)
    columns[0].set_yticks(range(len(names)), names, fontsize=8)
    columns[0].set_ylim(len(names) - 0.5, -0.5)
    return _svg(figure)


def interval_plot(table: pd.DataFrame, label: str) -> str:
    """Means and 95 % intervals of `top_set.intervals`, in colours and markers by standing."""
    figure, axes = _rows(list(map(str, table.index)))
    _draw_intervals(axes, table, range(len(table)))
    axes.set_xlabel(
        f"{label}: mean and 95 % interval (filled: equivalent to the best; "
        f"half filled: undecided; empty: worse)"
    )
    return _svg(figure)


def _draw_intervals(axes: Axes, table: pd.DataFrame, rows: Sequence[int]) -> None:
    numbers = _numbers(table, "low", "mean", "high")
    for at, standing, (low, mean, high) in zip(rows, table["standing"], numbers, strict=True):
        colour, filled = STANDINGS[standing]
        axes.plot([low, high], [at, at], color=colour, linewidth=2)
        axes.plot(mean, at, "o", color=colour, fillstyle=filled, markersize=5)


def rank_plot(table: pd.DataFrame, label: str) -> str:
    """The ranks that each entrant may have, all at once with 95 % confidence."""
    figure, axes = _rows(list(map(str, table.index)))
    for at, ends in enumerate(_numbers(table, "best_rank", "worst_rank")):
        axes.plot(ends, [at, at], color=TOP, linewidth=4)
        axes.plot(ends, [at, at], "|", color=TOP, markersize=9)
    axes.set_xlim(0.5, len(table) + 0.5)
    axes.set_xlabel(f"{label}: ranks that cannot be excluded (1 is best)")
    return _svg(figure)


def heat_map(ranks: pd.DataFrame) -> str:
    """Ranks (1 is best) of entrants (rows) by criterion (columns), in the cells; NaN where none."""
    figure, axes = _rows(list(map(str, ranks.index)))
    values = ranks.to_numpy(np.float64)
    axes.imshow(values, aspect="auto", cmap="cividis_r")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > middle else "black"
        words = "-" if np.isnan(value) else f"{value:g}"
        axes.text(column, row, words, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(ranks.shape[1]), list(map(str, ranks.columns)), rotation=30, ha="right")
    axes.grid(visible=False)
    return _svg(figure)


def pareto_plot(
    board: pd.DataFrame, across: str, up: str, front: Sequence[str], labels: tuple[str, str]
) -> str:
    """Two criteria against each other: entrants, those on the Pareto front named, baselines."""
    figure = Figure(figsize=(WIDTH, 4.5), layout="constrained")
    axes = figure.subplots()
    entrants, baselines = (board[board["baseline"] == side] for side in (False, True))
    axes.plot(baselines[across], baselines[up], "^", color=BASELINE, label="baselines")
    axes.plot(entrants[across], entrants[up], "o", color=REST, fillstyle="none", label="subsets")
    best = entrants.loc[[name for name in entrants.index if name in front]].sort_values(across)
    axes.plot(best[across], best[up], "o-", color=TOP, label="not beaten in both")
    for at, (name, row) in enumerate(best.iterrows()):
        place = (float(row[across]), float(row[up]))
        offset = (12, 14 - 12 * at)  # names of neighbours below each other
        axes.annotate(
            str(name), place, xytext=offset, textcoords="offset points", fontsize=7,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4},
        )  # fmt: skip
    axes.set(xlabel=labels[0], ylabel=labels[1])
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    axes.grid(alpha=0.3)
    return _svg(figure)


def attribution_plot(table: pd.DataFrame, label: str, what: str = "the loss") -> str:
    """Mean effects of adding a loss, or ``what`` else it is, with intervals."""
    effects = table[table["kind"] == "mean effect"]
    figure, axes = _rows(list(map(str, effects["losses"])))
    for at, (low, value, high) in enumerate(_numbers(effects, "low", "value", "high")):
        axes.barh(at, value, color=TOP, height=0.6)
        axes.plot([low, high], [at, at], "|-", color="black", markersize=8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{label}: mean effect of adding {what} to others, 95 % interval")
    return _svg(figure)


def share_plot(shares: pd.DataFrame) -> str:
    """Draw shares, which sum to 1, of losses (columns) in combined losses (rows); NaN: not part.

    Each loss has a colour and a hatching of its own, and its share is written where it has room.
    """
    figure, axes = _rows(list(map(str, shares.index)))
    left = np.zeros(len(shares))
    for at, name in enumerate(map(str, shares.columns)):
        values = shares[name].fillna(0.0).to_numpy(np.float64)
        bars = axes.barh(range(len(shares)), values, 0.75, left, label=name, edgecolor="black")
        for bar in bars:
            bar.set_facecolor(SHADES[at % len(SHADES)])
            # a step on from one round of colours to the next, so that no pair comes twice
            bar.set_hatch(HATCHES[(at + at // len(SHADES)) % len(HATCHES)])
        for row, value in enumerate(values):
            if value < LABELLED:
                continue
            axes.text(
                left[row] + value / 2, row, f"{name} {value:.0%}",
                ha="center", va="center", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
        left = left + values
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the weighted terms' gradient norms, with respect to the output")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return _svg(figure)


def noise_level_plot(fit: Fit, made: Fit | None, label: str) -> str:
    """Variance against brightness, measured with its interval; the fit; noise made from it."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        fit.signal, fit.variance, fit.half, fmt="o", color=TOP, label="scans, 95 % interval"
    )
    values = {name: estimate.value for name, estimate in fit.estimates.items()}
    ends = np.array([min(values["black"], fit.signal[0]), fit.signal[-1]])
    line = values["gamma"] * (ends - values["black"]) + values["sigma"] ** 2
    axes.plot(ends, line, color="black", label=f"fit, peak {1 / values['gamma']:.3g} counts")
    if made is not None:
        axes.plot(made.signal, made.variance, "^", color=BASELINE, label="noise made from the fit")
    axes.set(xlabel="brightness, of full scale", ylabel="variance of the noise", title=label)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    axes.grid(alpha=0.3)
    return _svg(figure)


def rank_course_plot(mean_ranks: pd.DataFrame) -> str:
    """Mean ranks of entrants (rows) by steps of training (columns); those best at the end named."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = mean_ranks.columns.to_numpy(np.float64)
    ordered = mean_ranks.sort_values(mean_ranks.columns[-1], kind="stable")
    for at, (name, *ranks) in enumerate(ordered.itertuples()):
        named = at < len(SHADES) - 1  # the last shade is for all others
        axes.plot(
            steps, ranks, "o-", color=SHADES[at] if named else REST,
            zorder=2 if named else 1, label=str(name) if named else None,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(steps, [f"{value:,.0f}" for value in steps])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set(xlabel="steps that the training was planned for", ylabel="mean rank (1 is best)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    return _svg(figure)


def learning_curve_plot(table: pd.DataFrame, label: str) -> str:
    """Draw gains by number of images: measured points, and the law with its 95 % bands.

    ``table`` is one of `own_scans.ScanCurve.tables`. Dark: the fields scored; light: all like them.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    counts = table.index.to_numpy(np.float64)
    for kind, shade, words in (("like_", 0.15, "fields like these"), ("", 0.3, "these fields")):
        low, high = (table[f"{kind}{end}"].to_numpy(np.float64) for end in ("low", "high"))
        axes.fill_between(counts, low, high, color=TOP, alpha=shade, label=f"95 %, {words}")
    axes.plot(counts, table["value"], color=TOP, label="power law")
    axes.plot(counts, table["measured"], "o", color="black", label="measured")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [f"{value:g}" for value in counts])
    axes.minorticks_off()
    axes.set(xlabel="own slow scans among the training images", ylabel=f"gain in {label}")
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    axes.grid(alpha=0.3)
    return _svg(figure)


def _numbers(table: pd.DataFrame, *columns: str) -> list[list[float]]:
    rows: list[list[float]] = table[list(columns)].to_numpy(np.float64).tolist()
    return rows


def _rows(names: Sequence[str]) -> tuple[Figure, Axes]:
    """A plot with a row for each name, the first on top."""
    figure = Figure(figsize=(WIDTH, 1.0 + ROW * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The same text for the same figure: no date, and identifiers that do not change."""
    with mpl.rc_context({"svg.hashsalt": "lfranker", "svg.fonttype": "none"}), io.StringIO() as out:
        figure.savefig(out, format="svg", metadata={"Date": None})
        text = out.getvalue()
    return text[text.index("<svg") :]


LINES = 60  # of the matches; more hide the images
GAP = 8  # px
TITLE = 24  # px
RIGHT, WRONG = (0, 158, 115), (213, 94, 0)  # green and vermilion of Okabe & Ito


def match_figure(name: str, output: Image, original: Image, shared: Shared) -> PIL.Image.Image:
    """Output and clean scan side by side, matches as dots and every so often a line.

    Green where they are at the same place, vermilion where not.
    """
    size = (
        3 * GAP + output.shape[1] + original.shape[1],
        TITLE + max(output.shape[0], original.shape[0]) + GAP,
    )
    canvas = PIL.Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    second = 2 * GAP + output.shape[1]
    for image, left in ((output, GAP), (original, second)):
        levels = np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
        canvas.paste(PIL.Image.fromarray(levels), (left, TITLE))
    title = (
        f"{name}, clean: {int(shared.inliers.sum())} of {len(shared.pairs)} matches right, "
        f"repeatability {shared.repeatability:.3f}"
    )
    draw.text((GAP, 3), title, fill="black", font=ImageFont.load_default(size=15))
    here = _places(shared.output[shared.pairs[:, 0]], GAP)
    there = _places(shared.original[shared.pairs[:, 1]], second)
    lined = set(np.linspace(0, len(here) - 1, min(LINES, len(here))).astype(int).tolist())
    for number, (one, other) in enumerate(zip(here, there, strict=True)):
        colour = RIGHT if shared.inliers[number] else WRONG
        for x, y in (one, other):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), outline=colour)
        if number in lined:
            draw.line((*one, *other), fill=colour)
    return canvas


def _places(points: Points, left: int) -> list[tuple[float, float]]:
    return [(left + x, TITLE + y) for y, x in points.tolist()]
