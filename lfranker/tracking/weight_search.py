"""A search for weights as the tracking server knows it: a child of its power set, with a plan.

The plan is an artifact of the search and says all that the search is: the places it may look at,
and what it tried. A training says nothing of the searches that it serves, and may serve several.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.ranking.weight_search import Trial, Weights, best, compare, halves, means, verdict
from lfranker.tracking.power_set import PowerSet, find_run, gather, key_of, search, trainings
from lfranker.tracking.runs import PARENT, TAG, create_child, end_run, owner, read_texts, set_tags
from lfranker.tracking.scores import read_table

SEARCH = TAG + "refined"  # of a power set: the run of its newest search
OF = TAG + "refines"  # of a search: its power set's key, the subset and the scans
PLAN = "search.json"


@dataclass(frozen=True)
class Plan:
    """A search. `tried` are weights and the key of their trainings, in the order of the trials."""

    name: str  # the subset
    own: Weights  # that won without it
    scans: str  # digest
    searched: Sequence[str]  # places
    judged: Sequence[str]
    tried: Sequence[tuple[Weights, str]] = ()


@dataclass(frozen=True)
class Search:
    """A search and what came of its trials; the first is what won without it."""

    plan: Plan
    tried: Sequence[Trial]
    rows: Sequence[pd.DataFrame]  # of each trial: scores by repeat, field and speed

    def result(self, seed: int) -> tuple[str, pd.DataFrame, pd.DataFrame]:
        """The verdict; its table; and all that was tried with its means on both halves."""
        chosen, plan = best(self.tried), self.plan
        listed = pd.DataFrame(
            [
                {
                    **{f"weight/{loss}": weight for loss, weight in trial.weights.items()},
                    **_named(trial.values, "searched"),
                    **_named(means(_first(rows), plan.judged), "judged"),
                    "chosen": at == chosen,
                }
                for at, (trial, rows) in enumerate(zip(self.tried, self.rows, strict=True))
            ]
        ).rename_axis("trial")
        if chosen == 0:
            said = f"Of {len(self.tried)} weights tried for {plan.name} those that won did best."
            return said, pd.DataFrame(columns=["difference", "low", "high"]), listed
        new, old = self.rows[chosen], self.rows[0]
        repeats = sorted(set(new["repeat"]) & set(old["repeat"]))
        # the first is flattered by having been chosen among many
        judges = repeats[1:] or repeats
        new, old = (table[table["repeat"].isin(judges)] for table in (new, old))
        found = compare(new, old, plan.judged, seed).rename_axis("criterion")
        weights = self.tried[chosen].weights
        said = verdict(plan.name, weights, len(self.tried), found, len(judges), len(repeats) > 1)
        return said, found, listed


@contextmanager
def search_run(
    parent: Run, name: str, own: Weights, scans: str, places: Sequence[str], seed: int
) -> Iterator[Run]:
    """The run of the search for ``name`` on these scans, an earlier one if there is one.

    own: the weights that won; places: all that the scans show, which are halved by ``seed``.
    """
    identity = f"{key_of(parent)} {name} {scans}"
    found = search(f"tags.`{OF}` = '{identity}'", [parent.info.experiment_id])
    run = next(found, None) or create_child(parent, f"refine {name}", {OF: identity})
    if read_plan(run) is None:
        write_plan(run, Plan(name, own, scans, *halves(places, seed)))
    set_tags(run.info.run_id, {PARENT: parent.info.run_id, TAG + "owner": owner()})
    MlflowClient().update_run(run.info.run_id, status="RUNNING")
    status = "KILLED"
    try:
        yield run
        status = "FINISHED"
    finally:
        end_run(run.info.run_id, status)
    set_tags(parent.info.run_id, {SEARCH: run.info.run_id})


def read_plan(run: Run) -> Plan | None:
    """None where the search has none yet."""
    (text,) = read_texts([(run, PLAN)])
    if text is None:
        return None
    stored = json.loads(text)
    tried = [(weights, key) for weights, key in stored.pop("tried")]
    return Plan(**stored, tried=tried)


def write_plan(run: Run, plan: Plan) -> None:
    MlflowClient().log_text(run.info.run_id, json.dumps(asdict(plan), indent=1), PLAN)


def searched(plan: Plan, parent: Run, rows: pd.DataFrame, simulated: bool) -> Search | None:
    """What the server knows of a search; ``rows`` are the power set's `field_scores`.

    None where what won has no scores any more.
    """
    winner = rows[rows["name"] == plan.name] if "name" in rows else rows
    values = None if winner.empty else means(_first(winner), plan.searched)
    if values is None:
        return None
    tried, tables = [Trial(plan.own, values)], [winner]
    for weights, key in plan.tried:
        runs = _repeats(gather(parent, key), plan.name)
        read = {repeat: read_table(run, plan.scans, simulated) for repeat, run in runs.items()}
        whole = [t.assign(repeat=repeat) for repeat, t in read.items() if t is not None]
        tables.append(pd.concat(whole) if whole else winner.iloc[:0])
        tried.append(Trial(weights, means(_first(tables[-1]), plan.searched)))
    return Search(plan, tried, tables)


def refined(power_set: PowerSet, rows: pd.DataFrame, scans: tuple[str, bool]) -> Search | None:
    """The power set's newest search; None where there is none on these scans.

    scans: digest, and whether they are simulated.
    """
    run_id = power_set.parent.data.tags.get(SEARCH)
    plan = None if run_id is None else read_plan(find_run(run_id))
    if plan is None or plan.scans != scans[0]:
        return None
    return searched(plan, power_set.parent, rows, scans[1])


def _repeats(power_set: PowerSet, name: str) -> dict[int, Run]:
    found = trainings(power_set)
    return {repeat: run for (own, repeat), run in sorted(found.items()) if own == name}


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["repeat"] == 0]


def _named(values: Mapping[str, float] | None, where: str) -> dict[str, float]:
    return {f"{metric}/{where}": value for metric, value in (values or {}).items()}
