"""Train every non-empty subset of a set of losses, score all, rank them, register the winners."""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import click
import torch
from tqdm import tqdm

from entrypoints import options as o
from entrypoints.rank import report
from lfranker.datasets.synthesis import SynthConfig
from lfranker.experiment import inputs as preparation
from lfranker.experiment.child_runs import Child, Means, adopt, closing
from lfranker.experiment.learning_rate_check import check_learning_rate
from lfranker.experiment.noise_comparison import (
    inputs_on_each,
    keys_of,
    settings_logged,
)
from lfranker.experiment.plan import Task, tasks
from lfranker.experiment.time_estimate import (
    LONG,
    STARTING,
    TimeEstimate,
    as_clock,
    costs,
    scoring_seconds,
    seconds_per_step,
    to_time,
)
from lfranker.experiment.weight_search import refine
from lfranker.losses import parse_losses, subset_name
from lfranker.losses.subsets import SubsetRule
from lfranker.processes import available_cores, terminate_as_interrupt
from lfranker.publishing.pictures import log_pictures
from lfranker.publishing.promotion import score_version
from lfranker.ranking.config import RankConfig
from lfranker.ranking.learning_rate_check import FACTORS, MOST_CHECKED
from lfranker.ranking.weight_search import split_sites
from lfranker.tracking.power_set import load_power_set
from lfranker.tracking.runs import TrackedRun, log_settings, own_run, set_tags
from lfranker.tracking.score_logging import log_dataset, log_scans, score_baselines
from lfranker.tracking.stale_runs import sweep
from lfranker.tracking.tags import Tag
from lfranker.training.presets import PRESETS
from lfranker.training.trainer import TrainConfig

MOST_JOBS = 8  # at once unless told: each process holds torch and a network in memory


@click.command(context_settings={"show_default": True})
@o.word_option("--losses", o.PRESET, parse_losses, "Set of losses, e.g. mae,mse,ssim,perceptual.")
@o.combine(o.clean_option, o.scans_option, o.target_option, o.preset_option, o.data_option)
@click.option("--repeats", type=click.IntRange(1), default=1, help="Paired repeats of each subset.")
@o.word_option("--jobs", "auto", o.at_least_one, "Trainings at once.")
@o.combine(o.seed_option, o.perceptual_option, o.init_option, o.device_option)
@o.combine(o.loss_weights_option, o.subset_options, o.noises_options)
@o.yes_no_option(
    "--check-learning-rate",
    "Train the top set and the worst single loss at half and double the rate too: who wins then?",
)
@o.word_option(
    "--refine", "none", o.at_least_one, "Search among so many weights of the losses that win."
)
@o.yes_no_option("--dry-run", "Only show the plan and how long it would take.")
@o.yes_no_option("--yes", "Start without asking, even if it takes more than a day.")
@o.yes_no_option("--take-over", "Go on with trainings whose process another machine left open.")
@o.combine(o.keep_option, o.cache_option, o.model_name_option)
@o.combine(o.equivalence_option, o.weights_option, o.promote_option)
@o.settings_options(TrainConfig, SynthConfig)
def main(losses: tuple[str, ...] | None, dry_run: bool, **asked: Any) -> None:
    r"""Which loss should a denoiser be trained on? Trains one per subset, and ranks.

    With no options: the demo, on simulated scenes. With your data:

    \b
      mlflow run . -e powerset --env-manager local -P preset=small \
        -P clean=FOLDER -P scans=FOLDER

    The same command again goes on where it was stopped, and keeps what is finished.
    """
    chosen = losses or PRESETS[asked["preset"]].losses
    with terminate_as_interrupt(), own_run(f"powerset {asked['preset']}", "powerset") as run:
        for name in sweep(run.experiment_id):
            click.echo(f"note: run {name} was left open by a killed process; now KILLED", err=True)
        try:
            rule = _rule(asked)
            rule.subsets(chosen)  # what is wrong with it is said before any work
            every = inputs_on_each(chosen, asked)
            inputs = every[0]
            for notice in (notice for own in every for notice in own.notices):
                click.echo(f"note: {notice}", err=True)
            plan = tasks(chosen, asked["repeats"], inputs.settings.train, inputs.label, rule)
            if asked["refine"]:
                _check_refinable(plan, inputs)
            jobs = asked["jobs"] or _jobs(inputs)
            estimate = _estimate(plan, inputs, jobs, _more(asked), len(every))
            click.echo(estimate)
            if dry_run or not _go_ahead(estimate, asked["yes"]):
                set_tags(run.run_id, {Tag.ROLE: "dry-run"})
                return
            cost = {task.name: estimate.by_subset[task.losses] for task in plan}
            _conduct(run, plan, every, jobs, cost, {**asked, "losses": chosen, "rule": rule})
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def _rule(asked: dict[str, Any]) -> SubsetRule:
    include, exclude = asked["include"] or (), asked["exclude"] or ()
    return SubsetRule(asked["min_size"], asked["max_size"], include, exclude)


