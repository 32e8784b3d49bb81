"""Registered pairs of noisy and clean scans, stored once and read one at a time.

A folder holds the pairs as float32 arrays that can be memory-mapped, and a manifest.
"""

import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lfranker.arrays import Image
from lfranker.files import inside, sha256_of
from lfranker.registration.register import Transform
from lfranker.text import listed

MANIFEST = "scans.json"
SEAL = "sha256_of_all_else"  # in the manifest


@dataclass(frozen=True)
class Pair:
    """One field at one speed. All but ``original`` lie on the grid of the noisy scan."""

    field: str
    speed: str
    noisy: Image
    clean: Image  # registered onto the noisy grid; NaN where there is none
    mask: NDArray[np.bool_]  # where the clean scan covers the noisy one; all of it without one
    original: Image  # the clean scan as it was taken; NaN where there is none
    transform: Transform
    place: str = ""  # the site: fields of one are not independent
    sample: str = ""  # group of fields

    @property
    def references(self) -> dict[str, Image]:
        """The clean scan by its name in pictures; {} where there is none."""
        return {} if np.isnan(self.clean).all() else {"clean": self.clean}


@dataclass(frozen=True)
class Record:
    """Entry of the manifest for a pair."""

    field: str
    speed: str
    transform: Transform
    files: str  # NAME of NAME-noisy.npy, NAME-clean.npy, NAME-mask.npy
    original: str  # file name; "" where there is no clean scan
    place: str = ""  # the site
    sample: str = ""
    site_source: str = ""  # what the site was told by, see `sites.SiteSource`; "" in older sets


@dataclass(frozen=True)
class Exclusion:
    """A scan that is not scored."""

    field: str
    speed: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field} at {self.speed}: left out, {self.reason}"


@dataclass(frozen=True)
class ScanSetId:
    """Identity of prepared scans, and whether a microscope made them."""

    digest: str
    simulated: bool

    @property
    def short(self) -> str:
        """The first digits of the digest, by which users and artifacts name it."""
        return self.digest[:8]

    @property
    def kind(self) -> str:
        """The word that stands before names of what was made from simulated scans."""
        return "synthetic" if self.simulated else "scans"


@dataclass(frozen=True)
class ScanSet:
    """Prepared pairs. Iterating reads one pair at a time, by field and then by speed."""

    folder: Path  # of the prepared pairs
    target: str  # the speed of the clean scans; "" where there are none
    speeds: tuple[str, ...]  # without the target, fast to slow
    fields: tuple[str, ...]
    simulated: bool
    digest: str  # sha256 of pixels, names, target and the way of preparing
    plan: tuple[str, ...]  # a table in words: how the scans of a flat folder were grouped
    warnings: tuple[str, ...]  # what was converted, and what is doubtful but scored
    excluded: tuple[Exclusion, ...]
    records: tuple[Record, ...]
    white: tuple[int, ...] = ()  # gray values of full brightness; () in sets of before
    sha256: Mapping[str, str] = field(default_factory=dict)  # of the files; older sets have none

    @property
    def id(self) -> ScanSetId:
        """Key under which scores on these scans are kept."""
        return ScanSetId(self.digest, self.simulated)

    @property
    def notices(self) -> tuple[str, ...]:
        """All that the user should know before scoring."""
        alike: dict[tuple[str, str], list[str]] = {}
        for item in self.excluded:
            alike.setdefault((item.speed, item.reason), []).append(item.field)
        left_out = [str(Exclusion(listed(fields), *which)) for which, fields in alike.items()]
        return (*self.plan, *self.warnings, *left_out)

    @property
    def sites(self) -> list[str]:
        """The sites that the scans show, each once: fields of one are not independent."""
        return list(dict.fromkeys(record.place for record in self.records))

    @property
    def has_clean(self) -> bool:
        """Whether there are clean scans to compare with."""
        return bool(self.target)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Pair]:
        return map(self.read, self.records)

    def read(self, record: Record) -> Pair:
        """Read a pair, and check that its files are those that were stored. Raises ValueError."""
        noisy, *others = map(self._load, files_of([record]))
        if others:
            clean, mask, original = others
        else:
            clean = original = np.full_like(noisy, np.nan)
            mask = np.ones(noisy.shape, np.bool_)
        return Pair(
            record.field, record.speed, noisy, clean, mask, original, record.transform,
            record.place, record.sample,
        )  # fmt: skip

    def _load(self, name: str) -> NDArray[Any]:
        path = inside(self.folder, name)
        try:
            stored = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        if self.sha256 and hashlib.sha256(stored).hexdigest() != self.sha256.get(name):
            raise ValueError(damage(path))
        array: NDArray[Any] = np.load(io.BytesIO(stored), allow_pickle=False)
        return array

    def verify(self) -> None:
        """Raise ValueError naming the first file that is not the one that was stored."""
        for name in files_of(self.records):
            path = inside(self.folder, name)
            if self.sha256 and sha256_of(path) != self.sha256.get(name):
                raise ValueError(damage(path))

    def fields_among(self, images: Collection[str]) -> list[str]:
        """Fields whose clean scan has the pixels of one of ``images`` (sha256, as clean images)."""
        clean = {record.field: record.original for record in self.records if record.original}
        return [
            field
            for field, name in clean.items()
            if hashlib.sha256(self._load(name).tobytes()).hexdigest() in images
        ]

    def table(self) -> pd.DataFrame:
        """A row per pair: how its clean scan was put onto the noisy one, and how well; px.

        `drift` is the largest displacement by drift that bends.
        """
        return pd.DataFrame(
            {
                "field": record.field,
                "speed": record.speed,
                "place": record.place,
                "site_source": record.site_source,
                "sample": record.sample,
                "shift_y": record.transform.shift[0],
                "shift_x": record.transform.shift[1],
                "scale_y": record.transform.scale[0],
                "scale_x": record.transform.scale[1],
                "shear": record.transform.shear,
                "drift": max((abs(v) for k in record.transform.drift for v in k[1:]), default=0.0),
                "residual": record.transform.residual,
                "held_out": record.transform.held_out,
            }
            for record in self.records
        )

    def exclusions(self) -> pd.DataFrame:
        """A row per scan that is left out, with the reason."""
        columns = [item.name for item in fields(Exclusion)]
        return pd.DataFrame([asdict(item) for item in self.excluded], columns=columns)


