"""Ranks a power set from what the tracking server knows of it, and writes the answer there."""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd
from mlflow.entities import Run

from lfranker.caveats import caveats
from lfranker.leaderboards import note, tables, to_csv, to_markdown
from lfranker.ranking import Ranking, rank
from lfranker.tracking.field_report import report_fields
from lfranker.tracking.field_scores import by_sample, field_scores
from lfranker.tracking.page import page_of
from lfranker.tracking.queries import (
    SCAN_SET,
    SCORE,
    choose_scans,
    expected,
    find_parent,
    scores,
    settings_of,
    trainings,
)
from lfranker.tracking.registry import CHAMPION, Winner, alias_of, register
from lfranker.tracking.runs import NOTE, TAG, log_metrics, set_tags
from lfranker.tracking.scoring import log_texts

CAPTIONS = {
    "leaderboard": "Leaderboard: mean rank over PSNR, SSIM and repeatability at every scan speed",
    "table2": "Mean scores over the scan speeds (the paper's Table II)",
    "table3": "PSNR and SSIM at each scan speed (Table III)",
    "table4": "Matched keypoints at each scan speed (Table IV)",
    "table5": "Subsets that win a column (Table V)",
}


@dataclass(frozen=True)
class Report:
    """A ranking and what was done about it."""

    parent: str
    ranking: Ranking
    markdown: str
    simulated: bool
    versions: Mapping[str, str]  # alias -> version of the registered model
    notices: tuple[str, ...]


def rank_power_set(parent_id: str | None, model: str, scans: str | None = None) -> Report:
    """Rank, log tables and note on the parent, tag and register the winners.

    `scans`: first digits of the digest of the scan set to rank on; None: the power set's own.
    Raises ValueError where there is no such power set or nothing to rank.
    """
    parent = find_parent(parent_id)
    digest = choose_scans(parent, scans)
    board = scores(parent, digest)
    _check_one_perceptual_network(board)
    ranking = rank(board, expected(parent))
    simulated = parent.data.tags.get(SCAN_SET + digest) == "simulated"
    rows = field_scores(parent, digest, simulated)
    samples = by_sample(rows)
    found = report_fields(parent, rows, samples)
    captioned = {CAPTIONS[name]: table for name, table in tables(ranking).items()}
    captioned |= {
        f"Sample group {sample}": tables(own)["leaderboard"] for sample, own in samples.items()
    }
    markdown = "\n\n".join(
        to_markdown(table, caption, simulated=simulated) for caption, table in captioned.items()
    )
    versions, notices = _register(parent, board, ranking, simulated, model)
    own = digest == choose_scans(parent, None)
    folder = "ranking" if own else f"ranking-{digest[:8]}"
    doubts = [*caveats(settings_of(parent), parent.data.tags.get(TAG + "loss-set", "")), *notices]
    texts = _texts(ranking, simulated, versions)
    texts |= {"ranking.md": markdown, **found.texts}
    texts["ranking.html"] = page_of(parent, ranking, found, captioned, doubts, simulated)
    log_texts(parent.info.run_id, {f"{folder}/{name}": text for name, text in texts.items()})
    if own:
        _write_note(parent, ranking, simulated, found.said, doubts)
    return Report(
        parent.info.run_id, ranking, markdown, simulated, versions, (*found.said, *notices)
    )


def _check_one_perceptual_network(board: pd.DataFrame) -> None:
    digests = sorted(d for d in set(board["perceptual"]) if d not in ("", "none"))
    if len(digests) > 1:
        raise ValueError(
            f"these runs used different perceptual networks ({', '.join(digests)}); their "
            f"perceptual losses are not the same loss and cannot be ranked together"
        )


def won_by(ranking: Ranking) -> dict[str, list[str]]:
    """Name of each winner -> the criteria it won, `champion` first."""
    won: dict[str, list[str]] = {}
    if ranking.champion is not None:
        won[ranking.champion] = [CHAMPION]
    for criterion, name in ranking.winners.items():
        won.setdefault(name, []).append(criterion)
    return won


def _register(
    parent: Run, board: pd.DataFrame, ranking: Ranking, simulated: bool, model: str
) -> tuple[dict[str, str], list[str]]:
    versions: dict[str, str] = {}
    notices: list[str] = []
    for name, criteria in won_by(ranking).items():
        row = board.loc[[name]].to_dict("records")[0]
        if not row["model"]:
            notices.append(
                f"{name} won {', '.join(criteria)} but has no logged model: not registered"
            )
            continue
        winner = Winner(
            name=name,
            run_id=str(row["run_id"]),
            model_id=str(row["model"]),
            aliases=tuple(alias_of(criterion) for criterion in criteria),
            scores=_finite_scores(row),
            description=_description(parent, name, criteria, ranking, simulated),
        )
        version, said = register(model, winner, simulated)
        notices += said
        versions |= dict.fromkeys(version.aliases, version.version)
    return versions, notices


def _finite_scores(row: Mapping[Hashable, Any]) -> dict[str, float]:
    names = [str(name) for name in row if SCORE.fullmatch(str(name))]
    return {name: float(row[name]) for name in names if isfinite(row[name])}


def _description(
    parent: Run, name: str, criteria: Sequence[str], ranking: Ranking, simulated: bool
) -> str:
    board = tables(ranking)["leaderboard"]
    table = to_markdown(board.loc[[name]], "Its scores", simulated=simulated)
    return (
        f"SCUNet trained on **{name}**. Won: {', '.join(criteria)}, among "
        f"{int((board['outcome'] != 'baseline').sum())} subsets of losses "
        f"(power set run `{parent.info.run_id}`).\n\n{table}"
    )


def _texts(ranking: Ranking, simulated: bool, versions: Mapping[str, str]) -> dict[str, str]:
    title = "synthetic-" if simulated else ""
    texts = {f"{title}{name}.csv": to_csv(table) for name, table in tables(ranking).items()}
    summary = {
        "champion": ranking.champion,
        "champion_mean_rank": ranking.champion_mean_rank,
        "winners": ranking.winners,
        "missing": ranking.missing,
        "notes": ranking.notes,
        "versions": versions,
        "simulated": simulated,
    }
    board = json.loads(ranking.leaderboard.to_json(orient="index", double_precision=15))
    texts["ranking.json"] = json.dumps({**summary, "leaderboard": board}, indent=2)
    return texts


def _write_note(
    parent: Run, ranking: Ranking, simulated: bool, founded: Sequence[str], doubts: Sequence[str]
) -> None:
    content = note(ranking, simulated=simulated, caveats=doubts, founded=founded)
    tags = {f"{TAG}winner.{criterion}": name for criterion, name in ranking.winners.items()}
    tags |= {TAG + "champion": ranking.champion or "none", NOTE: content}
    set_tags(parent.info.run_id, tags)
    _mark_children(parent, ranking)


def _mark_children(parent: Run, ranking: Ranking) -> None:
    """Mean rank as a metric and what was won as the tag `winner`, so that the UI sorts by them."""
    won = won_by(ranking)
    ranks = ranking.leaderboard["mean_rank"].astype(float).to_dict()
    for (name, _), run in trainings(parent).items():
        if name not in ranks:
            continue
        mean_rank = ranks[name]
        if isfinite(mean_rank):
            log_metrics(run.info.run_id, {"mean_rank": mean_rank})
        if name in won or "winner" in run.data.tags:
            set_tags(run.info.run_id, {"winner": ", ".join(won.get(name, []))})
