"""A power set from its settings to its ranking."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from lfranker.experiment.child_jobs import Child
from lfranker.experiment.child_runs import Means, adopt, closing
from lfranker.experiment.console import QUIET, Console
from lfranker.experiment.equal_seconds import at_equal_seconds
from lfranker.experiment.follow_ups import check_learning_rate, refine
from lfranker.experiment.inputs import InputConfig, Inputs, count_fields
from lfranker.experiment.launch import (
    device_for,
    engine_for,
    launcher_for,
    prepared_here,
    trained_on,
)
from lfranker.experiment.noise_comparison import inputs_on_each, keys_of, settings_logged
from lfranker.experiment.plan import Task, tasks
from lfranker.experiment.scan_curve import (
    CurveConfig,
    check_sites,
    check_sources_of_curve,
    draw_scans,
    learn_from_scans,
)
from lfranker.experiment.settings import Settings
from lfranker.experiment.staged_search import run_staged
from lfranker.experiment.time_estimate import (
    IMPORTS,
    STARTING,
    TimeEstimate,
    costs,
    scoring_seconds,
    seconds_per_step,
    to_time,
)
from lfranker.experiment.travelling import Sender
from lfranker.launching.config import LaunchConfig
from lfranker.losses import parse_losses, subset_name
from lfranker.losses.subsets import SubsetRule
from lfranker.options import check, option
from lfranker.processes.jobs import available_cores, copied
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.publishing.pictures import log_pictures
from lfranker.publishing.promotion import Rescore, score_version
from lfranker.publishing.ranking_run import Report, leaderboard_caption, rank_power_set
from lfranker.ranking.config import RankConfig
from lfranker.ranking.entrants import compared
from lfranker.ranking.learning_rate_check import FACTORS, MOST_CHECKED
from lfranker.ranking.own_scans import MOST_SCANS, checked_counts, parse_counts
from lfranker.ranking.weight_search import split_sites
from lfranker.redaction import redacted
from lfranker.report.remarks import remarks
from lfranker.report.tables import tables, to_markdown
from lfranker.statistics.learning_curve import LEAST_DRAWS
from lfranker.tracking.claims import sweep
from lfranker.tracking.pages import how_to_open
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.registry import USUAL_NAME, checked_model_name
from lfranker.tracking.runs import TrackedRun, log_settings, own_run, refusing, set_tags
from lfranker.tracking.score_logging import log_dataset, log_scans, score_baselines
from lfranker.tracking.server import check_server, hide_credentials, require_passed_on
from lfranker.tracking.tags import Tag
from lfranker.training.devices import device_of, gpus_of, places_of
from lfranker.training.memory import most_at_once, refuse_too_large

MOST_JOBS = 8  # at once unless told: each process holds torch and a network in memory


@dataclass(frozen=True)
class PowerSetConfig:
    """A power set: the settings of its trainings, which losses, on what, and what follows."""

    settings: Settings
    losses: tuple[str, ...] | None = option(
        None,
        "Set of losses, e.g. mae,mse,ssim,perceptual. Left out: the preset's.",
        parse=parse_losses,
    )
    inputs: InputConfig = field(default_factory=InputConfig)
    repeats: int = option(1, "Paired repeats of each subset.", minimum=1, maximum=1000)
    vary_data: bool = option(
        False, "Train each repeat on another random draw of the training images."
    )
    search: str = option(
        "exhaustive",
        "exhaustive: train every subset to the end. staged: at a quarter and at half of the steps, "
        "stop those that cannot come up to the best in any criterion, as far as their curves tell.",
        choices=("exhaustive", "staged"),
    )
    jobs: int | None = option(
        None,
        "Trainings at once. Left out: as many as processors and memory carry, one on a GPU.",
        minimum=1,
        maximum=256,
    )
    rule: SubsetRule = field(default_factory=SubsetRule)
    noises: Mapping[str, Settings] = field(default_factory=dict)  # that are compared, by label
    check_learning_rate: bool = option(
        False,
        "Train the top set and the worst single loss at half and double the rate too: who wins "
        "then?",
    )
    refine: int | None = option(
        None, "Search among so many weights of the losses that win.", minimum=1, maximum=10_000
    )
    curve: tuple[int, ...] | None = option(
        None,
        "Train the champion with so many slow scans of --scans among the training images too, e.g. "
        "1,2,4, each time drawn at least twice, and forecast what --curve-to of them would bring.",
        parse=parse_counts,
    )
    curve_to: int = option(
        12,
        "Number of slow scans that --curve forecasts the gain of.",
        minimum=2,
        maximum=MOST_SCANS,
    )
    take_over: bool = option(False, "Go on with trainings whose process another machine left open.")
    keep_checkpoints: bool = option(False, "Keep checkpoints of finished trainings.")
    stall_minutes: float = option(
        30.0,
        "A training that gets no further for so long is ended and tried again, once. More than a "
        "step takes, and than the server may be away; 0: never.",
        minimum=0,
        maximum=10_080,
    )
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    model_name: str = option(USUAL_NAME, "Name in the Model Registry.", parse=checked_model_name)
    ranking: RankConfig = field(default_factory=RankConfig)

    def __post_init__(self) -> None:
        check(self)
        checked_model_name(self.model_name)
        subsets = self.rule.subsets(self.chosen_losses)  # what is wrong with it is said right away
        if self.refine and all(len(subset) == 1 for subset in subsets):
            raise ValueError("--refine weighs the losses of a subset: none here has two or more")
        if self.check_learning_rate:
            for own in self.on_each.values():
                for factor in FACTORS:  # out of bounds it would be refused after all trainings
                    replace(own.train, learning_rate=own.train.learning_rate * factor)
        self._check_curve()
        alone = {
            "data": self.inputs.data,
            "curve": self.curve,
            "refine": self.refine,
            "check_learning_rate": self.check_learning_rate,
        }
        for name, value in alone.items():
            if self.noises and value:
                raise ValueError(one_noise(name))
        self._check_networks()
        if self.search == "staged" and not all(own.train.branches for own in self.on_each.values()):
            raise ValueError(
                "--search staged judges trainings by shorter ones: it needs --shorter true, and "
                "--steps of 4 or more"
            )
        self._check_draws()
        self._check_launch()

    def _check_networks(self) -> None:
        """Raise ValueError where networks are compared, and something goes with one only."""
        if len({own.train.network for own in self.on_each.values()}) < 2:
            return
        alone = {
            "init": (self.inputs.init, "weights are of one of them"),
            "launcher": (self.launch.engine, "steps are timed on this machine"),
            "search": (self.search == "staged", "stages have the same steps for all trainings"),
        }
        for name, (value, why) in alone.items():
            if value:
                raise ValueError(f"--{name} does not go with --networks: {why}")

    def _check_launch(self) -> None:
        """Raise ValueError where an engine is asked for what this machine alone can do."""
        if not self.launch.engine:
            return
        if self.jobs:
            raise ValueError(
                "--jobs is how many trainings this machine runs at once; an engine is asked by "
                "--max-jobs"
            )
        if self.launch.detach and self.search == "staged":
            raise ValueError(
                "--search staged judges trainings on their way, by this very command: it cannot "
                "be detached"
            )

    def _check_curve(self) -> None:
        """Raise ValueError where slow scans cannot be drawn as training images."""
        if self.curve is None:
            return
        checked_counts(self.curve)
        if self.curve_to <= self.curve[-1]:
            raise ValueError(
                f"--curve-to {self.curve_to}: what is trained with --curve needs no forecast; give "
                f"more than {self.curve[-1]}"
            )
        if self.vary_data:
            raise ValueError(
                "--curve compares trainings on the same clean images, and --vary-data draws them "
                "again for each repeat: leave one of them out"
            )
        check_sources_of_curve(self.settings, self.inputs)

    def _check_draws(self) -> None:
        """Raise ValueError where training images cannot be drawn for each repeat."""
        if not self.vary_data:
            return
        if self.repeats < 2:
            raise ValueError(
                "--vary-data draws the training images again for each repeat: with one there is "
                "nothing to vary, add --repeats of 2 or more"
            )
        if self.inputs.data is not None:
            raise ValueError(
                "--vary-data makes a dataset for each repeat, and --data is one: leave one of them "
                "out"
            )
        if any(own.dataset.image_draw for own in self.on_each.values()):
            raise ValueError(
                "--vary-data chooses the draw of each repeat itself: leave --image-draw out"
            )

    @property
    def chosen_losses(self) -> tuple[str, ...]:
        """The losses asked for, or those of the preset."""
        return self.losses or self.settings.preset.losses

    @property
    def draws(self) -> int:
        """How many times training images are drawn: for each repeat, or not at all."""
        return self.repeats if self.vary_data else 0

    @property
    def scan_draws(self) -> int:
        """How many times slow scans are drawn for the curve: in each repeat, at least twice."""
        return max(self.repeats, LEAST_DRAWS) if self.curve else 0

    @property
    def on_each(self) -> Mapping[str, Settings]:
        """The settings on each noise; of a noise that is alone under the label ""."""
        return self.noises or {"": self.settings}


def one_noise(name: str) -> str:
    """Return the message on an option that goes with one noise and network only."""
    return (
        f"--{name.replace('_', '-')} is of one noise and network, --noises, --noise-components and "
        f"--networks train all losses on each of several: leave one of them out"
    )


def run_power_set(
    config: PowerSetConfig,
    console: Console = QUIET,
    go_ahead: Callable[[TimeEstimate], bool] = lambda _: True,
) -> Report | None:
    """Train every subset that is asked for, score all, rank them and register the winners.

    `go_ahead` is asked once the plan is said; None is returned where it says no. The same power set
    again goes on where it was stopped, and keeps what is finished. Raises ValueError naming an
    option, and FailedTrainingsError where trainings failed: once the others are ranked.
    """
    hide_credentials()
    check_server()
    losses, name = config.chosen_losses, config.settings.preset.name
    launch, cache = config.launch, config.inputs.cache.resolve()
    device = device_for(config.inputs, launch)
    engine = engine_for(launch, config.settings.train, device, cache)
    _check_size(config)
    with terminate_as_interrupt(), own_run(f"powerset {name}", "powerset") as run:
        for stale in sweep(run.experiment_id):
            console.note(f"note: run {stale} was left open by a killed process; now KILLED")
        with refusing():
            if engine:
                require_passed_on(run.artifact_uri, run.experiment_id)
            here = prepared_here(config.inputs, launch, device)
            all_inputs = inputs_on_each(losses, config.on_each, here, config.draws)
            if engine:
                all_inputs = [trained_on(own, device) for own in all_inputs]
            if config.refine:
                _check_refinable(all_inputs[0])
            subsets = config.rule.subsets(losses)
            all_inputs = at_equal_seconds(all_inputs, subsets, cache)
            if config.curve:
                draw_scans(all_inputs[0], config.inputs, config.curve, config.scan_draws)
        inputs = all_inputs[0]
        for notice in (notice for own in all_inputs for notice in own.notices):
            console.note(f"note: {notice}")
        plan = tasks(losses, config.repeats, inputs.settings.train, inputs.label, config.rule)
        jobs = config.jobs or min(map(_jobs, all_inputs))
        if engine:
            jobs = launch.max_jobs or len(plan) * len(all_inputs)
        estimate = replace(
            _estimate(plan, inputs, jobs, _more(config), len(all_inputs)),
            compared=compared([own.noise for own in all_inputs], "s"),
        )
        console.say(str(estimate))
        if not go_ahead(estimate):
            set_tags(run.run_id, {Tag.ROLE: "dry-run"})
            return None
        cost = {task.name: estimate.by_subset[task.losses] for task in plan}
        launcher = launcher_for(engine, launch, inputs, jobs, config.stall_minutes)
        means = Means(
            inputs, launcher, jobs, cost, config.keep_checkpoints, cache, console.note,
            Sender(run, cache / "drafts") if engine else None, launch.engine,
        )  # fmt: skip
        return _conduct(run, config, plan, all_inputs, means, console)


def _check_size(config: PowerSetConfig) -> None:
    """Raise ValueError where memory or fields are too few, as far as can be told before any work.

    How many of the fields are independent of each other is known once they are prepared.
    """
    if not config.launch.engine:  # whose machines have other memory
        where = device_of(config.inputs.device)
        for own in config.on_each.values():
            on_one = -(-(config.jobs or 1) // len(places_of(where)))
            refuse_too_large(own.train, own.dataset.patch, where, on_one)
    if not config.refine and not config.curve:
        return
    if config.inputs.scans or not isinstance(config.inputs.clean, Path):
        fields = range(count_fields(config.settings, config.inputs.scans, config.inputs.target))
        if config.refine:
            split_sites([str(field) for field in fields], config.settings.train.seed)
        if config.curve:
            check_sites(len(fields), config.curve, config.scan_draws)


def _conduct(
    run: TrackedRun,
    config: PowerSetConfig,
    plan: list[Task],
    all_inputs: list[Inputs],
    means: Means,
    console: Console,
) -> Report | None:
    inputs, (key, noises) = all_inputs[0], keys_of(all_inputs)
    _describe(run.run_id, config, all_inputs, means.at_once)
    if means.engine:
        log_settings(run.run_id, {"launcher": means.engine})
    keys = noises or {inputs.noise: key}
    children = _children(run, plan, all_inputs, keys, config.take_over, means.engine)
    kept = sum(not child.todo for child in children)
    if kept:
        console.say(f"{kept} of {len(children)} trainings are finished already and kept")
    if config.launch.detach and any(child.todo and not child.owner for child in children):
        count = means.hand_in(children)
        console.say(f"{count} trainings are with {means.engine}: the same command waits for them")
        return None
    if config.search == "staged":
        run_staged(run.run_id, children, means, config.ranking.equivalence)
    else:
        means.run(children)
    try:
        result = _after_training(run, config, plan, all_inputs, means, console)
    except Exception as error:
        means.check_inputs()
        # what failed before comes first: it may well be the cause
        if means.tally.failures:
            console.note(f"no ranking: {redacted(str(error))}")
        means.tally.raise_if_failed()
        raise
    means.tally.raise_if_failed()
    return result


def _after_training(
    run: TrackedRun,
    config: PowerSetConfig,
    plan: list[Task],
    all_inputs: list[Inputs],
    means: Means,
    console: Console,
) -> Report:
    """Score the baselines, rank, and do what is asked for after that."""
    inputs, (key, noises) = all_inputs[0], keys_of(all_inputs)
    for line in score_baselines(
        run, [key, *noises.values()], inputs.scans, inputs.extra_baselines()
    ):
        console.note(f"baseline {line}")
    log_pictures(load_power_set(run.run_id), inputs.scans)
    rescore = partial(score_version, scans=inputs.scans)
    ranked = partial(
        rank, run.run_id, config.model_name, config.ranking, rescore=rescore, console=console
    )
    result = ranked()
    if config.check_learning_rate:
        check_learning_rate(run, plan, result, means, config.take_over)
    if config.refine:
        refine(run, plan, result.ranking, means, config.refine, config.take_over)
    if config.curve:
        learn_from_scans(
            run, plan, result.ranking, means, config.inputs,
            CurveConfig(config.curve, config.curve_to, config.scan_draws), config.take_over,
        )  # fmt: skip
    return ranked() if config.check_learning_rate or config.refine or config.curve else result


def _describe(run_id: str, config: PowerSetConfig, all_inputs: list[Inputs], jobs: int) -> None:
    """Write what the power set is into its run."""
    inputs, (key, noises) = all_inputs[0], keys_of(all_inputs)
    names = subset_name(config.chosen_losses, perceptual=inputs.label).replace("+", ",")
    rule = config.rule.shown(inputs.label)
    tags = {Tag.POWERSET: key, Tag.LOSS_SET: names, Tag.REPEATS: str(config.repeats)}
    set_tags(run_id, tags | {Tag.SUBSETS: rule.to_text()})
    if noises:
        set_tags(run_id, {Tag.NOISES: json.dumps(noises)})
    used = {**settings_logged(all_inputs), **rule.settings()}
    log_settings(run_id, {**used, "jobs": jobs, "losses": names})
    for data in (data for own in all_inputs for data in own.drawn or (own.data,)):
        log_dataset(data, "training")
    log_scans(run_id, inputs.scans)


def _children(
    run: TrackedRun,
    plan: list[Task],
    all_inputs: list[Inputs],
    keys: Mapping[str, str],
    take_over: bool,
    engine: str,
) -> list[Child]:
    """Return the trainings on all noises, a repeat together; `keys`: by the label of the noise."""
    children = list[Child]()
    try:
        for own in all_inputs:
            train = own.settings.train
            its = [replace(task, config=replace(train, repeat=task.repeat)) for task in plan]
            children += adopt(run, keys[own.noise], its, own, take_over, engine=engine)
    except BaseException:
        with closing(children):
            raise
    return sorted(children, key=lambda child: child.task.repeat)


def _jobs(inputs: Inputs) -> int:
    """Return as many as the processors carry; one on each GPU, which a training fills."""
    if gpus := gpus_of(inputs.device):
        return len(gpus)
    memory = most_at_once(inputs.settings.train, inputs.settings.dataset.patch)
    return max(1, min(MOST_JOBS, memory, available_cores() // inputs.settings.train.threads))


def _check_refinable(inputs: Inputs) -> None:
    """Raise ValueError where a search for weights could not be made, before all the work."""
    split_sites([record.place for record in inputs.scans.records], inputs.settings.train.seed)


def _more(config: PowerSetConfig) -> int:
    """Trainings after the ranking, at the most."""
    checks = len(FACTORS) * (MOST_CHECKED + 1) * config.repeats * config.check_learning_rate
    curve = config.scan_draws * (1 + len(config.curve)) - config.repeats if config.curve else 0
    return checks + curve + (config.refine + config.repeats - 1 if config.refine else 0)


def _estimate(plan: list[Task], inputs: Inputs, jobs: int, more: int, noises: int) -> TimeEstimate:
    """Time steps of all subsets, or of some where they are many."""
    config = inputs.settings.train
    torch.set_num_threads(config.threads)
    subsets = list(dict.fromkeys(task.losses for task in plan))
    timed = {
        subset: seconds_per_step(inputs.objective(subset), inputs.data, config, inputs.device)
        for subset in tqdm(to_time(subsets), desc="timing", leave=False, disable=None)
    }
    scored = 1 + len(config.branches)
    starting = STARTING if copied(len(plan)) else STARTING + IMPORTS
    overhead = scored * scoring_seconds(config, inputs.scans, inputs.device) + starting
    repeats = len(plan) // len(subsets)
    return TimeEstimate(
        by_subset=costs(timed, subsets),
        timed=len(timed),
        repeats=repeats,
        steps=config.steps,
        jobs=jobs,
        overhead=overhead,
        more=more,
        noises=noises,
        in_branches=config.total_steps - config.steps,
    )


RANK_CONFIG = RankConfig()


def rank(
    parent: str | None = None,
    model_name: str = USUAL_NAME,
    config: RankConfig = RANK_CONFIG,
    scans: str | None = None,
    rescore: Rescore | None = None,
    console: Console = QUIET,
) -> Report:
    """Rank a power set, register the winners, write the result to its run and say it.

    `parent`: ID of its run; None: the newest. `scans`: first digits of the digest of the scans that
    count; None: its own. `rescore`: scores an older version on the scans of this power set.
    """
    result = rank_power_set(parent, model_name, scans, config, rescore)
    board = tables(result.ranking)["leaderboard"]
    console.say(to_markdown(board, leaderboard_caption(result.ranking), simulated=result.simulated))
    for line in (*remarks(result.ranking), *result.notices):
        console.say(f"- {line}")
    for alias, version in sorted(result.versions.items()):
        console.say(f"models:/{model_name}@{alias} is version {version}")
    console.say(f"Note, report and tables: {how_to_open(result.parent)}")
    return result
