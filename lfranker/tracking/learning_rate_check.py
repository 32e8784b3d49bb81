"""The check whether a winner hangs on the learning rate, as the tracking server knows it."""

from collections.abc import Mapping

import pandas as pd
from mlflow.entities import Run

from lfranker.ranking.learning_rate_check import check_winner
from lfranker.tracking.power_set import (
    LEARNING_RATES,
    PowerSet,
    gather,
    own_scores,
    trainings,
)
from lfranker.tracking.runs import set_tags
from lfranker.tracking.scores import read_table, row_of


def note_keys(parent_id: str, keys: Mapping[float, str]) -> None:
    """Remember which trainings belong to the check: the power set's key of every factor."""
    text = ",".join(f"{factor:g}={key}" for factor, key in keys.items())
    set_tags(parent_id, {LEARNING_RATES: text})


def checked(
    power_set: PowerSet, digest: str, simulated: bool, seed: int
) -> tuple[str, pd.DataFrame] | None:
    """`learning_rate.check_winner` on these scans; None where it was not made on them.

    Compared are the first repeats, which have the same initial weights, batches and noise.
    """
    noted = power_set.parent.data.tags.get(LEARNING_RATES, "")
    if not noted:
        return None
    sets = {1.0: power_set}
    for part in noted.split(","):
        factor, _, key = part.partition("=")
        sets[float(factor)] = gather(power_set.parent, key)
    runs = {factor: _first_repeats(own) for factor, own in sets.items()}
    if not all(_scored(found, digest) for found in runs.values()):
        return None
    boards = {factor: _board(found, digest) for factor, found in runs.items()}
    fields = {factor: _fields(found, digest, simulated) for factor, found in runs.items()}
    return check_winner(boards, fields, seed)


def _first_repeats(power_set: PowerSet) -> dict[str, Run]:
    found = trainings(power_set)
    return {name: run for (name, repeat), run in found.items() if repeat == 0}


def _scored(runs: Mapping[str, Run], digest: str) -> bool:
    return any(own_scores(run, digest) for run in runs.values())


def _board(runs: Mapping[str, Run], digest: str) -> pd.DataFrame:
    rows = [row_of(name, run, digest) for name, run in runs.items()]
    return pd.DataFrame(rows).set_index("name")


def _fields(runs: Mapping[str, Run], digest: str, simulated: bool) -> pd.DataFrame:
    read = {name: read_table(run, digest, simulated) for name, run in runs.items()}
    tables = [table.assign(name=name) for name, table in read.items() if table is not None]
    return pd.concat(tables) if tables else pd.DataFrame(columns=["name"])
