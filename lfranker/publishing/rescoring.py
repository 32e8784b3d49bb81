"""Registered versions scored on other scans than those they were ranked on."""

from functools import partial

from mlflow.entities.model_registry import ModelVersion

from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.scoring import of_noisy
from lfranker.scans.preparation import ScanSet
from lfranker.tracking.models import load_network
from lfranker.tracking.score_logging import score_run


def score_version(version: ModelVersion, scans: ScanSet) -> None:
    """Score a version's model on the scans; the scores are kept with the run that trained it."""
    network = load_network(f"models:/{version.name}/{version.version}")
    score_run(str(version.run_id), of_noisy(partial(denoise, network)), scans)
