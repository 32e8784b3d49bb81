"""Networks and classical filters on fields that nothing was tuned on: a table and a strip.

    python -m benchmarks.measure [TRIALS.json ...] --tune FOLDER --score FOLDER --out FOLDER

TRIALS.json is what `recipe.py` ran here; trials called "NAME #0", "NAME #1" ... are repeats of one
network. The network that comes with lfranker is always among them. Filters get the parameter that
is best on four scans of --tune, by PSNR, and are shown once more with the gain and offset that fit
best on all of them. Each is scored once: what is in OUT/scores.csv, of the same model and the same
scans, is read from there. Differences are those to --against, a filter or a network, with 95 %
intervals over places and, for networks with as many repeats as any, over repeats; those of others,
marked with *, hold of what was trained, not of the way of training (where --against has repeats,
over these too). Seconds are of --threads threads, medians of --rounds passes over one field by all
in turn; nothing else should run meanwhile.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lfranker.arrays import Image
from lfranker.denoiser.bundled import WEIGHTS, denoise_bundled
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.baseline_tuning import best_value, spread
from lfranker.evaluation.baselines import Family, families
from lfranker.evaluation.criteria import BUNDLED
from lfranker.evaluation.scoring import of_noisy, score
from lfranker.files import sha256_of
from lfranker.images.image_strips import strip
from lfranker.scans.preparation import ScanSet, prepare_scans
from lfranker.statistics.intervals import Chance, difference_interval, mean_squares
from lfranker.statistics.score_array import cube_of
from lfranker.tracking.models import load_network
from lfranker.tracking.power_set import search
from lfranker.tracking.tags import Tag

SHOWN = {"psnr": 2, "ssim": 4, "repeatability": 3, "psnr_fitted": 2}  # digits
KEYS = ("name", "repeat", "model", "scans")
Denoise = Callable[[Image], Image]


@dataclass(frozen=True)
class Entrant:
    name: str
    repeat: int
    model: str  # its ID; of a filter, its parameters
    function: Denoise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path, nargs="*")
    for flag in ("--tune", "--score", "--out"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--against", default="bm3d-tuned")
    parser.add_argument("--pictured", nargs="*", default=[], help="Denoisers of the strip.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".lfranker"))
    asked = parser.parse_args()
    networks = dict.fromkeys(
        name.partition(" #")[0] for file in asked.trials for name in _plan(file)
    )
    if asked.against not in (known := [*families(), *networks]):
        allowed = ", ".join(known)
        parser.error(f"--against {asked.against}: allowed are {allowed} (BM3D needs its package)")
    torch.set_num_threads(asked.threads)
    tuning, scored = (
        prepare_scans(folder, None, asked.cache.resolve() / "scans")
        for folder in (asked.tune, asked.score)
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    filters = _filters(tuning, asked.out / "filters.json")
    noisy = Entrant("noisy", 0, "", lambda image: image)
    bundled = Entrant(BUNDLED, 0, sha256_of(WEIGHTS)[:16], denoise_bundled)
    denoisers = [
        noisy,
        bundled,
        *filters,
        *(found for file in asked.trials for found in _networks(file)),
    ]
    rows = _scores(denoisers, scored, asked.out / "scores.csv")
    # the field in the middle of the list: not a chosen one
    pair = scored.read(scored.records[len(scored.records) // 2])
    first = {entrant.name: entrant.function for entrant in denoisers if entrant.repeat == 0}
    text = table(rows, asked.against, _seconds(first, pair.noisy, asked.rounds))
    (asked.out / "table.md").write_text(text)
    if asked.pictured:
        panels = {name: np.clip(first[name](pair.noisy), 0, 1) for name in asked.pictured}
        strip({**panels, "clean": pair.clean}).save(asked.out / "strip.png")
    sys.stdout.write(text)


def _scores(denoisers: Sequence[Entrant], scans: ScanSet, stored: Path) -> pd.DataFrame:
    """A row per denoiser, repeat and field; those in ``stored`` are not scored again."""
    kept = pd.read_csv(stored, dtype=str).fillna("") if stored.exists() else pd.DataFrame()
    known = set() if kept.empty else set(zip(*(kept[key] for key in KEYS), strict=True))
    tables = []
    for entrant in tqdm(denoisers, "scoring", disable=None):
        key = (entrant.name, str(entrant.repeat), entrant.model, scans.digest)
        if key not in known:
            found = score(of_noisy(entrant.function), scans)
            kept = pd.concat([kept, found.assign(**dict(zip(KEYS, key, strict=True)))])
            kept.to_csv(stored, index=False)
        own = pd.read_csv(stored, dtype=dict.fromkeys(KEYS, str), keep_default_na=False)
        same = [own[name] == value for name, value in zip(KEYS, key, strict=True)]
        tables.append(own[np.logical_and.reduce(same)].astype({"repeat": int}))
    return pd.concat(tables, ignore_index=True)


def _filters(tuning: ScanSet, stored: Path) -> Iterator[Entrant]:
    """Each with its best parameter, and once more with brightness corrected as fits there."""
    known = json.loads(stored.read_text()) if stored.exists() else {}
    for name, family in tqdm(families().items(), "tuning", disable=None):
        if name not in known:
            value = best_value(family, tuning, spread(tuning.records))
            gain, offset = _brightness(partial(_apply, family, value), tuning)
            known[name] = {"parameter": value, "gain": gain, "offset": offset}
            stored.write_text(json.dumps(known, indent=1))
        value, gain, offset = (known[name][key] for key in ("parameter", "gain", "offset"))
        as_it_is = partial(_apply, family, value)
        corrected = partial(as_it_is, gain=gain, offset=offset)
        yield Entrant(name, 0, f"{value:g}", as_it_is)
        yield Entrant(f"{name} corrected", 0, f"{value:g} {gain:.4f} {offset:.4f}", corrected)


def _apply(
    family: Family, parameter: float, image: Image, gain: float = 1.0, offset: float = 0.0
) -> Image:
    return np.float32(gain) * family.function(image, parameter) + np.float32(offset)


def _brightness(filtered: Denoise, tuning: ScanSet) -> tuple[float, float]:
    """The line that takes filtered scans to the clean ones in least squares."""
    pairs = [(filtered(pair.noisy)[pair.mask], pair.clean[pair.mask]) for pair in tuning]
    x, y = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    gain, offset = np.polyfit(x, y, 1)
    return float(gain), float(offset)


def _plan(trials: Path) -> dict[str, object]:
    """Return the trials of a file, by name."""
    return dict(json.loads(trials.read_text())["trials"])


def _networks(trials: Path) -> Iterator[Entrant]:
    """The trials of that file, each the newest that is finished. Raises ValueError."""
    plan, found = json.loads(trials.read_text()), dict[str, Entrant]()
    for run in search("tags.`lfranker.trial` != '' AND attributes.status = 'FINISHED'"):
        title, trial, _ = json.loads(run.data.tags["lfranker.trial"])
        if title == plan["title"] and trial in plan["trials"] and trial not in found:
            name, _, repeat = trial.partition(" #")
            model = run.data.tags[Tag.MODEL]
            network = load_network(f"models:/{model}")
            found[trial] = Entrant(name, int(repeat or 0), model, partial(denoise, network))
    if missing := [trial for trial in plan["trials"] if trial not in found]:
        raise ValueError(f"{trials}: not finished here are {', '.join(missing)}")
    yield from (found[trial] for trial in plan["trials"])


def _seconds(denoisers: Mapping[str, Denoise], image: Image, rounds: int) -> dict[str, float]:
    """Seconds per megapixel: medians over rounds in which all take their turn."""
    taken: dict[str, list[float]] = {name: [] for name in denoisers}
    for _ in range(rounds):
        for name, function in denoisers.items():
            start = perf_counter()
            function(image)
            taken[name].append((perf_counter() - start) / (image.size / 1e6))
    return {name: median(values) for name, values in taken.items()}


def table(rows: pd.DataFrame, against: str, seconds: Mapping[str, float]) -> str:
    """Markdown: means over fields, and in brackets what lies between each and `against`."""
    lines = [f"| | {' | '.join(SHOWN)} | s/MP |", "|---|" + "---:|" * (len(SHOWN) + 1)]
    cells = {metric: _cells(rows, metric, against) for metric in SHOWN}
    for name in map(str, rows["name"].unique()):
        shown = " | ".join(cells[metric][name] for metric in SHOWN)
        lines.append(f"| {name} | {shown} | {seconds[name]:.3g} |")
    return "\n".join(lines) + "\n"


def _cells(rows: pd.DataFrame, metric: str, against: str) -> dict[str, str]:
    """Cells by name. Copies of a filter would pass for repeats without seed variance."""
    digits, repeats = SHOWN[metric], rows.groupby("name", sort=False)["repeat"].nunique()
    most = int(repeats.max())
    repeated = set(repeats.index[repeats == most]) if most > 1 else set()
    other = rows[rows["name"] == against]
    copies = [other.assign(repeat=number) for number in range(most)]
    means, found = rows.groupby("name")[metric].mean(), {}
    for name in map(str, repeats.index):
        found[name] = f"{means[name]:.{digits}f}"
        if name == against:
            continue
        first = rows[(rows["name"] == name) & (rows["repeat"] == 0)]
        # what is made once is the same beside each repeat of the other
        alone = [*(first.assign(repeat=n) for n in sorted(set(other["repeat"]))), other]
        together = [rows[rows["name"].isin(repeated)], *copies]
        cube = cube_of(pd.concat(together if name in repeated else alone), metric)
        if cube is None or name not in cube.names:
            raise ValueError(f"{name}: {metric} of too few places, or not of all repeats")
        squares = mean_squares(cube.scores)
        places = cube.names.index(name), cube.names.index(against)
        ends = difference_interval(*places, squares, Chance(squares, seed=0))
        mark = "" if name in repeated else "*"
        found[name] += f" ({ends.low:+.{digits}f} to {ends.high:+.{digits}f}){mark}"
    return found


if __name__ == "__main__":
    main()
