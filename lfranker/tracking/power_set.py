"""Finding power sets, their children, and the names that scores have in them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lfranker.evaluation.criteria import VISUAL
from lfranker.evaluation.metrics import METRICS
from lfranker.losses.names import LOSS_ORDER
from lfranker.losses.subsets import ALL, SubsetRule, from_text
from lfranker.ranking.entrant import entrant, placed
from lfranker.tracking.runs import TAG

PAGE = 1000
SCORE = re.compile(rf"({'|'.join([*METRICS, VISUAL])})(/.+)?")
SCAN_SET = TAG + "scans."
LEARNING_RATES = TAG + "learning-rates"  # of a parent: see `learning_rates.note_keys`
SUBSETS = TAG + "subsets"  # the rule, see `subset_rule.SubsetRule.to_text`
NOISES = TAG + "noises"  # of a parent: see `noises_of`
DIVERGED_WITH = TAG + "safeguards"  # those that a training diverged with, see `training.numerics`
SUPERSEDED = TAG + "superseded"  # by the run with this ID, which trains the same again
OUTCOME = TAG + "outcome"  # "diverged" for good; on the scans with digest D it is OUTCOME.D


def search(text: str, experiments: list[str] | None = None) -> Iterator[Run]:
    """All active runs that match, newest first; in all experiments unless told."""
    client, token = MlflowClient(), None
    experiments = experiments or [e.experiment_id for e in client.search_experiments()]
    while True:
        page = client.search_runs(
            experiments, text, max_results=PAGE, page_token=token, order_by=["start_time DESC"]
        )
        yield from page
        token = page.token
        if not token:
            return


def find_run(run_id: str) -> Run:
    """The run with this ID. Raises ValueError."""
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        raise ValueError(f"there is no run {run_id!r}: {error.message}") from error


def find_parent(parent: str | None) -> Run:
    """The power set with this run ID; None: the newest. Raises ValueError.

    Any run is one that names itself one by the tag `powerset`, or that children name by their tag.
    """
    if parent is not None:
        run = find_run(parent)
        experiment = [run.info.experiment_id]
        if TAG + "powerset" not in run.data.tags and not any(
            search(f"tags.`{TAG}powerset` = '{parent}'", experiment)
        ):
            raise ValueError(
                f"run {parent!r} is not a power set: neither does it have the tag {TAG}powerset, "
                f"nor has another run this tag with its ID"
            )
        return run
    newest = next(search(f"tags.`{TAG}role` = 'powerset' AND tags.`{TAG}powerset` != ''"), None)
    if newest is None:
        raise ValueError("no power set found: run `mlflow run . -e powerset` first")
    return newest


def key_of(parent: Run) -> str:
    """What the children of a power set carry as their tag; another parent's is its own ID."""
    return str(parent.data.tags.get(TAG + "powerset", parent.info.run_id))


@dataclass(frozen=True)
class PowerSet:
    """A parent and its children as they were when asked for: one search for all questions."""

    parent: Run
    children: Sequence[Run]  # trainings and baselines, newest first
    noises: Mapping[str, str] = field(default_factory=dict)  # key -> label, of those compared


def gather(parent: Run, key: str | None = None) -> PowerSet:
    """The power set with all trainings and baselines that belong with it; or with another key."""
    noises = {} if key else {own: label for label, own in noises_of(parent).items()}
    found = [
        run
        for own in (key or key_of(parent), *noises)
        for run in search(f"tags.`{TAG}powerset` = '{own}'", [parent.info.experiment_id])
    ]
    kinds = {TAG + "losses", TAG + "baseline"}
    children = [
        run for run in found if kinds & set(run.data.tags) and SUPERSEDED not in run.data.tags
    ]
    return PowerSet(parent, children, noises)


