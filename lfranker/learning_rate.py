"""Is the winner one of its learning rate? Some subsets trained again at half and at double.

All subsets share one learning rate, and it may suit one loss better than another: a loss whose
gradient keeps its size to the end (MAE) likes another one than a loss whose gradient fades (MSE).
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from lfranker.ranking import Ranking, rank

FACTORS = (0.5, 2.0)
MOST = 4  # of the top set; each costs a training for every factor


def subsets_to_check(ranking: Ranking, top_sets: Sequence[Sequence[str]]) -> list[str]:
    """The champion, the next best of the top set, and the worst of the single losses.

    The top set is what is in each of ``top_sets``, those of the criteria; where nothing is, or
    none is known, those with the best mean ranks. MOST at the most; the single loss comes last.
    """
    board = ranking.leaderboard
    fit = [str(name) for name in board.index[board["outcome"].eq("ok") & ~board["baseline"]]]
    top = [name for name in fit if all(name in found for found in top_sets)]
    first = [ranking.champion] if ranking.champion else []
    chosen = [*dict.fromkeys([*first, *(top if len(top) > 1 else fit)])][:MOST]
    single = [name for name in fit if "+" not in name and name not in chosen]
    return [*chosen, *single[-1:]]


def check_winner(boards: Mapping[float, pd.DataFrame], champion: str) -> tuple[str, pd.DataFrame]:
    """What becomes of the ``champion``, in a sentence; and the mean ranks it rests on.

    ``boards``: scores as `ranking.rank` takes them, by the factor of the learning rate (1 among
    them), of single trainings. The table has a row for each subset that was trained at every
    factor: its mean rank among these subsets at each factor, and `best`, the factor of its own at
    which it does best among all trainings together.
    """
    first = rank(boards[1.0]).leaderboard.index
    names = [str(n) for n in first if all(n in board.index for board in boards.values())]
    own = {factor: rank(board.loc[names]) for factor, board in sorted(boards.items())}
    trained = {(name, factor): _label(name, factor) for factor in own for name in names}
    labelled = [
        board.loc[names].set_axis([trained[name, factor] for name in names])
        for factor, board in boards.items()
    ]
    together = rank(pd.concat(labelled))
    order = list(together.leaderboard.index)
    table = pd.DataFrame({f"x{f:g}": found.leaderboard["mean_rank"] for f, found in own.items()})
    table = table.loc[names].rename_axis("losses")
    table["best"] = [min(own, key=lambda f: order.index(trained[name, f])) for name in names]
    return _sentence(own, together, champion), table


def _sentence(own: Mapping[float, Ranking], together: Ranking, champion: str) -> str:
    winners = {factor: str(found.champion) for factor, found in own.items()}
    factors = " and ".join(f"{factor:g} times" for factor in own if factor != 1)
    told = ", ".join(f"{name} at {_times(factor)}" for factor, name in winners.items())
    same = set(winners.values()) == {champion} and str(together.champion).startswith(
        f"{champion} at "
    )
    verdict = "does not hang" if same else "hangs"
    count = len(own[1.0].leaderboard)
    return (
        f"{count} subsets were trained at {factors} the learning rate too, once each. Best among "
        f"them is {told}; and of all these trainings together {together.champion}. "
        f"The winner {verdict} on the learning rate."
    )


def _label(name: str, factor: float) -> str:
    return f"{name} at {_times(factor)}"


def _times(factor: float) -> str:
    return "the learning rate as it is" if factor == 1 else f"{factor:g} times the learning rate"
