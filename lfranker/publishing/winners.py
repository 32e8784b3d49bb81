"""The winners of a ranking as registered models, with their aliases."""

from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from lfranker.denoiser.networks import SCUNET, TITLES
from lfranker.denoiser.onnx_network import has_package
from lfranker.evaluation.criteria import CHAMPION, Criterion, scored
from lfranker.publishing.promotion import Gate
from lfranker.ranking.entrants import counted, noise_of, parts_of
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.tables import tables, to_markdown
from lfranker.tracking.models import add_onnx
from lfranker.tracking.pages import page_of
from lfranker.tracking.registry import Winner, register

NO_ONNX = (
    "winners have no network.onnx: the package onnx is not installed (`pip install "
    "onnx`, then rank again)"
)


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
        lacking = _export(winner)
        notices += [notice for notice in lacking if notice not in notices]
        versions |= dict.fromkeys(version.aliases, version.number)
    return versions, notices


def _export(winner: Winner) -> list[str]:
    """Log the winner in ONNX too; return what the user should know where that was not possible."""
    if not has_package("onnx"):
        return [NO_ONNX]
    try:
        add_onnx(winner.model_id)
    except Exception as error:  # a winner is one without it, whatever the exporter says
        return [f"{winner.name} has no network.onnx: {type(error).__name__}: {error}"]
    return []


def _finite_scores(row: Mapping[Hashable, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in scored(row) if isfinite(row[name])}


def _description(gate: Gate, name: str, criteria: Sequence[Criterion], ranking: Ranking) -> str:
    board = tables(ranking)["leaderboard"]
    entrants = board.index[board["outcome"].ne("baseline")]
    _, network = parts_of(noise_of(name))
    network = network or gate.power_set.settings.get("network", SCUNET)
    table = to_markdown(board.loc[[name]], "Its scores", simulated=gate.scans.simulated)
    return (
        f"{TITLES[network]} trained on **{name}**. Won: {', '.join(map(str, criteria))}, among "
        f"{len(entrants)} {counted(entrants, 'subsets of losses')} "
        f"([power set run {gate.power_set.run_id}]({page_of(gate.power_set)})).\n\n{table}"
    )