def noises_of(parent: Run) -> dict[str, str]:
    """Label -> key of the noises that a power set compares, in its order; none where it has one.

    The trainings on a noise are those of a power set of that noise alone: they have its key.
    """
    stored: dict[str, str] = json.loads(parent.data.tags.get(NOISES, "{}"))
    return stored


def order_of(parent: Run) -> tuple[str, ...]:
    """What decides ties among its entrants, as `ranking.rank` takes it."""
    return (*LOSS_ORDER, *map(placed, noises_of(parent)))


def trainings(power_set: PowerSet) -> dict[tuple[str, int], Run]:
    """(entrant, repeat) -> its run; the newest where several exist, finished ones first."""
    chosen: dict[tuple[str, int], Run] = {}
    for run in power_set.children:
        tags = run.data.tags
        if TAG + "losses" not in tags:
            continue
        noise = power_set.noises.get(tags.get(TAG + "powerset", ""), "")
        key = entrant(tags[TAG + "losses"], noise), int(tags.get(TAG + "repeat", 0))
        if key not in chosen or (
            run.info.status == "FINISHED" and chosen[key].info.status != "FINISHED"
        ):
            chosen[key] = run
    return chosen


def expected(parent: Run) -> list[str]:
    """Names of the entrants that the power set was to train; empty where it does not say."""
    names = parent.data.tags.get(TAG + "loss-set", "")
    if not names:
        return []
    subsets = ["+".join(subset) for subset in rule_of(parent).subsets(names.split(","))]
    noises = list(noises_of(parent)) or [""]
    return [entrant(subset, noise) for subset in subsets for noise in noises]


def rule_of(parent: Run) -> SubsetRule:
    """Which subsets of its losses the power set was to train; all where it does not say."""
    text = parent.data.tags.get(SUBSETS)
    return ALL if text is None else from_text(text)


def settings_of(run: Run) -> dict[str, str]:
    """The run's parameters as they were used: see `runs.log_settings`."""
    params = dict(run.data.params)
    used = {k.removeprefix("used/"): v for k, v in params.items() if k.startswith("used/")}
    return params | used


def own_scores(run: Run, scans: str) -> dict[str, float]:
    """The run's scores on the scan set with digest `scans`, under their plain names.

    A run's first scan set has the plain names `psnr`, `psnr/spd2`; others have the digest in
    front, `1a2b3c4d.psnr/spd2`, so that none overwrites another's.
    """
    prefix, metrics = prefix_in(run, scans), run.data.metrics
    plain = {k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith(prefix)}
    return {name: value for name, value in plain.items() if SCORE.fullmatch(name)}


def prefix_in(run: Run, scans: str) -> str:
    """What the run's scores on these scans have in front of their names."""
    first = run.data.tags.get(TAG + "scoring", scans) == scans
    return "" if first else prefix_of(scans)


def prefix_of(scans: str) -> str:
    return f"{scans[:8]}."


def scan_sets(parent: Run) -> list[str]:
    """Digests of the scan sets that the power set was scored on, its own first."""
    own = parent.data.tags.get(TAG + "scans")
    others = [
        name.removeprefix(SCAN_SET)
        for name in sorted(parent.data.tags)
        if name.startswith(SCAN_SET)
    ]
    return [own, *(d for d in others if d != own)] if own else others


def choose_scans(parent: Run, digest: str | None) -> str:
    """The one scan set whose digest starts so; None: the power set's own ("" where unknown)."""
    known = scan_sets(parent)
    if digest is None:
        return known[0] if known else ""
    matching = [d for d in known if d.startswith(digest)]
    if len(matching) != 1:
        raise ValueError(
            f"scans {digest!r} match {len(matching)} of the scan sets that run "
            f"{parent.info.run_id} was scored on; allowed: {', '.join(d[:8] for d in known)}"
        )
    return matching[0]


def repeats_of(parent: Run) -> int:
    """How many repeats the power set asked for; 0 where it does not say."""
    return int(parent.data.tags.get(TAG + "repeats", 0))
