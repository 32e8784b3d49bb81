"""What a ranking tells beside the scores of its own fields: shares, checks, eyes, refinement."""

import pandas as pd

from lfranker.ranking.leaderboard import Ranking
from lfranker.rating.analysis import report_ratings
from lfranker.rating.workflow import ratings_of
from lfranker.report.findings import Found
from lfranker.report.gradient_shares import report_shares
from lfranker.tracking.learning_rate_check import checked
from lfranker.tracking.power_set import PowerSet, settings_of
from lfranker.tracking.shares import hybrid_shares
from lfranker.tracking.weight_search import refined


def add_findings(
    found: Found,
    power_set: PowerSet,
    board: pd.DataFrame,
    ranking: Ranking,
    scans: tuple[str, bool],
    equivalence: float,
) -> None:
    """Shares of the gradient, the check of the learning rate, and people's ratings.

    scans: the digest, and whether they are simulated; equivalence: a difference of mean ratings
    that does not matter.
    """
    digest, seed = scans[0], _seed(power_set)
    report_shares(found, hybrid_shares(power_set, list(map(str, ranking.leaderboard.index))))
    if check := checked(power_set, *scans, seed):
        found.said.append(check[0])
        found.tables["learning-rate"] = check[1]
    rated = ratings_of(power_set.parent, digest, board["run_id"])
    report_ratings(found, rated, equivalence, seed)


def add_refinement(
    found: Found, power_set: PowerSet, rows: pd.DataFrame, scans: tuple[str, bool]
) -> None:
    """What the newest search for weights came to; ``rows`` are the `field_scores`.

    scans: the digest, and whether they are simulated.
    """
    search = refined(power_set, rows, scans)
    if search is not None:
        said, comparison, trials = search.result(_seed(power_set))
        found.said.append(said)
        found.tables |= {"refine": comparison, "refine-trials": trials}


def _seed(power_set: PowerSet) -> int:
    return int(settings_of(power_set.parent).get("seed", 0))
