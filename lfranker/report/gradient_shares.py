"""Gradient contributions of each hybrid's losses: table, sentence and plot."""

import pandas as pd

from lfranker.report.findings import Found
from lfranker.report.plots import share_plot
from lfranker.text import listed

ALONE = 0.9  # of the gradient: a loss with more leaves the others little to say
MOST_HYBRIDS = 40  # hybrids in the plot


def report_shares(found: Found, shares: pd.DataFrame) -> None:
    """Add what the shares tell.

    ``shares``: a row for each subset of two losses or more, best first; a column for each loss,
    NaN where it is not among them; rows that sum to 1, or are NaN where nothing was measured.
    """
    known = shares.dropna(how="all").dropna(axis="columns", how="all")
    if known.empty:
        return
    most, strongest = known.max(axis="columns"), known.idxmax(axis="columns")
    ruled = [
        f"{name} ({loss} {share:.0%})"
        for name, loss, share in zip(known.index, strongest, most, strict=True)
        if share > ALONE
    ]
    said = f"In {len(ruled)} of {len(known)} hybrids one loss has more than {ALONE:.0%} of the "
    said += f"gradient{': ' * bool(ruled)}{listed(ruled)}"
    unknown = len(shares) - len(known)
    found.said.append(f"{said}{f'; of {unknown:,} more it is not known' if unknown else ''}.")
    found.shares = known.rename_axis("losses")
    first = f", the first {MOST_HYBRIDS} of {len(known):,}" if len(known) > MOST_HYBRIDS else ""
    found.plots[f"Share of each loss in the gradient, mean over training{first}"] = share_plot(
        known.iloc[:MOST_HYBRIDS]
    )
