"""A search for weights, as the tracking server knows it: a child of its power set, with trials."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.refine import Trial, Weights, best, compare, halves, means, verdict
from lfranker.tracking.field_scores import read_table
from lfranker.tracking.queries import PowerSet, find_run, key_of, search
from lfranker.tracking.runs import PARENT, TAG, create_child, end_run, owner, set_tags

SEARCH = TAG + "refined"  # of a power set: the run of its newest search
OF = TAG + "refines"  # of a search: its power set's key; of a trial: its search
NAME = TAG + "refined-losses"  # of a search: the subset
OWN = TAG + "own-weights"  # of a search: those that won without it
TRIAL = TAG + "trial"  # of a trial: its number in the search, and its weights


@dataclass(frozen=True)
class Search:
    """A search and what came of its trials; the first is what won without it."""

    name: str  # the losses
    places: tuple[Sequence[str], Sequence[str]]  # searched on, judged on
    tried: Sequence[Trial]
    rows: Sequence[pd.DataFrame]  # of each trial: scores by repeat, field and speed

    def result(self, seed: int) -> tuple[str, pd.DataFrame, pd.DataFrame]:
        """The verdict; its table; and all that was tried with its means on both halves."""
        chosen = best(self.tried)
        listed = pd.DataFrame(
            [
                {
                    **{f"weight/{loss}": weight for loss, weight in trial.weights.items()},
                    **_named(trial.values, "searched"),
                    **_named(means(_first(rows), self.places[1]), "judged"),
                    "chosen": at == chosen,
                }
                for at, (trial, rows) in enumerate(zip(self.tried, self.rows, strict=True))
            ]
        ).rename_axis("trial")
        if chosen == 0:
            said = f"Of {len(self.tried)} weights tried for {self.name} those that won did best."
            return said, pd.DataFrame(columns=["difference", "low", "high"]), listed
        new, old = self.rows[chosen], self.rows[0]
        repeats = sorted(set(new["repeat"]) & set(old["repeat"]))
        new, old = (table[table["repeat"].isin(repeats)] for table in (new, old))
        found = compare(new, old, self.places[1], seed).rename_axis("criterion")
        weights = self.tried[chosen].weights
        return verdict(self.name, weights, len(self.tried), found, len(repeats)), found, listed


@contextmanager
def search_run(parent: Run, name: str, own: Weights) -> Iterator[Run]:
    """The run of the search for ``name``, an earlier one of the same trainings if there is one.

    own: the weights that won.
    """
    text = f"tags.`{OF}` = '{key_of(parent)}' AND tags.`{NAME}` = '{name}'"
    run = next(search(text, [parent.info.experiment_id]), None)
    if run is None:
        run = create_child(parent, f"refine {name}", {OF: key_of(parent), NAME: name})
    tags = {PARENT: parent.info.run_id, TAG + "owner": owner(), OWN: _text(own)}
    set_tags(run.info.run_id, tags)
    MlflowClient().update_run(run.info.run_id, status="RUNNING")
    status = "KILLED"
    try:
        yield run
        status = "FINISHED"
    finally:
        end_run(run.info.run_id, status)
    set_tags(parent.info.run_id, {SEARCH: run.info.run_id})


def mark_trial(run: Run, of: Run, number: int, weights: Weights) -> None:
    """Note which trial of which search a training is."""
    set_tags(run.info.run_id, {OF: of.info.run_id, TRIAL: f"{number} {_text(weights)}"})


def known_trials(of: Run) -> dict[int, Weights]:
    """What was tried, or begun, by its number in the search."""
    return {number: weights for number, (weights, _) in _trials(of).items()}


def searched(of: Run, rows: pd.DataFrame, seed: int, scans: tuple[str, bool]) -> Search:
    """What the server knows of a search.

    ``rows`` are the power set's `field_scores`; scans: digest, and whether they are simulated.
    Raises ValueError where they show too few places.
    """
    tags = find_run(of.info.run_id).data.tags
    winner = rows[rows["name"] == tags[NAME]]
    places = halves(list(winner["place"]), seed)
    tried, tables = [Trial(_parsed(tags[OWN]), means(_first(winner), places[0]))], [winner]
    for weights, runs in _trials(of).values():
        read = {repeat: read_table(run, *scans) for repeat, run in sorted(runs.items())}
        whole = [t.assign(repeat=repeat) for repeat, t in read.items() if t is not None]
        table = pd.concat(whole) if whole else winner.iloc[:0]
        tables.append(table)
        tried.append(Trial(weights, means(_first(table), places[0])))
    return Search(tags[NAME], places, tried, tables)


def refined(
    power_set: PowerSet, rows: pd.DataFrame, seed: int, scans: tuple[str, bool]
) -> Search | None:
    """The power set's newest search; None where there is none to tell of."""
    run_id = power_set.parent.data.tags.get(SEARCH)
    if run_id is None or rows.empty:
        return None
    return searched(find_run(run_id), rows, seed, scans)


def _trials(of: Run) -> dict[int, tuple[Weights, dict[int, Run]]]:
    """Weights and runs by repeat, by number in the order in which they were tried."""
    found: dict[int, tuple[Weights, dict[int, Run]]] = {}
    for run in search(f"tags.`{OF}` = '{of.info.run_id}'", [of.info.experiment_id]):
        number, _, text = run.data.tags.get(TRIAL, "").partition(" ")
        if number:
            runs = found.setdefault(int(number), (_parsed(text), {}))[1]
            runs.setdefault(int(run.data.tags.get(TAG + "repeat", 0)), run)
    return {number: found[number] for number in sorted(found)}


def _text(weights: Weights) -> str:
    return ",".join(f"{loss}={weight!r}" for loss, weight in weights.items())


def _parsed(text: str) -> dict[str, float]:
    parts = (part.partition("=") for part in text.split(","))
    return {loss: float(weight) for loss, _, weight in parts}


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["repeat"] == 0]


def _named(values: Mapping[str, float] | None, where: str) -> dict[str, float]:
    return {f"{metric}/{where}": value for metric, value in (values or {}).items()}
