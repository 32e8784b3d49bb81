"""Power sets as the tests need them: parents and children in the store, without training."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from lfranker.denoiser.scunet import SCUNet
from lfranker.tracking.models import log_network
from lfranker.tracking.power_set import SCAN_SET
from lfranker.tracking.runs import TAG, create_child, log_metrics, own_run, set_tags

TINY = {"config": [1] * 7, "dim": 16, "head_dim": 8}
SCANS = "0123456789abcdef"


def make_parent(
    losses: str = "mae,mse,ssim,perceptual", kind: str = "real", key: str = "key"
) -> Run:
    with own_run("powerset", "powerset") as run:
        tags = {"powerset": key, "loss-set": losses, "scans": SCANS}
        set_tags(run.info.run_id, {TAG + name: value for name, value in tags.items()})
        set_tags(run.info.run_id, {SCAN_SET + SCANS: kind})
    return MlflowClient().get_run(run.info.run_id)


def make_child(parent: Run, losses: str, metrics: dict[str, float], **tags: str) -> Run:
    own = {"powerset": "key", "losses": losses, "scoring": SCANS, "outcome": "ok", **tags}
    run = create_child(parent, losses, {TAG + name: value for name, value in own.items()})
    log_metrics(run.info.run_id, metrics)
    MlflowClient().set_terminated(run.info.run_id, "FINISHED")
    return run


def give_model(run: Run) -> None:
    with mlflow.start_run(run_id=run.info.run_id):
        log_network(run.info.run_id, SCUNet(**TINY), TINY)
