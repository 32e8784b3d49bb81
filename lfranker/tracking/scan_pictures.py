"""Pictures of a run's first fields: strips for the eye, and single ones for MLflow's image grid."""

import re
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from lfranker.evaluation.scoring import Denoiser
from lfranker.images.image_strips import strip
from lfranker.scans.scan_set import Pair, ScanSet
from lfranker.tracking.runs import list_files, log_image

PICTURED_FIELDS = 2  # fields of which every speed is kept as a picture
GRID = "the scans denoised/"  # of the image grid: MLflow sorts its sections, and scores come first
NO_STEP = 0  # the grid shows one step at a time, and filters have none


def log_pictures(run_id: str, denoiser: Denoiser, scans: ScanSet, prefix: str) -> None:
    """Log noisy | denoised | clean, and the denoised alone, of the first fields at every speed.

    ``prefix`` tells the scan set from others of the run, as in the names of metrics.
    """
    fields = scans.fields[:PICTURED_FIELDS]
    for pair in scans:
        if pair.field in fields:
            denoised = denoiser(pair)
            picture = strip({"noisy": pair.noisy, "denoised": denoised, "clean": pair.clean})
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
    name = allowed if allowed == pair.field else f"{allowed} no. {number + 1}"
    return f"{GRID}{name} at {pair.speed}"
