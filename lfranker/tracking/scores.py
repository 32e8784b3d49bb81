"""The scores of a power set as one table, with what came of every training."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from lfranker.evaluation.criteria import ALL_METRICS, VISUAL, Criterion, scored
from lfranker.losses.names import LOSS_ORDER
from lfranker.ranking.entrants import COLUMNS, GROUPS, PairScores, is_combined, parts_of, tie_key
from lfranker.ranking.leaderboard import Ranking, rank
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.power_set import Baseline, PowerSet, ScoredRun, Training
from lfranker.tracking.runs import TrackedRun, read_texts
from lfranker.training.curves import MEAN_SHARE

FORMER_MEAN_SHARE = "mean_share/"  # of earlier versions
TRAINED_ON = "trained_on.txt"  # of a power set: sha256 of each image, a line each
NOISY_DIGEST = "noisy_sha256"  # in the table of scans
COSTS = ("seconds_per_step", "seconds_per_megapixel")
WORST_FIRST = ("failed", "incomplete", "stopped", "diverged", "collapsed", "ok")


def scores(power_set: PowerSet, digest: str) -> pd.DataFrame:
    """A row per subset (means over repeats) and per baseline, as `ranking.rank` takes it.

    Scores are those on the scan set with this digest. Repeats that the power set did not ask for
    (another command with the same settings did) are left out; a subset without all of those that
    it asked for is "incomplete", and one of which no training has ended yet has no row.

    Beside the metrics: `outcome`, `baseline`, COSTS, `run_id`, `repeat`, `model` (of the
    first repeat) and `perceptual` (digest of the perceptual weights).
    """
    wanted, found = set(power_set.expected), power_set.trainings
    repeats = power_set.repeats_seen
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(name for name, _ in sorted(found, key=lambda key: key[1])):
        if not wanted or name in wanted:
            known = (found.get((name, repeat)) for repeat in range(repeats))
            runs = [None if run is None or run.unfinished else run for run in known]
            rows += [row_of(name, run, digest) for run in runs if run is not None]
            if None in runs and any(runs):
                rows.append({"name": name, "outcome": "incomplete", "baseline": False})
    for name, run in baselines(power_set, digest).items():
        rows.append(row_of(name, run, digest) | {"baseline": True})
    table = pd.DataFrame(rows)
    if table.empty:
        raise ValueError(f"power set {power_set.run_id} has no finished trainings to rank")
    return over_repeats(table)


def baselines(power_set: PowerSet, digest: str) -> dict[str, Baseline]:
    """Return the newest baseline of each name that was scored on these scans to the end."""
    found: dict[str, Baseline] = {}
    for run in power_set.baselines:
        if run.finished and run.scores(digest):
            found.setdefault(run.name, run)
    return found


def row_of(name: str, run: ScoredRun, digest: str) -> dict[str, object]:
    """Return what is known of one run, with its scores on the scan set with this digest."""
    trained = run if isinstance(run, Training) else None
    return {
        "name": name,
        "outcome": run.outcome_on(digest),
        "baseline": False,
        "run_id": run.run_id,
        "repeat": trained.repeat if trained else 0,
        "model": trained.model if trained else "",
        "perceptual": trained.perceptual if trained else "",
        **{name: run.metrics.get(name, float("nan")) for name in COSTS},
        **run.scores(digest),
    }


def over_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of rows of `row_of` over repeats, a row per name; the worst of their outcomes."""
    numbers = [*scored(rows), *(name for name in COSTS if name in rows)]
    grouped = rows.groupby("name", sort=False)
    table = grouped.first()
    # one missing repeat makes the mean missing: a mean over the lucky ones would not compare
    for column in numbers:
        rated = (
            Criterion.parse(column).metric == VISUAL
        )  # of which people have seen one repeat only
        table[column] = grouped[column].mean(skipna=rated)
    table["outcome"] = grouped["outcome"].agg(lambda column: min(column, key=WORST_FIRST.index))
    return table


def field_scores(power_set: PowerSet, scans: ScanSetId) -> PairScores:
    """A row per entrant or baseline, repeat, field and speed: scores, `baseline`, groups.

    Entrants are those that may win the ranking: expected, with all repeats, none of them failed,
    diverged or collapsed. Runs without a table of their own (logged by metrics alone) are
    missing; so may be all.
    """
    return _read(_entrants(power_set, scans.digest), score_file(scans))


def field_scores_at(
    power_set: PowerSet, scans: ScanSetId, whole: PairScores
) -> dict[int, PairScores]:
    """Scores as `field_scores` gives them, by the number of steps that a training is planned for.

    The fewest steps come first; the last are those of the ``whole`` trainings, which
    `field_scores` gave. A number of steps at which one training lacks scores is left out; {} where
    the power set does not say how long its trainings are, or has no tables of its fields, or its
    networks have different steps.
    """
    networks = {parts_of(label)[1] for label in power_set.noises}
    if whole.empty or not power_set.steps or len(networks) > 1:
        return {}
    read = set(whole.table["name"])
    trained = [
        (name, repeat, run, False)
        for name, repeat, run, _ in _entrants(power_set, scans.digest)
        if isinstance(run, Training) and name in read
    ]
    shorter = [set(run.shorter) for _, _, run, _ in trained if isinstance(run, Training)]
    baselines = whole.table[whole.table["baseline"]]
    found: dict[int, PairScores] = {}
    for steps in sorted(set.intersection(*shorter) if shorter else ()):
        pairs = _read(trained, score_file(scans, steps))
        if len(pairs.table) == len(whole.table) - len(baselines):
            found[steps] = PairScores(pd.concat([pairs.table, baselines], ignore_index=True))
    return {**found, power_set.steps: whole}


