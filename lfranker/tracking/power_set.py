"""Power sets and their trainings, parsed once from their runs.

MLflow's runs do not leave `tracking/`: what the other rooms know of a power set is written here.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.evaluation.metrics import Metric
from lfranker.losses.names import LOSS_ORDER
from lfranker.losses.subsets import ALL, SubsetRule, from_text
from lfranker.ranking.along_training import Stop
from lfranker.ranking.entrants import Entrant, placed
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.runs import TrackedRun, abandoned, get_run, tracked
from lfranker.tracking.tags import (
    METRICS_ON,
    OUTCOME_ON,
    SCAN_SET,
    USED,
    WON,
    Tag,
    front,
    scores_in,
)
from lfranker.training.config import TrainConfig

PAGE = 1000
# What made the scores of runs that do not say: the metrics of version 0.1.0.
FIRST_VERSIONS = {
    "psnr": 1,
    "ssim": 1,
    "keypoints": 1,
    "repeatability": 1,
    "precision": 1,
    "ms_ssim": 1,
    "psnr_fitted": 1,
    "frc": 1,
    "high_frequency_ratio": 1,
}
Read = TypeVar("Read")


class UnreadableRunError(ValueError):
    """A run, of somebody else's or of another version, with a tag that cannot be read."""


@dataclass(frozen=True)
class ScoredRun(TrackedRun):
    """A run with scores: of a training or of a baseline.

    The scores of its first scan set have the plain names of `tags.metric_name`, `psnr/spd2`; those
    of others have the digest in front, `tested on 1a2b3c4d/psnr/spd2`, so that none overwrites
    another's.
    """

    status: str
    parent_id: str  # of the run that it is shown under
    power_set: str  # key of the trainings that it belongs with
    owner: str  # who is responsible for it, see `launching.owners`
    outcome: str  # "diverged" on all scans, or that on its first scan set
    outcomes: Mapping[str, str]  # first digits of a scan set's digest -> ok or collapsed
    versions: Mapping[str, Mapping[str, int]]  # as outcomes -> metric -> version that scored it
    first_scans: str  # digest; "" where it does not say
    metrics: Mapping[str, float]
    stopped: str  # why it was stopped early, as `experiment.staged_search` wrote it; "" if not

    def outcome_on(self, digest: str) -> str:
        """Return what came of it, judged by its outputs on the scan set with this digest."""
        if self.stopped:
            return "stopped"
        if self.status != "FINISHED":
            return "failed"
        if self.outcome == "diverged":
            return self.outcome
        return self.outcomes.get(digest[:8], self.outcome)

    @property
    def unfinished(self) -> bool:
        """Return whether more may come of it: it is under way, waits, or was interrupted."""
        return not self.stopped and self.status not in ("FINISHED", "FAILED")

    def is_scored(self, digest: str, metrics: Mapping[str, Metric]) -> bool:
        """Return whether it has scores on these scans by these metrics as they are today."""
        return digest[:8] in self.outcomes and not self.outdated(digest, metrics)

    def outdated(self, digest: str, metrics: Mapping[str, Metric]) -> list[str]:
        """Return the metrics that did not score it on these scans, or in another version."""
        known = self.versions.get(digest[:8], FIRST_VERSIONS)
        return [name for name, metric in metrics.items() if known.get(name) != metric.version]

    def prefix(self, digest: str) -> str:
        """Return what its scores on these scans have in front of their names."""
        return "" if self.first_scans in ("", digest) else front(digest)

    def scores(self, digest: str) -> dict[str, float]:
        """Return its scores on these scans, under their plain names."""
        return scores_in(self.metrics, digest if self.prefix(digest) else "")

    @property
    def finished(self) -> bool:
        return self.status == "FINISHED"

    @property
    def abandoned(self) -> bool:
        """True where it is open although who was responsible for it is gone."""
        return abandoned(self.status, self.owner)


@dataclass(frozen=True)
class Training(ScoredRun):
    """One training: a subset of the losses, on a noise, in one repeat."""

    losses: str  # "mae+ssim"
    noise: str  # its label where several are compared
    repeat: int
    model: str  # ID of the logged model; "" before the training is over
    perceptual: str  # digest of the perceptual network's weights, "none", or "" where unknown
    safeguards: int  # that it diverged with, see `training.numerics`; those of 0.1.0 did not say
    shorter: tuple[int, ...]  # steps of its branches whose weights are kept, fewest first
    collapsed_at: int  # steps of the last branch whose output was nearly constant; 0: none
    won: str  # the criteria, as they were marked by the last ranking
    period: tuple[int, int] | None  # start and end, ms since 1970; None where either is not known

    @property
    def entrant(self) -> str:
        return str(Entrant.parse(self.losses).on(self.noise))


