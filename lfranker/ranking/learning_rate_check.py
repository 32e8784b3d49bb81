"""Check whether the winner depends on its learning rate: some subsets again at half and double.

All subsets share one learning rate, and it may suit one loss better than another: a loss whose
gradient keeps its size to the end (MAE) likes another one than a loss whose gradient fades (MSE).
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.ranking.entrant import is_hybrid
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.statistics.superiority import judge

FACTORS = (0.5, 2.0)
UNKNOWN = ("failed", "incomplete")  # outcomes that tell nothing of the loss
MOST_CHECKED = 4  # of the top set; each costs a training for every factor


def subsets_to_check(ranking: Ranking, top_sets: Sequence[Sequence[str]]) -> list[str]:
    """The champion, the next best of the top set, and the worst of the single losses.

    The top set is what is in each of ``top_sets``, those of the criteria; where nothing is, or
    none is known, those with the best mean ranks. At most MOST_CHECKED of them, then the single
    loss.
    """
    board = ranking.leaderboard
    fit = [str(name) for name in board.index[board["outcome"].eq("ok") & ~board["baseline"]]]
    top = [name for name in fit if all(name in found for found in top_sets)]
    first = [ranking.champion] if ranking.champion else []
    chosen = [*dict.fromkeys([*first, *(top if len(top) > 1 else fit)])][:MOST_CHECKED]
    single = [name for name in fit if not is_hybrid(name) and name not in chosen]
    return [*chosen, *single[-1:]]


def check_winner(
    boards: Mapping[float, pd.DataFrame], fields: Mapping[float, pd.DataFrame], seed: int
) -> tuple[str, pd.DataFrame] | None:
    """Say whether another learning rate makes another winner; and return the mean ranks.

    ``boards``: scores as `ranking.rank` takes them, by the factor of the learning rate (1 among
    them), of single trainings; ``fields``: their scores by `name`, field, `speed` and `place`. All
    that is compared are the subsets that were trained at every factor and did not fail. The table
    has their mean ranks among each other at each factor. None where fewer than two are left, or
    none of them has scores.

    A winner is clearly another one where it is better than the first one beyond the interval in
    some criterion and worse in none (`superiority.judge`): ranks alone change by luck.
    """
    names = [
        str(name)
        for name in boards[1.0].index
        if all(name in b.index and b["outcome"][name] not in UNKNOWN for b in boards.values())
    ]
    if len(names) < 2:
        return None
    own = {factor: rank(board.loc[names]) for factor, board in sorted(boards.items())}
    first = own[1.0].champion
    if first is None:
        return None
    table = pd.DataFrame({f"x{f:g}": found.leaderboard["mean_rank"] for f, found in own.items()})
    table = table.loc[list(map(str, own[1.0].leaderboard.index))].rename_axis("losses")
    others = {factor: found.champion for factor, found in own.items() if factor != 1}
    verdicts = [
        _verdict(factor, first, other, fields[factor], seed) for factor, other in others.items()
    ]
    said = (
        f"{len(names)} subsets were trained at {' and '.join(f'{f:g}' for f in others)} times the "
        f"learning rate too, once each. In the same training at the rate as it is {first} is the "
        f"best of them; {'; '.join(text for text, _ in verdicts)}. "
    )
    if any(changed for _, changed in verdicts):
        return said + "The winner hangs on the learning rate.", table
    return said + "The winner is not seen to hang on the learning rate.", table


def _verdict(
    factor: float, first: str, other: str | None, fields: pd.DataFrame, seed: int
) -> tuple[str, bool]:
    """Say what happens at one factor, and whether another one wins there beyond the interval."""
    if other is None:
        return f"at {factor:g} times none has finite scores", True
    if other == first:
        return f"at {factor:g} times it is, too", False
    new, old = (fields[fields["name"] == name].drop(columns="name") for name in (other, first))
    if old.empty or new.empty:
        return f"at {factor:g} times {other} is, and {first} has no scores", True
    found = judge(new, old, CHAMPION_METRICS, None, seed)
    how = "clearly" if found.better else "but not clearly"
    return f"at {factor:g} times {other} is, {how} ({found.why})", found.better
