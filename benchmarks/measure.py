"""Networks and classical filters on fields that nothing was tuned on: a table and a strip.

    python benchmarks/measure.py TRIALS.json --tune FOLDER --score FOLDER --out FOLDER

TRIALS.json is what `recipe.py` ran here; trials called "NAME #0", "NAME #1" ... are repeats of one
network. Filters get the parameter that is best on the scans of --tune, by PSNR, and are shown once
more with the gain and offset that fit best there. Each is scored once: what is in
OUT/scores.csv is read from there. Differences are those to --against, with 95 % intervals over
places and repeats. Seconds are of --threads threads, medians of --rounds passes over one field by
all in turn; nothing else should run meanwhile.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from lfranker.baselines import Family, families
from lfranker.cubes import cube_of
from lfranker.evaluation import of_noisy, score
from lfranker.figures import strip
from lfranker.images import Image
from lfranker.inference import denoise
from lfranker.scans import ScanSet, prepare_scans
from lfranker.tracking.models import load_network
from lfranker.tracking.queries import search
from lfranker.tracking.runs import TAG
from lfranker.tuning import best_value, spread
from lfranker.uncertainty import Chance, difference_interval, mean_squares

SHOWN = {"psnr": 2, "ssim": 4, "repeatability": 3, "psnr_fitted": 2}  # digits
Denoise = Callable[[Image], Image]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path)
    for flag in ("--tune", "--score", "--out"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--against", default="bm3d-tuned")
    parser.add_argument("--pictured", nargs="*", default=[], help="Denoisers of the strip.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".lfranker"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    tuning, scored = (
        prepare_scans(folder, None, asked.cache.resolve() / "scans")
        for folder in (asked.tune, asked.score)
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    filters = _filters(tuning, asked.out / "filters.json")
    denoisers = [("noisy", 0, lambda image: image), *filters, *_networks(asked.trials)]
    rows = _scores(denoisers, scored, asked.out / "scores.csv")
    # the field in the middle of the list: not a chosen one
    pair = scored.read(scored.records[len(scored.records) // 2])
    first = {name: function for name, repeat, function in denoisers if repeat == 0}
    text = table(rows, asked.against, _seconds(first, pair.noisy, asked.rounds))
    (asked.out / "table.md").write_text(text)
    if asked.pictured:
        panels = {name: np.clip(first[name](pair.noisy), 0, 1) for name in asked.pictured}
        strip({**panels, "clean": pair.clean}).save(asked.out / "strip.png")
    sys.stdout.write(text)


def _scores(
    denoisers: Sequence[tuple[str, int, Denoise]], scans: ScanSet, stored: Path
) -> pd.DataFrame:
    """A row per denoiser, repeat and field; those in ``stored`` are not scored again."""
    rows = pd.read_csv(stored, dtype={"field": str}) if stored.exists() else pd.DataFrame()
    known = set() if rows.empty else set(zip(rows["name"], rows["repeat"], strict=True))
    for name, repeat, function in tqdm(denoisers, "scoring", disable=None):
        if (name, repeat) not in known:
            found = score(of_noisy(function), scans).assign(name=name, repeat=repeat)
            rows = pd.concat([rows, found], ignore_index=True)
            rows.to_csv(stored, index=False)
    return rows


def _filters(tuning: ScanSet, stored: Path) -> Iterator[tuple[str, int, Denoise]]:
    """Each with its best parameter, and once more with brightness corrected as fits there."""
    known = json.loads(stored.read_text()) if stored.exists() else {}
    for name, family in tqdm(families().items(), "tuning", disable=None):
        if name not in known:
            value = best_value(family, tuning, spread(tuning.records))
            gain, offset = _brightness(partial(_apply, family, value), tuning)
            known[name] = {"parameter": value, "gain": gain, "offset": offset}
            stored.write_text(json.dumps(known, indent=1))
        value, gain, offset = (known[name][key] for key in ("parameter", "gain", "offset"))
        yield name, 0, partial(_apply, family, value)
        yield f"{name} corrected", 0, partial(_apply, family, value, gain=gain, offset=offset)


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


def _networks(trials: Path) -> Iterator[tuple[str, int, Denoise]]:
    """The finished trials of that file, by the title that it has."""
    title = json.loads(trials.read_text())["title"]
    for run in search(f"tags.`{TAG}trial` LIKE '[\"{title}\"%' AND attributes.status = 'FINISHED'"):
        name, _, repeat = str(run.info.run_name).partition(" #")
        network = load_network(f"models:/{run.data.tags[TAG + 'model']}")
        yield name, int(repeat or 0), partial(denoise, network)


def _seconds(denoisers: Mapping[str, Denoise], image: Image, rounds: int) -> dict[str, float]:
    """Per megapixel: medians over rounds in which all take their turn."""
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
    repeats = int(rows["repeat"].max()) + 1
    single = rows.groupby("name")["repeat"].transform("nunique").eq(1)
    copies = [rows[single].assign(repeat=number) for number in range(repeats)]
    cube = cube_of(pd.concat([rows[~single], *copies]), metric)
    if cube is None:
        raise ValueError(f"{metric}: fewer than two denoisers or three places with scores")
    squares, digits = mean_squares(cube.scores), SHOWN[metric]
    chance, other = Chance(squares, seed=0), cube.names.index(against)
    means, found = rows.groupby("name")[metric].mean(), {}
    for number, name in enumerate(cube.names):
        found[name] = f"{means[name]:.{digits}f}"
        if number != other:
            between = difference_interval(number, other, squares, chance)
            found[name] += f" ({between.low:+.{digits}f} to {between.high:+.{digits}f})"
    return found


if __name__ == "__main__":
    main()
