"""The check whether a winner hangs on the learning rate, as the tracking server knows it."""

from collections.abc import Mapping

import pandas as pd

from lfranker.learning_rate import check_winner
from lfranker.ranking import Ranking
from lfranker.tracking.boards import row_of
from lfranker.tracking.queries import LEARNING_RATES, PowerSet, gather, trainings
from lfranker.tracking.runs import set_tags


def note_keys(parent_id: str, keys: Mapping[float, str]) -> None:
    """Remember which trainings belong to the check: the power set's key of every factor."""
    text = ",".join(f"{factor:g}={key}" for factor, key in keys.items())
    set_tags(parent_id, {LEARNING_RATES: text})


def checked(power_set: PowerSet, ranking: Ranking, digest: str) -> tuple[str, pd.DataFrame] | None:
    """`learning_rate.check_winner` on these scans; None where it was not made or has no champion.

    Compared are the first repeats, which have the same initial weights, batches and noise.
    """
    noted = power_set.parent.data.tags.get(LEARNING_RATES, "")
    if not noted or ranking.champion is None:
        return None
    parent = power_set.parent
    boards = {1.0: _board(power_set, digest)}
    for part in noted.split(","):
        factor, _, key = part.partition("=")
        boards[float(factor)] = _board(gather(parent, key), digest)
    if any(board.empty for board in boards.values()):
        return None
    return check_winner(boards, ranking.champion)


def _board(power_set: PowerSet, digest: str) -> pd.DataFrame:
    found = trainings(power_set)
    rows = [row_of(name, run, digest) for (name, repeat), run in found.items() if repeat == 0]
    return pd.DataFrame(rows).set_index("name") if rows else pd.DataFrame()
