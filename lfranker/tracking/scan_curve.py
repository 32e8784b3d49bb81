"""The curve over slow scans of one's own, as the tracking server knows it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from lfranker.ranking.own_scans import ScanCurve, scan_curve
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.power_set import PowerSet, Training, trainings_with
from lfranker.tracking.runs import log_texts, read_texts, set_tags
from lfranker.tracking.scores import read_table
from lfranker.tracking.tags import Tag

PLAN = "curve.json"
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
    log_texts(parent_id, {PLAN: json.dumps(asdict(plan), indent=1)})
    set_tags(parent_id, {Tag.CURVE: ",".join(map(str, plan.counts))})


def read_curve_plan(power_set: PowerSet) -> CurvePlan | None:
    """Read the plan; None where the power set has no curve."""
    (text,) = read_texts([(power_set, PLAN)]) if power_set.curve else (None,)
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
