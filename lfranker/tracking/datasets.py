"""Datasets as MLflow knows them, with our own digest: MLflow's sees only 10,000 values."""

import warnings

import mlflow
from mlflow.data.numpy_dataset import from_numpy

from lfranker.datasets.synthesis import Dataset


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
