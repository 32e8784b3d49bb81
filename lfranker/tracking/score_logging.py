"""Scores and pictures of one run, kept by the digest of the scans that they were measured on."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import mlflow
from mlflow.data.numpy_dataset import from_numpy
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.datasets.synthesis import Dataset
from lfranker.evaluation.baseline_tuning import Tuned, tune
from lfranker.evaluation.baselines import BASELINES, families
from lfranker.evaluation.criteria import CLEAN
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.scoring import Denoiser, of_noisy, outcome, score, summarise
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.metric_names import metric_name
from lfranker.tracking.power_set import Baseline, Training, members_with, parse_member
from lfranker.tracking.runs import (
    TrackedRun,
    create_child,
    end_run,
    get_run,
    log_metrics,
    log_settings,
    log_texts,
    set_tags,
)
from lfranker.tracking.scan_datasets import DIGITS, log_scan_dataset, measured
from lfranker.tracking.scan_pictures import log_pictures
from lfranker.tracking.scores import score_file
from lfranker.tracking.tags import Tag, metrics_on, outcome_on, scan_set

KEYPOINTS = {name: METRICS[name] for name in ("keypoints", "repeatability", "precision")}


def score_run(
    run_id: str,
    denoiser: Denoiser,
    scans: ScanSet,
    metrics: Mapping[str, Metric] = METRICS,
    model: str = "",
) -> str:
    """Score `denoiser` on `scans`, log table, pictures and metrics into the run.

    The scores are those of the run's logged model too, or of the one with the ID `model`, measured
    on the scans as MLflow's dataset: `search_logged_models` sorts by them.
    Returns the outcome, "ok" or "collapsed", which is also the run's tag. The first scan set of
    a run has plain metric names; see `power_set.ScoredRun`. All are logged at step 0: MLflow draws
    what has no later step as bars beside each other, and the newest value counts.
    """
    run = parse_member(get_run(run_id))
    prefix, own = run.prefix(scans.digest), run.model if isinstance(run, Training) else ""
    pairs = tqdm(scans, "scoring", len(scans), leave=False, unit="scan", disable=None)
    table = score(denoiser, pairs, metrics)
    log_texts(run_id, {score_file(scans.id): table.to_csv(index=False)})
    log_pictures(run_id, denoiser, scans, prefix)
    log_scan_dataset(run_id, scans)
    scores = {prefix + metric_name(k): v for k, v in summarise(table, metrics).items()}
    log_metrics(run_id, scores, measured=measured(scans.id, model or own))
    result = outcome(table)
    versions = {name: metric.version for name, metric in metrics.items()}
    tags = {outcome_on(scans.digest): result, metrics_on(scans.digest): json.dumps(versions)}
    if not prefix:  # its first
        tags |= {Tag.SCORING: scans.digest, Tag.OUTCOME: result}
    set_tags(run_id, tags)
    return result


def log_scans(run_id: str, scans: ScanSet) -> None:
    """Log what the scan set is: digest, pairs, transforms, and what was left out.

    The first scan set of a run is its own: the tag `scans`.
    """
    short = scans.id.short
    texts = {f"scans/{short}.csv": scans.table().to_csv(index=False)}
    if scans.notices:
        texts[f"scans/{short}-notices.txt"] = "\n".join(scans.notices)
    if scans.excluded:
        texts[f"scans/{short}-excluded.csv"] = scans.exclusions().to_csv(index=False)
    log_texts(run_id, texts)
    log_scan_dataset(run_id, scans)
    tags = {scan_set(scans.digest): "simulated" if scans.simulated else "real"}
    if Tag.SCANS not in get_run(run_id).data.tags:
        tags[Tag.SCANS] = scans.digest
    set_tags(run_id, tags)


def score_baselines(
    parent: TrackedRun,
    keys: Sequence[str],
    scans: ScanSet,
    extra: Mapping[str, Callable[[Image], Image]],
) -> Iterator[str]:
    """Score the classical denoisers as children of `parent`, once per scan set; says what it did.

    And those that are `extra`, and the clean scan itself, by its keypoints. Filters with a
    parameter that is tuned on other fields are left out where there are none. `keys` are the power
    set's own, or the ID of a run that has none, and those of the noises that it compares: what was
    scored for one of these counts.
    """
    done = {
        run.name
        for run in members_with(keys, parent.experiment_id)
        if isinstance(run, Baseline)
        and run.finished
        and run.is_scored(scans.digest, _metrics_of(run.name))
    }
    plain = {name: of_noisy(function) for name, function in {**BASELINES, **extra}.items()}
    tuned = list(families())
    if len({record.place for record in scans.records}) < 2:
        yield f"{', '.join(tuned)} left out: all scans show one place, there is none to tune on"
        tuned = []
    for name in [*plain, *tuned, CLEAN]:
        if name in done:
            continue
        run = create_child(
            parent, name, {Tag.POWERSET: keys[0], Tag.BASELINE: name, Tag.NAME: name}
        )
        try:
            _score_baseline(run, name, _baseline(name, plain, scans), scans)
        except Exception as error:  # a filter that fails must not cost the ranking of the networks
            end_run(run.run_id, "FAILED", f"{type(error).__name__}: {error}")
            yield f"{name} failed: {error}"
        except BaseException as error:
            end_run(run.run_id, "KILLED", type(error).__name__)
            raise
        else:
            end_run(run.run_id, "FINISHED")
            yield f"{name} scored"


def _baseline(name: str, plain: Mapping[str, Denoiser], scans: ScanSet) -> Denoiser:
    if name == CLEAN:
        return lambda pair: pair.clean
    return plain[name] if name in plain else tune(name, families()[name], scans)


def _score_baseline(run: TrackedRun, name: str, denoiser: Denoiser, scans: ScanSet) -> None:
    if isinstance(denoiser, Tuned):
        log_settings(run.run_id, denoiser.parameters)
    score_run(run.run_id, denoiser, scans, _metrics_of(name))


def _metrics_of(baseline: str) -> Mapping[str, Metric]:
    return KEYPOINTS if baseline == CLEAN else METRICS


def log_dataset(data: Dataset, context: str) -> None:
    """Add the dataset to the active run's inputs."""
    source = (data.folder / "manifest.json").resolve().as_uri()
    with warnings.catch_warnings():
        # a file on this disk is one in two of MLflow's kinds of sources, which are the same
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
        described = from_numpy(
            data.noisy,
            targets=data.clean,
            source=source,
            name="patches",
            digest=data.digest[:DIGITS],
        )
    mlflow.log_input(described, context=context)