def branch_scores(power_set: PowerSet, scans: ScanSetId) -> dict[int, PairScores]:
    """Scores of the branches of all trainings that were not stopped, by the steps of a branch.

    The trainings need not be over. What lacks a branch, or its scores, is missing in it.
    """
    wanted = set(power_set.expected)
    going: list[Scored] = [
        (name, repeat, run, False)
        for (name, repeat), run in power_set.trainings.items()
        if name in wanted and repeat < power_set.repeats_seen and not run.stopped
    ]
    lengths = {steps for *_, run, _ in going if isinstance(run, Training) for steps in run.shorter}
    found = {steps: _read(going, score_file(scans, steps)) for steps in sorted(lengths)}
    return {steps: pairs for steps, pairs in found.items() if not pairs.empty}


Scored = tuple[str, int, ScoredRun, bool]  # name, repeat, its run, and whether it is a baseline


def _read(entrants: Iterable[Scored], file: str) -> PairScores:
    """Read a table of each run, where it has one."""
    entrants = list(entrants)
    texts = read_texts([(run, file) for _, _, run, _ in entrants])
    read = {at: _table(text) for at, text in enumerate(texts) if text is not None}
    if not read:
        return PairScores.none()
    rows = pd.concat(read, names=["entrant"]).reset_index("entrant")
    whose = pd.DataFrame(entrants, columns=["name", "repeat", "run", "baseline"])
    rows = rows.join(whose[["name", "repeat", "baseline"]], "entrant").reset_index(drop=True)
    metrics = [metric for metric in ALL_METRICS if metric in rows]
    return PairScores(rows[[*COLUMNS, *metrics]])


def by_sample(
    pairs: PairScores, weights: Mapping[str, float], order: Sequence[str] = LOSS_ORDER
) -> dict[str, Ranking]:
    """Rank each sample group for itself; no ranking where there are not at least two groups.

    ``weights`` are those of the weighted score, ``order`` decides ties.
    """
    return {
        sample: rank(group.means(), order=order, weights=weights)
        for sample, group in pairs.by_sample()
    }


def _entrants(power_set: PowerSet, digest: str) -> Iterator[Scored]:
    board = scores(power_set, digest)
    fit = set(board.index[board["outcome"].eq("ok") & ~board["baseline"].eq(True)])
    for (name, repeat), run in power_set.trainings.items():
        if name in fit and repeat < power_set.repeats_seen:
            yield name, repeat, run, False
    for name, baseline in baselines(power_set, digest).items():
        yield name, 0, baseline, True


def read_table(run: TrackedRun, scans: ScanSetId) -> pd.DataFrame | None:
    """Return the run's scores, a row per field and speed; None where it has none on these scans."""
    (text,) = read_texts([(run, score_file(scans))])
    return None if text is None else _table(text)


def score_file(scans: ScanSetId, steps: int | None = None) -> str:
    """Return the artifact with the scores of fields, of a branch where `steps` are given."""
    branch = "" if steps is None else f"-at-{steps}"
    return f"scores/{scans.kind}-{scans.short}{branch}.csv"


def _table(text: str) -> pd.DataFrame:
    table = pd.read_csv(
        io.StringIO(text),
        dtype=dict.fromkeys(GROUPS, str),
        keep_default_na=False,
        na_values={metric: ["", "nan", "NaN"] for metric in ALL_METRICS},
    )
    return table.assign(**{name: "" for name in GROUPS if name not in table})


def read_scan_table(power_set: TrackedRun, scans: ScanSetId) -> pd.DataFrame:
    """Return `ScanSet.table` as it was kept with the power set; empty where it was not."""
    (text,) = read_texts([(power_set, f"scans/{scans.short}.csv")])
    if text is None:
        return pd.DataFrame()
    return pd.read_csv(io.StringIO(text), dtype={"field": str, NOISY_DIGEST: str})


def noisy_scans_and_images(
    power_set: TrackedRun, scans: ScanSetId
) -> tuple[list[str], frozenset[str]]:
    """Return the digests of a set's noisy scans, and those of the images trained on.

    None of either where the power set was made by a version that did not keep both.
    """
    table = read_scan_table(power_set, scans)
    noisy = list(table[NOISY_DIGEST]) if NOISY_DIGEST in table else []
    return noisy, images_trained_on(power_set)


def images_trained_on(power_set: TrackedRun) -> frozenset[str]:
    """Return the digests of the images trained on; none of versions that did not log them."""
    (text,) = read_texts([(power_set, TRAINED_ON)])
    return frozenset((text or "").split())


def combined_gradient_shares(power_set: PowerSet, names: Sequence[str]) -> pd.DataFrame:
    """Shares for `report.sections.shares_section`, of those of ``names`` that are combined losses.

    Means over the repeats that logged them; runs of earlier versions did not.
    """
    combined = [name for name in names if is_combined(name)]
    rows = [
        {"name": name, **_shares(run.metrics)}
        for (name, repeat), run in power_set.trainings.items()
        if name in combined and repeat < power_set.repeats_seen
    ]
    if not rows:
        return pd.DataFrame(index=pd.Index(combined, dtype=str))
    table = pd.DataFrame(rows).groupby("name").mean().reindex(combined)
    losses = sorted((str(name) for name in table.columns), key=tie_key)
    return table[losses]


def _shares(metrics: Mapping[str, float]) -> dict[str, float]:
    return {
        name.removeprefix(before): value
        for before in (FORMER_MEAN_SHARE, MEAN_SHARE)
        for name, value in metrics.items()
        if name.startswith(before)
    }
