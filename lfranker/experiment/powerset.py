"""A power set from its settings to its ranking."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.console import QUIET, Console
from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import TrainingRunner, closing
from lfranker.child_runs.travelling import Sender
from lfranker.evaluation.criteria import CHAMPION
from lfranker.experiment.follow_ups import check_learning_rate, refine
from lfranker.experiment.launch import (
    device_for,
    engine_for,
    launcher_for,
    prepared_here,
    trained_on,
)
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.experiment.scan_curve import (
    CurveConfig,
    check_sites,
    draw_scans,
    learn_from_scans,
)
from lfranker.experiment.staged_search import run_staged
from lfranker.losses import subset_name
from lfranker.planning.equal_seconds import at_equal_seconds
from lfranker.planning.inputs import Inputs, count_fields
from lfranker.planning.noise_comparison import inputs_on_each, keys_of, settings_logged
from lfranker.planning.plan import Task, tasks
from lfranker.planning.published_drunet import published_drunet, require_tunable
from lfranker.planning.time_estimate import (
    IMPORTS,
    STARTING,
    TimeEstimate,
    costs,
    scoring_seconds,
    seconds_per_step,
    to_time,
)
from lfranker.processes.jobs import available_cores, copied
from lfranker.processes.signals import terminate_as_interrupt
from lfranker.publishing.pictures import log_pictures
from lfranker.publishing.promotion import Rescore, score_version
from lfranker.publishing.ranking_run import Report, rank_power_set
from lfranker.ranking.entrants import compared
from lfranker.ranking.leaderboard import RankConfig
from lfranker.ranking.learning_rate_check import FACTORS, MOST_CHECKED
from lfranker.ranking.weight_search import split_sites
from lfranker.redaction import redacted
from lfranker.report.decisions import learning_rate_sentence
from lfranker.report.findings import Findings
from lfranker.report.first_screen import answer
from lfranker.report.learning_curves import scan_sentences
from lfranker.report.note import narrow_leaderboard
from lfranker.report.sentences import search_sentence
from lfranker.tracking.claims import sweep
from lfranker.tracking.pages import how_to_open
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.registry import USUAL_NAME
from lfranker.tracking.runs import TrackedRun, log_settings, own_run, refusing, set_tags
from lfranker.tracking.score_logging import log_dataset, log_scans, log_trained_on, score_baselines
from lfranker.tracking.store import check_server, hide_credentials, require_passed_on
from lfranker.tracking.tags import Tag
from lfranker.training.devices import device_of, gpus_of, places_of
from lfranker.training.memory import most_at_once, refuse_too_large

MOST_JOBS = 8  # at once unless told: each process holds torch and a network in memory


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
        console.say("patches and scans are made ready, and a few steps of each subset are timed")
        with refusing():
            if engine:
                require_passed_on(run.artifact_uri, run.experiment_id)
            all_inputs = _prepare(config, losses, device, cache)
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
        for line in dict.fromkeys(line for own in all_inputs for line in own.said()):
            console.say(line)
        console.say(str(estimate))
        if not go_ahead(estimate):
            set_tags(run.run_id, {Tag.ROLE: "dry-run", Tag.NAME: f"plan of powerset {name}"})
            return None
        cost = {task.name: estimate.by_subset[task.losses] for task in plan}
        launcher = launcher_for(engine, launch, inputs, jobs, config.stall_minutes)
        runner = TrainingRunner(
            inputs, launcher, jobs, cost, config.keep_checkpoints, cache, console.note,
            Sender(run, cache / "drafts") if engine else None, launch.engine,
        )  # fmt: skip
        return _conduct(run, config, plan, all_inputs, runner, console)


def _prepare(
    config: PowerSetConfig, losses: tuple[str, ...], device: str, cache: Path
) -> list[Inputs]:
    """Make the inputs of all trainings, on each noise and network. Raises ValueError."""
    launch = config.launch
    here = prepared_here(config.inputs, launch, device)
    all_inputs = inputs_on_each(losses, config.on_each, here, config.draws)
    if launch.engine:
        all_inputs = [trained_on(own, device) for own in all_inputs]
    require_tunable(config.drunet, all_inputs[0].scans)
    if config.refine:
        _check_refinable(all_inputs[0])
    all_inputs = at_equal_seconds(all_inputs, config.rule.subsets(losses), cache)
    if config.curve:
        draw_scans(all_inputs[0], config.inputs, config.curve, config.scan_draws)
    return all_inputs


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
    runner: TrainingRunner,
    console: Console,
) -> Report | None:
    inputs, (key, noises) = all_inputs[0], keys_of(all_inputs)
    _describe(run.run_id, config, all_inputs, runner.at_once)
    if runner.engine:
        log_settings(run.run_id, {"launcher": runner.engine})
    keys = noises or {inputs.noise: key}
    children = _children(run, plan, all_inputs, keys, config.take_over, runner.engine)
    kept = sum(not child.todo for child in children)
    if kept:
        console.say(f"{kept} of {len(children)} trainings are finished already and kept")
    stopped = sum(child.begun and child.todo == "train" for child in children)
    if stopped:
        console.say(
            f"{stopped} of {len(children)} trainings had begun before: each goes on from its last "
            "checkpoint, or from the start where it left none"
        )
    if config.launch.detach and any(child.todo and not child.owner for child in children):
        count = runner.hand_in(children)
        console.say(f"{count} trainings are with {runner.engine}: the same command waits for them")
        return None
    if config.search == "staged":
        run_staged(run.run_id, children, runner, config.ranking.equivalence)
    else:
        runner.run(children)
    try:
        result = _after_training(run, config, plan, all_inputs, runner, console)
    except Exception as error:
        runner.check_inputs()
        # what failed before comes first: it may well be the cause
        if runner.tally.failures:
            console.note(f"no ranking: {redacted(str(error))}")
        runner.tally.raise_if_failed()
        raise
    runner.tally.raise_if_failed()
    return result


def _after_training(
    run: TrackedRun,
    config: PowerSetConfig,
    plan: list[Task],
    all_inputs: list[Inputs],
    runner: TrainingRunner,
    console: Console,
) -> Report:
    """Score the baselines, rank, and do what is asked for after that."""
    inputs, (key, noises) = all_inputs[0], keys_of(all_inputs)
    try:
        tuned = published_drunet(config.drunet, inputs.device)
    except ValueError as error:  # it was there before the trainings: the ranking goes on without
        console.note(f"baseline not scored: {error}")
        tuned = {}
    keys, extra = [key, *noises.values()], inputs.extra_baselines()
    for line in score_baselines(run, keys, inputs.scans, extra, tuned):
        console.note(f"baseline {line}")
    log_pictures(load_power_set(run.run_id), inputs.scans)
    rescore = partial(score_version, scans=inputs.scans)
    ranked = partial(
        rank, run.run_id, config.model_name, config.ranking, rescore=rescore, console=console
    )
    result = ranked()
    if config.check_learning_rate:
        check_learning_rate(run, plan, result, runner, config.take_over)
    if config.refine:
        refine(run, plan, result.ranking, runner, config.refine, config.take_over)
    if config.curve:
        learn_from_scans(
            run, plan, result.ranking, runner, config.inputs,
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
    datasets = [data for own in all_inputs for data in own.drawn or (own.data,)]
    for data in datasets:
        log_dataset(data, "training")
    log_trained_on(run_id, datasets)
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
    console.say(narrow_leaderboard(result.ranking, result.simulated, {}))
    for line in (*_aliases(result.versions, model_name), *result.registration):
        console.say(line)
    console.say(answer(result.ranking, result.findings).replace("**", ""))
    for line in (*_follow_ups(result.findings), *result.to_mind):
        console.say(f"- {line}")
    console.say(f"Note, report and tables: {how_to_open(result.parent)}")
    return result


def _follow_ups(findings: Findings) -> Iterator[str]:
    """Say what came of the trainings that follow a ranking where they are asked for."""
    if findings.learning_rate is not None:
        yield learning_rate_sentence(findings.learning_rate)
    if findings.search is not None:
        yield search_sentence(findings.search)
    if findings.own_scans is not None:
        yield from scan_sentences(findings.own_scans)


def _aliases(versions: Mapping[str, str], model_name: str) -> Iterator[str]:
    """Say which version has which aliases, the champion first."""
    if champion := versions.get(CHAMPION.alias):
        yield f"models:/{model_name}@{CHAMPION.alias} is version {champion}"
    for version in sorted(set(versions.values()), key=int):
        others = [
            alias
            for alias, number in sorted(versions.items())
            if number == version and alias != CHAMPION.alias
        ]
        if others:
            plural = "es" * (len(others) > 1)
            yield f"version {version} has the alias{plural} {', '.join(others)}"
