"""Scores and pictures of one run, kept by the digest of the scans that they were measured on.

Pictures of the first fields are strips for the eye, and single ones for MLflow's image grid. The
scans are an input of the run, so that MLflow's pages say what a score was measured on.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Dataset as DatasetRecord
from mlflow.entities import DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.datasets.noisy_scans import noisy_digests
from lfranker.datasets.patch_dataset import Dataset
from lfranker.evaluation.baseline_tuning import Tuned, tune
from lfranker.evaluation.baselines import BASELINES, Family, families
from lfranker.evaluation.criteria import CLEAN
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.reference_free import noise_by_speed
from lfranker.evaluation.scoring import (
    Denoiser,
    metrics_of,
    of_noisy,
    outcome,
    score,
    summarise,
)
from lfranker.images.image_strips import strip
from lfranker.scans.scan_set import Pair, ScanSet, ScanSetId
from lfranker.tracking.power_set import Baseline, Training, members_with, parse_member
from lfranker.tracking.runs import (
    Measured,
    TrackedRun,
    create_child,
    end_run,
    get_run,
    list_files,
    log_image,
    log_metrics,
    log_settings,
    log_texts,
    set_tags,
)
from lfranker.tracking.scores import NOISY_DIGEST, TRAINED_ON, score_file
from lfranker.tracking.tags import Tag, metric_name, metrics_on, outcome_on, scan_set

KEYPOINTS = {name: METRICS[name] for name in ("keypoints", "repeatability", "precision")}


def score_run(
    run_id: str,
    denoiser: Denoiser,
    scans: ScanSet,
    metrics: Mapping[str, Metric] | None = None,
    model: str = "",
) -> str:
    """Score `denoiser` on `scans`, log table, pictures and metrics into the run.

    `metrics`: None for all that such scans are scored by.
    The scores are those of the run's logged model too, or of the one with the ID `model`, measured
    on the scans as MLflow's dataset: `search_logged_models` sorts by them.
    Returns the outcome, "ok" or "collapsed", which is also the run's tag. The first scan set of
    a run has plain metric names; see `power_set.ScoredRun`. All are logged at step 0: MLflow draws
    what has no later step as bars beside each other, and the newest value counts.
    """
    run = parse_member(get_run(run_id))
    prefix, own = run.prefix(scans.digest), run.model if isinstance(run, Training) else ""
    metrics = metrics_of(scans) if metrics is None else metrics
    pairs = tqdm(scans, "scoring", len(scans), leave=False, unit="scan", disable=None)
    pictured = partial(log_pictures, run_id, scans, prefix)
    table = score(denoiser, pairs, metrics, pictured, noise_by_speed(scans))
    log_texts(run_id, {score_file(scans.id): table.to_csv(index=False)})
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
    table = scans.table().assign(**{NOISY_DIGEST: noisy_digests(scans)})
    texts = {f"scans/{short}.csv": table.to_csv(index=False)}
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
    extra_tuned: Mapping[str, Family],
) -> Iterator[str]:
    """Score the classical denoisers as children of `parent`, once per scan set; says what it did.

    So are denoisers that are `extra`, and the clean scan itself, by its keypoints. Denoisers with a
    parameter that is tuned on other fields, `extra_tuned` among them, are left out where there are
    no other fields. `keys` are the power
    set's own, or the ID of a run that has none, and those of the noises that it compares: what was
    scored for one of these counts.
    """
    done = {
        run.name
        for run in members_with(keys, parent.experiment_id)
        if isinstance(run, Baseline)
        and run.finished
        and run.is_scored(scans.digest, _metrics_of(run.name, scans))
    }
    plain = {name: of_noisy(function) for name, function in {**BASELINES, **extra}.items()}
    known = {**families(), **extra_tuned}
    tuned = list(known)
    if len(scans.sites) < 2:
        yield f"{', '.join(tuned)} left out: all scans show one site, there is no other to tune on"
        tuned = []
    for name in [*plain, *tuned, *([CLEAN] if scans.has_clean else [])]:
        if name in done:
            continue
        run = create_child(
            parent, name, {Tag.POWERSET: keys[0], Tag.BASELINE: name, Tag.NAME: name}
        )
        try:
            _score_baseline(run, name, _baseline(name, plain, known, scans), scans)
        except Exception as error:  # a filter that fails must not cost the ranking of the networks
            end_run(run.run_id, "FAILED", f"{type(error).__name__}: {error}")
            yield f"{name} failed: {error}"
        except BaseException as error:
            end_run(run.run_id, "KILLED", type(error).__name__)
            raise
        else:
            end_run(run.run_id, "FINISHED")
            yield f"{name} scored"


def _baseline(
    name: str, plain: Mapping[str, Denoiser], tuned: Mapping[str, Family], scans: ScanSet
) -> Denoiser:
    if name == CLEAN:
        return lambda pair: pair.clean
    return plain[name] if name in plain else tune(name, tuned[name], scans)


def _score_baseline(run: TrackedRun, name: str, denoiser: Denoiser, scans: ScanSet) -> None:
    if isinstance(denoiser, Tuned):
        log_settings(run.run_id, denoiser.parameters)
    score_run(run.run_id, denoiser, scans, _metrics_of(name, scans))


def _metrics_of(baseline: str, scans: ScanSet) -> Mapping[str, Metric]:
    return KEYPOINTS if baseline == CLEAN else metrics_of(scans)


def log_trained_on(run_id: str, datasets: Iterable[Dataset]) -> None:
    """Log the digests of all images trained on: scans of any set can be looked for among them."""
    digests = sorted(frozenset().union(*(data.trained_on for data in datasets)))
    log_texts(run_id, {TRAINED_ON: "\n".join(digests)})


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


DIGITS = 32  # of a digest: MLflow takes 36


def measured(scans: ScanSetId, model_id: str = "") -> Measured:
    """Return the dataset that stands for these scans, with a model scored on it."""
    name = "simulated scans" if scans.simulated else "scans"
    return Measured(model_id or None, name, scans.digest[:DIGITS])


def log_scan_dataset(run_id: str, scans: ScanSet) -> None:
    """Add the scans to the run's inputs: the table of their pairs, under their digest."""
    on = measured(scans.id)
    with warnings.catch_warnings():
        # a folder on this disk is one in two of MLflow's kinds of sources, which are the same
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
        table = from_pandas(
            scans.table(), source=scans.folder.resolve().as_uri(), name=on.dataset, digest=on.digest
        )
    described = DatasetRecord(**table.to_dict())
    context = InputTag(MLFLOW_DATASET_CONTEXT, "evaluation")
    MlflowClient().log_inputs(run_id, [DatasetInput(described, [context])])


