"""Golden run: every command in small, and all that it leaves behind, as one JSON file.

A net under changes that must not change results (moves, renames, refactorings). Record before and
after on the same machine, and compare:

    python tests/golden/golden_run.py before.json
    python tests/golden/golden_run.py after.json
    python tests/golden/golden_run.py --compare before.json after.json

Every difference is printed with its place, before and after; the exit code is 1 where there is any.
A change that is meant is then seen to be the only one. The record holds each run's parameters,
metrics, tags, artifacts, tables and notes, the digests of weights, pictures and denoised files,
the registered models and what the commands printed; times, IDs and paths are made alike. Weights
depend on processor and torch: records of two machines differ, so none is kept in the repository.

Only command lines are used and nothing of the project is imported, so that it survives renames.
Takes some minutes. With --keep FOLDER the runs stay there to be looked at (`mlflow ui`).
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from golden_compare import described, differences
from golden_record import (
    Names,
    all_models,
    all_runs,
    local_path,
    picture_digest,
    record_folder,
    record_store,
    tiff_tags,
)
from golden_scans import write_clean, write_scans
from mlflow import MlflowClient

ROOT = Path(__file__).parents[2]
MODEL = "golden"  # in the registry
PROFILES = ("fitted.json", "singles.json")  # that noise-fit writes

NETWORK = "--depth 0,1,0,1,0,1,0 --dim 16 --head-dim 4"
RANKING = "--equivalence psnr=0.2,ssim=0.01,repeatability=0.02 --weights psnr=2,ssim=1"

# A command line by step; {name} is what an earlier step made.
STEPS = {
    "synth": "synth --clean clean --out dataset --preset smoke --seed 2 --workers 2 --patch 32"
    " --patches 24 --validation 0.25 --minimum-contrast 0.02 --noise gamma --correlation 0.2",
    "noise-fit": "noise-fit --scans scans --target 10us --out fitted.json --carry 280ns,2us"
    " --seed 4 --cache cache",
    "noise-fit of single scans": "noise-fit --scans scans/1us --target none --out singles.json"
    " --seed 5 --cache cache",
    "powerset": "powerset --losses mae,mse,perceptual --preset smoke --repeats 2 --jobs 2"
    " --scans scans --target 10us --seed 3 --perceptual random --device cpu"
    " --loss-weights mae=1,mse=2,perceptual=0.1 --min-size 1 --max-size 2 --include mae"
    " --exclude mae+mse --refine 1 --yes true --take-over true --keep-checkpoints true"
    f" --cache cache --promote always --model-name {MODEL} {RANKING} {NETWORK}"
    " --steps 60 --batch 3 --learning-rate 5e-3 --weight-decay 1e-3 --warmup 5 --clip-factor 2"
    " --ema-decay 0.9 --perceptual-layers 3 --threads 1 --log-every 30 --checkpoint-seconds 999"
    " --patch 40 --patches 40 --validation 0.2 --minimum-contrast 0.02"
    " --alpha 0.5:1 --beta 0.3 --peak 20:80 --speckle-variance 0.02 --correlation 0.1:0.4"
    " --gain 0.9:1.1 --offset 0.01",
    "evaluate": "evaluate --parent latest --preset smoke --seed 6 --cache cache",
    "rank": "rank --parent latest --equivalence psnr=0.05,ssim=0.001 --promote auto"
    f" --weights psnr=1,ssim=2,repeatability=3 --model-name {MODEL}",
    "rank on the second set": "rank --scans {digest} --equivalence psnr=0.3,ssim=0.02,keypoints=9"
    f" --weights ssim=1 --promote auto --model-name {MODEL}",
    "evaluate a model": f"evaluate --model models:/{MODEL}@champion --scans scans --target 1us"
    " --cache cache",
    "joint powerset": "powerset --losses mae,ssim --preset smoke --repeats 1 --jobs 1 --threads 2"
    " --seed 7 --clean clean --noises eq1,fitted.json@2us --max-size 1"
    " --loss-weights value --init {init} --cache cache --promote never --max-noise 0.5"
    f" --model-name {MODEL} --steps 10 {NETWORK} --ema-decay 0.8 --patches 32 --validation 0.3"
    " --alpha 0.7 --sigma 0.01:0.02 --line-offset 0.01",
    "denoise": f"denoise --input scans/300ns --output denoised --model models:/{MODEL}@champion"
    " --jobs 2",
    "denoise one": "denoise --input scans/1us/field-0.tif --output one.tif --criterion ssim"
    f" --model-name {MODEL} --overwrite true",
}  # fmt: skip


@dataclass
class Workplace:
    """A folder with a tracking store of its own, in which commands run as a user types them."""

    folder: Path
    said: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        os.environ["MLFLOW_TRACKING_URI"] = uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        self.client = MlflowClient(uri, uri)
        self.client.search_experiments()  # the first use of a store makes it
        self.client.create_experiment("golden", (self.folder / "mlruns").as_uri())

    def run(self, step: str, command: str) -> str:
        """Run a command to its end and return what it said. RuntimeError where it fails."""
        entry, *words = command.split()
        hidden = ("MLFLOW_", "LFRANKER_", "OMP_", "MKL_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        environment |= {
            "MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"],
            "MLFLOW_EXPERIMENT_NAME": "golden",
            "PYTHONPATH": str(ROOT),
        }
        module = f"entrypoints.{entry.replace('-', '_')}"
        done = subprocess.run(
            [sys.executable, "-m", module, *words], cwd=self.folder, env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.said[step] = done
        if done.returncode:
            raise RuntimeError(f"{step}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def champions_weights(self) -> Path:
        """Return the file with the weights of the registered champion."""
        version = self.client.get_model_version_by_alias(MODEL, "champion")
        model = self.client.get_logged_model(str(version.source).removeprefix("models:/"))
        return next(local_path(model.artifact_location).rglob("weights.safetensors"))


# BM3D comes with an extra and takes minutes: the commands, run in this folder, find this instead.
BM3D = """\
from scipy.ndimage import gaussian_filter

