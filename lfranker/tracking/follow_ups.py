"""What may follow a power set, as the tracking server knows it.

The check whether a winner hangs on the learning rate, the search for weights of its losses, and the
curve over slow scans of one's own.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import pandas as pd

from lfranker.ranking.entrants import PairScores
from lfranker.ranking.learning_rate_check import RateCheck, check_winner
from lfranker.ranking.own_scans import ScanCurve, scan_curve
from lfranker.ranking.weight_search import (
    Outcome,
    Trial,
    Weights,
    best,
    compare,
    means,
    split_sites,
)
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.power_set import PowerSet, Training, format_factors, search, trainings_with
from lfranker.tracking.runs import (
    TrackedRun,
    create_child,
    end_run,
    find_run,
    log_texts,
    read_texts,
    reopen,
    set_tags,
    tracked,
)
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

    def result(self, seed: int) -> tuple[Outcome, pd.DataFrame]:
        """Return the outcome, and all that was tried with its means on both halves."""
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
            nothing = pd.DataFrame(columns=["difference", "low", "high"])
            return Outcome(plan.name, len(self.tried), None, nothing), listed
        new, old = self.rows[chosen], self.rows[0]
        repeats = sorted(set(new["repeat"]) & set(old["repeat"]))
        # the first is flattered by having been chosen among many
        judges = repeats[1:] or repeats
        new, old = (table[table["repeat"].isin(judges)] for table in (new, old))
        found = compare(new, old, plan.judged, seed).rename_axis("criterion")
        weights = self.tried[chosen].weights
        unseen = len(repeats) > 1
        return Outcome(plan.name, len(self.tried), weights, found, len(judges), unseen), listed


@contextmanager
def search_run(
    power_set: PowerSet, name: str, own: Weights, scans: str, places: Sequence[str], seed: int
) -> Iterator[TrackedRun]:
    """The run of the search for ``name`` on these scans, an earlier one if there is one.

    own: the weights that won; places: all that the scans show, which are halved by ``seed``.
    """
    identity = f"{power_set.key} {name} {scans}"
    found = next(search(f"tags.`{Tag.SEARCH_OF}` = '{identity}'", [power_set.experiment_id]), None)
    title, tags = f"refine {name}", {Tag.SEARCH_OF: identity}
    run = create_child(power_set, title, tags) if found is None else tracked(found)
    if read_plan(run) is None:
        write_plan(run, Plan(name, own, scans, *split_sites(places, seed)))
    set_tags(run.run_id, {Tag.PARENT: power_set.run_id})
    reopen(run)
    status = "KILLED"
    try:
        yield run
        status = "FINISHED"
    finally:
        end_run(run.run_id, status)
    set_tags(power_set.run_id, {Tag.SEARCH: run.run_id})


def read_plan(run: TrackedRun) -> Plan | None:
    """Read the plan; None where the search has none yet."""
    (text,) = read_texts([(run, PLAN)])
    if text is None:
        return None
    stored = json.loads(text)
    tried = [(weights, key) for weights, key in stored.pop("tried")]
    return Plan(**stored, tried=tried)


def write_plan(run: TrackedRun, plan: Plan) -> None:
    log_texts(run.run_id, {PLAN: json.dumps(asdict(plan), indent=1)})


def searched(plan: Plan, experiment_id: str, pairs: PairScores, simulated: bool) -> Search | None:
    """Read what the server knows of a search; ``pairs`` are those of the power set.

    None where what won has no scores any more.
    """
    winner = pairs.of(plan.name)
    values = None if winner.empty else means(_first(winner), plan.searched)
    if values is None:
        return None
    tried, tables = [Trial(plan.own, values)], [winner]
    for weights, key in plan.tried:
        runs = _repeats(trainings_with(key, experiment_id), plan.name)
        scans = ScanSetId(plan.scans, simulated)
        read = {repeat: read_table(run, scans) for repeat, run in runs.items()}
        whole = [t.assign(repeat=repeat) for repeat, t in read.items() if t is not None]
        tables.append(pd.concat(whole) if whole else winner.iloc[:0])
        tried.append(Trial(weights, means(_first(tables[-1]), plan.searched)))
    return Search(plan, tried, tables)


def refined(power_set: PowerSet, pairs: PairScores, scans: ScanSetId) -> Search | None:
    """Return the power set's newest search; None where there is none on these scans."""
    plan = read_plan(find_run(power_set.search_id)) if power_set.search_id else None
    if plan is None or plan.scans != scans.digest:
        return None
    return searched(plan, power_set.experiment_id, pairs, scans.simulated)