@dataclass(frozen=True)
class Baseline(ScoredRun):
    """A filter, or the noisy or the clean scan itself, scored as trainings are."""

    name: str


@dataclass(frozen=True)
class PowerSet(TrackedRun):
    """A power set and what belongs with it, as they were when asked for.

    Any run is one that names itself one by the tag `lfranker.powerset`, or that others name by it.
    """

    key: str
    loss_set: tuple[str, ...]  # as they are shown; empty where it does not say
    rule: SubsetRule  # which subsets it was to train
    repeats: int  # that it asked for; 0 where it does not say
    noises: Mapping[str, str]  # label -> key of those that are compared, in its order
    scan_sets: tuple[ScanSetId, ...]  # that it was scored on, its own first
    settings: Mapping[str, str]  # as they were used
    learning_rates: Mapping[float, str]  # factor -> key of the check at other learning rates
    curve: str  # "1,2,4" where the champion was trained with own slow scans too, else ""
    search_id: str  # run of the newest search for weights, "" where there is none
    members: Sequence[Training | Baseline]  # newest first
    unreadable: tuple[str, ...] = ()  # runs that are left out, and why

    @property
    def keys(self) -> list[str]:
        """Its own key first, then those of the noises that it compares."""
        return [self.key, *self.noises.values()]

    @cached_property
    def trainings(self) -> Mapping[tuple[str, int], Training]:
        """(entrant, repeat) -> the newest where several exist, finished ones first."""
        return choose_trainings(self.members)

    @property
    def baselines(self) -> list[Baseline]:
        return [run for run in self.members if isinstance(run, Baseline)]

    @property
    def seed(self) -> int:
        text = self.settings.get("seed", "")
        return int(text) if text.isdigit() else 0

    @property
    def steps(self) -> int:
        """Optimiser steps of each of its trainings; 0 where it does not say."""
        text = self.settings.get("steps", "")
        return int(text) if text.isdigit() else 0

    @property
    def order(self) -> tuple[str, ...]:
        """Order that decides ties among its entrants, as `ranking.rank` takes it."""
        return (*LOSS_ORDER, *map(placed, self.noises))

    @property
    def expected(self) -> list[str]:
        """Names of the entrants that it was to train; empty where it does not say."""
        if not self.loss_set:
            return []
        subsets = self.rule.subsets(self.loss_set)
        return [str(Entrant(losses, noise)) for losses in subsets for noise in self.noises or [""]]

    @property
    def stops(self) -> Mapping[str, Stop]:
        """Why entrants were stopped early, by their names."""
        return {
            name: Stop(**json.loads(run.stopped))
            for (name, _), run in self.trainings.items()
            if run.stopped
        }

    @property
    def saved(self) -> float:
        """Share of the optimiser steps that stopping early saved, 0 to 1."""
        if not self.steps or not self.stops:
            return 0.0
        whole = TrainConfig(steps=self.steps)
        made = {name: whole.steps_until(stop.after) for name, stop in self.stops.items()}
        spared = sum(whole.total_steps - steps for steps in made.values())
        return spared / (whole.total_steps * len(self.expected or made))

    @property
    def repeats_seen(self) -> int:
        """Count of repeats that it asked for, or that there are where it does not say."""
        return self.repeats or max((repeat + 1 for _, repeat in self.trainings), default=0)

    def scan_set(self, digest: str | None = None) -> ScanSetId:
        """Return the one scan set whose digest starts so; None: its own. Raises ValueError."""
        if digest is None:
            return self.scan_sets[0] if self.scan_sets else ScanSetId("", False)
        matching = [scans for scans in self.scan_sets if scans.digest.startswith(digest)]
        if len(matching) != 1:
            known = ", ".join(scans.short for scans in self.scan_sets)
            raise ValueError(
                f"scans {digest!r} match {len(matching)} of the scan sets that run {self.run_id} "
                f"was scored on; allowed: {known}"
            )
        return matching[0]


