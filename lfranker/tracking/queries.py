"""Finding power sets, their children and their scores."""

import re
from collections.abc import Iterator

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from lfranker.losses import PERCEPTUAL_RANDOM, parse_losses, subset_name, subsets
from lfranker.metrics import METRICS
from lfranker.tracking.runs import TAG

PAGE = 1000
SCORE = re.compile(rf"({'|'.join(METRICS)})(/.+)?")
COSTS = ("seconds_per_step", "seconds_per_megapixel")
SCAN_SET = TAG + "scans."
OUTCOME = TAG + "outcome"  # "diverged" for good; on the scans with digest D it is OUTCOME.D
WORST_FIRST = ("failed", "incomplete", "diverged", "collapsed", "ok")


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
    """The power set with this run ID; None: the newest. Raises ValueError."""
    if parent is not None:
        run = find_run(parent)
        if TAG + "powerset" not in run.data.tags:
            raise ValueError(f"run {parent!r} is not a power set: it has no tag {TAG}powerset")
        return run
    newest = next(search(f"tags.`{TAG}role` = 'powerset' AND tags.`{TAG}powerset` != ''"), None)
    if newest is None:
        raise ValueError("no power set found: run `mlflow run . -e powerset` first")
    return newest


def key_of(parent: Run) -> str:
    """What the children of a power set carry as their tag; another parent's is its own ID."""
    return str(parent.data.tags.get(TAG + "powerset", parent.info.run_id))


def children(parent: Run) -> list[Run]:
    """Trainings and baselines that belong with this power set, newest first."""
    found = search(f"tags.`{TAG}powerset` = '{key_of(parent)}'", [parent.info.experiment_id])
    return [r for r in found if TAG + "losses" in r.data.tags or TAG + "baseline" in r.data.tags]


def trainings(parent: Run) -> dict[tuple[str, int], Run]:
    """(losses, repeat) -> its run; the newest where several exist, finished ones first."""
    chosen: dict[tuple[str, int], Run] = {}
    for run in children(parent):
        tags = run.data.tags
        if TAG + "losses" not in tags:
            continue
        key = tags[TAG + "losses"], int(tags.get(TAG + "repeat", 0))
        if key not in chosen or (
            run.info.status == "FINISHED" and chosen[key].info.status != "FINISHED"
        ):
            chosen[key] = run
    return chosen


def expected(parent: Run) -> list[str]:
    """Names of the subsets that the power set was to train; empty where it does not say."""
    names = parent.data.tags.get(TAG + "loss-set", "")
    if not names:
        return []
    shown = PERCEPTUAL_RANDOM if PERCEPTUAL_RANDOM in names else "perceptual"
    losses = parse_losses(names.replace(PERCEPTUAL_RANDOM, "perceptual"))
    return [subset_name(subset, perceptual=shown) for subset in subsets(losses)]


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
    tags, metrics = run.data.tags, run.data.metrics
    first = tags.get(TAG + "scoring", scans) == scans
    prefix = "" if first else prefix_of(scans)
    plain = {k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith(prefix)}
    return {name: value for name, value in plain.items() if SCORE.fullmatch(name)}


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


def scores(parent: Run, digest: str) -> pd.DataFrame:
    """A row per subset (means over repeats) and per baseline, as `ranking.rank` takes it.

    Scores are those on the scan set with this digest. Repeats that the power set did not ask for
    (another command with the same settings did) are left out; a subset without all of those that
    it asked for is "incomplete".

    Beside the metrics: `outcome`, `baseline`, COSTS, `run_id`, `model` (of the
    first repeat) and `perceptual` (digest of the perceptual weights).
    """
    wanted, found = set(expected(parent)), trainings(parent)
    repeats = repeats_of(parent) or max((repeat + 1 for _, repeat in found), default=0)
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(name for name, _ in sorted(found, key=lambda key: key[1])):
        if not wanted or name in wanted:
            runs = [found.get((name, repeat)) for repeat in range(repeats)]
            rows += [_row(name, run, digest) for run in runs if run is not None]
            if None in runs and any(runs):
                rows.append({"name": name, "outcome": "incomplete", "baseline": False})
    for name, run in baselines(parent, digest).items():
        rows.append(_row(name, run, digest) | {"baseline": True})
    table = pd.DataFrame(rows)
    if table.empty:
        raise ValueError(f"power set {parent.info.run_id} has no children to rank")
    return _over_repeats(table)


def baselines(parent: Run, digest: str) -> dict[str, Run]:
    """The baselines that were scored on these scans to the end; the newest of each name."""
    found: dict[str, Run] = {}
    for run in children(parent):
        name = run.data.tags.get(TAG + "baseline")
        if name and run.info.status == "FINISHED" and own_scores(run, digest):
            found.setdefault(name, run)
    return found


def repeats_of(parent: Run) -> int:
    """How many repeats the power set asked for; 0 where it does not say."""
    return int(parent.data.tags.get(TAG + "repeats", 0))


def outcome_on(run: Run, scans: str) -> str:
    """What came of a training, judged by its outputs on the scan set with this digest."""
    tags = run.data.tags
    if run.info.status != "FINISHED":
        return "failed"
    general = tags.get(OUTCOME, "ok")
    return general if general == "diverged" else tags.get(f"{OUTCOME}.{scans[:8]}", general)


def _row(name: str, run: Run, digest: str) -> dict[str, object]:
    tags = run.data.tags
    return {
        "name": name,
        "outcome": outcome_on(run, digest),
        "baseline": False,
        "run_id": run.info.run_id,
        "model": tags.get(TAG + "model", ""),
        "perceptual": tags.get(TAG + "perceptual", ""),
        **{name: run.data.metrics.get(name, float("nan")) for name in COSTS},
        **own_scores(run, digest),
    }


def _over_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    numbers = [c for c in rows.columns if SCORE.fullmatch(c) or c in COSTS]
    grouped = rows.groupby("name", sort=False)
    table = grouped.first()
    # one missing repeat makes the mean missing: a mean over the lucky ones would not compare
    for column in numbers:
        table[column] = grouped[column].mean(skipna=False)
    table["outcome"] = grouped["outcome"].agg(lambda column: min(column, key=WORST_FIRST.index))
    return table
