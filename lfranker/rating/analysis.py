"""Results of people's ratings for a ranking, as tables, sentences and a plot.

Places are crossed with raters as they are with repeats elsewhere: a rater's strictness is in every
rating of theirs.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from lfranker.evaluation.criteria import VISUAL
from lfranker.ranking.top_set import intervals
from lfranker.report.findings import Found
from lfranker.report.plots import interval_plot
from lfranker.report.tables import title_of
from lfranker.statistics.concordance import krippendorff_alpha
from lfranker.statistics.multiple_comparisons import WORSE
from lfranker.statistics.score_array import LEAST_PLACES, cube_of
from lfranker.text import listed

WEAK, STRONG = 0.667, 0.8  # Krippendorff's customs, Content Analysis (2004), chapter 11


def report_ratings(found: Found, rows: pd.DataFrame, equivalence: float, seed: int) -> None:
    """Add what ``rows`` of `ratings.unblinded` tell; nothing where there are none.

    ``equivalence``: a difference in rating that does not matter.
    """
    if rows.empty:
        return
    found.raters = raters(rows)
    agreement = pd.Series(alphas(rows), name="Krippendorff's alpha").rename_axis("panels")
    found.rater_agreement = agreement.to_frame()
    found.said += [_highest(found, rows, equivalence, seed), *_agreement(rows)]


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


def _highest(found: Found, rows: pd.DataFrame, equivalence: float, seed: int) -> str:
    entrants = rows[~rows["baseline"]]
    people, places = rows["rater"].nunique(), rows["place"].nunique()
    sheets = len(rows[["set", "field", "speed"]].drop_duplicates())
    who = f"{people} raters" if people > 1 else "one rater"
    base = f"{title_of(VISUAL)} by {who} on {sheets} sheets of {places} places"
    cube = cube_of(entrants.assign(repeat=entrants["rater"]), VISUAL)
    if cube is None:
        return (
            f"{base}: how sure it is cannot be said; 2 subsets rated by all at {LEAST_PLACES} "
            f"places are needed at least."
        )
    table = intervals(cube, equivalence, seed)
    found.evidence[VISUAL] = replace(found.of(VISUAL), intervals=table)
    crossed = "places crossed with raters" if cube.scores.shape[2] > 1 else "places, of one rater"
    scope = f"over {crossed}, of these trained models"
    label = title_of(VISUAL)
    found.plots[f"{label}: scores, {scope}"] = interval_plot(table, label)
    first, *others = map(str, table.index)
    top = [name for name in others if table["standing"][name] != WORSE]
    beyond = f" by more than {equivalence:g}" if equivalence else ""
    behind = f"not shown to be worse than it{beyond}: {listed(top) or 'none'}"
    return (
        f"{base}: {first} is rated highest, {table['mean'].iloc[0]:.2f}; {behind} (95 %, {scope})."
    )


def _agreement(rows: pd.DataFrame) -> Iterator[str]:
    table, found = raters(rows), alphas(rows)
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