def pair_files(name: str) -> tuple[str, str, str]:
    """Files of the noisy scan, the registered clean scan and the mask."""
    return f"{name}-noisy.npy", f"{name}-clean.npy", f"{name}-mask.npy"


def files_of(records: Iterable[Record]) -> list[str]:
    """Names of the files of all pairs, each once."""
    names = list[str]()
    for record in records:
        files = pair_files(record.files)
        names += [*files, record.original] if record.original else files[:1]
    return list(dict.fromkeys(names))


def damage(path: Path) -> str:
    """Return the message on a file that is not the one that was stored."""
    return f"{path}: damaged, it is not the file that was prepared"


def write_manifest(scans: ScanSet) -> None:
    """Write the manifest to the set's folder, which is to be renamed afterwards.

    It has the sha256 of every file, and of its own content.
    """
    sha256 = {name: sha256_of(scans.folder / name) for name in files_of(scans.records)}
    manifest = {name: value for name, value in vars(scans).items() if name != "folder"}
    for name in ("records", "excluded"):
        manifest[name] = [asdict(item) for item in manifest[name]]
    manifest["sha256"] = sha256
    manifest[SEAL] = _seal(manifest)
    (scans.folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _seal(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 of a manifest as JSON keeps it."""
    text = json.dumps(json.loads(json.dumps(manifest)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_scans(prepared: Path) -> ScanSet:
    """The scan set that ``prepare_scans`` stored. Raises ValueError where that is not one.

    Its files are there; whether they are those that were stored is checked when they are read, or
    by `verify`.
    """
    try:
        manifest = json.loads(inside(prepared, MANIFEST).read_text(encoding="utf-8"))
        seal = manifest.pop(SEAL, None)
        if seal is not None and seal != _seal(manifest):
            raise ValueError(damage(prepared / MANIFEST))
        manifest["records"] = [_record(record) for record in manifest["records"]]
        manifest["excluded"] = [Exclusion(**item) for item in manifest["excluded"]]
        scans = ScanSet(folder=prepared, **_with_tuples(manifest))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{prepared}: not a folder of prepared scans ({error})") from error
    for name in files_of(scans.records):
        if not inside(prepared, name).is_file():
            raise ValueError(f"{prepared}: incomplete, {name} of {MANIFEST} is missing")
    return scans


def noting(scans: ScanSet, *notices: str) -> ScanSet:
    """Return the same set with more that the user should know."""
    return replace(scans, warnings=(*scans.warnings, *notices))


def _record(stored: dict[str, Any]) -> Record:
    transform = _with_tuples(stored["transform"])
    transform["drift"] = tuple(map(tuple, transform["drift"]))
    return Record(**{**stored, "transform": Transform(**transform)})


def _with_tuples(stored: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
