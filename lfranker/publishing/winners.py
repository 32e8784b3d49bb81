"""The winners of a ranking as registered models, with their aliases."""

from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from lfranker.evaluation.criteria import CHAMPION, Criterion, scored
from lfranker.publishing.promotion import Gate
from lfranker.ranking.entrants import counted
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.tables import tables, to_markdown
from lfranker.tracking.pages import page_of
from lfranker.tracking.registry import Winner, register


def won_by(ranking: Ranking) -> dict[str, list[Criterion]]:
    """Name of each winner -> the criteria it won, CHAMPION first."""
    won: dict[str, list[Criterion]] = {}
    if ranking.champion is not None:
        won[ranking.champion] = [CHAMPION]
    for criterion, name in ranking.winners.items():
        won.setdefault(name, []).append(criterion)
    return won


def register_winners(
    board: pd.DataFrame, ranking: Ranking, model: str, gate: Gate
) -> tuple[dict[str, str], list[str]]:
    """Alias -> version of every alias that a winner holds now, and what the user should know."""
    versions: dict[str, str] = {}
    notices: list[str] = []
    for name, criteria in won_by(ranking).items():
        row = board.loc[[name]].to_dict("records")[0]
        if not row["model"]:
            notices.append(
                f"{name} won {', '.join(map(str, criteria))} but has no logged model: not "
                f"registered"
            )
            continue
        winner = Winner(
            name=name,
            run_id=str(row["run_id"]),
            repeat=int(row["repeat"]),
            model_id=str(row["model"]),
            criteria=tuple(criteria),
            scores=_finite_scores(row),
            description=_description(gate, name, criteria, ranking),
        )
        version, said = register(
            model, winner, gate.scans.simulated, gate.promote != "never", gate.refusal
        )
        notices += said
        versions |= dict.fromkeys(version.aliases, version.number)
    return versions, notices


def _finite_scores(row: Mapping[Hashable, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in scored(row) if isfinite(row[name])}


def _description(gate: Gate, name: str, criteria: Sequence[Criterion], ranking: Ranking) -> str:
    board = tables(ranking)["leaderboard"]
    entrants = board.index[board["outcome"].ne("baseline")]
    table = to_markdown(board.loc[[name]], "Its scores", simulated=gate.scans.simulated)
    return (
        f"SCUNet trained on **{name}**. Won: {', '.join(map(str, criteria))}, among "
        f"{len(entrants)} {counted(entrants, 'subsets of losses')} "
        f"([power set run {gate.power_set.run_id}]({page_of(gate.power_set)})).\n\n{table}"
    )
