"""Scores and pictures of one run, kept by the digest of the scans that they were measured on."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Run
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.datasets.synthesis import Dataset
from lfranker.evaluation.baseline_tuning import Tuned, tune
from lfranker.evaluation.baselines import BASELINES, families
from lfranker.evaluation.metrics import METRICS, Metric
from lfranker.evaluation.scoring import Denoiser, of_noisy, outcome, score, summarise
from lfranker.images.image_strips import strip
from lfranker.scans.preparation import Pair, ScanSet
from lfranker.tracking.power_set import OUTCOME, SCAN_SET, gather, key_of, prefix_in
from lfranker.tracking.runs import (
    NAME,
    TAG,
    create_child,
    end_run,
    log_metrics,
    log_settings,
    set_tags,
)

PICTURED_FIELDS = 2  # fields of which every speed is kept as a picture

KEYPOINTS = {name: METRICS[name] for name in ("keypoints", "repeatability", "precision")}
REFERENCE = "clean"  # the clean scan itself: as many keypoints as there are to be found
VERSIONS = TAG + "metrics"  # VERSIONS.D: {metric: version} of the scores on the scans with digest D
# What the scores of runs without that tag are: all of them were made by these.
UNTAGGED = {
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


def score_run(
    run_id: str,
    denoiser: Denoiser,
    scans: ScanSet,
    metrics: Mapping[str, Metric] = METRICS,
) -> str:
    """Score `denoiser` on `scans`, log table, pictures and metrics into the run.

    Returns the outcome, "ok" or "collapsed", which is also the run's tag. The first scan set of
    a run has plain metric names; see `queries.own_scores`. All are logged at step 0: MLflow draws
    what has no later step as bars beside each other, and the newest value counts.
    """
    run = MlflowClient().get_run(run_id)
    pairs = tqdm(scans, "scoring", len(scans), leave=False, unit="scan", disable=None)
    table = score(denoiser, pairs, metrics)
    prefix = prefix_in(run, scans.digest)
    _log_table(run_id, table, scans)
    _log_pictures(run_id, denoiser, scans)
    log_metrics(run_id, {prefix + k: v for k, v in summarise(table, metrics).items()})
    result = outcome(table)
    versions = {name: metric.version for name, metric in metrics.items()}
    tags = {
        f"{OUTCOME}.{scans.digest[:8]}": result,
        f"{VERSIONS}.{scans.digest[:8]}": json.dumps(versions),
    }
    if not prefix:  # its first
        tags |= {TAG + "scoring": scans.digest, OUTCOME: result}
    set_tags(run_id, tags)
    return result


def scored(run: Run, digest: str, metrics: Mapping[str, Metric] = METRICS) -> bool:
    """Whether the run has scores by all of these metrics on the scan set with this digest.

    The tag is written after the scores.
    """
    return f"{OUTCOME}.{digest[:8]}" in run.data.tags and not outdated(run, digest, metrics)


def outdated(run: Run, digest: str, metrics: Mapping[str, Metric]) -> list[str]:
    """Metrics by which the run was not scored on these scans, or by another version of them."""
    text = run.data.tags.get(f"{VERSIONS}.{digest[:8]}")
    known = UNTAGGED if text is None else json.loads(text)
    return [name for name, metric in metrics.items() if known.get(name) != metric.version]


def log_scans(run_id: str, scans: ScanSet) -> None:
    """What the scan set is: digest, pairs, transforms, and what was left out.

    The first scan set of a run is its own: the tag `scans`.
    """
    client = MlflowClient()
    table = scans.table()
    client.log_text(run_id, table.to_csv(index=False), f"scans/{scans.digest[:8]}.csv")
    if scans.notices:
        client.log_text(run_id, "\n".join(scans.notices), f"scans/{scans.digest[:8]}-notices.txt")
    if scans.excluded:
        excluded = scans.exclusions().to_csv(index=False)
        client.log_text(run_id, excluded, f"scans/{scans.digest[:8]}-excluded.csv")
    tags = {SCAN_SET + scans.digest: "simulated" if scans.simulated else "real"}
    if TAG + "scans" not in client.get_run(run_id).data.tags:
        tags[TAG + "scans"] = scans.digest
    set_tags(run_id, tags)


def score_baselines(
    parent: Run, scans: ScanSet, extra: Mapping[str, Callable[[Image], Image]]
) -> Iterator[str]:
    """Score the classical denoisers as children of `parent`, once per scan set; says what it did.

    And those that are `extra`, and the clean scan itself, by its keypoints. Filters with a
    parameter that is tuned on other fields are left out where there are none.
    """
    done = {
        name
        for run in gather(parent).children
        if (name := run.data.tags.get(TAG + "baseline"))
        and run.info.status == "FINISHED"
        and scored(run, scans.digest, _metrics_of(name))
    }
    plain = {name: of_noisy(function) for name, function in {**BASELINES, **extra}.items()}
    tuned = list(families())
    if len({record.place for record in scans.records}) < 2:
        yield f"{', '.join(tuned)} left out: all scans show one place, there is none to tune on"
        tuned = []
    for name in [*plain, *tuned, REFERENCE]:
        if name in done:
            continue
        tags = {TAG + "powerset": key_of(parent), TAG + "baseline": name, NAME: name}
        run = create_child(parent, name, tags)
        try:
            _score_baseline(run, _baseline(name, plain, scans), scans)
        except Exception as error:  # a filter that fails must not cost the ranking of the networks
            end_run(run.info.run_id, "FAILED", f"{type(error).__name__}: {error}")
            yield f"{name} failed: {error}"
        except BaseException as error:
            end_run(run.info.run_id, "KILLED", type(error).__name__)
            raise
        else:
            end_run(run.info.run_id, "FINISHED")
            yield f"{name} scored"


def _baseline(name: str, plain: Mapping[str, Denoiser], scans: ScanSet) -> Denoiser:
    if name == REFERENCE:
        return lambda pair: pair.clean
    return plain[name] if name in plain else tune(name, families()[name], scans)


def _score_baseline(run: Run, denoiser: Denoiser, scans: ScanSet) -> None:
    if isinstance(denoiser, Tuned):
        log_settings(run, denoiser.parameters)
    metrics = _metrics_of(run.data.tags[TAG + "baseline"])
    score_run(run.info.run_id, denoiser, scans, metrics)


def _metrics_of(baseline: str) -> Mapping[str, Metric]:
    return KEYPOINTS if baseline == REFERENCE else METRICS


def _log_table(run_id: str, table: pd.DataFrame, scans: ScanSet) -> None:
    kind = "synthetic" if scans.simulated else "scans"
    name = f"scores/{kind}-{scans.digest[:8]}.csv"
    MlflowClient().log_text(run_id, table.to_csv(index=False), name)


def _log_pictures(run_id: str, denoiser: Denoiser, scans: ScanSet) -> None:
    """Noisy | denoised | clean, of the first fields at every speed."""
    fields = scans.fields[:PICTURED_FIELDS]
    for pair in scans:
        if pair.field in fields:
            _log_picture(run_id, denoiser, pair, scans)


def _log_picture(run_id: str, denoiser: Denoiser, pair: Pair, scans: ScanSet) -> None:
    denoised = denoiser(pair)
    picture = strip({"noisy": pair.noisy, "denoised": denoised, "clean": pair.clean})
    folder = f"pictures/{scans.digest[:8]}"
    MlflowClient().log_image(
        run_id, picture, artifact_file=f"{folder}/{pair.field}-{pair.speed}.png"
    )


def log_texts(run_id: str, texts: dict[str, str]) -> None:
    """Log texts under their artifact names, all or none."""
    with TemporaryDirectory() as name:
        for path, text in texts.items():
            file = Path(name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        MlflowClient().log_artifacts(run_id, name)


def log_dataset(data: Dataset, context: str) -> None:
    """Add the dataset to the active run's inputs."""
    source = (data.folder / "manifest.json").resolve().as_uri()
    with warnings.catch_warnings():
        # a file on this disk is one in two of MLflow's kinds of sources, which are the same
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
        described = from_numpy(
            data.noisy, targets=data.clean, source=source, name="patches", digest=data.digest[:32]
        )
    mlflow.log_input(described, context=context)
