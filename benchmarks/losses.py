"""Cost of each loss in a training step, and its value and gradient on real patches.

    python -m benchmarks.losses            # cost relative to mae
    python -m benchmarks.losses --docs     # the same, written to docs/
    python -m benchmarks.losses --table    # needs LFRANKER_SEM_DATA: values, gradients, parity

Cost: forward and backward for 8 x 1 x 64 x 64 float32 values, the gradient with respect to the
output; processor time of one process and thread, the losses alternating. The
networks have random weights, which cost what ImageNet's do.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch

from lfranker.images.image_file import read_image
from lfranker.losses import LOSSES
from lfranker.losses.documentation import page
from lfranker.losses.registry import Loss
from lfranker.perceptual.weights import load_features, resolve_weights
from lfranker.processes.jobs import available_cores
from tests.fitted import fitted
from tests.loss_references import REFERENCES, batch

DOCS = Path(__file__).parents[1] / "docs"
ROUNDS = 15
LEAST = 0.004  # s a timing
# Powder, a superalloy's precipitates and fibres: their central 64 x 64 px.
PATCHES = (
    "ampis_powder_Sc1Tile_001-001-000_0-000",
    "nasa_super",
    "fiber",
)
COUNTS = 76  # at full scale, as measured on scans at 100 ns a pixel
SIGMA = 0.016  # of full scale, the same


def built() -> dict[str, Loss]:
    network = load_features(resolve_weights("random", random_allowed=True, download=False))
    given: dict[str, Loss] = dict(zip(("lpips", "dists"), fitted(torch.float32), strict=True))
    return {name: given.get(name) or spec.build(network) for name, spec in LOSSES.items()}


def seconds(loss: Loss, output: torch.Tensor, target: torch.Tensor, calls: int) -> float:
    start = process_time()
    for _ in range(calls):
        torch.autograd.grad(loss(output, target), output)
    return (process_time() - start) / calls


def costs() -> dict[str, float]:
    """Median over the rounds of each loss's time over mae's in the same round."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 8, 1, 64, 64, generator=generator)
    output.requires_grad_()
    losses = built()
    first = {name: seconds(loss, output, target, 2) for name, loss in losses.items()}
    calls = {name: max(1, round(LEAST / once)) for name, once in first.items()}
    rounds = [
        {name: seconds(loss, output, target, calls[name]) for name, loss in losses.items()}
        for _ in range(ROUNDS)
    ]
    return {name: median(r[name] / r["mae"] for r in rounds) for name in losses}


def patches(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, noisy and clean; float64 in [0, 1]."""
    for seed, start in enumerate(PATCHES):
        path = min((folder / "clean").glob(f"{start}*.png"))
        image = read_image(path).image.astype(np.float64)
        top, left = ((length - 64) // 2 for length in image.shape)
        clean = image[top : top + 64, left : left + 64]
        rng = np.random.default_rng(seed)
        noisy = rng.poisson(clean * COUNTS) / COUNTS + SIGMA * rng.standard_normal(clean.shape)
        yield path.name, np.clip(noisy, 0, 1), clean


def table(relative: dict[str, float]) -> Iterator[str]:
    """Markdown: value, L2 norm of the gradient, largest parity error and cost of every loss."""
    chosen = list(patches(Path(os.environ["LFRANKER_SEM_DATA"])))
    for number, (name, noisy, clean) in enumerate(chosen, 1):
        yield f"{number}: {name}, mean {clean.mean():.3f}, MSE {np.mean((noisy - clean) ** 2):.5f}"
    yield "| loss | value 1 | 2 | 3 | gradient 1 | 2 | 3 | parity error | cost |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name, loss in built().items():
        values, norms, errors = [], [], []
        for _, noisy, clean in chosen:
            output = batch(noisy).float().requires_grad_()
            value = loss(output, batch(clean).float())
            values.append(value.item())
            norms.append(torch.autograd.grad(value, output)[0].norm().item())
            if name in REFERENCES:
                wanted = REFERENCES[name](noisy, clean)
                found = loss(batch(noisy), batch(clean)).item()
                errors.append(abs(found - wanted) / abs(wanted))
        numbers = " | ".join(f"{number:.4g}" for number in (*values, *norms))
        error = f"{max(errors):.0e}" if errors else "in the tests"
        yield f"| {name} | {numbers} | {error} | {relative[name]:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write docs/")
    parser.add_argument("--table", action="store_true", help="values and gradients on real patches")
    asked = parser.parse_args()
    if asked.table and "LFRANKER_SEM_DATA" not in os.environ:
        parser.error("--table needs LFRANKER_SEM_DATA, a folder with clean/")
    relative = costs()
    if asked.docs:
        machine = f"{available_cores()} cores, one thread, torch {torch.__version__}"
        measured = f"{datetime.now(UTC):%Y-%m-%d}, {machine}"
        rounded = {name: float(f"{cost:.3g}") for name, cost in relative.items()}
        facts = {"measured": measured, "costs": rounded}
        DOCS.mkdir(exist_ok=True)
        text = json.dumps(facts, indent=1) + "\n"
        (DOCS / "loss_costs.json").write_text(text, encoding="utf-8")
        (DOCS / "losses.md").write_text(page(measured, rounded), encoding="utf-8")
    lines = table(relative) if asked.table else (f"{n:<16}{c:8.1f}" for n, c in relative.items())
    for line in lines:
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