def _repeats(trainings: Mapping[tuple[str, int], Training], name: str) -> dict[int, Training]:
    own = {repeat: run for (entrant, repeat), run in trainings.items() if entrant == name}
    return dict(sorted(own.items()))


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["repeat"] == 0]


def _named(values: Mapping[str, float] | None, where: str) -> dict[str, float]:
    return {f"{metric}/{where}": value for metric, value in (values or {}).items()}


CURVE_PLAN = "curve.json"
GROUPED = ("place", "field", "speed")  # what rows of scores are told by, beside draw and count


@dataclass(frozen=True)
class Draw:
    """Slow scans that were drawn: the fields in the order in which they are added.

    repeat: of its trainings; keys: of these, by the number of scans.
    """

    repeat: int
    fields: tuple[str, ...]
    keys: Mapping[int, str]


@dataclass(frozen=True)
class CurvePlan:
    """Trainings of a curve. `scans`: digest of the power set's; `scored`: of the fields left."""

    name: str  # the subset
    counts: tuple[int, ...]
    target: int
    scans: str
    scored: str
    draws: tuple[Draw, ...]


def note_curve(parent_id: str, plan: CurvePlan) -> None:
    """Remember which trainings belong to the curve."""
    log_texts(parent_id, {CURVE_PLAN: json.dumps(asdict(plan), indent=1)})
    set_tags(parent_id, {Tag.CURVE: ",".join(map(str, plan.counts))})


def read_curve_plan(power_set: PowerSet) -> CurvePlan | None:
    """Read the plan; None where the power set has no curve."""
    (text,) = read_texts([(power_set, CURVE_PLAN)]) if power_set.curve else (None,)
    if text is None:
        return None
    stored = json.loads(text)
    draws = tuple(
        Draw(own["repeat"], tuple(own["fields"]), {int(n): key for n, key in own["keys"].items()})
        for own in stored["draws"]
    )
    return CurvePlan(**{**stored, "counts": tuple(stored["counts"]), "draws": draws})


def curve_of(
    power_set: PowerSet, scans: ScanSetId, margins: Mapping[str, float]
) -> ScanCurve | None:
    """Return what `scan_curve` makes of the scores; None where there is no curve on these scans."""
    plan = read_curve_plan(power_set)
    if plan is None or plan.scans != scans.digest:
        return None
    scored = ScanSetId(plan.scored, scans.simulated)
    tables = list[pd.DataFrame]()
    for draw in plan.draws:
        none = _table(power_set.trainings.get((plan.name, draw.repeat)), scans)
        if none is not None:
            tables.append(none.assign(draw=draw.repeat, count=0))
        for count, key in draw.keys.items():
            runs = trainings_with(key, power_set.experiment_id)
            own = _table(runs.get((plan.name, draw.repeat)), scored)
            if own is not None:
                tables.append(own.assign(draw=draw.repeat, count=count))
    rows = pd.concat(tables) if tables else pd.DataFrame(columns=["draw", "count", *GROUPED])
    return scan_curve(rows, plan.name, plan.counts, plan.target, margins, power_set.seed)


def _table(run: Training | None, scans: ScanSetId) -> pd.DataFrame | None:
    """Return the scores of fields, None where the training has none or went wrong."""
    if run is None or run.outcome_on(scans.digest) != "ok":
        return None
    return read_table(run, scans)