def bm3d(image, sigma_psd):
    return gaussian_filter(image, 10 * sigma_psd)
"""


def rate(sheets: Path, ratings: Path) -> None:
    """Fill in the table of blinded sheets: 1 to 5 in turn."""
    with (sheets / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with ratings.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        for number, row in enumerate(rows):
            table.writerow({**row, "rater": "golden", "rating": 1 + number % 5})


def golden_run(folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run all steps in an empty folder; return the record."""
    place = Workplace(folder)
    write_scans(folder / "scans", fields=6, seed=11)
    write_clean(folder / "clean", images=4, seed=12)
    (folder / "bm3d.py").write_text(BM3D)
    made: dict[str, object] = {}
    for step, command in STEPS.items():
        tell(step)
        said = place.run(step, command.format(**made))
        if step == "evaluate":
            made["digest"] = said.split()[-1]  # "scored on ... scans, digest ..."
        if step == "powerset":
            made["init"] = place.champions_weights()
    return record(place)


def record(place: Workplace) -> dict[str, Any]:
    """Return all that is in the store and in the folder, and what was printed."""
    folder, client = place.folder, place.client
    places = {
        str(folder): "<work>", str(folder.resolve()): "<work>", str(ROOT): "<tree>",
        sys.executable: "<python>", sys.prefix: "<environment>",
    }  # fmt: skip
    names = Names(all_runs(client), all_models(client), places)
    denoised = [*sorted((folder / "denoised").iterdir()), folder / "one.tif"]
    return {
        "printed": {
            step: {
                "output": names.lines(said.stdout),
                # trainings that run side by side end in any order
                "messages": sorted(names.lines(said.stderr)),
            }
            for step, said in place.said.items()
        },
        **record_store(client, names),
        "profiles": {name: names.lines((folder / name).read_text()) for name in PROFILES},
        "dataset": record_folder(folder / "dataset", names),
        "denoised": {
            path.relative_to(folder).as_posix(): {
                "pixels": picture_digest(path), "tags": tiff_tags(path, names)
            }
            for path in denoised
        },
    }  # fmt: skip


def compare(before: Path, after: Path) -> int:
    """Print every difference between two records; return how many there are."""
    sides: list[Mapping[str, Any]] = [json.loads(path.read_text()) for path in (before, after)]
    found = list(differences(*sides))
    for difference in found:
        sys.stdout.write(described(*difference))
    sys.stdout.write(f"{len(found)} differences\n")
    return len(found)


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("record", nargs="?", type=Path, help="JSON file to write")
    parser.add_argument("--keep", type=Path, help="folder for the runs, new or empty")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    given = parser.parse_args()
    if given.compare:
        return int(compare(*given.compare) > 0)
    if given.record is None:
        parser.error("name the JSON file to write, or give --compare BEFORE AFTER")

    def tell(step: str) -> None:
        sys.stderr.write(f"{time.strftime(chr(37) + chr(84))} {step}\n")

    with TemporaryDirectory(prefix="golden-") as temporary:
        folder = Path(given.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = golden_run(folder.resolve(), tell)
    given.record.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
