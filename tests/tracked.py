"""Power sets as the tests need them: parents and children in the store, without training."""

from zlib import crc32

import mlflow
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.denoiser.scunet import SCUNet
from lfranker.launching.owners import own_name
from lfranker.tracking.models import log_network
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.runs import create_child, get_run, log_metrics, set_tags, tracked
from lfranker.tracking.store import own_experiment
from lfranker.tracking.tags import Tag, scan_set

TINY = {"config": [1] * 7, "dim": 16, "head_dim": 8}
SCANS = "0123456789abcdef"


def make_parent(
    losses: str = "mae,mse,ssim,perceptual", kind: str = "real", key: str = "key"
) -> Run:
    """Return a power set's run as it is when its command has ended."""
    own = {Tag.ROLE: "powerset", Tag.OWNER: own_name(), Tag.POWERSET: key, Tag.LOSS_SET: losses}
    scans = {str(Tag.SCANS): SCANS, scan_set(SCANS): kind}
    tags = {str(tag): value for tag, value in own.items()} | scans
    run = MlflowClient().create_run(own_experiment(), tags=tags, run_name="powerset")
    MlflowClient().set_terminated(run.info.run_id, "FINISHED")
    return get_run(run.info.run_id)


def power_set_of(parent: Run) -> PowerSet:
    """Return the power set as it is now."""
    return load_power_set(parent.info.run_id)


def make_child(parent: Run, losses: str, metrics: dict[str, float], **tags: str) -> Run:
    own = {"powerset": "key", "losses": losses, "scoring": SCANS, "outcome": "ok", **tags}
    named = {f"lfranker.{name}": value for name, value in own.items()}
    run = create_child(tracked(parent), losses, named)
    log_metrics(run.run_id, metrics)
    MlflowClient().set_terminated(run.run_id, "FINISHED")
    return get_run(run.run_id)


def give_model(run: Run) -> None:
    """Log an untrained network, for each name another one: some have outputs that are all black."""
    with torch.random.fork_rng(), mlflow.start_run(run_id=run.info.run_id):
        torch.manual_seed(crc32(run.info.run_name.encode()))
        log_network(run.info.run_id, SCUNet(**TINY), TINY)


def name_model(run: Run) -> None:
    """Log a model without files: versions are made of it, where nothing loads it."""
    client, of = MlflowClient(), run.info
    model = client.create_logged_model(of.experiment_id, source_run_id=of.run_id)
    client.finalize_logged_model(model.model_id, "READY")
    set_tags(of.run_id, {Tag.MODEL: model.model_id})