def load_power_set(run_id: str | None = None) -> PowerSet:
    """Return the power set with this run ID; None: the newest. Raises ValueError."""
    parent = _newest() if run_id is None else get_run(run_id)
    tags = parent.data.tags
    key = tags.get(Tag.POWERSET, parent.info.run_id)
    noises = _read(parent, Tag.NOISES, _parse_words, "{}")
    labels = {own: label for label, own in noises.items()}
    unreadable = list[str]()
    members = list(members_with([key, *labels], parent.info.experiment_id, labels, unreadable))
    if Tag.POWERSET not in tags and not members:
        raise ValueError(
            f"run {run_id!r} is not a power set: neither does it have the tag {Tag.POWERSET}, "
            f"nor has another run this tag with its ID"
        )
    losses = tags.get(Tag.LOSS_SET, "")
    return PowerSet(
        **vars(tracked(parent)),
        key=key,
        loss_set=tuple(losses.split(",")) if losses else (),
        rule=_read(parent, Tag.SUBSETS, from_text, ALL.to_text()),
        repeats=_read(parent, Tag.REPEATS, int, "0"),
        noises=noises,
        scan_sets=tuple(_scan_sets(tags)),
        settings=settings_of(parent),
        learning_rates=_read(parent, Tag.LEARNING_RATES, parse_factors, ""),
        curve=tags.get(Tag.CURVE, ""),
        search_id=tags.get(Tag.SEARCH, ""),
        members=members,
        unreadable=tuple(unreadable),
    )


