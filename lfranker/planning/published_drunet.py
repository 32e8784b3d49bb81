"""A published DRUNet whose weights the user gives, to be scored as one of the baselines."""

from importlib.util import find_spec
from pathlib import Path

import torch

from lfranker.denoiser.networks import PACKAGE
from lfranker.evaluation.baselines import Family
from lfranker.evaluation.criteria import DRUNET
from lfranker.evaluation.drunet import FIRST, drunet_family, drunet_of
from lfranker.files import looked_for, sha256_of
from lfranker.scans.scan_set import ScanSet
from lfranker.training.initial_weights import read_weights


def published_drunet(file: Path | None, device: torch.device | None = None) -> dict[str, Family]:
    """Return DRUNet of this file by its name among the baselines; none without a file.

    The name has the file's digest: what another file of that name scored is not taken for its own.
    Raises ValueError naming the option.
    """
    if file is None:
        return {}
    if find_spec(PACKAGE) is None:
        raise ValueError(
            f"drunet: needs the package {PACKAGE}: `pip install 'lfranker[networks]'`, or leave "
            f"--drunet out"
        )
    if not file.is_file():
        raise ValueError(f"drunet: no such file: {file}{looked_for(file)}")
    try:
        weights = read_weights(file, FIRST)
    except ValueError as error:
        raise ValueError(f"drunet: {error}") from error
    try:
        network = drunet_of(weights).to(device)
    except ValueError as error:
        raise ValueError(f"drunet: {file}: {error}") from error
    name = file.stem.lower().removeprefix("drunet").strip("_-")
    return {f"{DRUNET}{name}-{sha256_of(file)[:8]}": drunet_family(network)}


def require_tunable(file: Path | None, scans: ScanSet) -> None:
    """Raise ValueError naming the option where the scans show no other site to tune DRUNet on."""
    if file is not None and len(scans.sites) < 2:
        raise ValueError(
            "drunet: all scans show one site, and its strength is tuned on scans of another: give "
            "scans of two sites, or leave --drunet out"
        )
