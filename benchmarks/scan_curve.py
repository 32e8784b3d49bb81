"""A forecast of what more slow scans bring, against what was measured with so many.

python -m benchmarks.scan_curve CSV --counts 1,2,4 --target 12

The table has a row per training and field: name, repeat (of the draw), n (own slow scans, 0: none),
field, psnr and ssim. Fields of one site are given as --joined 017,018.
"""

from pathlib import Path

import click
import pandas as pd

from lfranker.ranking.config import EQUIVALENCE
from lfranker.ranking.own_scans import parse_counts, scan_curve
from lfranker.report.own_scans import scan_sentences


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--counts", default="1,2,4", help="Numbers of scans that the forecast may know.")
@click.option("--target", default=12, help="The number that is forecast, and was measured.")
@click.option("--joined", default="", help="Fields of one site.")
@click.option("--seed", default=0)
def main(table: Path, counts: str, target: int, joined: str, seed: int) -> None:
    """Say the forecast, what was measured, and how far they are apart."""
    rows = pd.read_csv(table, dtype={"field": str})
    site = dict.fromkeys(joined.split(","), joined)
    rows = rows.assign(
        place=[site.get(field, field) for field in rows["field"]], draw=rows["repeat"]
    )
    rows = rows.rename(columns={"n": "count"})
    rows = rows if "speed" in rows else rows.assign(speed="")
    known = parse_counts(counts)
    curve = scan_curve(rows, str(rows["name"].iloc[0]), known, target, EQUIVALENCE, seed)
    for sentence in scan_sentences(curve):
        click.echo(f"- {sentence}")
    for metric, own in curve.tables.items():
        means = rows.groupby(["draw", "count", "place"])[metric].mean().unstack("count")
        measured = float((means[target] - means[0]).mean())
        found = curve.forecast(metric)
        click.echo(
            f"{metric}: forecast {found.value:.4f} ({found.low:.4f} to {found.high:.4f}), "
            f"measured {measured:.4f}, off by {found.value - measured:+.4f}, "
            f"{'told' if curve.is_told(metric) else 'not told'}"
        )
        click.echo(own.to_string())


if __name__ == "__main__":
    main()
