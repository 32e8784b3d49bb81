"""Scan sets as datasets of MLflow, whose pages then say what a score was measured on."""

import warnings

from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from lfranker.scans.scan_set import ScanSet, ScanSetId
from lfranker.tracking.runs import Measured

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
    described, context = Dataset(**table.to_dict()), InputTag(MLFLOW_DATASET_CONTEXT, "evaluation")
    MlflowClient().log_inputs(run_id, [DatasetInput(described, [context])])
