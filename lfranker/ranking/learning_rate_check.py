"""Check whether the winner depends on its learning rate: some subsets again at half and double.

All subsets share one learning rate, and it may suit one loss better than another: a loss whose
gradient keeps its size to the end (MAE) likes another one than a loss whose gradient fades (MSE).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lfranker.arrays import Floats
from lfranker.evaluation.criteria import CHAMPION_METRICS
from lfranker.ranking.entrants import is_combined
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.statistics.intervals import (
    Chance,
    Interval,
    MeanSquares,
    contrast_interval,
    mean_squares,
)
from lfranker.statistics.score_array import cube_of

FACTORS = (0.5, 2.0)
UNKNOWN_YET = ("failed", "incomplete")  # outcomes that tell nothing of the loss
DEPENDS, HOLDS, UNKNOWN = "depends", "holds", "cannot tell"  # verdicts
ERROR = 0.05
AT = " x"  # between a subset and the factor of its learning rate
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
    single = [name for name in fit if not is_combined(name) and name not in chosen]
    return [*chosen, *single[-1:]]


@dataclass(frozen=True)
class RateCheck:
    """Winners at other learning rates, of the subsets that were trained at each.

    verdict: DEPENDS, HOLDS or UNKNOWN; winners: by the factor of the rate, of the lowest mean rank,
    None where none has finite scores; mean_ranks: a row per subset, a column per factor;
    beaten_by: factor -> the subset that is shown to be better than the winner there, and why it is
    another winner: "" where the winner itself diverged or collapsed.
    """

    verdict: str
    repeats: int
    winners: Mapping[float, str | None]
    mean_ranks: pd.DataFrame
    beaten_by: Mapping[float, str] = field(default_factory=dict)

    @property
    def winner(self) -> str:
        """The one at the rate as it is."""
        return str(self.winners[1.0])


def check_winner(
    boards: Mapping[float, pd.DataFrame],
    fields: Mapping[float, pd.DataFrame],
    margins: Mapping[str, float],
    seed: int,
) -> RateCheck | None:
    """Judge whether another learning rate makes another winner.

    ``boards``: scores as `ranking.rank` takes them, by the factor of the learning rate (1 among
    them), means over the same repeats; ``fields``: scores by `name`, `repeat`, `place` and `speed`.
    All that is compared are the subsets that were trained at every factor and did not fail. None
    where fewer than two are left, or none of them has scores.

    With one training of each it is UNKNOWN: what differs may be seed variance. DEPENDS where at a
    factor another one is significantly better than the winner in some metric and worse in none, and
    its lead there is significantly larger than at the rate as it is (5 % for all together); or
    where the winner diverged or collapsed there. HOLDS where no other one can be better than the
    winner by more than the metrics' ``margins`` at any factor.
    """
    names = [
        str(name)
        for name in boards[1.0].index
        if all(name in b.index and b["outcome"][name] not in UNKNOWN_YET for b in boards.values())
    ]
    if len(names) < 2:
        return None
    own = {factor: rank(board.loc[names]) for factor, board in sorted(boards.items())}
    if own[1.0].champion is None:
        return None
    table = pd.DataFrame({f"x{f:g}": found.leaderboard["mean_rank"] for f, found in own.items()})
    table = table.loc[list(map(str, own[1.0].leaderboard.index))].rename_axis("losses")
    winners = {factor: found.champion for factor, found in own.items()}
    rows = pd.concat([scores.assign(factor=factor) for factor, scores in fields.items()])
    rows = rows[rows["name"].isin(names)] if "name" in rows else rows
    repeats = rows["repeat"].nunique() if "repeat" in rows else 0
    result = RateCheck(UNKNOWN, repeats, winners, table)
    if repeats < 2:
        return result
    trials = [trial for m in CHAMPION_METRICS if (trial := _trial(rows, m, seed)) is not None]
    unfit = {
        factor: ""
        for factor, board in boards.items()
        if factor != 1 and board["outcome"][result.winner] != "ok"
    }
    beaten = {**unfit, **_beaten(trials, result.winner, winners.keys() - {1.0, *unfit})}
    if beaten:
        return replace(result, verdict=DEPENDS, beaten_by=dict(sorted(beaten.items())))
    holds = bool(trials) and all(_unbeatable(t, result.winner, margins) for t in trials)
    return replace(result, verdict=HOLDS if holds else UNKNOWN)


@dataclass(frozen=True)
class _Trial:
    """Scores of subsets at several learning rates, in one metric."""

    metric: str
    at: Mapping[tuple[str, float], int]  # (subset, factor) -> model
    squares: MeanSquares
    chance: Chance

    def lead(self, name: str, over: str, factor: float) -> Floats | None:
        """Coefficients of the lead of a subset at a factor; None where either has no scores."""
        keys = (name, factor), (over, factor)
        if any(key not in self.at for key in keys):
            return None
        coefficients = np.zeros(len(self.at))
        coefficients[self.at[keys[0]]], coefficients[self.at[keys[1]]] = 1, -1
        return coefficients

    def interval(self, coefficients: Floats, confidence: float) -> Interval:
        return contrast_interval(coefficients, self.squares, self.chance, confidence)

    @property
    def rivals(self) -> list[tuple[str, float]]:
        """Subsets and factors that are not those of the rate as it is."""
        return [key for key in self.at if key[1] != 1]


def _trial(rows: pd.DataFrame, metric: str, seed: int) -> _Trial | None:
    if metric not in rows:
        return None
    texts = rows["name"].astype(str) + AT + rows["factor"].map("{:g}".format)
    cube = cube_of(rows.assign(name=texts), metric)
    if cube is None:
        return None
    keys = [name.rsplit(AT, 1) for name in cube.names]
    at = {(name, float(factor)): number for number, (name, factor) in enumerate(keys)}
    squares = mean_squares(cube.scores)
    return _Trial(metric, at, squares, Chance(squares, seed))


def _beaten(trials: Sequence[_Trial], winner: str, factors: Iterable[float]) -> dict[float, str]:
    """Factor -> who is better than the winner there and more so than at the rate as it is."""
    rivals = sorted({key for t in trials for key in t.rivals if key[0] != winner})
    confidence = 1 - ERROR / max(len(rivals) * len(trials), 1)
    found = dict[float, str]()
    for name, factor in rivals:
        signs = {_sign(trial, name, winner, factor, confidence) for trial in trials}
        if factor in set(factors) and 1 in signs and -1 not in signs:
            found.setdefault(factor, name)
    return found


def _sign(trial: _Trial, name: str, winner: str, factor: float, confidence: float) -> int:
    """1 where it is ahead of the winner, there and more than at the rate as it is; -1: behind."""
    there, here = trial.lead(name, winner, factor), trial.lead(name, winner, 1.0)
    if there is None or here is None:
        return 0
    lead = trial.interval(there, confidence)
    if lead.high < 0:
        return -1
    return int(lead.low > 0 and trial.interval(there - here, confidence).low > 0)


def _unbeatable(trial: _Trial, winner: str, margins: Mapping[str, float]) -> bool:
    """Return whether nobody can be better at any factor by more than the margin."""
    leads = [trial.lead(name, winner, factor) for name, factor in trial.rivals if name != winner]
    margin, one_sided = margins.get(trial.metric, 0.0), 1 - 2 * ERROR
    known = [lead for lead in leads if lead is not None]
    return bool(known) and all(trial.interval(lead, one_sided).high < margin for lead in known)