def _conduct(
    run: TrackedRun,
    plan: list[Task],
    every: list[preparation.Inputs],
    jobs: int,
    cost: dict[str, float],
    asked: dict[str, Any],
) -> None:
    inputs, (key, noises) = every[0], keys_of(every)
    names = subset_name(asked["losses"], perceptual=inputs.label).replace("+", ",")
    rule = asked["rule"].shown(inputs.label)
    tags = {Tag.POWERSET: key, Tag.LOSS_SET: names, Tag.REPEATS: str(asked["repeats"])}
    run_id = run.run_id
    set_tags(run_id, tags | {Tag.SUBSETS: rule.to_text()})
    if noises:
        set_tags(run_id, {Tag.NOISES: json.dumps(noises)})
    used = {**settings_logged(every), **rule.settings()}
    log_settings(run_id, {**used, "jobs": jobs, "used_losses": names})
    for own in every:
        log_dataset(own.data, "training")
    log_scans(run_id, inputs.scans)
    children = _children(run, plan, every, noises or {inputs.noise: key}, asked["take_over"])
    kept = sum(not child.todo for child in children)
    if kept:
        click.echo(f"{kept} of {len(children)} trainings are finished already and kept")
    means = Means(inputs, jobs, cost, _passed_on(inputs, asked), asked["cache"].resolve(), _say)
    means.run(children)
    for said in score_baselines(run, key, inputs.scans, inputs.extra_baselines()):
        click.echo(f"baseline {said}", err=True)
    log_pictures(load_power_set(run_id), inputs.scans)
    ranking = RankConfig(**{item.name: asked[item.name] for item in fields(RankConfig)})
    rescore = partial(score_version, scans=inputs.scans)
    result = report(run_id, asked["model_name"], ranking, rescore=rescore)
    if asked["check_learning_rate"]:
        check_learning_rate(run, plan, result, means, asked["take_over"])
    if asked["refine"]:
        refine(run, plan, result.ranking, means, asked["refine"], asked["take_over"])
    if asked["check_learning_rate"] or asked["refine"]:
        report(run_id, asked["model_name"], ranking, rescore=rescore)


def _children(
    run: TrackedRun,
    plan: list[Task],
    every: list[preparation.Inputs],
    keys: Mapping[str, str],
    take_over: bool,
) -> list[Child]:
    """Return the trainings on all noises, a repeat together; `keys`: by the label of the noise."""
    children = list[Child]()
    try:
        for own in every:
            children += adopt(run, keys[own.noise], plan, own, take_over)
    except BaseException:
        with closing(children):
            raise
    return sorted(children, key=lambda child: child.task.repeat)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _passed_on(inputs: preparation.Inputs, asked: dict[str, Any]) -> list[str]:
    """What the trainings are told beside their settings: prepared once, for all of them."""
    words = ["--preset", asked["preset"], "--device", inputs.device.type]
    words += ["--perceptual", str(inputs.perceptual_choice)]
    words += ["--init", str(inputs.init or "none"), "--cache", str(asked["cache"])]
    return [*words, "--keep-checkpoints", str(asked["keep_checkpoints"]).lower()]


def _jobs(inputs: preparation.Inputs) -> int:
    """As many as the processors carry; one on a GPU, which a training fills."""
    if inputs.device.type == "cuda":
        return 1
    return max(1, min(MOST_JOBS, available_cores() // inputs.settings.train.threads))


def _check_refinable(plan: list[Task], inputs: preparation.Inputs) -> None:
    """Raises ValueError where a search for weights could not be made, before all the work."""
    split_sites([record.place for record in inputs.scans.records], inputs.settings.train.seed)
    if all(len(task.losses) == 1 for task in plan):
        raise ValueError("--refine weighs the losses of a subset: none here has two or more")


def _more(asked: dict[str, Any]) -> int:
    """Trainings after the ranking, at the most."""
    checks = len(FACTORS) * (MOST_CHECKED + 1) if asked["check_learning_rate"] else 0
    return checks + (asked["refine"] + asked["repeats"] - 1 if asked["refine"] else 0)


def _estimate(
    plan: list[Task], inputs: preparation.Inputs, jobs: int, more: int, noises: int
) -> TimeEstimate:
    """Times steps of all subsets, or of some where they are many."""
    config = inputs.settings.train
    torch.set_num_threads(config.threads)
    subsets = list(dict.fromkeys(task.losses for task in plan))
    timed = {
        subset: seconds_per_step(inputs.objective(subset), inputs.data, config, inputs.device)
        for subset in tqdm(to_time(subsets), desc="timing", leave=False, disable=None)
    }
    overhead = scoring_seconds(config, inputs.scans, inputs.device) + STARTING
    repeats = len(plan) // len(subsets)
    return TimeEstimate(
        costs(timed, subsets), len(timed), repeats, config.steps, jobs, overhead, more, noises
    )


def _go_ahead(estimate: TimeEstimate, yes: bool) -> bool:
    """Asks where it takes long. Raises ValueError where nobody can be asked."""
    if yes or estimate.total <= LONG:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise ValueError(
            f"this takes about {as_clock(estimate.total)}, more than a day: pass --yes true "
            f"(-P yes=true) to start it, or less of --steps, --repeats or --max-size"
        )
    return click.confirm("That is more than a day. Start?")


if __name__ == "__main__":
    sys.exit(main())
