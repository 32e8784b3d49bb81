"""The check whether a winner hangs on the learning rate, as the tracking server knows it."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lfranker.ranking.learning_rate_check import RateCheck, check_winner
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.power_set import PowerSet, Training, format_factors, trainings_with
from lfranker.tracking.runs import set_tags
from lfranker.tracking.scores import over_repeats, read_table, row_of
from lfranker.tracking.tags import Tag

Runs = Mapping[tuple[str, int], Training]  # by subset and repeat


def note_keys(parent_id: str, keys: Mapping[float, str]) -> None:
    """Remember which trainings belong to the check: the power set's key of every factor."""
    set_tags(parent_id, {Tag.LEARNING_RATES: format_factors(keys)})


def checked(
    power_set: PowerSet, scans: ScanSetId, margins: Mapping[str, float]
) -> RateCheck | None:
    """Return what `check_winner` finds on these scans; None where the check was not made on them.

    Compared are the repeats that were trained at every learning rate: those with the same number
    have the same initial weights, batches and noise.
    """
    if not power_set.learning_rates:
        return None
    runs: dict[float, Runs] = {1.0: power_set.trainings}
    for factor, key in power_set.learning_rates.items():
        runs[factor] = trainings_with(key, power_set.experiment_id)
    counts = ({repeat for _, repeat in found} for found in runs.values())
    repeats = sorted(set.intersection(*counts, set(range(power_set.repeats_seen))))
    runs = {
        factor: {key: run for key, run in found.items() if key[1] in repeats}
        for factor, found in runs.items()
    }
    if not all(_scored(found, scans.digest) for found in runs.values()):
        return None
    boards = {factor: _board(found, repeats, scans.digest) for factor, found in runs.items()}
    fields = {factor: _fields(found, scans) for factor, found in runs.items()}
    return check_winner(boards, fields, margins, power_set.seed)


def _scored(runs: Runs, digest: str) -> bool:
    return any(run.scores(digest) for run in runs.values())


def _board(runs: Runs, repeats: Sequence[int], digest: str) -> pd.DataFrame:
    """Means over the repeats; a subset without all of them is "incomplete"."""
    rows = [row_of(name, run, digest) for (name, _), run in runs.items()]
    names = dict.fromkeys(name for name, _ in runs)
    rows += [
        {"name": name, "outcome": "incomplete"}
        for name in names
        if any((name, repeat) not in runs for repeat in repeats)
    ]
    return over_repeats(pd.DataFrame(rows))


def _fields(runs: Runs, scans: ScanSetId) -> pd.DataFrame:
    tables = [
        table.assign(name=name, repeat=repeat)
        for (name, repeat), run in runs.items()
        if (table := read_table(run, scans)) is not None
    ]
    return pd.concat(tables) if tables else pd.DataFrame(columns=["name", "repeat"])
