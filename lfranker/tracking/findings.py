"""What a ranking tells beside the scores of its own fields: shares, checks, eyes, refinement."""

import pandas as pd

from lfranker.field_report import Found
from lfranker.gradient_shares import report_shares
from lfranker.ranking import Ranking
from lfranker.tracking.learning_rates import checked
from lfranker.tracking.queries import PowerSet, settings_of
from lfranker.tracking.refinement import refined
from lfranker.tracking.shares import hybrid_shares
from lfranker.tracking.visual import ratings_of
from lfranker.visual import report_ratings


def add_findings(
    found: Found,
    power_set: PowerSet,
    board: pd.DataFrame,
    ranking: Ranking,
    digest: str,
    equivalence: float,
) -> None:
    """Shares of the gradient, the check of the learning rate, and people's ratings.

    equivalence: a difference of mean ratings that does not matter.
    """
    report_shares(found, hybrid_shares(power_set, list(map(str, ranking.leaderboard.index))))
    if check := checked(power_set, ranking, digest):
        found.said.append(check[0])
        found.tables["learning-rate"] = check[1]
    rated = ratings_of(power_set.parent, digest, board["run_id"])
    report_ratings(found, rated, equivalence, _seed(power_set))


def add_refinement(
    found: Found, power_set: PowerSet, rows: pd.DataFrame, scans: tuple[str, bool]
) -> None:
    """What the newest search for weights came to; ``rows`` are the `field_scores`.

    scans: the digest, and whether they are simulated.
    """
    search = refined(power_set, rows, _seed(power_set), scans)
    if search is not None:
        said, comparison, trials = search.result(_seed(power_set))
        found.said.append(said)
        found.tables |= {"refine": comparison, "refine-trials": trials}


def _seed(power_set: PowerSet) -> int:
    return int(settings_of(power_set.parent).get("seed", 0))
