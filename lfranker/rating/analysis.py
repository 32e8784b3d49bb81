"""Results of people's ratings for a ranking, as tables, sentences and a plot.

Sites are crossed with raters as they are with repeats elsewhere: a rater's strictness is in every
rating of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import VISUAL
from lfranker.ranking.top_set import intervals
from lfranker.report.findings import Findings
from lfranker.report.html_page import Section
from lfranker.report.plots import interval_plot
from lfranker.report.tables import title_of
from lfranker.statistics.concordance import krippendorff_alpha
from lfranker.statistics.multiple_comparisons import WORSE
from lfranker.statistics.score_array import LEAST_SITES, cube_of
from lfranker.text import listed

WEAK, STRONG = 0.667, 0.8  # Krippendorff's customs, Content Analysis (2004), chapter 11


@dataclass(frozen=True)
class Rated:
    """Outcome of people's ratings; without any, the tables are empty.

    raters: see `raters`; alphas: see `alphas`; intervals: of the subsets, as of
    `top_set.intervals`, None where too little was rated; margin: a difference that does not matter.
    """

    raters: pd.DataFrame = field(default_factory=pd.DataFrame)
    alphas: dict[str, float] = field(default_factory=dict)
    intervals: pd.DataFrame | None = None
    sheets: int = 0
    sites: int = 0
    margin: float = 0.0

    def added_to(self, findings: Findings) -> Findings:
        """Return the findings with these."""
        if self.raters.empty:
            return findings
        agreement = pd.Series(self.alphas, name="Krippendorff's alpha").rename_axis("panels")
        findings = replace(findings, raters=self.raters, rater_agreement=agreement.to_frame())
        if self.intervals is None:
            return findings
        return findings.with_evidence(
            VISUAL, replace(findings.of(VISUAL), intervals=self.intervals)
        )


def find_ratings(rows: pd.DataFrame, margin: float, seed: int) -> Rated:
    """Compute what ``rows`` of `ratings.unblinded` tell; ``margin``: see `Rated`."""
    if rows.empty:
        return Rated()
    entrants = rows[~rows["baseline"]]
    cube = cube_of(entrants.assign(repeat=entrants["rater"]), VISUAL)
    return Rated(
        raters(rows),
        alphas(rows),
        None if cube is None else intervals(cube, margin, seed),
        len(rows[["set", "field", "speed"]].drop_duplicates()),
        rows["place"].nunique(),
        margin,
    )


def ratings_section(rated: Rated) -> Section:
    """Say and draw what people saw; nothing where nobody rated."""
    question = "What do people see?"
    if rated.raters.empty:
        return Section(question)
    label = title_of(VISUAL)
    plots = {} if rated.intervals is None else {"Ratings": interval_plot(rated.intervals, label)}
    return Section(question, [_highest(rated), *_agreement(rated)], plots)


def raters(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per rater: panels rated, their mean; and how alike those are that were shown twice.

    `twice`: panels shown twice, `same`: those rated the same again, `apart`: mean difference.
    """
    keys = ["rater", "set", "field", "speed", "name"]
    showings = rows.pivot_table(index=keys, columns="again", values=VISUAL)
    both = showings.reindex(columns=[False, True]).dropna()
    apart = (both[True] - both[False]).abs().groupby(level="rater")
    given = rows.groupby("rater")[VISUAL]
    table = pd.DataFrame({"panels": given.size(), "mean": given.mean()})
    table["twice"] = apart.size().reindex(table.index, fill_value=0)
    table["same"] = apart.agg(lambda values: int((values == 0).sum())).reindex(table.index)
    table["apart"] = apart.mean().reindex(table.index)
    return table


def alphas(rows: pd.DataFrame) -> dict[str, float]:
    """Krippendorff's alpha on the panels of subsets, and on all; first showings only.

    What anyone can tell from a network, as the noisy input is, raises it.
    """
    return {"subsets": _alpha(rows[~rows["baseline"]]), "all, with baselines": _alpha(rows)}


def _alpha(rows: pd.DataFrame) -> float:
    items = ["set", "field", "speed", "name"]
    table = rows[~rows["again"]].pivot_table(index="rater", columns=items, values=VISUAL)
    return krippendorff_alpha(table.to_numpy(np.float64))


def _highest(rated: Rated) -> str:
    people = len(rated.raters)
    who = f"{people} raters" if people > 1 else "one rater"
    base = f"{title_of(VISUAL)} by {who} on {rated.sheets} sheets of {rated.sites} sites"
    table = rated.intervals
    if table is None:
        return (
            f"{base}: how sure it is cannot be said; it takes 2 subsets rated by all at "
            f"{LEAST_SITES} sites."
        )
    first, *others = map(str, table.index)
    top = [name for name in others if table["standing"][name] != WORSE]
    beyond = f" by more than {rated.margin:g}" if rated.margin else ""
    return (
        f"{base}: {first} is rated highest, {table['mean'].iloc[0]:.2f}; cannot be shown to be "
        f"worse{beyond}: {listed(top) or 'none'}. Intervals are over sites"
        f"{' and raters' * (people > 1)}, and hold of these trained models."
    )


def _agreement(rated: Rated) -> Iterator[str]:
    table, found = rated.raters, rated.alphas
    if len(table) < 2:
        yield "One rater: whether people agree cannot be said; others can rate the same sheets."
    elif np.isfinite(found["subsets"]):
        alpha = found["subsets"]
        worth = (
            "reliable" if alpha >= STRONG else
            "enough for tentative conclusions" if alpha >= WEAK else "too little to rely on"
        )  # fmt: skip
        yield (
            f"Krippendorff's alpha of {len(table)} raters (ordinal; 1: they agree, 0: as by "
            f"chance) is {alpha:.2f} among the subsets, by custom {worth}; with the baselines "
            f"{found['all, with baselines']:.2f}."
        )
    else:
        yield "Raters cannot be compared: no panel has two, or all ratings are the same."
    twice = table[table["twice"] > 0]
    said = (
        f"{rater} {int(row['same'])} of {int(row['twice'])} ({row['apart']:.1f} apart on average)"
        for rater, row in twice.iterrows()
    )
    if len(twice):
        yield f"Panels shown twice that were rated the same again: {listed(said)}."