PICTURED_FIELDS = 2  # fields of which every speed is kept as a picture
LONGEST_KEY = 80  # characters of a field; MLflow puts more into the file's name
GRID = "the scans denoised/"  # of the image grid: MLflow sorts its sections, and scores come first
NO_STEP = 0  # the grid shows one step at a time, and filters have none


def log_pictures(run_id: str, scans: ScanSet, prefix: str, pair: Pair, denoised: Image) -> None:
    """Log noisy | denoised | clean, and the denoised alone, if the pair is of the first fields.

    ``prefix`` tells the scan set from others of the run, as in the names of metrics.
    """
    fields = scans.fields[:PICTURED_FIELDS]
    if pair.field not in fields:
        return
    picture = strip({"noisy": pair.noisy, "denoised": denoised, **pair.references})
    log_image(run_id, picture, f"pictures/{scans.id.short}/{pair.field}-{pair.speed}.png")
    levels = np.round(np.clip(np.nan_to_num(denoised), 0, 1) * 255).astype(np.uint8)
    key = prefix + image_key(pair, fields.index(pair.field))
    MlflowClient().log_image(run_id, levels, key=key, step=NO_STEP)


def keys_of(run_id: str) -> list[str]:
    """Return the keys of a run's pictures of its first scans, as its files are named."""
    names = [Path(file).name for file in list_files(run_id, "images")]
    keys = {name.partition("+")[0].replace("~", "/") for name in names}
    return sorted(key for key in keys if key.startswith(GRID))


def image_key(pair: Pair, number: int) -> str:
    """Return the key that all runs use for this pair, so that the grid has them side by side.

    MLflow allows few characters in it. ``number`` of the field tells those apart that only differ
    in others.
    """
    allowed = re.sub(r"[^A-Za-z0-9_\-./ ]|\.\.", "-", pair.field)
    allowed = allowed[:LONGEST_KEY]
    name = allowed if allowed == pair.field else f"{allowed} no. {number + 1}"
    return f"{GRID}{name} at {pair.speed}"
