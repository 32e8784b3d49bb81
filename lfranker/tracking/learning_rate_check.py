"""The check whether a winner hangs on the learning rate, as the tracking server knows it."""

from collections.abc import Mapping

import pandas as pd

from lfranker.ranking.learning_rate_check import check_winner
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.power_set import PowerSet, Training, format_factors, trainings_with
from lfranker.tracking.runs import set_tags
from lfranker.tracking.scores import read_table, row_of
from lfranker.tracking.tags import Tag


def note_keys(parent_id: str, keys: Mapping[float, str]) -> None:
    """Remember which trainings belong to the check: the power set's key of every factor."""
    set_tags(parent_id, {Tag.LEARNING_RATES: format_factors(keys)})


def checked(power_set: PowerSet, scans: ScanSetId) -> tuple[str, pd.DataFrame] | None:
    """Return what `check_winner` finds on these scans; None where the check was not made on them.

    Compared are the first repeats, which have the same initial weights, batches and noise.
    """
    if not power_set.learning_rates:
        return None
    runs = {1.0: _first_repeats(power_set.trainings)}
    for factor, key in power_set.learning_rates.items():
        runs[factor] = _first_repeats(trainings_with(key, power_set.experiment_id))
    if not all(_scored(found, scans.digest) for found in runs.values()):
        return None
    boards = {factor: _board(found, scans.digest) for factor, found in runs.items()}
    fields = {factor: _fields(found, scans) for factor, found in runs.items()}
    return check_winner(boards, fields, power_set.seed)


def _first_repeats(trainings: Mapping[tuple[str, int], Training]) -> dict[str, Training]:
    return {name: run for (name, repeat), run in trainings.items() if repeat == 0}


def _scored(runs: Mapping[str, Training], digest: str) -> bool:
    return any(run.scores(digest) for run in runs.values())


def _board(runs: Mapping[str, Training], digest: str) -> pd.DataFrame:
    rows = [row_of(name, run, digest) for name, run in runs.items()]
    return pd.DataFrame(rows).set_index("name")


def _fields(runs: Mapping[str, Training], scans: ScanSetId) -> pd.DataFrame:
    read = {name: read_table(run, scans) for name, run in runs.items()}
    tables = [table.assign(name=name) for name, table in read.items() if table is not None]
    return pd.concat(tables) if tables else pd.DataFrame(columns=["name"])