def _read(run: Run, tag: str, parse: Callable[[str], Read], default: str) -> Read:
    """Return what a tag says, the default where it is not there. Raises UnreadableRunError."""
    text = run.data.tags.get(tag, default)
    try:
        return parse(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableRunError(
            f"run {run.info.run_id} ({run.info.run_name}) has the tag {tag} = {text[:60]!r}, which "
            f"cannot be read"
        ) from error


def _parse_words(text: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in _parse_json(text).items()}


def _parse_versions(text: str) -> dict[str, int]:
    return {str(name): int(value) for name, value in _parse_json(text).items()}


def _parse_json(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{text!r}: allowed is an object of JSON")
    return found


def settings_used(run_id: str) -> dict[str, str]:
    """Return the parameters of the run with this ID as they were used. Raises ValueError."""
    return settings_of(get_run(run_id))


def settings_of(run: Run) -> dict[str, str]:
    """Return the run's parameters as they were used: see `runs.log_settings`."""
    params, tags = dict(run.data.params), run.data.tags
    # until 0.1.0 they were parameters
    former = {k.removeprefix("used/"): v for k, v in params.items() if k.startswith("used/")}
    used = {k.removeprefix(USED): v for k, v in tags.items() if k.startswith(USED)}
    return params | former | used


def _newest() -> Run:
    newest = next(search(f"tags.`{Tag.ROLE}` = 'powerset' AND tags.`{Tag.POWERSET}` != ''"), None)
    if newest is None:
        raise ValueError(
            "no power set found: run `mlflow run . -e powerset --env-manager local` first"
        )
    return newest


def _scan_sets(tags: Mapping[str, str]) -> Iterator[ScanSetId]:
    digests = [name.removeprefix(SCAN_SET) for name in sorted(tags) if name.startswith(SCAN_SET)]
    if own := tags.get(Tag.SCANS):
        digests = [own, *(digest for digest in digests if digest != own)]
    for digest in digests:
        yield ScanSetId(digest, tags.get(SCAN_SET + digest) == "simulated")


def parse_shorter(text: str) -> tuple[int, ...]:
    """Read `1000,500` as (500, 1000)."""
    return tuple(sorted(int(part) for part in text.split(",") if part))


def parse_factors(text: str) -> dict[float, str]:
    """Read `0.5=KEY,2=KEY`, as `format_factors` writes it."""
    parts = (part.partition("=") for part in text.split(",") if part)
    return {float(factor): key for factor, _, key in parts}


def format_factors(keys: Mapping[float, str]) -> str:
    """Write factors of the learning rate with the keys of their trainings as one text."""
    return ",".join(f"{factor:g}={key}" for factor, key in keys.items())


def search(text: str, experiments: Sequence[str] = ()) -> Iterator[Run]:
    """Yield all active runs that match, newest first; in all experiments unless told."""
    client, token = MlflowClient(), None
    within = list(experiments) or [e.experiment_id for e in client.search_experiments()]
    while True:
        page = client.search_runs(
            within, text, max_results=PAGE, page_token=token, order_by=["start_time DESC"]
        )
        yield from page
        token = page.token
        if not token:
            return


def members_with(
    keys: Iterable[str],
    experiment_id: str,
    labels: Mapping[str, str] | None = None,
    unreadable: list[str] | None = None,
) -> Iterator[Training | Baseline]:
    """Yield the trainings and baselines with one of the keys, newest first for each key.

    `labels`: key -> label of the noise, where several are compared. Runs with a tag that cannot be
    read are left out; what is wrong with them is added to `unreadable`.
    """
    for key in keys:
        for run in search(f"tags.`{Tag.POWERSET}` = {quoted(key)}", [experiment_id]):
            tags = set(run.data.tags)
            if {Tag.LOSSES, Tag.BASELINE} & tags and Tag.SUPERSEDED not in tags:
                try:
                    yield parse_member(run, (labels or {}).get(key, ""))
                except UnreadableRunError as error:
                    if unreadable is not None:
                        unreadable.append(f"{error}: it is left out")


def quoted(text: str) -> str:
    """Return a text as it stands in a filter. Raises ValueError where it has both quotes."""
    mark = next((mark for mark in ("'", '"') if mark not in text), None)
    if mark is None:
        raise ValueError(f"{text!r} cannot be searched for: it has quotes of both kinds")
    return f"{mark}{text}{mark}"


def choose_trainings(
    members: Iterable[Training | Baseline],
) -> dict[tuple[str, int], Training]:
    """(entrant, repeat) -> its training; the first where several exist, finished ones before."""
    chosen: dict[tuple[str, int], Training] = {}
    for run in members:
        if isinstance(run, Training):
            key = run.entrant, run.repeat
            if key not in chosen or (run.finished and not chosen[key].finished):
                chosen[key] = run
    return chosen


def trainings_with(key: str, experiment_id: str) -> dict[tuple[str, int], Training]:
    """(subset, repeat) -> its training, of all that share the key."""
    return choose_trainings(members_with([key], experiment_id))


def find_training(run_id: str) -> Training:
    """Return the training with this run ID. Raises ValueError where it is a baseline's."""
    found = parse_member(get_run(run_id))
    if not isinstance(found, Training):
        raise ValueError(f"run {run_id!r} is no training but the baseline {found.name}")
    return found


def parse_member(run: Run, noise: str = "") -> Training | Baseline:
    """Read a training or a baseline from its run; `noise` is the label of its noise."""
    tags, info = run.data.tags, run.info
    outcomes = {k.removeprefix(OUTCOME_ON): v for k, v in tags.items() if k.startswith(OUTCOME_ON)}
    versions = {
        tag.removeprefix(METRICS_ON): _read(run, tag, _parse_versions, "{}")
        for tag in tags
        if tag.startswith(METRICS_ON)
    }
    common = ScoredRun(
        **vars(tracked(run)),
        status=info.status,
        parent_id=tags.get(Tag.PARENT, ""),
        power_set=tags.get(Tag.POWERSET, ""),
        owner=tags.get(Tag.OWNER, ""),
        outcome=tags.get(Tag.OUTCOME, "ok"),
        outcomes=outcomes,
        versions=versions,
        first_scans=tags.get(Tag.SCORING, ""),
        metrics=dict(run.data.metrics),
        stopped=tags.get(Tag.STOPPED, ""),
    )
    if Tag.LOSSES not in tags and Tag.BASELINE in tags:
        return Baseline(**vars(common), name=tags[Tag.BASELINE])
    ended = bool(info.start_time and info.end_time)
    return Training(
        **vars(common),
        losses=tags.get(Tag.LOSSES, ""),
        noise=noise,
        repeat=_read(run, Tag.REPEAT, int, "0"),
        model=tags.get(Tag.MODEL, ""),
        perceptual=tags.get(Tag.PERCEPTUAL, ""),
        safeguards=_read(run, Tag.SAFEGUARDS, int, "1"),
        shorter=_read(run, Tag.SHORTER, parse_shorter, ""),
        collapsed_at=_read(run, Tag.COLLAPSED, int, "0"),
        won=tags.get(WON, ""),
        period=(info.start_time, info.end_time) if ended else None,
    )
