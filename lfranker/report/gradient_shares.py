"""Gradient contributions of each combined loss's terms: sentence and plot."""

from lfranker.report.findings import Findings
from lfranker.report.html_page import Section
from lfranker.report.plots import share_plot
from lfranker.report.sentences import share_sentence

ALONE = 0.9  # of the gradient: a loss with more leaves the others little to say
MOST_HYBRIDS = 40  # combined losses in the plot


def shares_section(findings: Findings) -> Section:
    """Say and draw which loss rules the gradient of each combined loss."""
    question = "Which loss rules the gradient of a combined loss?"
    shares = findings.shares
    if shares is None:
        return Section(question)
    first = f", the first {MOST_HYBRIDS} of {len(shares):,}" if len(shares) > MOST_HYBRIDS else ""
    caption = f"Contribution of each loss to the gradient, mean over training{first}"
    plots = {caption: share_plot(shares.iloc[:MOST_HYBRIDS])}
    return Section(question, [share_sentence(shares, findings.unmeasured, ALONE)], plots)
