"""Scans as if they had been registered, made without registering any."""

from pathlib import Path

import numpy as np
from tracked import SCANS

from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Record, ScanSet, pair_files, write_manifest

SPEEDS = ("spd2", "spd5")


def make_scans(cache: Path, digest: str = SCANS) -> ScanSet:
    """Three fields of 48 x 48 px at two speeds, in the cache."""
    folder, rng = cache / "scans" / digest[:16], np.random.default_rng(0)
    folder.mkdir(parents=True)
    records = []
    for field in ("f", "g", "h"):
        clean = rng.random((48, 48), dtype=np.float32)
        for speed in SPEEDS:
            name = f"{field}-{speed}"
            noisy = clean + rng.normal(0, 0.1, clean.shape).astype(np.float32)
            arrays = (noisy, clean, np.ones(clean.shape, bool))
            for file, array in zip(pair_files(name), arrays, strict=True):
                np.save(folder / file, array)
            np.save(folder / f"{field}.npy", clean)
            records.append(Record(field, speed, Transform(), name, f"{field}.npy", field))
    scans = ScanSet(
        folder=folder, target="spd8", speeds=SPEEDS, fields=("f", "g", "h"), simulated=False,
        digest=digest, plan=(), warnings=(), excluded=(), records=tuple(records),
    )  # fmt: skip
    write_manifest(scans)
    return scans
