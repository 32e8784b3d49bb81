"""A forecast of what more slow scans bring, against what was measured with so many.

python -m benchmarks.scan_curve CSV --counts 1,2,4 --target 12

The table has a row per training and field: name, repeat (of the draw), n (own slow scans, 0: none),
field, psnr and ssim. Fields of one site are given as --joined 017,018.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from lfranker.ranking.leaderboard import EQUIVALENCE
from lfranker.ranking.own_scans import parse_counts, scan_curve
from lfranker.report.learning_curves import scan_sentences


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")


def main() -> None:
    """Say the forecast, what was measured, and how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--counts", type=parse_counts, default=(1, 2, 4))
    parser.add_argument("--target", type=int, default=12)
    parser.add_argument("--joined", default="")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table, known, target = options.table, options.counts, options.target
    rows = pd.read_csv(table, dtype={"field": str})
    site = dict.fromkeys(options.joined.split(","), options.joined)
    rows = rows.assign(
        place=[site.get(field, field) for field in rows["field"]], draw=rows["repeat"]
    )
    rows = rows.rename(columns={"n": "count"})
    rows = rows if "speed" in rows else rows.assign(speed="")
    curve = scan_curve(rows, str(rows["name"].iloc[0]), known, target, EQUIVALENCE, options.seed)
    for sentence in scan_sentences(curve):
        say(f"- {sentence}")
    for metric, own in curve.tables.items():
        means = rows.groupby(["draw", "count", "place"])[metric].mean().unstack("count")
        measured = float((means[target] - means[0]).mean())
        found = curve.forecast(metric)
        say(
            f"{metric}: forecast {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), "
            f"measured {measured:.4f}, off by {found.value - measured:+.4f}, "
            f"{'told' if curve.is_told(metric) else 'not told'}"
        )
        say(own.to_string())


if __name__ == "__main__":
    main()
