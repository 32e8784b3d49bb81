"""Scoring of models that are trained already, on scans old or new."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from lfranker.child_runs.console import QUIET, Console
from lfranker.denoiser.likeness import unlike
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baselines import Family
from lfranker.evaluation.criteria import QUALITY, in_short
from lfranker.evaluation.scoring import Denoiser, metrics_of, of_noisy
from lfranker.planning.inputs import refuse_seen
from lfranker.processes.jobs import launched
from lfranker.publishing.pictures import log_pictures
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.models import load_likeness, load_network, model_id_of
from lfranker.tracking.pages import how_to_open
from lfranker.tracking.power_set import (
    ScoredRun,
    Training,
    find_training,
    load_power_set,
    members_with,
)
from lfranker.tracking.runs import TrackedRun, own_run
from lfranker.tracking.score_logging import log_scans, score_baselines, score_run
from lfranker.tracking.scores import baselines, images_trained_on
from lfranker.tracking.training_run import report_alive, score_with_branches

NO_OTHERS: Mapping[str, Family] = {}


def score_power_set(
    run_id: str | None,
    scans: ScanSet,
    console: Console = QUIET,
    tuned: Mapping[str, Family] = NO_OTHERS,
) -> None:
    """Score all models of a power set, the newest where none is named, and the baselines.

    ``tuned``: denoisers beside the baselines, with a parameter that is tuned on other fields.
    """
    power_set = load_power_set(run_id)
    refuse_seen(scans, images_trained_on(power_set))
    log_scans(power_set.run_id, scans)
    models = [training.model for training in power_set.trainings.values() if training.model]
    if models:  # all are trained on the same images
        _tell_unlike(f"models:/{models[0]}", scans, console)
    for training in power_set.trainings.values():
        if training.model and not training.is_scored(scans.digest, metrics_of(scans)):
            _score_training(training, scans, console)
    _score_baselines(power_set, power_set.keys, scans, console, tuned)
    scored = load_power_set(power_set.run_id)
    log_pictures(scored, scans)
    beside = baselines(scored, scans.digest).values()
    _say_scores([*scored.trainings.values(), *beside], scans, console)
    console.say(
        f"rank it on these scans: mlflow run . -e rank --env-manager local "
        f"-P parent={power_set.run_id} -P scans={scans.digest[:8]}"
    )


def score_training(
    run_id: str, scans: ScanSet, console: Console = QUIET, tuned: Mapping[str, Family] = NO_OTHERS
) -> None:
    """Score one training; and the baselines, unless the power set that asks does that itself.

    ``tuned``: as of `score_power_set`.
    """
    training = find_training(run_id)
    if tuned and not training.parent_id:
        raise ValueError(
            f"--drunet has no effect on run {run_id}, which belongs to no power set: give its "
            f"model, --model models:/{training.model}, to score it beside filters"
        )
    power_set = None
    if training.parent_id and not launched():
        power_set = load_power_set(training.parent_id)
        refuse_seen(scans, images_trained_on(power_set))
    if training.model:
        _tell_unlike(f"models:/{training.model}", scans, console)
    _score_training(training, scans, console)
    if power_set is not None:
        log_scans(power_set.run_id, scans)
        _score_baselines(power_set, power_set.keys, scans, console, tuned)
        beside = baselines(load_power_set(power_set.run_id), scans.digest).values()
        _say_scores([find_training(run_id), *beside], scans, console)


def score_model(
    uri: str,
    scans: ScanSet,
    console: Console = QUIET,
    trust_code: bool = False,
    tuned: Mapping[str, Family] = NO_OTHERS,
) -> None:
    """Score any model in a run of its own, with the filters that it has to beat as children.

    ``trust_code``: as `load_network` takes it; ``tuned``: as of `score_power_set`.
    """
    network = load_network(uri, trust_code)
    _tell_unlike(uri, scans, console, trust_code)
    with own_run(f"evaluate {uri}", "evaluate") as run:
        log_scans(run.run_id, scans)
        result = score_run(run.run_id, _denoiser(network), scans, model=model_id_of(uri))
        _score_baselines(run, [run.run_id], scans, console, tuned)
    console.say(f"{uri}: {result}; run {run.run_id}")
    own = replace(find_training(run.run_id), title=uri)
    _say_scores([own, *members_with([run.run_id], run.experiment_id)], scans, console)
    console.say(f"scores at each scan speed: {how_to_open(run.run_id)}")


def _say_scores(runs: Iterable[ScoredRun], scans: ScanSet, console: Console) -> None:
    """Say the mean scores of runs over the scan speeds, the best first."""
    scored = [(run, scores) for run in runs if (scores := run.scores(scans.digest))]
    first = next((metric for metric in QUALITY if any(metric in own for _, own in scored)), "")
    for run, scores in sorted(scored, key=lambda own: -own[1].get(first, float("-inf"))):
        outcome = run.outcome_on(scans.digest)
        said = filter(None, [in_short(scores), outcome * (outcome != "ok")])
        console.say(f"{run.title}: {', '.join(said)}")


def _tell_unlike(uri: str, scans: ScanSet, console: Console, trust_code: bool = False) -> None:
    """Say which scans are not like what a model was trained on."""
    trained_on = load_likeness(uri)
    if trained_on is None:
        return
    network = load_network(uri, trust_code)
    for pair in scans:
        if reasons := unlike(pair.noisy, network, trained_on):
            console.note(
                f"note: {pair.field} at {pair.speed} is not like the images that the model was "
                f"trained on: it has {'; '.join(reasons)}"
            )


def _score_training(training: Training, scans: ScanSet, console: Console) -> None:
    if not training.model:
        raise ValueError(f"run {training.run_id} has no logged model to score")
    network = load_network(f"models:/{training.model}")
    result = score_with_branches(training.run_id, network, scans, _denoiser)
    console.note(f"{training.title}: {result}")


def _denoiser(network: nn.Module) -> Denoiser:
    return of_noisy(partial(denoise, network, on_tile=lambda *_: report_alive()))


def _score_baselines(
    parent: TrackedRun,
    keys: Sequence[str],
    scans: ScanSet,
    console: Console,
    tuned: Mapping[str, Family],
) -> None:
    for line in score_baselines(parent, keys, scans, {}, tuned):
        console.note(f"baseline {line}")
