"""Networks and classical filters on fields that nothing was tuned on: a table and a strip.

    python benchmarks/measure.py TRIALS.json --tune FOLDER --score FOLDER --out FOLDER

TRIALS.json is what `recipe.py` ran here; trials called "NAME #0", "NAME #1" ... are repeats of one
network. Filters get the parameter that is best on the scans of --tune, by PSNR; nothing of --score
is looked at before it is scored. Differences are those to --against, with 95 % intervals over
places and repeats. Seconds are of one pass over the fields, one denoiser after the other, with
--threads threads of torch. Filters are shown too after the gain and offset that fit best on --tune.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from lfranker.baselines import families
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
    parser.add_argument("--cache", type=Path, default=Path(".lfranker"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    tuning, scored = (
        prepare_scans(folder, None, asked.cache.resolve() / "scans")
        for folder in (asked.tune, asked.score)
    )
    denoisers = [("noisy", 0, lambda image: image), *_filters(tuning), *_networks(asked.trials)]
    tables = []
    for name, repeat, function in tqdm(denoisers, "scoring", disable=None):
        found = score(of_noisy(function), scored)
        tables.append(found.assign(name=name, repeat=repeat))
    rows = pd.concat(tables, ignore_index=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(asked.out / "scores.csv", index=False)
    text = table(rows, asked.against)
    (asked.out / "table.md").write_text(text)
    if asked.pictured:
        _picture(asked.pictured, denoisers, scored, asked.out / "strip.png")
    sys.stdout.write(text)


def _filters(tuning: ScanSet) -> Iterator[tuple[str, int, Denoise]]:
    """Each with its best parameter, and once more with brightness corrected as fits there."""
    some = spread(tuning.records)
    for name, family in families().items():
        value = best_value(family, tuning, some)
        filtered = partial(family.function, **{_argument(family.function): value})
        sys.stderr.write(f"{name}: {family.parameter} {value:g}\n")
        yield name, 0, filtered
        gain, offset = _brightness(filtered, tuning)
        sys.stderr.write(f"{name}: gain {gain:.4f}, offset {offset:+.4f}\n")
        yield f"{name}, corrected", 0, partial(_corrected, filtered, gain, offset)


def _argument(function: Callable[..., Image]) -> str:
    """The name of a filter's parameter, its second argument."""
    return function.__code__.co_varnames[1]


def _brightness(filtered: Denoise, tuning: ScanSet) -> tuple[float, float]:
    """The line that takes filtered scans to the clean ones in least squares."""
    pairs = [(filtered(pair.noisy)[pair.mask], pair.clean[pair.mask]) for pair in tuning]
    x, y = (np.concatenate(side).astype(np.float64) for side in zip(*pairs, strict=True))
    gain, offset = np.polyfit(x, y, 1)
    return float(gain), float(offset)


def _corrected(filtered: Denoise, gain: float, offset: float, image: Image) -> Image:
    return np.float32(gain) * filtered(image) + np.float32(offset)


def _networks(trials: Path) -> Iterator[tuple[str, int, Denoise]]:
    """The finished trials of that file, by the title that it has."""
    title = json.loads(trials.read_text())["title"]
    for run in search(f"tags.`{TAG}trial` LIKE '[\"{title}\"%' AND attributes.status = 'FINISHED'"):
        name, _, repeat = str(run.info.run_name).partition(" #")
        network = load_network(f"models:/{run.data.tags[TAG + 'model']}")
        yield name, int(repeat or 0), partial(denoise, network)


def table(rows: pd.DataFrame, against: str) -> str:
    """Markdown: means over fields, and in brackets what lies between each and `against`."""
    lines = [f"| | {' | '.join(SHOWN)} | s/MP |", "|---|" + "---:|" * (len(SHOWN) + 1)]
    cells = {metric: _cells(rows, metric, against) for metric in SHOWN}
    for name, group in rows.groupby("name", sort=False):
        speed = group["seconds"].sum() / group["megapixels"].sum()
        shown = " | ".join(cells[metric][str(name)] for metric in SHOWN)
        lines.append(f"| {name} | {shown} | {speed:.3g} |")
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


def _picture(
    names: list[str], denoisers: list[tuple[str, int, Denoise]], scans: ScanSet, path: Path
) -> None:
    """Of the field in the middle of the list: not a chosen one."""
    first = {name: function for name, repeat, function in denoisers if repeat == 0}
    pair = scans.read(scans.records[len(scans.records) // 2])
    panels = {name: np.clip(first[name](pair.noisy), 0, 1) for name in names}
    strip({**panels, "clean": pair.clean}).save(path)


if __name__ == "__main__":
    main()
